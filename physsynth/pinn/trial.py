"""The trial solution: an ansatz around a network, as fields with named derivatives.

All that does not depend on the weights (the jets of features, lifts and masks) is computed once for a
set of points and kept in a `Frame`; training evaluates only the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp

from physsynth.pinn.ansatz import Ansatz
from physsynth.pinn.field import Field
from physsynth.pinn.indices import Indices
from physsynth.pinn.jet import Jet, taylor
from physsynth.pinn.networks import Architecture, Network, build
from physsynth.pinn.problem import Problem, Values

Points = Mapping[str, jax.Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Frame:
    """What the trial solution needs to know about a set of points.

    Attributes
    ----------
    points : mapping of str to array (point,)
        Each coordinate and each varied parameter.
    features : Jet (image, point, feature)
        Of the points, then of their mirror images where the fields are symmetric.
    lifts, masks : mapping of str to Jet (point,)
        Of each field.
    """

    points: dict[str, jax.Array]
    features: Jet
    lifts: dict[str, Jet]
    masks: dict[str, Jet]


@dataclass(frozen=True, eq=False)
class Trial:
    """A problem's fields as functions of the network's weights."""

    problem: Problem
    architecture: Architecture

    @cached_property
    def ansatz(self) -> Ansatz:
        """What surrounds the network."""
        return Ansatz(self.problem)

    @cached_property
    def network(self) -> Network:
        """The network inside."""
        return build(self.architecture, len(self.ansatz.features), len(self.problem.fields))

    def frame(self, points: Points, indices: Indices) -> Frame:
        """Compute what does not depend on the weights, at points (point,)."""
        p = {**points, **self.problem.constants}
        p = {name: jnp.broadcast_to(value, next(iter(points.values())).shape) for name, value in p.items()}

        def features(image):
            rows = [taylor(lambda p, f=f: f(image(p)), p, indices) for f in self.ansatz.features]
            return jnp.stack([row.coefficients for row in rows], axis=-1)

        images = [lambda p: p, *(mirror.image for mirror in self.ansatz.mirrors)]
        return Frame(
            dict(points),
            Jet(jnp.stack([features(image) for image in images], axis=1), indices),
            {name: taylor(self.ansatz.lift(name), p, indices) for name in self.problem.fields},
            {name: taylor(self.ansatz.mask(name), p, indices) for name in self.problem.fields},
        )

    def jets(self, weights: jax.Array, frame: Frame) -> dict[str, Jet]:
        """Return the jet of each field."""
        out = self.network.apply(weights, frame.features)
        return {
            name: frame.lifts[name] + frame.masks[name] * self._symmetric(name, out[..., i])
            for i, name in enumerate(self.problem.fields)
        }

    def _symmetric(self, field, images):
        """Add what the network says at the mirror images, with the parity of the field; 0 if it has none."""
        total = images[0, :]
        for i, mirror in enumerate(self.ansatz.mirrors, start=1):
            total = total + mirror.parity(field) * images[i, :]
        return total

    def fields(self, weights: jax.Array, frame: Frame) -> dict[str, Field]:
        """Return the fields as a residual sees them."""
        return as_fields(self.jets(weights, frame), self.problem.coordinates)

    def values(self, frame: Frame) -> Values:
        """Return coordinates and parameters at the points of a frame."""
        return Values({**frame.points, **self.problem.constants})


def as_fields(jets: Mapping[str, Jet], coordinates: tuple[str, ...]) -> dict[str, Field]:
    """Return jets as fields with named derivatives."""
    return {name: Field(name, coordinates, jet.derivative) for name, jet in jets.items()}

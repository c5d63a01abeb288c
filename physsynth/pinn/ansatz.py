"""The ansatz u = lift + mask * network, which satisfies the exact conditions whatever the network says.

The lift meets the values on each face: coordinate by coordinate it adds what is still missing there,
blended linearly to the opposite face (transfinite interpolation, Gordon and Hall 1973). The mask
vanishes there. Periodicity enters through what the network sees, a symmetry by adding the network's mirror
image: each weight then serves twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from math import log, prod
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp

from physsynth.pinn.conditions import Dirichlet, Initial, Symmetry, Value, evaluate, faces

if TYPE_CHECKING:
    from physsynth.pinn.problem import Problem

Function = Callable[[Mapping[str, jax.Array]], jax.Array]
_Kind = TypeVar("_Kind", Dirichlet, Initial)
_LOG_RATIO = 5.0


@dataclass(frozen=True)
class Face:
    """A value that a field takes on a face of the box."""

    coordinate: str
    position: float
    value: Value
    inward: Value | None = None


@dataclass(frozen=True)
class Mirror:
    """An image of the points in the middle of some coordinates, at which fields are even or odd.

    Attributes
    ----------
    sums : mapping of str to float
        Of each mirrored coordinate: its value and that of its image add up to this.
    symmetries : tuple of Symmetry
        What is known of the fields.
    """

    sums: Mapping[str, float]
    symmetries: tuple[Symmetry, ...]

    def image(self, p: Mapping[str, jax.Array]) -> Mapping[str, jax.Array]:
        """Return the points' images."""
        return {**p, **{name: total - p[name] for name, total in self.sums.items()}}

    def parity(self, field: str) -> float:
        """Return 1 if a field is even, -1 if odd, 0 if it has no such symmetry."""
        own = [s for s in self.symmetries if s.field in (field, None)]
        return float(prod(s.parity for s in own)) if {s.along for s in own} == set(self.sums) else 0.0


@dataclass(frozen=True, eq=False)
class Ansatz:
    """What surrounds the network of a problem; everything here is a function of `p`, point by point."""

    problem: Problem

    @cached_property
    def features(self) -> tuple[Function, ...]:
        """What the network sees: scaled coordinates and parameters, sines of periodic coordinates, extras."""
        inputs: list[Function] = []
        for name in self.problem.variables:
            inputs += self._coordinate_features(name)
        return (*inputs, *self.problem.features)

    def lift(self, field: str) -> Function:
        """Return the function that meets the exact conditions of a field."""
        for condition in self._around_cuts(field):
            return lambda p: evaluate(condition.value, p)
        lift: Function = _zero
        for initial in self.initials(field):
            lift = self._started(lift, initial)
        for name in self.problem.coordinates:
            lift = self._blended(lift, [face for face in self.faces(field) if face.coordinate == name])
        return lift

    def mask(self, field: str) -> Function:
        """Return the function that vanishes where the exact conditions of a field hold."""
        factors = [self._initial_factor(initial) for initial in self.initials(field)]
        factors += [self._face_factor(face) for face in self.faces(field)]
        if self._around_cuts(field):
            factors += self.problem.domain.cut_distances()
        return lambda p: _product(factors, p)

    def faces(self, field: str) -> list[Face]:
        """Return the faces on which a field takes values exactly."""
        intervals = self.problem.domain.intervals
        return [
            Face(name, position, condition.value, condition.inward)
            for condition in self._exact(Dirichlet, field)
            for name, position in faces(condition.on, intervals)
        ]

    def initials(self, field: str) -> list[Initial]:
        """Return the exact initial conditions of a field."""
        return self._exact(Initial, field)

    @cached_property
    def mirrors(self) -> tuple[Mirror, ...]:
        """The images of a point under every combination of the problem's symmetries."""
        symmetries = [c for c in self.problem.conditions if isinstance(c, Symmetry)]
        along = sorted({s.along for s in symmetries})
        chosen = chain.from_iterable(combinations(along, n) for n in range(1, len(along) + 1))
        return tuple(
            Mirror(
                {name: sum(self.problem.domain.intervals[name]) for name in names},
                tuple(s for s in symmetries if s.along in names),
            )
            for names in chosen
        )

    def _exact(self, kind: type[_Kind], field: str) -> list[_Kind]:
        chosen = (c for c in self.problem.conditions if isinstance(c, kind))
        return [c for c in chosen if c.exact and self._of(c, field)]

    def _around_cuts(self, field) -> list[Dirichlet]:
        """Return the condition on the whole boundary of a domain with cuts: its value is its own lift."""
        whole = (c for c in self._exact(Dirichlet, field) if c.on is None)
        return [c for c in whole if self.problem.domain.without]

    def _of(self, condition, field):
        return condition.field in (field, None)

    def _scaled(self, name) -> Function:
        """Map a coordinate to [-1, 1]; a parameter that spans decades by its logarithm."""
        low, high = self.problem.variables[name]
        if name in self.problem.ranges and 0 < low < high / _LOG_RATIO:
            middle, half = log(low * high) / 2, log(high / low) / 2
            return lambda p: (jnp.log(p[name]) - middle) / half
        return lambda p: (2.0 * p[name] - (low + high)) / (high - low)

    def _coordinate_features(self, name) -> list[Function]:
        scaled = self._scaled(name)
        if name in self.problem.periodic:
            waves = range(1, self.problem.periodic[name].harmonics + 1)
            cosines = [lambda p, k=k: jnp.cos(jnp.pi * k * scaled(p)) for k in waves]
            return cosines + [lambda p, k=k: jnp.sin(jnp.pi * k * scaled(p)) for k in waves]
        return [scaled]

    def _initial_factor(self, initial) -> Function:
        low, high = self.problem.domain.intervals[initial.along]
        power = 1 if initial.rate is None else 2
        return lambda p: ((p[initial.along] - low) / (high - low)) ** power

    def _face_factor(self, face) -> Function:
        low, high = self.problem.domain.intervals[face.coordinate]
        width = (high - low) / 2
        sign = 1.0 if face.position == low else -1.0
        return lambda p: sign * (p[face.coordinate] - face.position) / width

    def _started(self, lift, initial) -> Function:
        name, low = initial.along, self.problem.domain.intervals[initial.along][0]

        def value(p):
            return lift(p) + evaluate(initial.value, p) - lift({**p, name: jnp.full_like(p[name], low)})

        if initial.rate is None:
            return value

        def value_and_rate(p):
            missing = evaluate(initial.rate, p) - _slope(value, p, name, low)
            return value(p) + (p[name] - low) * missing

        return value_and_rate

    def _blended(self, lift, faces) -> Function:
        if not faces:
            return lift

        def blended(p):
            total = lift(p)
            for face in faces:
                there = {**p, face.coordinate: jnp.full_like(p[face.coordinate], face.position)}
                share = self._share(face, faces)(p)
                if face.inward is None:
                    missing = evaluate(face.value, there) - lift(there)
                else:
                    missing = evaluate(face.inward, p) - lift(p)
                total = total + share * missing
            return total

        return blended

    def _share(self, face, faces) -> Function:
        """Return the linear function that is 1 on a face and 0 on the opposite one, if that is given too."""
        others = [other.position for other in faces if other.position != face.position]
        if not others:
            return lambda p: jnp.ones_like(p[face.coordinate])
        return lambda p: (p[face.coordinate] - others[0]) / (face.position - others[0])


def _zero(p):
    return jnp.zeros(jnp.broadcast_shapes(*(jnp.shape(value) for value in p.values())))


def _product(factors, p):
    result = _zero(p) + 1.0
    for factor in factors:
        result = result * factor(p)
    return result


def _slope(function, p, name, at):
    start = jnp.full_like(p[name], at)
    return jax.jvp(lambda value: function({**p, name: value}), (start,), (jnp.ones_like(start),))[1]

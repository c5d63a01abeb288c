"""Constraints on outputs: a residual that must vanish, or a bound that must hold.

One definition serves the losses of physics-informed networks, plausibility scores and release checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

if TYPE_CHECKING:
    from physsynth.core.simulator import Simulator

Scenario = Mapping[str, jax.Array]


@dataclass(frozen=True)
class Constraint:
    """A law that every scenario of a simulator obeys.

    Parameters
    ----------
    name : str
        What the law is called in its field, for example "mass balance".
    unit : str
        Unit of the defect.
    defect : callable
        ``defect(sim, p, y)`` for one scenario: an array that is 0 where the law holds.
    tolerance : float
        Largest absolute defect that counts as held.
    """

    name: str
    unit: str
    defect: Callable[[Simulator, Scenario, Scenario], jax.Array]
    tolerance: float = 1e-9

    def violation(self, sim: Simulator, p: Scenario, y: Scenario) -> Float[Array, ""]:
        """Return the largest absolute defect of one scenario."""
        return jnp.max(jnp.abs(self.defect(sim, p, y)))

    def within(self, tolerance: float) -> Constraint:
        """Return the same law with another tolerance."""
        return replace(self, tolerance=tolerance)


def residual(name: str, unit: str, function: Callable[..., jax.Array], tolerance: float = 1e-9) -> Constraint:
    """Return the constraint that ``function(sim, p, y)`` vanishes.

    Examples
    --------
    >>> law = residual("energy balance", "J", lambda sim, p, y: y["kinetic"] + y["potential"] - p["energy"])
    >>> float(law.violation(None, {"energy": 3.0}, {"kinetic": 1.0, "potential": 2.5}))
    0.5
    """
    return Constraint(name, unit, function, tolerance)


def bounded(
    output: str, low: float = -jnp.inf, high: float = jnp.inf, unit: str = "1", tolerance: float = 1e-9
):
    """Return the constraint low <= output <= high."""

    def defect(sim, p, y):
        return jnp.maximum(jnp.maximum(low - y[output], y[output] - high), 0.0)

    return Constraint(f"{low:g} <= {output} <= {high:g}", unit, defect, tolerance)


def nonnegative(output: str, unit: str = "1", tolerance: float = 1e-9) -> Constraint:
    """Return the constraint that an output is nowhere negative."""
    return replace(bounded(output, low=0.0, unit=unit, tolerance=tolerance), name=f"{output} >= 0")


def increasing(output: str, along: str, unit: str = "1", tolerance: float = 1e-9) -> Constraint:
    """Return the constraint that an output does not fall when the parameter `along` rises."""

    def defect(sim, p, y):
        slope = jax.jacfwd(lambda value: sim({**p, along: value})[output])(jnp.asarray(p[along], float))
        return jnp.minimum(slope, 0.0)

    return Constraint(f"{output} rises with {along}", unit, defect, tolerance)


def superposition(
    output: str, unit: str, split: Callable[[Simulator], tuple[Simulator, Simulator]], tolerance: float = 1e-9
) -> Constraint:
    """Return the constraint that the response to two inputs is the sum of the responses to each.

    `split` returns the simulator under each of two inputs that add up to its own.
    """

    def defect(sim, p, y):
        first, second = split(sim)
        return y[output] - first(p)[output] - second(p)[output]

    return Constraint(f"superposition of {output}", unit, defect, tolerance)

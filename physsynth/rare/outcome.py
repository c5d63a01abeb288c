"""What every method returns: weighted failing points in standard normal space, and their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.intervals import Spread


@dataclass(frozen=True)
class Estimate:
    """A failure probability and the sample behind it.

    The weights of the failing points sum to the probability. A run that gave NaN is not a failure;
    `unknown_weight` is what each would add if it were.
    """

    u: Float[np.ndarray, "failing dimension"]
    g: Float[np.ndarray, " failing"]
    weight: Float[np.ndarray, " failing"]
    draws: int
    spread: Spread
    converged: bool
    warnings: tuple[str, ...]
    unknown_u: Float[np.ndarray, "unknown dimension"]
    unknown_weight: Float[np.ndarray, " unknown"]
    design_points: Float[np.ndarray, "mode dimension"] | None = None

    @property
    def probability(self) -> float:
        """Return the estimate of P(g <= 0)."""
        return float(self.weight.sum())


class Method(Protocol):
    """A way to estimate a failure probability."""

    def run(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Estimate:
        """Estimate within the evaluator's budget."""
        ...


def weighted_estimate(u, g, weight, spread, target_cov, warnings=(), design_points=None) -> Estimate:
    """Return the estimate of one independent sample (n,) with weight phi/q/n at each point."""
    failing, unknown = g <= 0, np.isnan(g)
    converged = bool(spread.cov <= target_cov) and not warnings
    return Estimate(
        u=u[failing],
        g=g[failing],
        weight=weight[failing],
        draws=len(g),
        spread=spread,
        converged=converged,
        warnings=tuple(warnings) if converged or warnings else (_too_wide(spread.cov, target_cov),),
        unknown_u=u[unknown],
        unknown_weight=weight[unknown],
        design_points=design_points,
    )


def _too_wide(cov, target_cov):
    reached = f"{cov:.1%}" if np.isfinite(cov) else "unknown"
    return f"coefficient of variation {reached}, wanted {target_cov:.1%}: raise max_calls"

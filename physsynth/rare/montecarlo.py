"""Plain Monte Carlo: the fraction of ordinary scenarios that fail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.intervals import Binomial
from physsynth.rare.outcome import Estimate, weighted_estimate


@dataclass(frozen=True)
class MonteCarlo:
    """p = m / n, with n from a pilot sample so that the target is met when the budget allows.

    Parameters
    ----------
    pilot : int
        Runs of the first sample.
    """

    pilot: int = 2048

    def run(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Estimate:
        """Estimate within the evaluator's budget."""
        u = rng.standard_normal((min(self.pilot, evaluator.remaining), evaluator.dimension))
        return self.extend(evaluator, rng, target_cov, u, evaluator.values(u))

    def extend(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float, u, g) -> Estimate:
        """Go on from ordinary runs `u` (n, d) already made, with values `g` (n,)."""
        while _spread(g).cov > target_cov and evaluator.remaining:
            more = rng.standard_normal(
                (min(_missing(g, target_cov), evaluator.remaining), evaluator.dimension)
            )
            u, g = np.concatenate([u, more]), np.concatenate([g, evaluator.values(more)])
        return weighted_estimate(u, g, np.full(len(g), 1 / max(len(g), 1)), _spread(g), target_cov)


def _spread(g):
    return Binomial(int(np.sum(g <= 0)), len(g))


def _missing(g, target_cov):
    """Return the runs still wanted, at most four times those made, as a small pilot knows little."""
    m, n = max(int(np.sum(g <= 0)), 1), len(g)
    wanted = (n / m - 1) / target_cov**2
    return int(np.clip(np.ceil(1.05 * wanted) - n, 64, 4 * n))

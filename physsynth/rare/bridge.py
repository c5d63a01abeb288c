"""Two imperfect samples, one good estimate: a bridge between importance sampling and subset simulation.

Draws of the mixture q have known densities but may hardly reach a part of the failure domain; subset
simulation reaches it but knows no densities. With n draws of q, and m failing points of subset runs, whose
density is phi / p on the failure domain,

    p = sum_i h(u_i),     h(u) = 1 / (n q(u) / phi(u) + m / p)

over the failing points of both. No term exceeds p / m, so what q covers badly cannot blow up. Equally

    p = A / B,     A = E_q[h 1{g <= 0}],     B = E[h q / phi | failure]

A from independent draws, and B from independent runs whose spread gives its error.

Source: Meng and Wong (1996), Statistica Sinica 6; Shirts and Chodera (2008), Journal of Chemical Physics 129.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from physsynth.rare.draws import Draws
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.intervals import Weighted
from physsynth.rare.mixture import Mixture
from physsynth.rare.outcome import Estimate
from physsynth.rare.subset import Subset, SubsetRun, pooled, stuck

CORRELATED = (10.0, 30.0, 100.0, 300.0)
ITERATIONS = 200


@dataclass(frozen=True)
class Bridge:
    """Join draws of a mixture with independent runs of subset simulation.

    Parameters
    ----------
    subset : Subset
        How one run is made.
    least : int
        Fewest complete runs behind an interval.
    """

    subset: Subset = field(default_factory=lambda: Subset(size=500, full=True))
    least: int = 5

    def run(
        self,
        mixture: Mixture,
        drawn: Draws,
        evaluator: Evaluator,
        rng: np.random.Generator,
        target_cov: float,
    ) -> Estimate:
        """Estimate within the evaluator's budget, from draws of the mixture and as many more as it takes."""
        n, runs, dearest = len(drawn.g), [], 0
        while (joined := self._joined(drawn, mixture, runs)) is None or joined.spread.cov > target_cov:
            more = n // 2 if joined is not None and joined.draws_are_fewer else 0
            if evaluator.remaining < (more or 1.1 * dearest):
                break
            if more:
                drawn = drawn.joined(Draws.of(mixture, evaluator, rng, more))
            else:
                runs.append(self.subset.once(evaluator, rng))
                dearest = max(dearest, runs[-1].cost)
        joined = _Joined.of(drawn, mixture, runs)
        if joined is None:
            return pooled(runs, target_cov)
        return joined.estimate(target_cov, stuck(runs))

    def _joined(self, drawn, mixture, runs):
        enough = sum(run.complete for run in runs) >= self.least
        return _Joined.of(drawn, mixture, runs) if enough else None


@dataclass(frozen=True)
class _Joined:
    """The draws, the complete runs, q / phi at the failing points of each, and the probability p.

    `correlated` points of the runs count as one: the fewer they count, the more is left to the draws.
    """

    drawn: Draws
    runs: tuple[SubsetRun, ...]
    of_draws: Float[np.ndarray, " n"]
    of_runs: tuple[np.ndarray, ...]
    probability: float
    correlated: float

    @classmethod
    def of(cls, drawn: Draws, mixture: Mixture, runs: Sequence[SubsetRun]) -> _Joined | None:
        """Return both together, weighed as they are most precise.

        None unless each of two runs at least, and the draws, met failures.
        """
        good = tuple(run for run in runs if run.complete and len(run.u))
        fails = drawn.g <= 0
        if len(good) < 2 or not fails.any():
            return None
        of_runs = tuple(np.exp(mixture.log_ratio(run.u)) for run in good)
        ratio = np.exp(drawn.log_ratio)
        points, p = np.concatenate(of_runs), float(np.mean([run.probability for run in good]))
        ways = []
        for correlated in CORRELATED:
            p = _solved(ratio[fails], len(ratio), points, correlated, p)
            ways.append(cls(drawn, good, ratio, of_runs, p, correlated))
        return min(ways, key=lambda way: way.spread.cov)

    def h(self, ratio: np.ndarray) -> np.ndarray:
        """Return h where q / phi has the values given."""
        return 1.0 / (len(self.of_draws) * ratio + self.m / self.probability)

    @property
    def m(self) -> float:
        """Points of the runs, counted less as they are correlated."""
        return sum(len(ratio) for ratio in self.of_runs) / self.correlated

    @property
    def of_drawing(self) -> Weighted:
        """A and its uncertainty."""
        return self.drawn.mean(self.h(self.of_draws))

    @property
    def between_runs(self) -> float:
        """Squared coefficient of variation of B, from the runs' own values of it."""
        size = np.array([len(ratio) for ratio in self.of_runs]) / self.m / self.correlated
        b = np.array([np.mean(ratio * self.h(ratio)) for ratio in self.of_runs])
        return float(np.sum((size * (b / (size @ b) - 1.0)) ** 2) * len(b) / (len(b) - 1))

    @property
    def draws_are_fewer(self) -> bool:
        """Whether draws of the mixture, not runs, are what the precision lacks."""
        return self.of_drawing.cov**2 > self.between_runs

    @property
    def spread(self) -> Weighted:
        """Uncertainty of A and of B, joined; degrees of freedom after Welch and Satterthwaite."""
        a, between, k = self.of_drawing, self.between_runs, len(self.of_runs)
        variance = a.cov**2 + between
        freedom = variance**2 / (a.cov**4 / max(a.effective - 1, 1) + between**2 / (k - 1))
        return Weighted(self.probability, float(np.sqrt(variance)), float(freedom + 1), len(self.of_draws))

    def estimate(self, target_cov: float, doubts: tuple[str, ...]) -> Estimate:
        """Return the estimate, its failing points from both samples."""
        fails, unknown, spread = self.drawn.g <= 0, np.isnan(self.drawn.g), self.spread
        reached = f"coefficient of variation {spread.cov:.1%}, wanted {target_cov:.1%}: raise max_calls"
        warnings = doubts + (() if spread.cov <= target_cov else (reached,))
        of_runs = np.concatenate(self.of_runs)
        return Estimate(
            u=np.concatenate([self.drawn.u[fails], *(run.u for run in self.runs)]),
            g=np.concatenate([self.drawn.g[fails], *(run.g for run in self.runs)]),
            weight=np.concatenate([self.h(self.of_draws[fails]), self.h(of_runs) / self.correlated]),
            draws=len(self.of_draws) + sum(run.draws for run in self.runs),
            spread=spread,
            converged=not warnings,
            warnings=warnings,
            unknown_u=self.drawn.u[unknown],
            unknown_weight=self.h(self.of_draws[unknown]),
        )


def _solved(of_draws: np.ndarray, n: int, of_runs: np.ndarray, correlated: float, start: float) -> float:
    """Return the fixed point p = sum h, the points of the runs counted 1 / correlated each."""
    p, m = start, len(of_runs) / correlated
    for _ in range(ITERATIONS):
        p = np.sum(1 / (n * of_draws + m / p)) + np.sum(1 / (n * of_runs + m / p)) / correlated
    return float(p)

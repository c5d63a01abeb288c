"""Subset simulation: P(g <= 0) as a product of larger conditional probabilities.

    P(F) = P(F_1) prod P(F_{j+1} | F_j),     F_j = {g <= b_j},   b_1 > b_2 > ... >= 0

with b_j the p0 quantile of the current sample, and F_j explored by preconditioned Crank-Nicolson
moves whose step follows the acceptance rate. Several independent runs give an honest interval.

Source: Au and Beck (2001), Probabilistic Engineering Mechanics 16; Papaioannou, Betz, Zwirglmaier
and Straub (2015), ibid. 41 (conditional sampling with an adaptive step).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.intervals import Binomial, Replicates
from physsynth.rare.outcome import Estimate

ACCEPTANCE = 0.44
STUCK = 0.7


@dataclass(frozen=True)
class SubsetRun:
    """One run: failing points of its last level, the runs that gave NaN, and its probability."""

    u: np.ndarray
    g: np.ndarray
    probability: float
    cov: float
    unknown_u: np.ndarray
    unknown_weight: np.ndarray
    complete: bool
    draws: int
    cost: int = 0

    @property
    def weight(self) -> np.ndarray:
        """Equal weights that sum to the probability."""
        return np.full(len(self.u), self.probability / max(len(self.u), 1))


@dataclass(frozen=True)
class Subset:
    """Independent runs of subset simulation until their mean is precise enough.

    Parameters
    ----------
    size : int
        Samples per level of one run.
    fraction : float
        p0, the conditional probability of a level.
    least : int
        Fewest runs behind an interval.
    full : bool
        Whether a last level of chains fills the failure domain, for more and less alike failing points.
    """

    size: int = 1000
    fraction: float = 0.1
    least: int = 6
    full: bool = False

    def run(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Estimate:
        """Estimate within the evaluator's budget."""
        runs = [self.once(evaluator, rng)]
        while not _enough(runs, target_cov, self.least):
            if evaluator.remaining < 1.1 * max(run.cost for run in runs):
                break
            runs.append(self.once(evaluator, rng))
        return pooled(runs, target_cov)

    def once(self, evaluator: Evaluator, rng: np.random.Generator) -> SubsetRun:
        """Run all levels once; incomplete where the budget or the limit state stops it."""
        before = evaluator.cost
        run = self._levels(evaluator, rng)
        return replace(run, cost=evaluator.cost - before)

    def _levels(self, evaluator, rng):
        u = rng.standard_normal((min(self.size, max(evaluator.remaining, 1)), evaluator.dimension))
        level = _Level.start(u, evaluator.values(u))
        while level.threshold(self.fraction) > 0:
            needed = int(len(level.g) * (1 - self.fraction)) + 1
            if level.share(self.fraction) > STUCK or evaluator.remaining < needed:
                return level.finish(complete=False)
            level = _next_level(level, self.fraction, evaluator, rng)
        if self.full and level.share(self.fraction) > 0 and evaluator.remaining >= len(level.g):
            level = _next_level(level, self.fraction, evaluator, rng)
        return level.finish(complete=True)


@dataclass(frozen=True)
class _Level:
    """A sample of F_j with its probability, squared cov so far, and the NaN runs met."""

    u: np.ndarray
    g: np.ndarray
    chains: np.ndarray
    probability: float
    variance: float
    unknown_u: np.ndarray
    unknown_weight: np.ndarray
    step: float = 0.6

    @classmethod
    def start(cls, u, g):
        unknown = np.isnan(g)
        weight = np.full(int(unknown.sum()), 1 / max(len(g), 1))
        return cls(u, np.where(unknown, np.inf, g), np.arange(len(g))[:, None], 1.0, 0.0, u[unknown], weight)

    def threshold(self, fraction):
        return max(
            0.0, np.partition(self.g, int(fraction * len(self.g)) - 1)[int(fraction * len(self.g)) - 1]
        )

    def share(self, fraction):
        return np.mean(self.g <= self.threshold(fraction))

    def squared_cov(self, threshold):
        """Squared cov of the level's fraction, its chains' autocorrelation included (Au and Beck, eq. 29)."""
        inside = (self.g <= threshold)[self.chains].astype(float)
        p = inside.mean()
        if p in (0.0, 1.0):
            return 0.0 if p else np.inf
        between = inside.mean(axis=1).var(ddof=1) / len(inside)
        return max(between, p * (1 - p) / inside.size) / p**2

    def finish(self, complete):
        failing = self.g <= 0
        return SubsetRun(
            u=self.u[failing],
            g=self.g[failing],
            probability=self.probability * failing.mean(),
            cov=float(np.sqrt(self.variance + self.squared_cov(0.0))),
            unknown_u=self.unknown_u,
            unknown_weight=self.unknown_weight,
            complete=complete,
            draws=len(self.g),
        )


def _next_level(level, fraction, evaluator, rng):
    threshold, size = level.threshold(fraction), len(level.g)
    inside = np.flatnonzero(level.g <= threshold)
    seeds = rng.permutation(inside)[: max(1, int(fraction * size))]
    length = int(np.ceil(size / len(seeds)))
    probability = level.probability * len(inside) / size
    u, g, bad, step = _chains(level.u[seeds], level.g[seeds], threshold, length, level.step, evaluator, rng)
    weight = np.full(len(bad), probability / (len(seeds) * max(length - 1, 1)))
    unknown_u, unknown_weight = _heavier(level.unknown_u, level.unknown_weight, bad, weight)
    return _Level(
        u=u.reshape(-1, u.shape[-1]),
        g=g.reshape(-1),
        chains=np.arange(g.size).reshape(g.shape).T,
        probability=probability,
        variance=level.variance + level.squared_cov(threshold),
        unknown_u=unknown_u,
        unknown_weight=unknown_weight,
        step=step,
    )


def _heavier(u, weight, bad, bad_weight):
    """Join the NaN runs of two levels, counting only the level that saw more of their probability.

    Each level estimates the probability of the NaN runs around it; adding levels would count it twice.
    """
    more = bad_weight.sum() > weight.sum()
    kept = np.concatenate([weight * (not more), bad_weight * more])
    return np.concatenate([u, bad]), kept


def _chains(u, g, threshold, length, step, evaluator, rng):
    """Run one chain from each seed: u (length, chains, d), g (length, chains), the NaN runs, the step."""
    path_u, path_g, bad = [u], [g], [np.empty((0, u.shape[1]))]
    for _ in range(length - 1):
        moved = np.sqrt(1 - step**2) * u + step * rng.standard_normal(u.shape)
        value = evaluator.values(moved)
        bad.append(moved[np.isnan(value)])
        accepted = value <= threshold
        u, g = np.where(accepted[:, None], moved, u), np.where(accepted, value, g)
        step = float(np.clip(step * np.exp(accepted.mean() - ACCEPTANCE), 0.02, 0.999))
        path_u.append(u)
        path_g.append(g)
    return np.stack(path_u), np.stack(path_g), np.concatenate(bad), step


def _enough(runs, target_cov, least):
    good = [run for run in runs if run.complete]
    return len(good) >= least and _spread(good).cov <= target_cov


def _spread(runs):
    return Replicates(tuple(run.probability for run in runs), float(np.median([run.cov for run in runs])))


def stuck(runs: Sequence[SubsetRun]) -> tuple[str, ...]:
    """Return what runs that stopped early speak against."""
    lost = sum(not run.complete for run in runs)
    if not lost:
        return ()
    return (f"{lost} of {len(runs)} runs of subset simulation stopped before failure was reached",)


def pooled(runs: Sequence[SubsetRun], target_cov: float) -> Estimate:
    """Average the runs; those cut short still count, as leaving them out would bias the mean."""
    spread, draws = _spread(runs), sum(run.draws for run in runs)
    warnings = list(stuck(runs))
    if not spread.cov <= target_cov:
        reached = f"{spread.cov:.1%}" if np.isfinite(spread.cov) else "unknown"
        warnings.append(f"coefficient of variation {reached}, wanted {target_cov:.1%}: raise max_calls")
    return Estimate(
        u=np.concatenate([run.u for run in runs]),
        g=np.concatenate([run.g for run in runs]),
        weight=np.concatenate([run.weight for run in runs]) / len(runs),
        draws=draws,
        spread=spread if spread.probability > 0 else Binomial(0, draws),
        converged=not warnings,
        warnings=tuple(warnings),
        unknown_u=np.concatenate([run.unknown_u for run in runs]),
        unknown_weight=np.concatenate([run.unknown_weight for run in runs]) / len(runs),
    )

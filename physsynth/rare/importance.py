"""Adaptive importance sampling with a mixture, and an independent last sample that gives the estimate.

    p = E_q[ w 1{g <= 0} ],     w = phi / q,     q = sum_k pi_k q_k

Planes at the design points give the first mixture. Rounds of draws, all weighted against the mixture of
every round so far (Veach and Guibas, 1995, balance heuristic), refit it, and failing points that it
covers badly start new searches. The estimate comes from fresh draws of the mixture thus fixed, so it
is unbiased and its draws are independent.

Source: Cornuet, Marin, Mira and Robert (2012), Scandinavian Journal of Statistics 39 (adaptive
multiple importance sampling); Owen and Zhou (2000), JASA 95 (defensive mixtures); Au and Beck (2001),
Structural Safety 23 (half-spaces at design points).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import logsumexp

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.fitting import fit_mixture
from physsynth.rare.intervals import Binomial, Weighted
from physsynth.rare.mixture import Mixture
from physsynth.rare.outcome import Estimate, weighted_estimate
from physsynth.rare.planes import Planes, diverse, planes_along_rays, planes_from
from physsynth.rare.scout import LOW_DIMENSION, Scouted, scout

UNCOVERED = 10.0


@dataclass(frozen=True)
class Importance:
    """Mixture importance sampling.

    Parameters
    ----------
    look : int
        Points of the first look around.
    batch : int
        Draws of one round of adaptation (doubled above 20 dimensions).
    rounds : int
        Most rounds of adaptation.
    least : int
        Fewest draws of the last sample.
    """

    look: int = 128
    batch: int = 200
    rounds: int = 10
    least: int = 400

    def run(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Estimate:
        """Estimate within the evaluator's budget."""
        plan = self.prepare(evaluator, rng, target_cov)
        return self.finish(plan, evaluator, rng, target_cov)

    def prepare(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Plan:
        """Search and adapt; the plan foresees the draws still needed."""
        found = scout(evaluator, rng, self.look)
        return self.adapt(Plan.start(found, evaluator.dimension), evaluator, rng, target_cov)

    def adapt(self, plan: Plan, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Plan:
        """Draw and refit until another round would cost more than it saves."""
        size = self.batch if evaluator.dimension <= LOW_DIMENSION else 2 * self.batch
        for turn in range(self.rounds):
            if evaluator.remaining < 2 * size or plan.hopeless(turn):
                break
            before = plan.wanted(target_cov)
            plan = plan.drawn(evaluator, rng, size).searched(evaluator)
            if turn and not plan.fresh and before - plan.wanted(target_cov) < size and plan.trusted:
                break
        return plan

    def finish(
        self, plan: Plan, evaluator: Evaluator, rng: np.random.Generator, target_cov: float
    ) -> Estimate:
        """Draw the last sample from the plan's mixture."""
        if plan.mixture is None:
            return _nothing(evaluator)
        n = int(min(max(plan.wanted(target_cov), self.least, evaluator.cost), evaluator.remaining))
        u, g, log_ratio = _draw(plan.mixture, evaluator, rng, n)
        while (missing := _missing(g, log_ratio, target_cov)) and evaluator.remaining:
            more = _draw(plan.mixture, evaluator, rng, min(missing, evaluator.remaining))
            u, g, log_ratio = (np.concatenate(pair) for pair in zip((u, g, log_ratio), more, strict=True))
        weight = np.exp(-log_ratio) / max(len(g), 1)
        spread = Weighted.of(np.where(g <= 0, np.exp(-log_ratio), 0.0))
        warnings = plan.doubts(spread.probability, u, g, weight)
        return weighted_estimate(u, g, weight, spread, target_cov, warnings, plan.planes.points)


@dataclass(frozen=True)
class Plan:
    """Where adaptation stands: planes, failing points with weights, the mixtures drawn from so far."""

    found: Scouted
    planes: Planes
    mixture: Mixture | None
    history: tuple[tuple[Mixture, int], ...] = ()
    u: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    weight: np.ndarray = field(default_factory=lambda: np.empty(0))
    fresh: bool = False

    @classmethod
    def start(cls, found: Scouted, dimension: int) -> Plan:
        """Return the plan after the search."""
        if found.empty:
            return cls(found, found.planes, None)
        even = np.full(len(found.population), 1.0 / max(len(found.population), 1))
        mixture = fit_mixture(found.planes, found.population, even)
        return cls(found, found.planes, mixture, u=np.empty((0, dimension)))

    @property
    def probability(self) -> float:
        """Estimate from the rounds so far."""
        return float(self.weight.sum())

    @property
    def effective(self) -> float:
        """Effective number of failing points."""
        return self.probability**2 / max(float(np.sum(self.weight**2)), 1e-300)

    @property
    def trusted(self) -> bool:
        """Whether enough failing points stand behind the fit."""
        return self.effective > 40

    def hopeless(self, turn: int) -> bool:
        """Whether nothing was found to start from, or rounds went by without a failure."""
        return self.mixture is None or (turn >= 3 and not len(self.weight))

    def wanted(self, target_cov: float) -> float:
        """Draws that the last sample needs, with a margin as the fit flatters itself."""
        if self.mixture is None or not len(self.weight):
            return np.inf
        second = self.weight @ np.exp(-self.mixture.log_ratio(self.u)) / self.probability**2
        return 1.3 * max(second - 1.0, 0.05) / target_cov**2

    def drawn(self, evaluator: Evaluator, rng: np.random.Generator, n: int) -> Plan:
        """Return the plan after one more round of `n` draws, refitted."""
        assert self.mixture is not None
        u, g, _ = _draw(self.mixture, evaluator, rng, n)
        history = (*self.history, (self.mixture, n))
        failing = np.concatenate([self.u, u[g <= 0]])
        weight = np.exp(-_balance(history, failing)) if len(failing) else np.empty(0)
        return replace(self, history=history, u=failing, weight=weight).refitted()

    def refitted(self) -> Plan:
        """Return the plan with its mixture fitted to what is known."""
        if self.effective > 20 or not len(self.found.population):
            return replace(self, mixture=fit_mixture(self.planes, self.u, self.weight))
        even = np.full(len(self.found.population), 1.0 / len(self.found.population))
        return replace(self, mixture=fit_mixture(self.planes, self.found.population, even))

    def searched(self, evaluator: Evaluator) -> Plan:
        """Return the plan with planes added where heavy failing points are covered badly."""
        bad = self._badly_covered()
        if not len(bad) or evaluator.remaining < 50 * len(bad):
            return replace(self, fresh=False)
        new = planes_from(evaluator, bad) if evaluator.differentiable else Planes.none(evaluator.dimension)
        if evaluator.dimension <= LOW_DIMENSION:
            new = new.joined(planes_along_rays(evaluator, bad))
        planes = self.planes.joined(new)
        fresh = len(planes.bound) > len(self.planes.bound)
        return replace(self, planes=planes, fresh=fresh).refitted()

    def doubts(self, probability, u, g, weight) -> list[str]:
        """Return what speaks against an estimate: failing points known to be all but out of its reach."""
        assert self.mixture is not None
        doubts = []
        if len(self.found.population) and probability > 0:
            cover = np.exp(-self.mixture.log_ratio(self.found.population)) / probability
            if np.mean(cover > 5 * UNCOVERED) > 0.05:
                doubts.append("a part of the failure domain that was seen is hardly sampled")
        return doubts

    def _badly_covered(self):
        """Return a few failing points whose weight is large beside the probability, heaviest first."""
        assert self.mixture is not None
        seen = np.concatenate([self.u, self.found.population])
        if not len(seen) or not self.probability > 0:
            return seen[:0]
        cover = np.exp(-self.mixture.log_ratio(seen)) / self.probability
        heavy = np.argsort(-cover, kind="stable")
        return diverse(seen[heavy[cover[heavy] > UNCOVERED][:200]], 4)


def _draw(mixture, evaluator, rng, n):
    u = mixture.sample(rng, n)
    return u, evaluator.values(u), mixture.log_ratio(u)


def _balance(history, u):
    """Log of the sum over rounds of n_r q_r / phi at each point."""
    return logsumexp(np.stack([np.log(n) + mixture.log_ratio(u) for mixture, n in history]), axis=0)


def _missing(g, log_ratio, target_cov):
    """Draws still wanted after a sample, at most twice as many again."""
    cov = Weighted.of(np.where(g <= 0, np.exp(-log_ratio), 0.0)).cov
    if cov <= target_cov:
        return 0
    n = len(g)
    return int(min(2 * n, max(100, 1.1 * n * (cov / target_cov) ** 2 - n))) if np.isfinite(cov) else n


def _nothing(evaluator):
    d = evaluator.dimension
    return weighted_estimate(
        np.empty((0, d)), np.empty(0), np.empty(0), Binomial(0, 1), 0.0, ["no failure was found"], None
    )

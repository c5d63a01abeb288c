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
from physsynth.rare.scout import LOW_DIMENSION, Scouted, explored, scout

UNCOVERED = 10.0
MANY = 8
RAYS = 8


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
    recaptures : int
        Most further subset runs whose failing points test whether modes were missed.
    """

    look: int = 128
    batch: int = 200
    rounds: int = 10
    least: int = 400
    recaptures: int = 3

    def run(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Estimate:
        """Estimate within the evaluator's budget."""
        plan = self.prepare(evaluator, rng, target_cov)
        return self.finish(plan, evaluator, rng, target_cov)

    def prepare(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Plan:
        """Search and adapt; the plan foresees the draws still needed."""
        plan = Plan.start(scout(evaluator, rng, self.look), evaluator.dimension)
        plan = self.adapt(plan, evaluator, rng, target_cov)
        for _ in range(self.recaptures):
            if plan.complete:
                break
            plan = self.adapt(plan.explored(evaluator, rng), evaluator, rng, target_cov)
        return plan

    def adapt(self, plan: Plan, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Plan:
        """Draw and refit until another round would cost more than it saves."""
        size = self.batch if evaluator.dimension <= LOW_DIMENSION else 2 * self.batch
        for turn in range(self.rounds):
            if evaluator.remaining < 2 * size or plan.hopeless(turn):
                break
            before = plan.wanted(target_cov)
            plan = plan.drawn(evaluator, rng, size).searched(evaluator)
            if turn == 2 and not plan.trusted and not len(plan.found.population):
                plan = plan.explored(evaluator, rng)
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
        while (missing := _missing(g, log_ratio, plan.variance, target_cov)) and evaluator.remaining:
            more = _draw(plan.mixture, evaluator, rng, min(missing, evaluator.remaining))
            u, g, log_ratio = (np.concatenate(pair) for pair in zip((u, g, log_ratio), more, strict=True))
        weight = np.exp(-log_ratio) / max(len(g), 1)
        spread = Weighted.of(np.where(g <= 0, np.exp(-log_ratio), 0.0)).at_least(plan.variance)
        warnings = plan.doubts()
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
    missed: float = 0.0
    checks: int = 0

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
        return self.effective > 50 + 10 * min(self.u.shape[1], LOW_DIMENSION)

    def hopeless(self, turn: int) -> bool:
        """Whether nothing was found to start from, or rounds went by without a failure."""
        return self.mixture is None or (turn >= 3 and not len(self.weight))

    def wanted(self, target_cov: float) -> float:
        """Draws that the last sample needs, with a margin as the fit flatters itself."""
        return 1.3 * max(self.variance, 0.05) / target_cov**2

    @property
    def variance(self) -> float:
        """Squared coefficient of variation of one draw of the mixture, from the failing points so far."""
        if self.mixture is None or not len(self.weight):
            return np.inf
        second = self.weight @ np.exp(-self.mixture.log_ratio(self.u)) / self.probability**2
        return float(second - 1.0)

    def explored(self, evaluator: Evaluator, rng: np.random.Generator) -> Plan:
        """Return the plan after one more subset run has looked for failing points."""
        found = explored(replace(self.found, planes=self.planes), evaluator, rng)
        missed = self.uncovered(found.latest)
        return replace(
            self, found=found, planes=found.planes, missed=missed, checks=self.checks + 1
        ).refitted()

    def uncovered(self, u: np.ndarray) -> float:
        """Return the share of failing points that the mixture would give a very large weight."""
        if self.mixture is None or not len(u) or not self.probability > 0:
            return 0.0
        return float(np.mean(np.exp(-self.mixture.log_ratio(u)) / self.probability > UNCOVERED))

    @property
    def complete(self) -> bool:
        """Whether no failing point seen is covered badly, and modes are too few for some to hide."""
        few = len(self.planes.bound) <= MANY or (
            len(self.history) > 0 and self.checks > 0 and self.missed < 0.03
        )
        return self.mixture is None or (few and self.uncovered(self.found.latest) < 0.03)

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
        n = len(self.found.population)
        if not n or self.effective > 100:
            return replace(self, mixture=fit_mixture(self.planes, self.u, self.weight))
        own = self.weight / max(self.probability, 1e-300) * self.effective / 100
        weight = np.concatenate([own, np.full(n, (1 - self.effective / 100) / n)])
        return replace(
            self, mixture=fit_mixture(self.planes, np.concatenate([self.u, self.found.population]), weight)
        )

    def searched(self, evaluator: Evaluator) -> Plan:
        """Return the plan with planes added where heavy failing points are covered badly."""
        bad = self._badly_covered()
        if not len(bad) or evaluator.remaining < 50 * len(bad):
            return replace(self, fresh=False)
        new = planes_from(evaluator, bad) if evaluator.differentiable else Planes.none(evaluator.dimension)
        if evaluator.dimension <= RAYS:
            new = new.joined(planes_along_rays(evaluator, bad))
        planes = self.planes.joined(new)
        fresh = len(planes.bound) > len(self.planes.bound)
        return replace(self, planes=planes, fresh=fresh).refitted()

    def doubts(self) -> list[str]:
        """Return what speaks against an estimate: failing points known to be all but out of its reach."""
        if self.missed > 0.1 or self.uncovered(self.found.population) > 0.05:
            return [
                "failing points were seen where the importance density hardly samples: modes may be missing"
            ]
        return []

    def _badly_covered(self):
        """Return a few failing points whose weight is large beside the probability, heaviest first."""
        assert self.mixture is not None
        seen = np.concatenate([self.u, self.found.population])
        if not len(seen) or not self.probability > 0:
            return seen[:0]
        cover = np.exp(-self.mixture.log_ratio(seen)) / self.probability
        heavy = np.argsort(-cover, kind="stable")
        most = 4 if seen.shape[1] <= LOW_DIMENSION else 16
        return diverse(seen[heavy[cover[heavy] > UNCOVERED][:200]], most)


def _draw(mixture, evaluator, rng, n):
    u = mixture.sample(rng, n)
    return u, evaluator.values(u), mixture.log_ratio(u)


def _balance(history, u):
    """Log of the sum over rounds of n_r q_r / phi at each point."""
    return logsumexp(np.stack([np.log(n) + mixture.log_ratio(u) for mixture, n in history]), axis=0)


def _missing(g, log_ratio, variance, target_cov):
    """Return the draws still wanted after a sample, at most twice as many again."""
    cov = Weighted.of(np.where(g <= 0, np.exp(-log_ratio), 0.0)).at_least(variance).cov
    if cov <= target_cov:
        return 0
    n = len(g)
    return int(min(2 * n, max(100, 1.1 * n * (cov / target_cov) ** 2 - n))) if np.isfinite(cov) else n


def _nothing(evaluator):
    d = evaluator.dimension
    return weighted_estimate(
        np.empty((0, d)), np.empty(0), np.empty(0), Binomial(0, 1), 0.0, ["no failure was found"], None
    )

"""Choose the method that will cost least: Monte Carlo, importance sampling, subset simulation, a bridge."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from physsynth.rare.bridge import Bridge
from physsynth.rare.draws import Draws
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.importance import Importance, Plan
from physsynth.rare.montecarlo import MonteCarlo
from physsynth.rare.outcome import Estimate
from physsynth.rare.subset import Subset

FIRST = 0.5


@dataclass(frozen=True)
class Auto:
    """Let a small pilot sample, and then the search for the failure domain, decide.

    Parameters
    ----------
    pilot : int
        Ordinary runs made first.
    often : int
        Failures among them above which plain Monte Carlo goes on from there.
    """

    pilot: int = 64
    often: int = 10
    montecarlo: MonteCarlo = field(default_factory=MonteCarlo)
    importance: Importance = field(default_factory=Importance)
    subset: Subset = field(default_factory=Subset)
    bridge: Bridge = field(default_factory=Bridge)

    def run(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Estimate:
        """Estimate within the evaluator's budget."""
        u = rng.standard_normal((min(self.pilot, evaluator.remaining), evaluator.dimension))
        g = evaluator.values(u)
        if np.sum(g <= 0) >= self.often or not evaluator.remaining:
            return self.montecarlo.extend(evaluator, rng, target_cov, u, g)
        plan = self.importance.prepare(evaluator, rng, target_cov)
        costs = _forecast(plan, target_cov, self.bridge)
        cheapest = min(costs, key=costs.__getitem__)
        if cheapest == "importance":
            return self._importance(plan, evaluator, rng, target_cov)
        if cheapest == "montecarlo" or evaluator.remaining < self.subset.size:
            return self.montecarlo.extend(evaluator, rng, target_cov, u, g)
        if cheapest == "bridge" and plan.mixture is not None:
            n = FIRST * max(plan.fitted_variance, 0.05) / target_cov**2
            drawn = Draws.of(plan.mixture, evaluator, rng, int(min(n, evaluator.remaining / 3)))
            return self.bridge.run(plan.mixture, drawn, evaluator, rng, target_cov)
        return self.subset.run(evaluator, rng, target_cov)

    def _importance(self, plan, evaluator, rng, target_cov):
        """Finish with draws alone, or with a bridge where its runs cost less than the draws still missing."""
        if plan.mixture is None:
            return self.importance.finish(plan, evaluator, rng, target_cov)
        runs = self.bridge.least * _one_run(plan, self.bridge)
        plan, drawn = self.importance.sample(plan, evaluator, rng, target_cov, runs)
        missing = plan.missing(drawn, target_cov, evaluator.remaining)
        if plan.mixture is not None and missing and evaluator.remaining > runs:
            return self.bridge.run(plan.mixture, drawn, evaluator, rng, target_cov)
        return plan.estimate(self.importance.shared(plan, drawn, evaluator, rng), target_cov)


def _forecast(plan: Plan, target_cov: float, bridge: Bridge) -> dict[str, float]:
    """Return the calls that each method still needs.

    A subset run with N samples on each of L = -log10 p levels costs N (0.9 L + 0.1) calls and has a
    squared coefficient of variation near 36 L / N (Au and Beck 2001, eq. 31 with gamma = 3).
    """
    probability = _rough(plan)
    if not probability > 0:
        return {"montecarlo": 1.0, "importance": np.inf, "subset": 2.0}
    levels = max(1.0, -np.log10(probability))
    return {
        "montecarlo": (1 / probability - 1) / target_cov**2,
        "importance": np.inf if plan.leaky(target_cov) else plan.wanted(target_cov),
        "subset": 36 * levels * (0.9 * levels + 0.1) / target_cov**2,
        "bridge": bridge.least * _one_run(plan, bridge) + plan.fitted_variance / target_cov**2
        if plan.probability > 0
        else np.inf,
    }


def _rough(plan):
    return max(plan.found.probability, plan.probability)


def _one_run(plan, bridge):
    """Return the calls of one subset run of a bridge; a level that fills the failure domain is one more."""
    return bridge.subset.size * (0.9 * max(1.0, -np.log10(_rough(plan))) + 0.1 + bridge.subset.full)

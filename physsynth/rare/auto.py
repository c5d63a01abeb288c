"""Choose the method: plain Monte Carlo where failure is frequent, subset simulation where it is rare."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.montecarlo import MonteCarlo
from physsynth.rare.outcome import Estimate
from physsynth.rare.subset import Subset


@dataclass(frozen=True)
class Auto:
    """Let a pilot sample decide."""

    pilot: int = 1000
    often: float = 5e-3
    rare: Subset = field(default_factory=Subset)

    def run(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Estimate:
        """Estimate within the evaluator's budget."""
        u = rng.standard_normal((min(self.pilot, evaluator.remaining), evaluator.dimension))
        g = evaluator.values(u)
        if np.mean(g <= 0) > self.often or not evaluator.remaining:
            return MonteCarlo().extend(evaluator, rng, target_cov, u, g)
        return self.rare.run(evaluator, rng, target_cov)

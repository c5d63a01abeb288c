"""Draws of a mixture: where, what the limit state said, and how dense they are."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.intervals import Weighted
from physsynth.rare.mixture import Mixture


@dataclass(frozen=True)
class Draws:
    """Points, g, log q / phi, and which component made each."""

    u: Float[np.ndarray, "n d"]
    g: Float[np.ndarray, " n"]
    log_ratio: Float[np.ndarray, " n"]
    stratum: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, mixture: Mixture, evaluator: Evaluator, rng: np.random.Generator, n: int) -> Draws:
        """Draw `n` points and run the limit state on them."""
        u, stratum = mixture.strata(rng, n)
        return cls(u, evaluator.values(u), mixture.log_ratio(u), stratum)

    def joined(self, other: Draws) -> Draws:
        """Return both as one sample."""
        return Draws(*(np.concatenate([getattr(d, f.name) for d in (self, other)]) for f in fields(self)))

    def mean(self, of_failing: Float[np.ndarray, " n"]) -> Weighted:
        """Return the mean, and its uncertainty, of a quantity that is 0 where nothing failed."""
        return Weighted.of(np.where(self.g <= 0, of_failing, 0.0), self.stratum)

    @property
    def spread(self) -> Weighted:
        """The failure probability: the mean importance weight."""
        return self.mean(np.exp(-self.log_ratio))

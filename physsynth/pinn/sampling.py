"""Which points to train on: drawn anew each round, where the residual is large, and causal in time.

Sources: residual-based adaptive distribution, Wu et al. (2023), Comput. Methods Appl. Mech. Eng. 403,
115671, with k = c = 1; causal weights, Wang, Sankaran, Perdikaris (2024), Comput. Methods Appl.
Mech. Eng. 421, 116813.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import numpy as np

from physsynth.pinn.conditions import Initial
from physsynth.pinn.given import check_bounds, check_kind
from physsynth.pinn.objective import Batch, Batches, Objective
from physsynth.pinn.terms import EQUATION

_LEAST, _MOST = 1.0, 1e4


@dataclass(frozen=True)
class Sampling:
    """How points are drawn.

    Attributes
    ----------
    points : int
        Inside the domain, a round.
    pool : int
        Candidates for each of them.
    uniform : float
        Share of plain uniform drawing against drawing in proportion to the residual; 1 is as much as
        the mean residual.
    causality : float
        How strongly a residual at an early time mutes later times; 0 not at all.
    growth : float
        Rate, per unit of time, at which an error grows once it is made: residuals count for what
        becomes of them by the end. 0 where the equation forgets.
    uniform_rounds : int
        Rounds that draw uniformly, as the residual of a network that was hardly trained says little.
    early : tuple of float
        The share of the points that the first rounds use, one after another, and those after them all;
        none unless given. A network that is far off is brought near as well by few, which counts where
        little is wanted soon; where training takes long it spares next to nothing.

    Raises
    ------
    ParameterError
        If a number is out of its bounds.
    """

    points: int = 4000
    pool: int = 4
    uniform: float = 1.0
    causality: float = 0.0
    growth: float = 0.0
    uniform_rounds: int = 2
    early: tuple[float, ...] = ()

    def __post_init__(self):
        least = {"points": 1, "pool": 1, "uniform": 0, "causality": 0, "uniform_rounds": 0}
        check_bounds("sampling", {name: (getattr(self, name), low, math.inf) for name, low in least.items()})
        check_kind("sampling.early", self.early, tuple, "shares of the points, (0.25, 0.5)")
        check_bounds("sampling", {f"early[{i}]": (share, 1e-6, 1.0) for i, share in enumerate(self.early)})

    def draw(
        self,
        objective: Objective,
        weights: jax.Array,
        scales: dict[str, float],
        rng: np.random.Generator,
        rounds: int,
    ) -> Batches:
        """Return the points of each term for one round, so many rounds after the first."""
        share = self.early[rounds] if rounds < len(self.early) else 1.0
        seen = weights if rounds >= self.uniform_rounds else None
        return {
            term.name: objective.batch(term, term.draw(rng, self.points), scales[term.name]).shared(1.0)
            if term.name != EQUATION
            else self._inside(objective, term, seen, rng).shared(share)
            for term in objective.terms
        }

    def _inside(self, objective, term, weights, rng) -> Batch:
        pool = term.draw(rng, self.pool * self.points)
        batch = objective.batch(term, pool)
        size = np.zeros(batch.weights.size) if weights is None else objective.sizes(weights, term, batch)
        importance = self._importance(objective.trial.problem, pool, size)
        share = _relative(size * np.sqrt(importance)) + self.uniform
        # A race of exponential clocks: points without replacement, in proportion to their shares.
        chosen = np.argsort(rng.exponential(size=share.size) / share)[: self.points]
        return objective.picked(batch, chosen, 1.0, importance)

    def _importance(self, problem, points, size):
        """Return the weight of each point's squared residual, with mean 1 over the domain."""
        starts = [c for c in problem.conditions if isinstance(c, Initial)]
        if not starts:
            return np.ones_like(size)
        t = points[starts[0].along]
        order = np.argsort(t)
        before = np.zeros_like(size)
        before[order] = np.cumsum(size[order] ** 2) / size.size
        weight = np.exp(-self.causality * before - 2.0 * self.growth * (t - np.min(t)))
        return weight / np.mean(weight)


def _relative(size):
    """Return sizes relative to their mean; ones if they vanish."""
    mean = np.mean(size)
    return size / mean if 0.0 < mean < np.inf else np.ones_like(size)


def balance(objective: Objective, weights: jax.Array, data: Batches) -> dict[str, float]:
    """Return scales that make the gradients of all terms equally long, the equation's being 1.

    Source: Wang, Sankaran, Wang, Perdikaris (2023), arXiv:2308.08468.
    """
    found = objective.gradients(weights, data)
    lengths = {name: float(np.linalg.norm(gradient)) for name, (_, gradient) in found.items()}
    return {
        name: float(np.clip(lengths[EQUATION] / max(length, 1e-30), _LEAST, _MOST))
        for name, length in lengths.items()
    }

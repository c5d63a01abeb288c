"""Which points to train on: drawn anew each round, where the residual is large, and causal in time.

Sources: residual-based adaptive distribution, Wu et al. (2023), Comput. Methods Appl. Mech. Eng. 403,
115671, with k = c = 1; causal weights, Wang, Sankaran, Perdikaris (2024), Comput. Methods Appl.
Mech. Eng. 421, 116813.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from physsynth.pinn.conditions import Initial
from physsynth.pinn.objective import Batch, Batches, Objective
from physsynth.pinn.terms import EQUATION, Term

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
    """

    points: int = 4000
    pool: int = 4
    uniform: float = 1.0
    causality: float = 0.0
    growth: float = 0.0

    def draw(
        self, objective: Objective, weights: jax.Array, scales: dict[str, jax.Array], key: jax.Array
    ) -> Batches:
        """Return the points of each term for one round."""
        keys = jax.random.split(key, len(objective.terms))
        return {
            term.name: self._batch(objective, term, weights, scales[term.name], k)
            for term, k in zip(objective.terms, keys, strict=True)
        }

    def _batch(self, objective, term, weights, scale, key) -> Batch:
        if term.name != EQUATION:
            return objective.batch(term, term.draw(key, self.points), scale)
        candidates, choice = jax.random.split(key)
        pool = term.draw(candidates, self.pool * self.points)
        batch = objective.batch(term, pool, jnp.ones(()))
        size = _residual_size(objective, term, weights, batch)
        importance = self._importance(objective.trial.problem, pool, size)
        size = size * jnp.sqrt(importance)
        share = size / jnp.mean(size) + self.uniform
        chosen = jax.random.choice(choice, size.size, (self.points,), replace=False, p=share / jnp.sum(share))
        return objective.picked(batch, chosen, scale, importance)

    def _importance(self, problem, points, size):
        """Return the weight of each point's squared residual, with mean 1 over the domain."""
        starts = [c for c in problem.conditions if isinstance(c, Initial)]
        if not starts:
            return jnp.ones_like(size)
        t = points[starts[0].along]
        order = jnp.argsort(t)
        before = jnp.zeros_like(size).at[order].set(jnp.cumsum(size[order] ** 2) / size.size)
        weight = jnp.exp(-self.causality * before - 2.0 * self.growth * (t - jnp.min(t)))
        return weight / jnp.mean(weight)


def _residual_size(objective: Objective, term: Term, weights: jax.Array, batch: Batch) -> jax.Array:
    """Return the Euclidean norm of a term's residual at each point (point,), over its equations."""
    size = jax.lax.map(
        lambda frame: jnp.linalg.norm(objective.residuals(weights, term, frame), axis=0), batch.frames
    )
    return size.reshape(-1)


def balance(objective: Objective, weights: jax.Array, data: Batches) -> dict[str, jax.Array]:
    """Return scales that make the gradients of all terms equally long, the equation's being 1.

    Source: Wang, Sankaran, Wang, Perdikaris (2023), arXiv:2308.08468.
    """
    lengths = {
        term.name: jnp.linalg.norm(objective.term_value_and_gradient(weights, term, data[term.name])[1])
        for term in objective.terms
    }
    return {
        name: jnp.clip(lengths[EQUATION] / jnp.maximum(length, 1e-30), _LEAST, _MOST)
        for name, length in lengths.items()
    }

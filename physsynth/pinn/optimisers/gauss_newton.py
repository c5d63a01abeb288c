"""Gauss-Newton with Levenberg and Marquardt's damping, in primal and dual form.

The step solves (J'J + damping I) step = -J'r; with fewer rows than weights the dual form
step = -J' (J J' + damping I)^-1 r is the cheaper one. The damping falls after a step that lowers the
loss and rises until one does.

Source: Levenberg (1944), Q. Appl. Math. 2, 164-168; Marquardt (1963), SIAM J. Appl. Math. 11, 431-441.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve

from physsynth.pinn.optimisers.optimiser import Weights

_TRIALS = 8
_LEAST, _MOST = 1e-14, 1e6


class _Search(NamedTuple):
    theta: jax.Array
    value: jax.Array
    damping: jax.Array
    done: jax.Array
    count: jax.Array


@dataclass(frozen=True)
class GaussNewton:
    """Levenberg-Marquardt on the residuals of all terms.

    Attributes
    ----------
    steps : int
        Iterations between two draws of points.
    damping : float
        To begin with.
    dual : bool
        Whether to solve in the space of residuals.
    """

    steps: int = 10
    damping: float = 1e-3
    dual: bool = False
    name = "gauss_newton"

    def start(self, theta: jax.Array) -> jax.Array:
        """Return the damping to begin with."""
        return jnp.asarray(self.damping, theta.dtype)

    def run(self, objective, theta: Weights, memory: jax.Array, data):
        """Take the steps; return position, memory and the losses (steps,)."""
        step = objective.compiled(self, partial(self._step, objective))
        losses = np.empty(self.steps)
        for i in range(self.steps):
            theta, memory, losses[i] = step(theta, memory, data)
        return theta, memory, losses

    def _step(self, objective, theta, damping, data):
        before, move = (self._dual if self.dual else self._primal)(objective, theta, data)
        found = _damped(lambda t: objective.value(t, data), theta, before, move, damping)
        return found.theta, found.damping, found.value

    def _primal(self, objective, theta, data):
        """Return the loss, and the step as a function of the damping."""
        normal = objective.normal(theta, data)
        eye = jnp.eye(theta.size, dtype=theta.dtype)
        return normal.value, lambda d: -cho_solve(cho_factor(normal.matrix + d * eye), normal.gradient)

    def _dual(self, objective, theta, data):
        r, J = objective.jacobian(theta, data)
        kernel, eye = J @ J.T, jnp.eye(r.size, dtype=r.dtype)
        return r @ r, lambda d: -J.T @ cho_solve(cho_factor(kernel + d * eye), r)


def _damped(value, theta, before, move, damping):
    """Raise the damping until the loss falls."""

    def attempt(search):
        trial = theta + move(search.damping)
        there = value(trial)
        better = there < before
        return _Search(
            jnp.where(better, trial, theta),
            jnp.where(better, there, before),
            jnp.clip(search.damping * jnp.where(better, 1 / 3, 4.0), _LEAST, _MOST),
            better,
            search.count + 1,
        )

    start = _Search(theta, before, damping, jnp.asarray(False), jnp.asarray(0))
    return jax.lax.while_loop(lambda s: ~s.done & (s.count < _TRIALS), attempt, start)

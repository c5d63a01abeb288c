"""How wrong is a solution? What the linearised equation says, in the directions that the network can take.

With r(u) = 0 the equation and L its derivative at a trial solution u, the error e obeys L e = r(u), but for
e². Within the tangent space of the network, e = J_u d, this is a problem of least squares,

    d = argmin |J_r d - r|,

a step of Gauss and Newton of which only the change of the fields counts. It finds errors in directions along
which training never went, such as those that grow. What it leaves of the residual, at other points, is
charged with the stability constant C that training has measured. With a = |J_u d| and b = C |r - J_r d|

    |e| <= a + b,   estimated by sqrt(a² + b²) >= (a + b) / sqrt(2):

what is left of the residual is orthogonal to what is explained, so that nothing says that both errors point
the same way. The least squares are damped such that the least is left there.

A change of the fields as large as they are, that the residual, as small as it is, does not exclude, says that
the equation and its conditions do not determine them.

Sources: Verfürth (1994), Math. Comp. 62, 445-475, for errors from the linearised residual; Becker, Rannacher
(2001), Acta Numerica 10, 1-102, for the linearised problem solved in a discrete space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import qr

from physsynth.pinn.draws import ERROR, generator
from physsynth.pinn.estimate import POINTS, ErrorEstimate, estimate, fixed
from physsynth.pinn.objective import Batch, Batches, Objective
from physsynth.pinn.once import SELDOM
from physsynth.pinn.terms import EQUATION

_POOL = 4
# Of a large network's weights so many are moved, drawn at random.
_MOST_WEIGHTS = 1500
# Relative to the largest singular value: of the step, and of the directions that are hardly determined.
_DAMPINGS = tuple(10.0**-power for power in range(2, 14))
_HARDLY = (1e-8, 1e-10, 1e-12)
_POWER_STEPS = 12


@dataclass(frozen=True)
class _Linear:
    """Residuals r (row,) and relative fields u (row,), with their derivatives J and K by the weights."""

    r: np.ndarray
    J: np.ndarray
    u: dict[str, np.ndarray]
    K: dict[str, np.ndarray]

    def moved(self, d: np.ndarray) -> dict[str, float]:
        """Return how much a change of the weights changes each field, relative to its size."""
        return {name: _ratio(_norm(self.K[name] @ d), _norm(self.u[name])) for name in self.u}


def error_of(
    objective: Objective, trail: Sequence[jax.Array], scales: Mapping[str, float], key: jax.Array
) -> ErrorEstimate:
    """Return what is known of the error of the last of the weights that training passed through."""
    found = estimate(objective, trail, scales, generator(key, *ERROR))
    return corrected(found, objective, trail[-1], scales, generator(key, *ERROR, 0))


def corrected(
    found: ErrorEstimate,
    objective: Objective,
    weights: jax.Array,
    scales: Mapping[str, float],
    rng: np.random.Generator,
    at: Mapping[str, float] | None = None,
    columns: np.ndarray | None = None,
) -> ErrorEstimate:
    """Return the estimate for the last of the weights, once the linearised equation is solved too.

    Parameters
    ----------
    found : ErrorEstimate
        From the path of training.
    objective, scales, rng, at
        As for `estimate`.
    weights : array (weight,)
    columns : array of int, optional
        The weights that may move; all, or of many some, unless given.
    """
    columns = _columns(weights.size) if columns is None else columns
    # In single precision the directions that count could not be told from rounding.
    with jax.enable_x64(True):
        weights = jnp.asarray(weights, float)
        here, there = (_linear(objective, weights, scales, rng, at or {}, columns) for _ in range(2))
    if not all(np.all(np.isfinite(part)) for part in (here.r, here.J, there.r, there.J)):
        return found
    steps, hardly = _steps(here)
    lefts = np.linalg.norm(there.r[:, None] - there.J @ steps, axis=0)
    step, left = steps[:, np.argmin(lefts)], min(float(np.min(lefts)), _norm(there.r))
    explained = there.moved(step)
    relative = {
        name: float(np.hypot(moved, _ratio(found.stability[name] * left, _norm(there.u[name]))))
        for name, moved in explained.items()
    }
    # A query of a surrogate, and a later window, go by the constant.
    stability = {
        name: max(found.stability[name], _ratio(relative[name] * _norm(there.u[name]), found.residual))
        for name in relative
    }
    freedom = max(_freedom(there, direction) for direction in hardly)
    largest = max(explained.values())
    return replace(
        found, relative=relative, stability=stability, freedom=freedom, explained=largest
    ).checked()


def _columns(size):
    if size <= _MOST_WEIGHTS:
        return np.arange(size)
    return np.sort(np.random.default_rng(0).choice(size, _MOST_WEIGHTS, replace=False))


def _linear(objective, weights, scales, rng, at, columns) -> _Linear:
    data = _drawn(objective, weights, scales, rng, at)
    compiled = objective.compiled("linearised", objective.linearised, SELDOM)
    (r, J), (u, K) = jax.tree.map(np.asarray, compiled(weights, data, columns))
    names = objective.trial.problem.fields
    return _Linear(r, J, dict(zip(names, u, strict=True)), dict(zip(names, K, strict=True)))


def _drawn(objective, weights, scales, rng, at) -> Batches:
    """Return points of each term; those of the equation where the residual is large.

    A race of exponential clocks picks them from a pool; each then stands for the inverse of its probability,
    so that what is narrower than the points are apart counts for as much as it should.
    """
    data = {}
    for term in objective.terms:
        count = _POOL * POINTS if term.name == EQUATION else POINTS
        data[term.name] = objective.batch(term, fixed(term.draw(rng, count), at), scales[term.name])
    pool: Batch = data[EQUATION]
    size = objective.sizes(weights, objective.terms[0], pool)
    mean = np.mean(size)
    share = 1.0 + (size / mean if 0.0 < mean < np.inf else 0.0 * size)
    clocks = rng.exponential(size=share.size) / share
    order = np.argsort(clocks)
    weight = -1.0 / np.expm1(-share * clocks[order[POINTS]])
    chosen = order[:POINTS]
    data[EQUATION] = objective.picked(pool, chosen, pool.scale, weight / np.mean(weight[chosen]))
    return data


def _steps(linear: _Linear) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return steps (weight, damping) that explain the residual, and directions that it hardly sees."""
    n = linear.J.shape[1]
    both = np.column_stack([linear.J, linear.r])
    triangle = np.asarray(qr(both, mode="r", overwrite_a=True, check_finite=False)[0])
    left, sizes, right = np.linalg.svd(triangle[:n, :n], full_matrices=False)
    along = (left.T @ triangle[: len(left), n])[:, None]
    damped = sizes[:, None] / (sizes[:, None] ** 2 + (np.array(_DAMPINGS) * sizes[0]) ** 2)
    steps = right.T @ (along * damped)
    fields = np.concatenate([K / max(_norm(linear.u[name]), 1e-300) for name, K in linear.K.items()])
    return steps, [_most_moving(fields, right.T / np.hypot(sizes, small * sizes[0])) for small in _HARDLY]


def _most_moving(fields, scaled):
    """Return the direction of the largest singular value of fields @ scaled, by the power method."""
    direction = np.random.default_rng(0).standard_normal(scaled.shape[1])
    for _ in range(_POWER_STEPS):
        direction = scaled.T @ (fields.T @ (fields @ (scaled @ direction)))
        direction /= max(_norm(direction), 1e-300)
    return scaled @ direction


def _freedom(linear, direction):
    """Return the relative change of the fields that changes the residual by as much as there is of it."""
    moved = _norm(np.array(list(linear.moved(direction).values())))
    return _ratio(moved * _norm(linear.r), _norm(linear.J @ direction))


def _norm(values) -> float:
    return float(np.linalg.norm(values))


def _ratio(above: float, below: float) -> float:
    return above / max(below, 1e-300)

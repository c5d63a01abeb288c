"""Design points: the points of the failure boundary nearest to the origin, by slopes or along rays.

Sequential quadratic programming for  min |u|^2 / 2  subject to  g(u) = 0:

    u' = u + s (v - u),     v = u - H (u + m grad g),     m = (g - grad g . H u) / (grad g . H grad g)

with s cut until the merit |u|^2 / 2 + c |g| falls. H = I gives the improved Hasofer-Lind Rackwitz-Fiessler
iteration; here it learns the curvature of the boundary, the inverse of I + m grad^2 g, from the slopes on the
way (limited-memory BFGS), without which narrow valleys take hundreds of steps. Many starts run side by side.

Source: Zhang and Der Kiureghian (1995), Reliability and Optimization of Structural Systems, 297-305; Liu and
Der Kiureghian (1991), Structural Safety 9 (quadratic programming); Nocedal (1980), Mathematics of
Computation 35; Powell (1978), Lecture Notes in Mathematics 630 (damping).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from physsynth.rare.components import nearest_behind
from physsynth.rare.evaluator import Evaluator

ITERATIONS = 20
ROUNDS = 6
RAY = 7
CLOSE = 0.05
LONGEST_STEP = 4.0
LEAST_CURVATURE = 0.2
INSIDE = 1.02
# Tangents of points without slope are found by tilting rays: how many rays for all points, in how many
# rounds, how far, over what reach, how often halved, and how far behind them is aimed, as halvings err.
FLAT, TILTINGS, TILT, REACH, TILTED, BEHIND = 80, 3, 0.1, 1.5, 10, 0.01


@dataclass(frozen=True)
class DesignPoints:
    """Points on the failure boundary (k, d), the direction (k, d) of failure at each, and its distance.

    `reliability_index` is the signed distance (k,) of the tangent plane from the origin. `stuck` (m, d) is
    where the other searches ended, as they do where two boundaries meet, or on the far side of an island.
    """

    u: Float[np.ndarray, "k d"]
    direction: Float[np.ndarray, "k d"]
    reliability_index: Float[np.ndarray, " k"]
    stuck: Float[np.ndarray, "m d"]


@dataclass
class _Search:
    u: np.ndarray
    g: np.ndarray
    slope: np.ndarray
    target: np.ndarray
    step: np.ndarray
    done: np.ndarray
    curvature: _Curvature


@dataclass
class _Curvature:
    """Moves of each start and the changes of the Lagrangian's slope along them: (iterations, k, d)."""

    moves: np.ndarray
    turns: np.ndarray

    @classmethod
    def flat(cls, k, d):
        return cls(np.zeros((ITERATIONS, k, d)), np.zeros((ITERATIONS, k, d)))

    def learn(self, turn, rows, move, change):
        """Keep one move of some starts; a change that curves too little is drawn towards the move itself."""
        along, length = np.sum(move * change, axis=1), np.sum(move**2, axis=1)
        short = along < LEAST_CURVATURE * length
        theta = np.where(short, (1 - LEAST_CURVATURE) * length / np.where(short, length - along, 1.0), 1.0)
        self.moves[turn, rows] = move
        self.turns[turn, rows] = theta[:, None] * change + (1 - theta)[:, None] * move

    def applied(self, rows, v):
        """Return H v for some starts, by the two-loop recursion from H = I."""
        moves, turns = self.moves[:, rows], self.turns[:, rows]
        along = np.sum(moves * turns, axis=2)
        rho = np.where(along > 0, 1.0 / np.where(along > 0, along, 1.0), 0.0)
        alpha = np.zeros_like(rho)
        for i in range(len(moves) - 1, -1, -1):
            alpha[i] = rho[i] * np.sum(moves[i] * v, axis=1)
            v = v - alpha[i][:, None] * turns[i]
        for i in range(len(moves)):
            beta = rho[i] * np.sum(turns[i] * v, axis=1)
            v = v + (alpha[i] - beta)[:, None] * moves[i]
        return v


def search(evaluator: Evaluator, starts: Float[np.ndarray, "k d"], tolerance: float = 0.03) -> DesignPoints:
    """Return the design points reached from the starts; those that do not converge are left out.

    So is the far side of a failure domain that ends, which faces the origin though the origin is safe.

    Costs one gradient per start and iteration, at most 20 iterations, within the budget.
    """
    state = _begin(evaluator, starts)
    for turn in range(ITERATIONS):
        active = np.flatnonzero(~state.done)
        if not len(active) or evaluator.remaining < evaluator.slope_cost * len(active):
            break
        _advance(evaluator, state, active, turn)
        state.done |= _converged(state, evaluator.continuous, tolerance)
    good = _converged(state, evaluator.continuous, 3 * tolerance) & np.isfinite(state.slope).all(axis=1)
    steep = np.maximum(np.linalg.norm(state.slope, axis=1), 1e-300)
    index = (state.g - np.sum(state.slope * state.u, axis=1)) / steep
    if np.any(good & (index < 0)) and not evaluator.origin_fails:
        good &= index >= 0
    return DesignPoints(state.u[good], -_unit(state.slope[good]), index[good], state.u[~good])


def along_rays(
    evaluator: Evaluator,
    u: Float[np.ndarray, "k d"],
    anchor: Float[np.ndarray, "k d"] | float = 0.0,
    steps: int = RAY,
) -> Float[np.ndarray, "k d"]:
    """Pull failing points towards the anchor, by bisection, to the failure boundary (still failing)."""
    low, high = np.zeros(len(u)), np.ones(len(u))
    for _ in range(steps):
        if evaluator.remaining < len(u):
            break
        middle = 0.5 * (low + high)
        fails = evaluator.values(anchor + middle[:, None] * (u - anchor)) <= 0
        low, high = np.where(fails, low, middle), np.where(fails, middle, high)
    return anchor + high[:, None] * (u - anchor)


def corners(
    evaluator: Evaluator, u: Float[np.ndarray, "k d"], rounds: int = ROUNDS
) -> Float[np.ndarray, "k d"]:
    """Pull failing points towards the nearest failure around them, where several boundaries meet as well.

    Each round adds the tangent plane where a point is, and pulls the point towards the place nearest to the
    origin behind all of its planes (Kelley, 1960, Journal of the SIAM 8), as far as failure lasts.
    """
    u = along_rays(evaluator, u)
    normal, bound = np.zeros((len(u), 0, u.shape[1])), np.zeros((len(u), 0))
    for turn in range(rounds):
        if evaluator.remaining < len(u) * (evaluator.slope_cost + RAY) or not len(u):
            break
        facing, at = _tangents(evaluator, u, turn < TILTINGS)
        normal = np.concatenate([normal, facing[:, None]], axis=1)
        bound = np.concatenate([bound, at[:, None]], axis=1)
        target = np.stack([nearest_behind(*planes) for planes in zip(normal, bound, strict=True)])
        moving = np.linalg.norm(target - u, axis=1) > CLOSE
        if not moving.any():
            break
        pulled = along_rays(evaluator, u[moving], target[moving])
        shorter = np.linalg.norm(pulled, axis=1) < np.linalg.norm(u[moving], axis=1)
        u[np.flatnonzero(moving)[shorter]] = pulled[shorter]
    return u


def _tangents(evaluator, u, tilt):
    """Return the normals (k, d) and distances (k,) of the boundary's tangent planes at points on it.

    A few points with no slope, as behind a jump of g, may be tilted and drawn to the boundary again. So that
    differences do not reach across a jump, black boxes are differentiated a little behind it.
    """
    inside = u if evaluator.differentiable else INSIDE * u
    g, slope = evaluator.slopes(inside)
    steep = np.maximum(np.linalg.norm(slope, axis=1), 1e-300)
    normal, none = -slope / steep[:, None], np.all(slope == 0.0, axis=1)
    bound = np.where(none, -np.inf, np.sum(normal * inside, axis=1) + g / steep)
    flat = np.flatnonzero(none)[: max(2, FLAT // u.shape[1])]
    if tilt and len(flat) and evaluator.remaining > 20 * len(flat) * u.shape[1] * TILTED:
        normal[flat], bound[flat] = _by_tilting(evaluator, u[flat])
    return normal, bound


def _by_tilting(evaluator, u):
    """Return the same from where the boundary lies on rays beside that of each point.

    Where a . v >= b fails, the ray of v meets the boundary at s v, and 1 / s = a . v / b is linear in v.
    """
    k, d = u.shape
    tilt = TILT * np.maximum(np.linalg.norm(u, axis=1), 1e-6)
    v = (u[:, None] + tilt[:, None, None] * np.eye(d)).reshape(-1, d)
    low, high = np.full(len(v), 1 / REACH), np.full(len(v), REACH)
    for _ in range(TILTED):
        middle = np.sqrt(low * high)
        fails = evaluator.values(middle[:, None] * v) <= 0
        low, high = np.where(fails, low, middle), np.where(fails, middle, high)
    slope = (1 / np.sqrt(low * high) - 1.0).reshape(k, d) / tilt[:, None]
    steep = np.maximum(np.linalg.norm(slope, axis=1), 1e-12)
    return slope / steep[:, None], (1 + BEHIND) / steep


def _begin(evaluator, starts):
    g, slope = evaluator.slopes(starts)
    slope = np.where(evaluator.continuous, slope, 0.0)
    done = ~np.isfinite(g) | ~np.isfinite(slope).all(axis=1) | (np.linalg.norm(slope, axis=1) == 0)
    flat = _Curvature.flat(*starts.shape)
    state = _Search(starts.copy(), g, slope, starts.copy(), np.ones(len(starts)), done, flat)
    _aim(state, np.arange(len(starts)), evaluator.continuous)
    return state


def _advance(evaluator, state, active, turn):
    """Try one step for each active start; keep it where the merit falls, else halve the step."""
    u, target = state.u[active], state.target[active]
    trial = u + state.step[active, None] * (target - u)
    penalty = 2 * np.linalg.norm(target, axis=1) / np.linalg.norm(state.slope[active], axis=1) + 1e-12
    before = 0.5 * np.sum(u**2, axis=1) + penalty * np.abs(state.g[active])

    def falls(g):
        return 0.5 * np.sum(trial**2, axis=1) + penalty * np.abs(g) <= before + 1e-9

    g, slope = evaluator.slopes(trial, falls)
    slope = np.where(evaluator.continuous, slope, 0.0)
    better = falls(g) & np.isfinite(slope).all(axis=1) & (np.linalg.norm(slope, axis=1) > 0)
    kept, lost = active[better], active[~better]
    multiplier = -np.sum(trial * slope, axis=1) / np.maximum(np.sum(slope**2, axis=1), 1e-300)
    change = trial - u + multiplier[:, None] * (slope - state.slope[active])
    state.curvature.learn(turn, kept, (trial - u)[better], change[better])
    state.u[kept], state.g[kept], state.slope[kept] = trial[better], g[better], slope[better]
    _aim(state, kept, evaluator.continuous)
    state.step[kept] = 1.0
    state.step[lost] *= 0.4
    state.done[lost] |= state.step[lost] < 0.03


def _aim(state, rows, continuous):
    """Set the next target of some starts; standard normals of discrete parameters stay."""
    u, g, slope = state.u[rows], state.g[rows], state.slope[rows]
    position = np.where(continuous, u, 0.0)
    steep, back = state.curvature.applied(rows, slope), state.curvature.applied(rows, position)
    square = np.maximum(np.sum(slope * steep, axis=1), 1e-300)
    multiplier = (g - np.sum(slope * back, axis=1)) / square
    move = -back - multiplier[:, None] * steep
    length = np.linalg.norm(move, axis=1, keepdims=True)
    longest = max(LONGEST_STEP, 1.2 * np.sqrt(u.shape[1]))
    state.target[rows] = u + move * np.minimum(1.0, longest / np.maximum(length, 1e-300))


def _converged(state, continuous, tolerance):
    u = np.where(continuous, state.u, 0.0)
    distance = np.linalg.norm(u, axis=1)
    miss = np.abs(state.g) / np.maximum(np.linalg.norm(state.slope, axis=1), 1e-300)
    direction = _unit(state.slope)
    aside = np.linalg.norm(u - np.sum(u * direction, axis=1)[:, None] * direction, axis=1)
    return (miss <= tolerance) & (aside <= tolerance * np.maximum(distance, 1.0) * 2)


def _unit(v):
    return v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300)

"""Design points: the points of the failure boundary nearest to the origin, by gradients or along rays.

The improved Hasofer-Lind Rackwitz-Fiessler iteration for  min |u|^2 / 2  subject to  g(u) = 0:

    u' = u + s (v - u),     v = (grad g . u - g) grad g / |grad g|^2

with s halved until the merit |u|^2 / 2 + c |g| falls. Many starts run side by side.

Source: Zhang and Der Kiureghian (1995), Reliability and Optimization of Structural Systems, 297-305.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from physsynth.rare.evaluator import GRADIENT_COST, Evaluator

ITERATIONS = 20
LONGEST_STEP = 4.0


@dataclass(frozen=True)
class DesignPoints:
    """Points on the failure boundary (k, d), the direction (k, d) of failure at each, and its distance.

    `reliability_index` is the signed distance (k,) of the tangent plane from the origin.
    """

    u: Float[np.ndarray, "k d"]
    direction: Float[np.ndarray, "k d"]
    reliability_index: Float[np.ndarray, " k"]


@dataclass
class _Search:
    u: np.ndarray
    g: np.ndarray
    slope: np.ndarray
    target: np.ndarray
    step: np.ndarray
    done: np.ndarray


def search(evaluator: Evaluator, starts: Float[np.ndarray, "k d"], tolerance: float = 0.03) -> DesignPoints:
    """Return the design points reached from the starts; those that do not converge are left out.

    Costs one gradient per start and iteration, at most 20 iterations, within the budget.
    """
    state = _begin(evaluator, starts)
    for _ in range(ITERATIONS):
        active = np.flatnonzero(~state.done)
        if not len(active) or evaluator.remaining < GRADIENT_COST * len(active):
            break
        _advance(evaluator, state, active)
        state.done |= _converged(state, evaluator.continuous, tolerance)
    good = _converged(state, evaluator.continuous, 3 * tolerance) & np.isfinite(state.slope).all(axis=1)
    u, slope = state.u[good], state.slope[good]
    steep = np.maximum(np.linalg.norm(slope, axis=1), 1e-300)
    return DesignPoints(u, -_unit(slope), (state.g[good] - np.sum(slope * u, axis=1)) / steep)


def along_rays(
    evaluator: Evaluator,
    u: Float[np.ndarray, "k d"],
    anchor: Float[np.ndarray, "k d"] | float = 0.0,
    steps: int = 7,
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


def _begin(evaluator, starts):
    g, slope = evaluator.slopes(starts)
    slope = np.where(evaluator.continuous, slope, 0.0)
    done = ~np.isfinite(g) | ~np.isfinite(slope).all(axis=1) | (np.linalg.norm(slope, axis=1) == 0)
    return _Search(
        starts.copy(), g, slope, _newton(starts, g, slope, evaluator.continuous), np.ones(len(starts)), done
    )


def _advance(evaluator, state, active):
    """Try one step for each active start; keep it where the merit falls, else halve the step."""
    u, target = state.u[active], state.target[active]
    trial = u + state.step[active, None] * (target - u)
    g, slope = evaluator.slopes(trial)
    slope = np.where(evaluator.continuous, slope, 0.0)
    penalty = 2 * np.linalg.norm(target, axis=1) / np.linalg.norm(state.slope[active], axis=1) + 1e-12
    before = 0.5 * np.sum(u**2, axis=1) + penalty * np.abs(state.g[active])
    after = 0.5 * np.sum(trial**2, axis=1) + penalty * np.abs(g)
    better = np.isfinite(g) & np.isfinite(slope).all(axis=1) & (after <= before + 1e-9)
    better &= np.linalg.norm(slope, axis=1) > 0
    kept, lost = active[better], active[~better]
    state.u[kept], state.g[kept], state.slope[kept] = trial[better], g[better], slope[better]
    state.target[kept] = _newton(state.u[kept], state.g[kept], state.slope[kept], evaluator.continuous)
    state.step[kept] = 1.0
    state.step[lost] *= 0.4
    state.done[lost] |= state.step[lost] < 0.03


def _newton(u, g, slope, continuous):
    """Return the nearest point of the tangent plane; standard normals of discrete parameters stay."""
    square = np.maximum(np.sum(slope**2, axis=1), 1e-300)
    target = ((np.sum(slope * u, axis=1) - g) / square)[:, None] * slope
    move = np.where(continuous, target - u, 0.0)
    length = np.linalg.norm(move, axis=1, keepdims=True)
    longest = max(LONGEST_STEP, 1.2 * np.sqrt(u.shape[1]))
    return u + move * np.minimum(1.0, longest / np.maximum(length, 1e-300))


def _converged(state, continuous, tolerance):
    u = np.where(continuous, state.u, 0.0)
    distance = np.linalg.norm(u, axis=1)
    miss = np.abs(state.g) / np.maximum(np.linalg.norm(state.slope, axis=1), 1e-300)
    direction = _unit(state.slope)
    aside = np.linalg.norm(u - np.sum(u * direction, axis=1)[:, None] * direction, axis=1)
    return (miss <= tolerance) & (aside <= tolerance * np.maximum(distance, 1.0) * 2)


def _unit(v):
    return v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300)

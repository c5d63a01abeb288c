"""A step length that satisfies the strong Wolfe conditions.

Source: Nocedal, Wright (2006), Numerical Optimization, 2nd ed., section 3.5: bracketing, then cubic
interpolation (eq. 3.59), here as one loop over a bracket [low, high] whose left end descends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DECREASE = 1e-4
CURVATURE = 0.9
TRIALS = 15


class Point(NamedTuple):
    """The objective along the search line: step length, value, slope and gradient there."""

    step: float
    value: float
    slope: float
    gradient: np.ndarray


def line_search(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]],
    theta: np.ndarray,
    direction: np.ndarray,
    value: float,
    gradient: np.ndarray,
    first: float = 1.0,
) -> Point:
    """Return a point along `direction` that satisfies the strong Wolfe conditions.

    Parameters
    ----------
    function : callable
        Value and gradient at a position.
    theta, direction, value, gradient
        Where the search starts, its descent direction, and the objective there.
    first : float
        The first step length that is tried.

    Returns
    -------
    Point
        If no such point is found in 15 trials, the lowest one seen; its step is 0 if none was lower.
    """
    start = Point(0.0, value, float(gradient @ direction), gradient)
    low, high, step = start, None, first
    for _ in range(TRIALS):
        trial = _at(function, theta, direction, step)
        if _accepted(trial, start):
            return trial
        if _too_high(trial, start) or trial.value >= low.value or trial.slope >= 0:
            high = trial
        else:
            low = trial
        step = 2.0 * trial.step if high is None else _between(low, high)
    return low if high is None or low.value <= high.value else high


def _at(function, theta, direction, step) -> Point:
    value, gradient = function(theta + theta.dtype.type(step) * direction)
    return Point(step, value if math.isfinite(value) else math.inf, float(gradient @ direction), gradient)


def _between(low, high) -> float:
    """Minimise the cubic through both ends, kept off the ends of the bracket."""
    width = high.step - low.step
    d1 = low.slope + high.slope - 3.0 * (high.value - low.value) / width
    d2 = math.sqrt(max(d1**2 - low.slope * high.slope, 0.0)) if math.isfinite(d1) else math.nan
    below = high.slope - low.slope + 2.0 * d2
    share = 1.0 - (high.slope + d2 - d1) / below if below else math.nan
    return low.step + min(max(share if math.isfinite(share) else 0.5, 0.1), 0.9) * width


def _too_high(point, start):
    return point.value > start.value + DECREASE * point.step * start.slope


def _accepted(point, start):
    return not _too_high(point, start) and abs(point.slope) <= -CURVATURE * start.slope

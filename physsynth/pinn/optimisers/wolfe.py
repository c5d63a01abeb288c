"""A step length that satisfies the strong Wolfe conditions.

Source: Nocedal, Wright (2006), Numerical Optimization, 2nd ed., section 3.5: bracketing, then cubic
interpolation (eq. 3.59), here as one loop over a bracket [low, high] whose left end descends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

DECREASE = 1e-4
CURVATURE = 0.9
TRIALS = 15


class Point(NamedTuple):
    """The objective along the search line: step length, value, slope and gradient there."""

    step: jax.Array
    value: jax.Array
    slope: jax.Array
    gradient: jax.Array


class _Search(NamedTuple):
    low: Point
    high: Point
    step: jax.Array
    trial: Point
    done: jax.Array
    count: jax.Array


def line_search(
    function: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    theta: jax.Array,
    direction: jax.Array,
    value: jax.Array,
    gradient: jax.Array,
) -> Point:
    """Return a point along `direction` that satisfies the strong Wolfe conditions.

    Parameters
    ----------
    function : callable
        Value and gradient at a position.
    theta, direction, value, gradient
        Where the search starts, its descent direction, and the objective there.

    Returns
    -------
    Point
        If no such point is found in 15 trials, the lowest one seen; its step is 0 if none was lower.
    """
    start = Point(jnp.zeros_like(value), value, gradient @ direction, gradient)

    def at(step):
        v, g = function(theta + step * direction)
        return Point(step, jnp.where(jnp.isfinite(v), v, jnp.inf), g @ direction, g)

    far = start._replace(step=jnp.full_like(value, jnp.inf))
    untried = _Search(start, far, jnp.ones_like(value), start, jnp.asarray(False), jnp.asarray(0))
    search = jax.lax.while_loop(
        lambda s: ~s.done & (s.count < TRIALS), lambda s: _narrowed(s, start, at(s.step)), untried
    )
    return _choose(search.done, search.trial, _lower(search.trial, search.low))


def _narrowed(search, start, trial):
    """Narrow the bracket by a trial and choose the next step inside it."""
    overshot = _too_high(trial, start) | (trial.value >= search.low.value) | (trial.slope >= 0)
    low, high = _choose(overshot, search.low, trial), _choose(overshot, trial, search.high)
    step = jnp.where(jnp.isinf(high.step), 2.0 * trial.step, _between(low, high))
    return _Search(low, high, step, trial, _accepted(trial, start), search.count + 1)


def _between(low, high):
    """Minimise the cubic through both ends, kept off the ends of the bracket."""
    width = high.step - low.step
    d1 = low.slope + high.slope - 3.0 * (high.value - low.value) / width
    d2 = jnp.sqrt(jnp.maximum(d1**2 - low.slope * high.slope, 0.0))
    share = 1.0 - (high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2)
    share = jnp.where(jnp.isfinite(share), share, 0.5)
    return low.step + jnp.clip(share, 0.1, 0.9) * width


def _too_high(point, start):
    return point.value > start.value + DECREASE * point.step * start.slope


def _accepted(point, start):
    return ~_too_high(point, start) & (jnp.abs(point.slope) <= -CURVATURE * start.slope)


def _lower(a, b):
    return _choose(a.value < b.value, a, b)


def _choose(condition, a, b):
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)

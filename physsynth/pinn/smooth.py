"""Are the values that a user gives smooth enough to be built in?

What is exact stands in the trial solution as it is. A jump of its derivative of order k - 1 is a delta in its
derivative of order k, which no residual at points sees: a plucked string would stay plucked, and its residual
would be small. So along every line the derivative of order k has to integrate to the differences of that of
order k - 1, where k is the order of the equation. Cells in which it does not are divided again and again:
what is steep is resolved so, what jumps is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.core.errors import ParameterError
from physsynth.pinn.conditions import Dirichlet, Initial, evaluate, faces
from physsynth.pinn.once import ONCE

if TYPE_CHECKING:
    from physsynth.pinn.problem import Problem

_LINES, _CELLS, _NODES = 4, 128, 4
# Cells of 6e-5 of the length at last: what turns within a tenth of that falls between the points of training.
_LEVELS = 2
# Away from the ends, where derivatives may be infinite; a jump there counts as one of the boundary.
_MARGIN = 1.234e-3
# Relative to the range of the derivative: rounding is far below, the kinks of a fine table above.
_TOLERANCE = 1e-6
# Of a gap, once its cell is divided: a jump leaves all of it, a derivative that grows as |x|^(-1/2) 0.09.
_SHRINKS = 0.2


def check_smooth(problem: Problem) -> None:
    """Raise where a value that is built in has a jump that the residual would not see."""
    with jax.enable_x64(True):
        for key, function, orders, fixed in _built_in(problem):
            for name, order in orders.items():
                place = None if name in fixed else _jump(problem, function, fixed, name, order)
                if place is not None:
                    _refuse(key, name, order, f"at {name} = {place:.3g}")
                if name in problem.periodic and not _closes(problem, function, fixed, name, order):
                    _refuse(key, name, order, f"where {name} repeats")


def _refuse(key, name, order, where):
    what = "jumps" if order == 1 else f"jumps in its derivative of order {order - 1}"
    more = "" if order == 1 else f", with its derivatives to order {order - 1}"
    raise ParameterError(
        "a value that is not smooth",
        key=key,
        wanted=f"what is continuous along {name}{more}, as the equation has order {order} there",
        got=f"a function that {what} {where}, which the residual cannot see",
        advice="round it over a short length" + ("" if "[" in key else ", or penalise it: exact=False"),
    )


def _built_in(problem) -> Iterator[tuple[str, Callable, dict[str, int], dict[str, float]]]:
    """Yield each function of the trial solution, the orders it enters with, and the face it is taken on."""
    for condition in problem.conditions:
        if not isinstance(condition, Dirichlet | Initial) or not condition.exact:
            continue
        orders = _orders(problem, problem.fields if condition.field is None else (condition.field,))
        for name, fixed in _taken(problem, condition):
            function = getattr(condition, name)
            if callable(function):
                yield f"{type(condition).__name__}.{name}", function, orders, fixed
    for number, feature in enumerate(problem.features):
        yield f"features[{number}]", feature, _orders(problem, problem.fields), {}


def _taken(problem, condition) -> list[tuple[str, dict[str, float]]]:
    """Return which functions of a condition are built in, and on which face; inside if on none."""
    if isinstance(condition, Initial):
        return [("value", {}), ("rate", {})]
    if condition.on is None and problem.domain.without:
        return [("value", {})]
    if condition.inward is not None:
        return [("inward", {})]
    return [("value", {name: place}) for name, place in faces(condition.on, problem.domain.intervals)]


def _orders(problem, fields):
    every = [problem.orders(field) for field in fields]
    highest = {name: max(orders[name] for orders in every) for name in problem.coordinates}
    return {name: order for name, order in highest.items() if order > 0}


def _jump(problem, function, fixed, name, order) -> float | None:
    """Return where the derivative of order `order` - 1 jumps along a coordinate; None if it does not."""
    others = _lines(problem, fixed)
    low, high = problem.domain.intervals[name]
    margin = _MARGIN * (high - low)
    starts, width = np.full(_LINES, low + margin), high - low - 2 * margin
    lower, upper = (_derivative(function, others, name, order - less) for less in (1, 0))
    missing = scale = np.zeros(_LINES)
    for level in range(_LEVELS):
        before, width = missing, width / _CELLS
        edges = starts[:, None] + width * np.arange(_CELLS + 1)
        values = lower(edges)
        gaps = np.abs(np.diff(values) - _integrals(upper, edges))
        gaps = np.where(_in_domain(problem, others, name, edges), gaps, 0.0)
        if level == 0:
            scale = np.max(np.abs(values), axis=1)
        worst = np.argmax(gaps, axis=1)
        missing, starts = np.max(gaps, axis=1), edges[np.arange(_LINES), worst]
    bad = (missing > _TOLERANCE * scale) & (missing > _SHRINKS * before)
    return float(starts[np.argmax(bad)] + width / 2) if np.any(bad) else None


def _integrals(function, edges):
    """Return the integral over each cell (line, cell)."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    width = np.diff(edges)
    inner = edges[:, :-1, None] + width[..., None] * (nodes + 1.0) / 2.0
    return width / 2.0 * (function(inner.reshape(_LINES, -1)).reshape(inner.shape) @ weights)


def _in_domain(problem, others, name, edges):
    """Whether both ends of each cell (line, cell) lie outside all cuts: a value need not be smooth within."""
    points = {key: np.broadcast_to(np.asarray(value)[:, None], edges.shape) for key, value in others.items()}
    inside = problem.domain.contains({**points, name: edges})
    return inside[:, :-1] & inside[:, 1:]


def _derivative(function, others, name, order) -> Callable[[np.ndarray], np.ndarray]:
    """Return a derivative of a function along lines, as a function of places (line, place)."""

    def derivative(x, others):
        p = {other: jnp.broadcast_to(value[:, None], x.shape) for other, value in others.items()}
        along = partial(_along, function, p, name)
        for _ in range(order):
            along = _slope(along)
        return along(x)

    compiled = jax.jit(derivative, compiler_options=ONCE)
    return lambda x: np.asarray(compiled(x, others))


def _along(function, p, name, x):
    return evaluate(function, {**p, name: x})


def _slope(function):
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def _closes(problem, function, fixed, name, order) -> bool:
    """Whether all derivatives of lower order, values aside, are the same at both ends of a period."""
    others, (low, high) = _lines(problem, fixed), problem.domain.intervals[name]
    places = np.tile(np.linspace(low, high, _CELLS + 1), (_LINES, 1))
    for lower in range(1, order):
        found = _derivative(function, others, name, lower)(places)
        if np.any(np.abs(found[:, -1] - found[:, 0]) > _TOLERANCE * np.max(np.abs(found), axis=1)):
            return False
    return True


def _lines(problem, fixed) -> Mapping[str, jax.Array]:
    rng = np.random.default_rng(0)
    p = problem.domain.sample(rng, _LINES) | {
        name: low + (high - low) * rng.uniform(size=_LINES) for name, (low, high) in problem.ranges.items()
    }
    constants = {name: np.full(_LINES, value) for name, value in problem.constants.items()}
    on = {name: np.full(_LINES, position) for name, position in fixed.items()}
    return {name: jnp.asarray(value, float) for name, value in (p | constants | on).items()}

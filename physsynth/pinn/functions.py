"""The functions that a user gives besides the residual: traced, and evaluated, before anything is trained.

What a residual gives is looked at for a few values of its fields: where it is no number for all of them, the
coordinates or the parameters are at fault, not the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from physsynth.core.errors import ParameterError
from physsynth.pinn.conditions import (
    Boundary,
    Condition,
    Dirichlet,
    Inequality,
    Initial,
    Integral,
    Neumann,
    Robin,
    evaluate,
    faces,
)
from physsynth.pinn.field import Field
from physsynth.pinn.given import traced

if TYPE_CHECKING:
    from physsynth.pinn.problem import Problem

_SAMPLE = 64
_TOLERANCE = 1e-6
_VALUES = (0.0, 0.5, -0.5, 2.0)
_A_VALUE = 'p["x"] holds the values of x: one value at each point, or a number'


def check_functions(problem: Problem) -> None:
    """Raise where a function of the user breaks, is no function of what is declared, or gives no numbers."""
    inside = _inside(problem)
    for key, function in _functions(problem):
        traced(partial(_value, function, inside), key, _A_VALUE, *inside.values())
    for condition in problem.conditions:
        if isinstance(condition, Inequality):
            problem.inequality_indices(condition)
        if isinstance(condition, Boundary):
            problem.on_faces(condition)
    _check_slopes(problem, inside)
    for key, function, places in _penalised(problem):
        for place in places:
            _check_finite(key, evaluate(function, _at(inside, place)))
    _check_residual(problem, inside)


def _value(function, inside, *arrays):
    return evaluate(function, type(inside)(zip(inside, arrays, strict=True)))


def _functions(problem) -> Iterator[tuple[str, Callable]]:
    """Yield each function of p, with what it is called."""
    for condition in problem.conditions:
        for name in ("value", "rate", "inward", "a", "b"):
            function = getattr(condition, name, None)
            if callable(function):
                yield f"{type(condition).__name__}.{name}", function
    for number, feature in enumerate(problem.features):
        yield f"features[{number}]", feature


def _penalised(problem) -> Iterator[tuple[str, Callable, list[dict[str, float]]]]:
    """Yield functions that are taken at faces, or inside; the lift is looked at on its own."""
    for condition in problem.conditions:
        places = _places(problem, condition)
        for name in ("value", "rate", "a", "b"):
            function = getattr(condition, name, None)
            if callable(function) and not getattr(condition, "exact", False):
                yield f"{type(condition).__name__}.{name}", function, places


def _places(problem, condition: Condition) -> list[dict[str, float]]:
    intervals = problem.domain.intervals
    if isinstance(condition, Dirichlet | Neumann | Robin):
        return [{name: position} for name, position in faces(condition.on, intervals)]
    if isinstance(condition, Initial):
        return [{condition.along: intervals[condition.along][0]}]
    return [{condition.over: intervals[condition.over][0]}] if isinstance(condition, Integral) else [{}]


def _inside(problem):
    """Return points strictly inside the domain, as a user's function sees them."""
    from physsynth.pinn.problem import Values

    rng = np.random.default_rng(0)
    p = problem.domain.sample(rng, _SAMPLE) | {
        name: low + (high - low) * rng.uniform(size=_SAMPLE) for name, (low, high) in problem.ranges.items()
    }
    constants = {name: np.full(_SAMPLE, value) for name, value in problem.constants.items()}
    return Values({name: jnp.asarray(value, float) for name, value in (p | constants).items()})


def _at(points, place):
    return type(points)({**points, **{name: jnp.full(_SAMPLE, end) for name, end in place.items()}})


def _check_finite(key, values):
    if not np.all(np.isfinite(values)):
        raise ParameterError(
            "a value that is no number",
            key=key,
            wanted="finite values where it is taken",
            got=f"nan or inf at {np.mean(~np.isfinite(values)):.0%} of the points",
        )


def _check_slopes(problem, inside):
    """A field has one slope on a face; two values that differ are told by the lift that cannot meet both."""
    known: dict[tuple, np.ndarray] = {}
    for condition in problem.conditions:
        if not isinstance(condition, Neumann):
            continue
        for name, position in faces(condition.on, problem.domain.intervals):
            value = np.asarray(evaluate(condition.value, _at(inside, {name: position})))
            for field in problem.fields if condition.field is None else (condition.field,):
                apart = np.max(np.abs(known.setdefault((field, name, position), value) - value))
                if apart > _TOLERANCE * (1.0 + np.max(np.abs(value))):
                    raise ParameterError(
                        "conditions that contradict each other",
                        key=f"Neumann of {field} at {name} = {position:g}",
                        wanted="one slope on a face",
                        got=f"slopes that differ by {apart:.3g}",
                    )


def _check_residual(problem, inside):
    found = [_residual(problem, inside, value) for value in _VALUES]
    for name in found[0]:
        bad = np.all([~np.isfinite(each[name]) for each in found], axis=0)
        if np.any(bad):
            at = {key: float(np.asarray(value)[np.argmax(bad)]) for key, value in inside.items()}
            raise ParameterError(
                "a residual that is no number, whatever the fields are",
                key="residual" if name == "equation" else f"residual, {name}",
                wanted="finite values everywhere in the domain",
                got="nan or inf at " + ", ".join(f"{key} = {value:.3g}" for key, value in at.items()),
            )


def _residual(problem, inside, value):
    """Return the residual with fields, and all their derivatives, of one value."""
    fields = {
        name: Field(name, problem.coordinates, lambda index: jnp.full(_SAMPLE, value))
        for name in problem.fields
    }
    return {name: np.asarray(jnp.asarray(part)) for name, part in problem.evaluate(fields, inside).items()}

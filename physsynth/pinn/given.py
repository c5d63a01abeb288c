"""What a user gave for a problem: its kinds and its numbers, looked at before any mathematics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral as Whole
from numbers import Real
from typing import Any, get_args

import jax
import numpy as np

from physsynth.core.authored import OUTSIDE_JAX, fault
from physsynth.core.errors import ParameterError, PhyssynthError
from physsynth.core.space import Parameter
from physsynth.pinn.conditions import (
    Boundary,
    Condition,
    Data,
    Dirichlet,
    Inequality,
    Neumann,
    Robin,
    Symmetry,
)

_OUTSIDE_JAX = (jax.errors.TracerBoolConversionError, *OUTSIDE_JAX)
_FIELD_IN_JAX = "__jax_array__"
_POSITION, _NUMBER = 'face or faces by name, {"x": (-1.0, 1.0)}', "a number, or a function of p"
# Of each condition: what is a value, and what counts.
_VALUES = ("value", "rate", "inward", "a", "b")
_COUNTS = ("harmonics", "nodes")


def check_given(residual: Any, conditions: Any, parameters: Mapping[str, Any], fields: Any) -> None:
    """Raise where something is of the wrong kind, or a number is none."""
    _check_callable("residual", residual, 2, "residual(u, p)")
    _check_fields(fields)
    for condition in listed(conditions):
        _check_condition(condition)
    for name, value in parameters.items():
        _check_parameter(name, value)


def check_domain(given: Any) -> None:
    """Raise unless this maps names of coordinates to something."""
    if not isinstance(given, Mapping):
        raise ParameterError(
            "a domain without names",
            key="domain",
            wanted='coordinates by name, {"t": (0.0, 1.0), "x": (-1.0, 1.0)}',
            got=_shown(given),
        )
    for name in given:
        if not _is_name(name):
            raise ParameterError(
                "a coordinate that cannot follow a dot",
                key="domain",
                wanted='a name as in u.x, other than "value"',
                got=repr(name),
            )


def check_bounds(what: str, bounds: Mapping[str, tuple[Any, float, float]]) -> None:
    """Raise unless each value, by its name, is a number within its bounds (value, low, high)."""
    for name, (value, low, high) in bounds.items():
        if not (isinstance(value, Real) and low <= float(value) <= high):
            wanted = f"a number >= {low:g}" if high == float("inf") else f"a number from {low:g} to {high:g}"
            raise ParameterError(
                f"{what} that allows nothing", key=f"{what}.{name}", wanted=wanted, got=repr(value)
            )


def check_kind(name: str, value: Any, kind: Any, wanted: str) -> None:
    """Raise unless a value, where one is given, is of a kind."""
    if value is not None and not isinstance(value, kind):
        raise ParameterError(f"{name} of the wrong kind", key=name, wanted=wanted, got=repr(value))


def check_key(key: Any) -> None:
    """Raise unless this is a JAX key."""
    try:
        good = jax.random.key_data(key).ndim == 1
    except (TypeError, ValueError, AttributeError):
        good = False
    if not good:
        raise ParameterError("not a JAX key", key="key", wanted="jax.random.key(0)", got=repr(key))


def listed(conditions: Any) -> tuple[Condition, ...]:
    """Return conditions as a tuple, if they are several."""
    kinds = get_args(Condition)
    if isinstance(conditions, kinds) or not isinstance(conditions, Iterable):
        raise ParameterError(
            "conditions that are not a list",
            key="conditions",
            wanted="a list, [Dirichlet(...), ...]",
            got=type(conditions).__name__,
        )
    return tuple(conditions)


def traced(
    function: Callable, key: str, wanted: str = "arithmetic and functions of jax.numpy", *arrays: jax.Array
) -> Any:
    """Return the shapes of what a user's function gives of arrays, or say what is wrong, and where."""
    try:
        return jax.eval_shape(function, *arrays)
    except PhyssynthError:
        raise
    except _OUTSIDE_JAX as reason:
        raise ParameterError(
            "a function that JAX cannot trace",
            key=key,
            wanted="arithmetic and functions of jax.numpy, jnp.where in place of if",
            got=fault(reason),
        ) from reason
    except Exception as reason:
        raise ParameterError(
            "a function that breaks", key=key, wanted=wanted, got=fault(reason), advice=_advice(reason)
        ) from reason


def _advice(reason):
    if _FIELD_IN_JAX in str(reason):
        return "functions of jax.numpy take the values of a field: jnp.sin(u.value)"
    return "mend that line"


def check_values(equations: Mapping[str, Any], key: str = "residual") -> None:
    """Raise unless each equation has a value at each point."""
    for name, found in equations.items():
        shape = getattr(found, "shape", None)
        if shape != (1,):
            raise ParameterError(
                "a residual without a value at each point",
                key=key,
                wanted=f"{name} with the shape of the coordinates",
                got="None" if shape is None else f"shape {shape} for coordinates of shape (1,)",
            )


def _check_fields(fields):
    good = isinstance(fields, tuple | list) and all(map(_is_name, fields))
    if not good or not fields or len(set(fields)) < len(fields):
        raise ParameterError(
            "fields that cannot be told apart",
            key="fields",
            wanted='different names, ("u", "v")',
            got=_shown(fields),
        )


def _is_name(name):
    """Whether a name can follow a dot, and none of ours is hidden by it."""
    return isinstance(name, str) and name.isidentifier() and not name.startswith("_") and name != "value"


def _check_condition(condition):
    if not isinstance(condition, get_args(Condition)):
        kinds = ", ".join(kind.__name__ for kind in get_args(Condition))
        raise ParameterError(
            "not a condition", key="conditions", wanted=f"one of {kinds}", got=repr(condition)
        )
    for name, value in vars(condition).items():
        key = f"{type(condition).__name__}.{name}"
        if name in _VALUES and not (name in ("rate", "inward") and value is None):
            _check_value(key, value)
        if name in _COUNTS and not (isinstance(value, Whole) and int(value) >= 1):
            raise ParameterError("a count that is none", key=key, wanted="1 or more", got=repr(value))
    if isinstance(condition, Dirichlet | Neumann | Robin | Boundary):
        _check_on(f"{type(condition).__name__}.on", condition.on)
    _CHECKS.get(type(condition), lambda condition: None)(condition)


def _check_value(key, value):
    if callable(value):
        return _check_callable(key, value, 1, 'a function of p: lambda p: p["x"] ** 2')
    if _numbers(value) is None or np.shape(value) != ():
        raise ParameterError("neither a number nor a function", key=key, wanted=_NUMBER, got=_shown(value))
    if not np.isfinite(float(value)):
        raise ParameterError("a value that is no number", key=key, wanted="finite values", got="nan or inf")


def _check_on(key, on):
    if on is None:
        return
    ends = [_numbers(each) for each in on.values()] if isinstance(on, Mapping) else [None]
    if not all(each is not None and each.ndim <= 1 for each in ends):
        raise ParameterError("faces that are none", key=key, wanted=_POSITION, got=_shown(on))


def _check_data(data):
    if not isinstance(data.at, Mapping):
        raise ParameterError(
            "data without names", key="Data.at", wanted='{"t": times, "x": places}', got=_shown(data.at)
        )
    for name, values in {**{f"at.{c}": v for c, v in data.at.items()}, "values": data.values}.items():
        numbers = _numbers(values)
        if numbers is None or numbers.ndim != 1 or not numbers.size:
            raise ParameterError(
                "data that are no list of numbers",
                key=f"Data.{name}",
                wanted="an array of numbers (n,), n >= 1",
                got=_shown(values) if numbers is None else f"shape {numbers.shape}",
            )
        if not np.all(np.isfinite(numbers)):
            raise ParameterError(
                "a value that is no number", key=f"Data.{name}", wanted="finite values", got="nan or inf"
            )
    noise = _numbers(data.noise)
    if noise is None or noise.shape != () or not 0.0 < float(noise) < np.inf:
        raise ParameterError(
            "data without noise", key="Data.noise", wanted="one number > 0", got=_shown(data.noise)
        )


def _check_symmetry(symmetry):
    if symmetry.parity not in (1, -1):
        raise ParameterError(
            "neither even nor odd", key="Symmetry.parity", wanted="1 or -1", got=symmetry.parity
        )


def _check_robin(robin):
    if _says_nothing(robin.a) and _says_nothing(robin.b):
        raise ParameterError("a condition on nothing", key="Robin", wanted="a or b other than 0", got="0, 0")


def _check_inequality(inequality):
    if not isinstance(inequality.name, str):
        raise ParameterError(
            "a name that is none", key="Inequality.name", wanted="a string", got=_shown(inequality.name)
        )
    wanted = "a function of fields and p: lambda u, p: -u.x"
    _check_callable("Inequality.function", inequality.function, 2, wanted)


def _check_boundary(boundary):
    wanted = "a function of fields and p: lambda u, p: u.xx"
    _check_callable("Boundary.function", boundary.function, 2, wanted)


_CHECKS: dict[type, Callable] = {
    Boundary: _check_boundary,
    Data: _check_data,
    Symmetry: _check_symmetry,
    Robin: _check_robin,
    Inequality: _check_inequality,
}


def _check_callable(key, function, count, wanted):
    if not callable(function):
        raise ParameterError("not a function", key=key, wanted=wanted, got=_shown(function))
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError as reason:
        raise ParameterError(
            "a function of other arguments", key=key, wanted=wanted, got=str(reason)
        ) from reason
    except ValueError:  # a function of C without a signature
        return


def _numbers(value) -> np.ndarray | None:
    """Return what is given as numbers, if it is that."""
    try:
        found = np.asarray(value)
        return found.astype(float) if found.dtype.kind in "iuf" else None
    except (TypeError, ValueError):
        return None


def _shown(value):
    return np.array2string(value, threshold=6) if isinstance(value, np.ndarray) else repr(value)


def _says_nothing(factor):
    return not callable(factor) and not np.any(np.asarray(factor))


def _check_parameter(name, value):
    if isinstance(value, Parameter):
        if value.distribution.is_discrete:
            raise ParameterError(
                "a discrete parameter", key=name, wanted="a continuous one, or a number", got="a discrete one"
            )
        return
    try:
        number = np.asarray(value, float)
    except (TypeError, ValueError):
        number = np.array(np.nan)
    if number.shape != () or not np.isfinite(number):
        raise ParameterError(
            "a parameter that is not a number", key=name, wanted="one number or a Parameter", got=repr(value)
        )

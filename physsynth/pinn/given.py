"""What a user gave for a problem: its kinds and its numbers, looked at before any mathematics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, get_args

import jax
import numpy as np

from physsynth.core.errors import ParameterError
from physsynth.core.space import Parameter
from physsynth.pinn.conditions import Condition, Data, Robin, Symmetry

_UNTRACEABLE = (
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerArrayConversionError,
    jax.errors.ConcretizationTypeError,
)


def check_given(residual: Any, conditions: Any, parameters: Mapping[str, Any], fields: tuple) -> None:
    """Raise where something is of the wrong kind, or a number is none."""
    _check_residual(residual)
    _check_fields(fields)
    for condition in listed(conditions):
        _check_condition(condition)
    for name, value in parameters.items():
        _check_parameter(name, value)


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


def traced(function: Callable, key: str) -> Any:
    """Return the shapes of what a user's function gives, or say what JAX cannot trace in it."""
    try:
        return jax.eval_shape(function)
    except _UNTRACEABLE as reason:
        raise ParameterError(
            "a function that JAX cannot trace",
            key=key,
            wanted="arithmetic and functions of jax.numpy, jnp.where in place of if",
            got=str(reason).splitlines()[0],
        ) from reason


def check_values(equations: Mapping[str, Any]) -> None:
    """Raise unless each equation has a value at each point."""
    for name, found in equations.items():
        shape = getattr(found, "shape", None)
        if shape != (1,):
            raise ParameterError(
                "a residual without a value at each point",
                key="residual",
                wanted=f"{name} with the shape of the coordinates",
                got="None" if shape is None else f"shape {shape} for coordinates of shape (1,)",
            )


def _check_residual(residual):
    if not callable(residual):
        raise ParameterError("not a function", key="residual", wanted="residual(u, p)", got=repr(residual))
    try:
        inspect.signature(residual).bind(None, None)
    except TypeError as reason:
        raise ParameterError(
            "a residual with other arguments", key="residual", wanted="residual(u, p)", got=str(reason)
        ) from reason
    except ValueError:  # a function of C without a signature
        return


def _check_fields(fields):
    good = all(isinstance(name, str) and name.isidentifier() for name in fields)
    if not fields or not good or len(set(fields)) < len(fields):
        raise ParameterError(
            "fields that cannot be told apart", key="fields", wanted='different names, ("u", "v")', got=fields
        )


def _check_condition(condition):
    if not isinstance(condition, get_args(Condition)):
        kinds = ", ".join(kind.__name__ for kind in get_args(Condition))
        raise ParameterError(
            "not a condition", key="conditions", wanted=f"one of {kinds}", got=repr(condition)
        )
    kind = type(condition).__name__
    for name, value in vars(condition).items():
        if isinstance(value, float | int | np.ndarray | jax.Array) and not np.all(np.isfinite(value)):
            raise ParameterError(
                "a value that is no number", key=f"{kind}.{name}", wanted="finite values", got="nan or inf"
            )
    if isinstance(condition, Data) and not condition.noise > 0:
        raise ParameterError("data without noise", key="Data.noise", wanted="> 0", got=condition.noise)
    if isinstance(condition, Symmetry) and condition.parity not in (1, -1):
        raise ParameterError(
            "neither even nor odd", key="Symmetry.parity", wanted="1 or -1", got=condition.parity
        )
    if isinstance(condition, Robin) and _says_nothing(condition.a) and _says_nothing(condition.b):
        raise ParameterError("a condition on nothing", key="Robin", wanted="a or b other than 0", got="0, 0")


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

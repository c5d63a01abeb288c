"""Distributions as a study file states them: a NumPyro name and its arguments."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import constraints

from physsynth.core.errors import ParameterError, StudyError, nearest, unknown_name
from physsynth.core.normal import from_normal
from physsynth.core.space import Parameter
from physsynth.study.schema import DistributionTable, ParameterTable

_HIDDEN = {"validate_args", "kwargs", "args"}


def build_distribution(table: DistributionTable, *, file, key: str) -> dist.Distribution:
    """Build the distribution that a table of a study file states.

    Raises
    ------
    UnknownNameError
        If the distribution or an argument is unknown.
    StudyError
        If an argument is missing, is no number, or lies outside its domain.
    """
    known = _known()
    if table.distribution not in known:
        raise unknown_name("distribution", table.distribution, known, file=file, key=f"{key}.distribution")
    factory = known[table.distribution]
    arguments = {
        name: _number(value, file, f"{key}.{name}") for name, value in (table.model_extra or {}).items()
    }
    _check_names(factory, table.distribution, arguments, file, key)
    for name, constraint in getattr(factory, "arg_constraints", {}).items():
        _check_domain(name, constraint, arguments, table.distribution, file, key)
    try:
        return factory(**arguments)
    except (TypeError, ValueError, AssertionError) as reason:
        raise StudyError(
            f"{table.distribution} does not take these arguments",
            file=file,
            key=key,
            wanted=", ".join(_signature(factory)),
            got=", ".join(f"{name} = {np.asarray(value).tolist()}" for name, value in arguments.items())
            or "none",
            advice=str(reason).split("\n")[0],
        ) from reason


def build_parameter(table: ParameterTable, *, file, key: str) -> Parameter:
    """Build the parameter that a table of a study file states."""
    distribution = build_distribution(table, file=file, key=key)
    if table.size is not None:
        distribution = distribution.expand([table.size]).to_event(1)
    try:
        parameter = Parameter(distribution, table.unit, table.description)
        from_normal(
            distribution, np.zeros(max(parameter.size, 1)) if distribution.event_shape else np.zeros(())
        )
    except ParameterError as reason:
        raise reason.at(file=file, key=key) from reason
    return parameter


@cache
def _known() -> dict[str, Any]:
    names = [name for name in dist.__all__ if name[0].isupper()]
    found = {name: getattr(dist, name) for name in names}
    return {name: item for name, item in found.items() if _builds_distribution(item)}


def _builds_distribution(item) -> bool:
    if inspect.isclass(item):
        return issubclass(item, dist.Distribution) and not inspect.isabstract(item)
    return callable(item)


def _signature(factory) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(factory).parameters
    return {name: p for name, p in parameters.items() if name not in _HIDDEN}


def _number(value, file, key):
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        array = np.asarray(np.nan)
    if isinstance(value, bool) or not np.isfinite(array).all():
        raise StudyError(
            "an argument is no number", file=file, key=key, wanted="a finite number", got=repr(value)
        )
    return value if isinstance(value, int) else array if array.ndim else float(array)


def _check_names(factory, name, arguments, file, key):
    known = _signature(factory)
    for argument in arguments:
        if argument not in known:
            raise StudyError(
                f"unknown argument of {name}",
                file=file,
                key=f"{key}.{argument}",
                wanted="one of: " + ", ".join(known),
                got=f'"{argument}"',
                advice=nearest(argument, known),
            )


def _check_domain(name, constraint, arguments, distribution, file, key):
    if name not in arguments or isinstance(constraint, type(constraints.dependent)):
        return
    if not np.all(constraint(arguments[name])):
        raise StudyError(
            f"{name} of {distribution} lies outside its domain",
            file=file,
            key=f"{key}.{name}",
            wanted=str(constraint),
            got=np.asarray(arguments[name]).tolist(),
        )

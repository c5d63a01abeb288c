"""Quantities stated in words: numbers, grids, and products of quantities and named columns.

"3 mg/kg"                                    a number with its unit
[0, 6, 12]                                   numbers in the unit that is wanted
["3 mg/kg", "weight", "dose_factor"]         a product; names stand for columns or parameters
{start = "0 h", step = "12 h", count = 10}   a regular grid
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from physsynth.core.errors import StudyError, UnitError, unknown_name
from physsynth.core.units import convert, parse_quantity, product_unit, quantity_in

Spec = Any
Evaluate = Callable[[Mapping[str, Any]], Any]
_GRID = {"start", "step", "count"}
MOST = 1_000_000


def compile_quantity(spec: Spec, unit: str, names: Mapping[str, str], *, file=None, key=None) -> Evaluate:
    """Turn a stated quantity into a function of named values that returns numbers in `unit`.

    Parameters
    ----------
    spec
        One of the forms above.
    unit : str
        The unit wanted.
    names : mapping of str to str
        The names that may be used and their units.

    Raises
    ------
    UnitError, UnknownNameError, StudyError
        If the dimensions do not fit, a name is unknown, or the form is none of the above.

    Examples
    --------
    >>> amount = compile_quantity(["3 mg/kg", "weight"], "mg", {"weight": "kg"})
    >>> float(amount({"weight": 70.0}))
    210.0
    """
    place = {"file": file, "key": key}
    if isinstance(spec, Mapping):
        return _constant(_grid(spec, unit, place))
    if isinstance(spec, str):
        return _product([spec], unit, names, place)
    if isinstance(spec, list | tuple) and spec and all(isinstance(part, str) for part in spec):
        return _product(list(spec), unit, names, place)
    if _is_numeric(spec):
        return _constant(np.asarray(spec, float))
    raise StudyError(
        "a quantity that cannot be read",
        wanted='"3 mg/kg", [0, 6, 12], ["3 mg/kg", "weight"] or {start, step, count}',
        got=repr(spec),
        **place,
    )


def used_names(spec: Spec, names: Mapping[str, str]) -> set[str]:
    """Return the names that a stated quantity refers to."""
    parts = [spec] if isinstance(spec, str) else spec if isinstance(spec, list | tuple) else []
    return {part for part in parts if isinstance(part, str) and part in names}


def _constant(value) -> Evaluate:
    return lambda _: value


def _is_numeric(spec) -> bool:
    try:
        return np.asarray(spec).dtype.kind in "fiu" and np.asarray(spec).ndim <= 1
    except ValueError:
        return False


def _grid(spec, unit, place):
    if set(spec) != _GRID:
        raise StudyError("not a grid", wanted="the keys start, step and count", got=", ".join(spec), **place)
    start, step = (quantity_in(spec[part], unit, **place) for part in ("start", "step"))
    count = spec["count"]
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise StudyError(
            "a grid of no points, or of too many", wanted=f"count from 1 to {MOST}", got=repr(count), **place
        )
    if not step > 0:
        raise StudyError("a grid that does not rise", wanted="step above 0", got=repr(spec["step"]), **place)
    return start + step * np.arange(count)


def _product(factors, unit, names, place) -> Evaluate:
    scale, units, used = 1.0, [], []
    for factor in factors:
        if factor in names:
            used.append(factor)
            units.append(names[factor])
        elif factor[:1].isdigit() or factor[:1] in "+-.":
            number, given = parse_quantity(factor, **place)
            scale, units = scale * number, [*units, given]
        else:
            raise unknown_name("name in a quantity", factor, names, **place)
    scale = scale * _factor(units, unit, " x ".join(factors), place)

    def evaluate(values):
        total = scale
        for name in used:
            total = total * values[name]
        return total

    return evaluate


def _factor(units, unit, words, place):
    try:
        return float(convert(1.0, product_unit(units), unit))
    except UnitError as reason:
        raise UnitError(
            "wrong unit",
            wanted=reason.wanted,
            got=f"{words} in {product_unit(units)}",
            advice=f"a list of texts is a product; several values are a list of numbers in {unit}",
            **place,
        ) from reason

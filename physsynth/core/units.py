"""Units of measurement: reading, checking and converting them (through pint).

A unit is a string as authors write it: "mg/L", "1/h", "m/s^2", "L/h/kg", "1" for none.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from physsynth.core.errors import UnitError

if TYPE_CHECKING:
    import pint

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)$", re.DOTALL)


def check_unit(unit: str, *, file=None, key=None) -> str:
    """Return `unit` if it can be read.

    Raises
    ------
    UnitError
        If no such unit is known.
    """
    _unit(unit, file=file, key=key)
    return unit


def convert(value: Any, unit: str, to: str, *, file=None, key=None) -> Any:
    """Convert a number or array from one unit to another.

    Raises
    ------
    UnitError
        If a unit is unknown or the two measure different things.

    Examples
    --------
    >>> round(convert(36.0, "km/h", "m/s"), 6)
    10.0
    """
    if unit == to:
        return value
    source, target = _unit(unit, file=file, key=key), _unit(to, file=file, key=key)
    if source.dimensionality != target.dimensionality:
        raise UnitError(
            "wrong unit",
            file=file,
            key=key,
            wanted=f"a unit like {to} (dimension {target.dimensionality})",
            got=f"{unit} (dimension {source.dimensionality})",
            advice=f"give the value in {to} or in a unit that converts to it",
        )
    return _registry().Quantity(value, source).to(target).magnitude


def parse_quantity(text: str | float | int, *, file=None, key=None) -> tuple[float, str]:
    """Split "20 mg/L" into its number and its unit ("1" where there is none).

    Examples
    --------
    >>> parse_quantity("20 mg/L")
    (20.0, 'mg/L')
    """
    match = _NUMBER.match(str(text))
    if match is None or isinstance(text, bool):
        raise UnitError(
            "not a quantity",
            file=file,
            key=key,
            wanted='a number and a unit, for example "20 mg/L"',
            got=repr(text),
        )
    number, unit = match.groups()
    return float(number), check_unit(unit.strip() or "1", file=file, key=key)


def quantity_in(text: str | float | int, unit: str, *, file=None, key=None) -> float:
    """Read a quantity and return its number in `unit`; a bare number is taken to be in `unit`."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    number, given = parse_quantity(text, file=file, key=key)
    return float(convert(number, given, unit, file=file, key=key))


def product_unit(units: list[str]) -> str:
    """Return the unit of a product of quantities, in a form that `convert` reads."""
    unit = _unit("1")
    for factor in units:
        unit = unit * _unit(factor)
    return f"{unit:D}" if str(unit) != "dimensionless" else "1"


def _unit(text: str, *, file=None, key=None) -> pint.Unit:
    try:
        return _registry().Unit("" if text == "1" else text)
    except Exception as reason:
        raise UnitError(
            "unknown unit",
            file=file,
            key=key,
            wanted='a unit such as "mg/L", "1/h", "m/s^2", or "1" for none',
            got=repr(text),
        ) from reason


@cache
def _registry() -> pint.UnitRegistry:
    import pint

    return pint.UnitRegistry()

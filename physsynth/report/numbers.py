"""Numbers as people read them: no more digits than are known, and intervals in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NO_BREAK = "\u00a0"
MISSING = "–"


def significant(x: float | None, digits: int = 3) -> str:
    """Write a number with at most so many significant digits.

    Examples
    --------
    >>> [significant(x) for x in (0.70149, 12345.6, 0.0000712, -3.0, float("inf"))]
    ['0.701', '12,346', '7.12 × 10⁻⁵', '−3', '∞']
    """
    if x is None or math.isnan(x):
        return MISSING
    sign = "−" if x < 0 else ""
    return sign + _magnitude(abs(float(x)), digits)


def percent(x: float | None, digits: int = 2) -> str:
    r"""Write a share of one in per cent.

    Examples
    --------
    >>> percent(0.00712), percent(1.0)
    ('0.71\xa0%', '100\xa0%')
    """
    return MISSING if x is None or math.isnan(x) else f"{significant(100 * x, digits)}{_NO_BREAK}%"


def interval(value: float | None, lower: float | None, upper: float | None, form: Callable[..., str]) -> str:
    r"""Write a number with its range.

    Examples
    --------
    >>> interval(0.007, 0.0002, 0.021, percent).replace("\xa0", " ")
    '0.7 % (0.02 % to 2.1 %)'
    """
    if lower is None and upper is None:
        return form(value)
    ends = [form(end) if end is not None else "?" for end in (lower, upper)]
    return f"{form(value)} ({ends[0]} to {ends[1]})"


@dataclass(frozen=True)
class Quantity:
    r"""A number that shows itself to people as text and to programs as a number.

    Parameters
    ----------
    value : float or None
        None where there is none.
    unit : str
        Follows the text; "" or "1" for none.
    lower, upper : float, optional
        An interval, shown in brackets.
    form : callable
        Turns a number into text: `significant`, `percent`, or your own.

    Examples
    --------
    >>> Quantity(140, "patients", 60, 420).text().replace("\xa0", " ")
    '140 (60 to 420) patients'
    """

    value: float | None
    unit: str = ""
    lower: float | None = None
    upper: float | None = None
    form: Callable[..., str] = significant

    def text(self) -> str:
        """Return the number, its interval and its unit, for people."""
        words = interval(self.value, self.lower, self.upper, self.form)
        return words if self.unit in ("", "1") else f"{words}{_NO_BREAK}{self.unit}"

    def to_json(self) -> dict[str, Any]:
        """Return the number, its interval and its unit, for programs."""
        tree = {"value": self.value, "unit": self.unit or "1", "text": self.text()}
        ends = {"lower": self.lower, "upper": self.upper}
        return tree | {name: end for name, end in ends.items() if end is not None}


def share(value: float | None, lower: float | None = None, upper: float | None = None) -> Quantity:
    """Return a share of one that is shown in per cent.

    Examples
    --------
    >>> share(0.007, 0.0002, 0.021).to_json()["value"]
    0.007
    """
    return Quantity(value, "", lower, upper, percent)


def _magnitude(x, digits):
    if math.isinf(x):
        return "∞"
    if x == 0:
        return "0"
    exponent = math.floor(math.log10(x))
    if exponent < -4 or exponent > 8:
        return _scientific(x, digits)
    decimals = max(0, digits - 1 - exponent)
    text = f"{x:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scientific(x, digits):
    mantissa, power = f"{x:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPT)}"

"""Checks of what a caller hands in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from physsynth.core.errors import ParameterError


def finite(name: str, value: float) -> float:
    """Return `value` if it is a finite number.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if not _number(value):
        raise ParameterError("not a number", key=name, wanted="a finite number", got=repr(value))
    return float(value)


def fraction(name: str, value: float) -> float:
    """Return `value` if it lies strictly between 0 and 1.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if not _number(value) or not 0 < value < 1:
        raise ParameterError("not a fraction", key=name, wanted="a number between 0 and 1", got=repr(value))
    return float(value)


def positive(name: str, value: float) -> float:
    """Return `value` if it is positive and finite.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if not _number(value) or not 0 < value < math.inf:
        raise ParameterError("not positive", key=name, wanted="a number above 0", got=repr(value))
    return float(value)


def above_one(name: str, value: float) -> float:
    """Return `value` if it exceeds 1.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if not _number(value) or not 1 < value < math.inf:
        raise ParameterError(
            "a factor that is too small", key=name, wanted="a number above 1", got=repr(value)
        )
    return float(value)


def nonnegative(name: str, value: float) -> float:
    """Return `value` if it is 0 or more and finite.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if not _number(value) or not 0 <= value < math.inf:
        raise ParameterError("negative or not finite", key=name, wanted="a number >= 0", got=repr(value))
    return float(value)


def count(name: str, value: float, least: int = 0) -> int:
    """Return `value` as a whole number of at least `least`.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if not _number(value) or value != math.floor(value) or value < least:
        raise ParameterError("not a count", key=name, wanted=f"a whole number >= {least}", got=repr(value))
    return int(value)


def places(name: str, members: Sequence[int], size: int) -> list[int]:
    """Return `members` as a list of indices below `size`.

    Raises
    ------
    ParameterError
        If there is none, or one is no such index.
    """
    indices = list(members)
    if not indices or not all(index in range(size) for index in indices):
        raise ParameterError(
            "a group of unknown members", key=name, wanted=f"indices below {size}", got=repr(members)
        )
    return indices


def _number(value) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except TypeError:
        return False

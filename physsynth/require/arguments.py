"""Checks of what a caller hands in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from physsynth.core.errors import ParameterError

# Its square, times any number of measurements, is a number in double precision.
_LARGEST = 1e140


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
        percent = _number(value) and 1 < value < 100
        raise ParameterError(
            "not a fraction",
            key=name,
            wanted="a number between 0 and 1",
            got=repr(value),
            advice=f"for {value:g} % write {value / 100:g}" if percent else None,
        )
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


def strategy(name: str, value: Any, protocol: type, wanted: str) -> Any:
    """Return `value` if it is an object of a protocol, not a class of such.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if isinstance(value, type) or not isinstance(value, protocol):
        raise ParameterError("a strategy of the wrong kind", key=name, wanted=wanted, got=repr(value))
    return value


def numbers(name: str, values: Any, wanted: str) -> np.ndarray:
    """Return `values` as an array of finite numbers.

    Raises
    ------
    ParameterError
        If they are none.
    """
    try:
        array = np.asarray(values)
        array = np.asarray(array, float) if array.dtype.kind in "biufO" else None
    except (TypeError, ValueError):
        array = None
    if array is None or not np.isfinite(array).all():
        raise ParameterError("not an array of finite numbers", key=name, wanted=wanted, got=repr(values))
    return array


def moderate(name: str, array: np.ndarray) -> np.ndarray:
    """Return `array` if the squares of its numbers, and of their differences, are numbers too.

    Raises
    ------
    ParameterError
        If they are too large, or too close together.
    """
    largest, apart = (float(part) if array.size else 0.0 for part in (np.abs(array).max(), np.ptp(array)))
    if largest > _LARGEST or 0 < apart < 1 / _LARGEST:
        raise ParameterError(
            "numbers whose squares are none",
            key=name,
            wanted=f"magnitudes up to {_LARGEST:g}, and differences of {1 / _LARGEST:g} or more",
            got=f"magnitudes up to {largest:.3g}, differences up to {apart:.3g}",
            advice="write them in another unit",
        )
    return array


def unusable(name: str, wanted: str, reason: Exception) -> ParameterError:
    """Return the error for a caller's function that raised another one."""
    return ParameterError(
        "a function that cannot be evaluated",
        key=name,
        wanted=wanted,
        got=f"{type(reason).__name__}: {str(reason).partition(chr(10))[0]}",
        advice="it is traced by JAX: use jax.numpy on what it is given, and only names that are there",
    )


def scalar(name: str, function: Any, wanted: str, *examples: Any) -> None:
    """Check that a caller's function gives a scalar on one example, without computing anything.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    import jax

    try:
        shape = jax.eval_shape(lambda *given: jax.numpy.asarray(function(*given)), *examples).shape
    except Exception as reason:
        raise unusable(name, wanted, reason) from reason
    if shape not in ((), (1,)):
        raise ParameterError("a function that is no scalar", key=name, wanted=wanted, got=f"shape {shape}")


def random_key(name: str, key: Any) -> None:
    """Check that `key` is a JAX key.

    Raises
    ------
    ParameterError
        If it is not.
    """
    import jax

    typed = isinstance(key, jax.Array) and jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and not (getattr(key, "shape", None) == (2,) and key.dtype == np.uint32):
        raise ParameterError("not a JAX key", key=name, wanted="jax.random.key(seed)", got=repr(key))


def _number(value) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except TypeError:
        return False

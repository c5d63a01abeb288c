"""CPU seconds of a call, whose outcome may be computed asynchronously."""

import time
from collections.abc import Callable
from typing import TypeVar

import jax

Outcome = TypeVar("Outcome")


def timed(function: Callable[..., Outcome], *arguments, repeats: int = 1) -> tuple[Outcome, float]:
    """Return a call's outcome and the CPU seconds it took: the least of some repeats."""
    outcome, least = _once(function, arguments)
    for _ in range(repeats - 1):
        least = min(least, _once(function, arguments)[1])
    return outcome, least


def _once(function, arguments):
    began = time.process_time()
    outcome = jax.block_until_ready(function(*arguments))
    return outcome, time.process_time() - began

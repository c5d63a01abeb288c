"""Code that authors of simulators write: what it raises is theirs to mend, said with the line at fault."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getfile
from pathlib import Path

import jax
import numpy as np

from physsynth.core.errors import PhyssynthError, SimulationError

OUTSIDE_JAX = (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError)
_LIBRARIES = tuple(str(Path(getfile(library)).parent) for library in (jax, np))


@contextmanager
def authored(problem: str, *, key: str, wanted: str) -> Iterator[None]:
    """Turn what an author's code raises into a SimulationError; errors of ours pass as they are.

    Examples
    --------
    >>> with authored("a simulator that breaks", key="mechanics/free_fall", wanted="outputs"):
    ...     1 / 0
    Traceback (most recent call last):
        ...
    physsynth.core.errors.SimulationError: a simulator that breaks
      key     mechanics/free_fall
      wanted  outputs
      got     ZeroDivisionError: division by zero (<doctest physsynth.core.authored.authored[0]>, line 2)
      do      mend that line, or the options and parameters that reach it
    """
    try:
        yield
    except PhyssynthError:
        raise
    except Exception as reason:
        raise SimulationError(
            problem, key=key, wanted=wanted, got=fault(reason), advice=_advice(reason)
        ) from reason


def fault(reason: Exception) -> str:
    """Return an exception in a line, with the place in the author's code that it comes from."""
    frames = traceback.extract_tb(reason.__traceback__)
    last = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)][-1]
    words = str(reason).partition("\n")[0]
    return f"{type(reason).__name__}: {words} ({last.filename}, line {last.lineno})"


def _advice(reason):
    if isinstance(reason, OUTSIDE_JAX):
        return "write it in jax.numpy throughout, or wrap it: ps.external(function)"
    return "mend that line, or the options and parameters that reach it"

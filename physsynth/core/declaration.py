"""What a simulator's declaration may hold, checked where it is written rather than where it is first used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from physsynth.core.errors import ParameterError, unknown_name


def check_kinds(simulator: str, argument: str, given: Any, kind: type) -> None:
    """Raise unless an argument of a declaration maps names to objects of one kind.

    Raises
    ------
    ParameterError
        Naming the simulator and the entry at fault.

    Examples
    --------
    >>> check_kinds("mechanics/free_fall", "validity", {"height": (0.0, 1.0)}, tuple)
    """
    wanted = f"a {kind.__name__}"
    if not isinstance(given, Mapping):
        raise ParameterError(
            f"a declaration of {simulator} that is no mapping",
            key=argument,
            wanted=f"a mapping from names to {kind.__name__}s",
            got=type(given).__name__,
        )
    for name, entry in given.items():
        if not isinstance(entry, kind):
            raise ParameterError(
                f"a declaration of {simulator} of the wrong kind",
                key=f"{argument}.{name}",
                wanted=wanted,
                got=f"{type(entry).__name__}: {entry!r}",
                advice=f"write {kind.__name__}(...)" if kind is not tuple else None,
            )


def check_known(simulator: str, argument: str, names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise unless names that a declaration refers to are declared.

    Raises
    ------
    UnknownNameError

    Examples
    --------
    >>> check_known("mechanics/free_fall", "validity", ["height"], ["height"], "parameter")
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise unknown_name(f"{what} of {simulator}", name, known, key=f"{argument}.{name}")

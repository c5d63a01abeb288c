"""Every error that a user can cause, as one tree.

    PhyssynthError
    ├── StudyError           a study file that cannot be run as it stands
    ├── DataError            measurements that cannot be read or used
    ├── UnitError            a unit that is unknown or does not fit
    ├── UnknownNameError     a name that is not registered or declared
    ├── ParameterError       a distribution, a space or a value outside its domain
    ├── SimulationError      a simulator that breaks, or a run that failed where failures are not kept
    ├── OutputError          a folder or file that cannot be written
    └── ReleaseError         a release that cannot be built or read

Each names the place (file, key or argument), what was wanted, what was got and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class PhyssynthError(Exception):
    """Base of all errors that a user can cause.

    Parameters
    ----------
    problem : str
        One line: what is wrong.
    file, key : optional
        The file, and the key or argument in it, at fault.
    wanted, got : optional
        What would have been right, and what stood there.
    advice : str, optional
        What to do about it.

    Examples
    --------
    >>> print(PhyssynthError("negative scale", key="rare.scale", wanted="> 0", got=-1.0).block())
    negative scale
      key     rare.scale
      wanted  > 0
      got     -1.0
    """

    def __init__(self, problem: str, *, file=None, key=None, wanted=None, got=None, advice=None):
        self.problem = problem
        self.file = None if file is None else Path(file)
        self.key = key
        self.wanted = wanted
        self.got = got
        self.advice = advice
        super().__init__(self.block())

    def block(self) -> str:
        """Return the error as one block of aligned lines."""
        rows = {"file": self.file, "key": self.key, "wanted": self.wanted, "got": self.got, "do": self.advice}
        lines = [f"  {label:<7} {value}" for label, value in rows.items() if value is not None]
        return "\n".join([self.problem, *lines])

    def at(self, *, file=None, key=None) -> PhyssynthError:
        """Return the same error with its place filled in where it is still unknown."""
        return type(self)(
            self.problem,
            file=self.file or file,
            key=self.key if self.key is not None else key,
            wanted=self.wanted,
            got=self.got,
            advice=self.advice,
        )

    def under(self, key: str) -> PhyssynthError:
        """Return the same error with its key below another.

        Examples
        --------
        >>> PhyssynthError("negative", key="scale").under("rare").key
        'rare.scale'
        """
        return type(self)(
            self.problem,
            file=self.file,
            key=f"{key}.{self.key}" if self.key else key,
            wanted=self.wanted,
            got=self.got,
            advice=self.advice,
        )

    def __reduce__(self):
        return _rebuild, (
            type(self),
            _Fields(self.problem, self.file, self.key, self.wanted, self.got, self.advice),
        )


@dataclass(frozen=True)
class _Fields:
    problem: str
    file: Path | None
    key: object
    wanted: object
    got: object
    advice: str | None


def _rebuild(kind: type[PhyssynthError], fields: _Fields) -> PhyssynthError:
    return kind(**vars(fields))


class StudyError(PhyssynthError):
    """A study file that cannot be run as it stands."""


class DataError(PhyssynthError):
    """Measurements that cannot be read or used."""


class UnitError(PhyssynthError):
    """A unit that is unknown, or of another dimension than wanted."""


class UnknownNameError(PhyssynthError):
    """A name that is not registered or declared."""


class ParameterError(PhyssynthError):
    """A distribution, a parameter space or a value outside its domain."""


class SimulationError(PhyssynthError):
    """A simulator run that failed where failures are not kept."""


class OutputError(PhyssynthError):
    """A folder or file that cannot be written."""


class ReleaseError(PhyssynthError):
    """A release that cannot be built or read."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return advice that names the closest of the `known` names, or None.

    Examples
    --------
    >>> nearest("treshold", ["threshold", "limit_state"])
    'did you mean "threshold"?'
    """
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f'did you mean "{close[0]}"?' if close else None


def unknown_name(what: str, name: str, known: Iterable[str], *, file=None, key=None) -> UnknownNameError:
    """Return the error for a `name` that is not among the `known` ones."""
    names = sorted(known)
    return UnknownNameError(
        f"unknown {what}",
        file=file,
        key=key,
        wanted="one of: " + ", ".join(names) if names else "none is declared",
        got=f'"{name}"',
        advice=nearest(name, names),
    )

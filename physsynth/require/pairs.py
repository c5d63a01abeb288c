"""Real tests with their simulated twins, and the larger set of simulated ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from physsynth.core.errors import ParameterError
from physsynth.require.arguments import count, positive

Counts = float | np.ndarray
CELLS = ("both", "real_only", "simulated_only", "neither")
# Failures that come at a rate are trials of windows so short that no two of them fall into one.
WINDOWS = 1e8


class Pairs(NamedTuple):
    """How often the real test failed, its simulation, both or neither; numbers or arrays of them."""

    both: Counts
    real_only: Counts
    simulated_only: Counts
    neither: Counts

    @classmethod
    def of(cls, paired: Mapping[str, int] | ArrayLike) -> Pairs:
        """Read a table of four counts, or one row (real, simulated) of 0 and 1 a pair.

        Raises
        ------
        ParameterError
            If it is neither.

        Examples
        --------
        >>> Pairs.of([(1, 1), (1, 0), (0, 0), (0, 0)])
        Pairs(both=1.0, real_only=1.0, simulated_only=0.0, neither=2.0)
        """
        if isinstance(paired, Mapping):
            if set(paired) != set(CELLS):
                raise ParameterError(
                    "not a table of pairs",
                    key="paired",
                    wanted=", ".join(CELLS),
                    got=", ".join(map(str, paired)),
                )
            pairs = cls(*(float(count(f"paired.{cell}", paired[cell])) for cell in CELLS))
            if not pairs.trials:
                raise ParameterError("a table of no pairs", key="paired", wanted="at least one real test")
            return pairs
        table = outcomes("paired", paired)
        if table.ndim != 2 or table.shape[1] != 2 or not len(table):
            raise ParameterError(
                "not a table of pairs",
                key="paired",
                wanted="rows (real, simulated)",
                got=f"shape {table.shape}",
            )
        real, simulated = table.T
        cells = (real & simulated, real & ~simulated, ~real & simulated, ~real & ~simulated)
        return cls(*(float(cell.sum()) for cell in cells))

    @classmethod
    def at_rate(cls, paired: Any) -> tuple[Pairs, float]:
        """Read failures per mile or hour: counts "both", "real_only", "simulated_only", and the "exposure".

        Returns
        -------
        Pairs, float
            Of short windows, and how many of these there are in a unit of exposure.

        Raises
        ------
        ParameterError
            If it is no such table.
        """
        wanted = (*CELLS[:3], "exposure")
        if not isinstance(paired, Mapping) or set(paired) != set(wanted):
            raise ParameterError(
                "not a table of failures at a rate",
                key="paired",
                wanted=", ".join(wanted),
                got=", ".join(map(str, paired)) if isinstance(paired, Mapping) else repr(paired),
            )
        both, real, simulated = (float(count(f"paired.{cell}", paired[cell])) for cell in CELLS[:3])
        exposure = positive("paired.exposure", paired["exposure"])
        return cls(both, real, simulated, WINDOWS - both - real - simulated), WINDOWS / exposure

    @property
    def failures(self) -> Counts:
        """Real failures."""
        return self.both + self.real_only

    @property
    def simulated_failures(self) -> Counts:
        """Failures of their simulations."""
        return self.both + self.simulated_only

    @property
    def trials(self) -> Counts:
        """Real tests."""
        return self.both + self.real_only + self.simulated_only + self.neither

    def extended(self, more: float) -> Pairs:
        """Return what further pairs without a real failure would make of it, simulated as often failing."""
        passed = self.simulated_only + self.neither
        share = np.where(passed > 0, self.simulated_only / np.maximum(passed, 1.0), 0.0)
        return self._replace(
            simulated_only=self.simulated_only + more * share, neither=self.neither + more * (1 - share)
        )

    def at_share(self, share: Counts) -> Pairs:
        """Return what they would be if that share of simulations failed, reality going with them as seen."""
        seen, passed = self.simulated_failures, self.real_only + self.neither
        more = np.where(seen > 0, share * self.trials / np.maximum(seen, 1.0), 0.0)
        less = np.where(passed > 0, (self.trials - more * seen) / np.maximum(passed, 1.0), 0.0)
        return Pairs(self.both * more, self.real_only * less, self.simulated_only * more, self.neither * less)


class Simulations(NamedTuple):
    """Failures among simulated trials; numbers or arrays of them."""

    failures: Counts
    trials: Counts

    @classmethod
    def at_rate(cls, simulated: Any, windows: float) -> Simulations:
        """Read (failures, exposure), with so many windows in a unit of exposure.

        Raises
        ------
        ParameterError
            If it is no such pair.
        """
        if not isinstance(simulated, tuple) or len(simulated) != 2:
            raise ParameterError(
                "not simulated failures at a rate",
                key="simulated",
                wanted="(failures, exposure)",
                got=repr(simulated),
            )
        failed = float(count("simulated.failures", simulated[0]))
        return cls(failed, positive("simulated.exposure", simulated[1]) * windows)

    @classmethod
    def of(cls, simulated: Any) -> Simulations:
        """Read (failures, trials), or outcomes 0 and 1, one a trial.

        Raises
        ------
        ParameterError
            If it is neither.

        Examples
        --------
        >>> Simulations.of((3, 1000)), Simulations.of([0, 1, 0, 0])
        (Simulations(failures=3.0, trials=1000.0), Simulations(failures=1.0, trials=4.0))
        """
        if isinstance(simulated, tuple) and len(simulated) == 2:
            failures, trials = (
                count(f"simulated.{name}", n) for name, n in zip(cls._fields, simulated, strict=True)
            )
            if failures > trials or trials == 0:
                raise ParameterError(
                    "more failures than trials", key="simulated", wanted=f"at most {trials}", got=failures
                )
            return cls(float(failures), float(trials))
        table = outcomes("simulated", simulated)
        if table.ndim != 1 or not len(table):
            raise ParameterError(
                "not simulated outcomes", key="simulated", wanted="(failures, trials), or 0 and 1 one a trial"
            )
        return cls(float(table.sum()), float(len(table)))


def outcomes(name: str, values: ArrayLike) -> np.ndarray:
    """Return 0 and 1 as booleans.

    Raises
    ------
    ParameterError
        If there is anything else among them.
    """
    try:
        table = np.asarray(values, float)
    except (TypeError, ValueError) as reason:
        raise ParameterError("not outcomes", key=name, wanted="0 (passed) and 1 (failed)") from reason
    strange = table[(table != 0) & (table != 1)]
    if strange.size:
        raise ParameterError(
            "not outcomes", key=name, wanted="0 (passed) and 1 (failed)", got=float(strange.flat[0])
        )
    return table.astype(bool)

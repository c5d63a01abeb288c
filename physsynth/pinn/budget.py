"""How long to train."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from physsynth.core.errors import ParameterError


@dataclass(frozen=True)
class Budget:
    """What ends the training, whichever comes first.

    Attributes
    ----------
    iterations : int
        Of all optimisers together. Only this one gives the same bytes again.
    seconds : float
        CPU time of this process, compilation included.
    loss : float
        Mean squared residual that is small enough.
    error : float
        Estimated relative error that is small enough; looked at now and then.

    Raises
    ------
    ParameterError
        If a bound is no number, or allows nothing.
    """

    iterations: int = 10_000
    seconds: float = float("inf")
    loss: float = 0.0
    error: float = 0.0

    def __post_init__(self):
        for name, least in {"iterations": 1, "seconds": 0.0, "loss": 0.0, "error": 0.0}.items():
            value = getattr(self, name)
            good = isinstance(value, Real) and not isinstance(value, bool) and float(value) >= least
            if not good or (name == "seconds" and not value):
                raise ParameterError(
                    "a budget that allows nothing",
                    key=f"budget.{name}",
                    wanted=f"a number {'>' if name == 'seconds' else '>='} {least:g}",
                    got=repr(value),
                )

    @classmethod
    def of(cls, budget: Budget | int) -> Budget:
        """Return a budget from what a user gives: a number is iterations."""
        if isinstance(budget, Budget):
            return budget
        if not isinstance(budget, Integral) or isinstance(budget, bool):
            raise ParameterError(
                "neither a budget nor a number of iterations",
                key="budget",
                wanted="10_000, or Budget(seconds=60.0)",
                got=repr(budget),
            )
        return cls(iterations=int(budget))

    def spent(self, iterations: int, seconds: float, loss: float) -> bool:
        """Whether training is over."""
        return iterations >= self.iterations or seconds >= self.seconds or loss <= self.loss

"""What every question of this room answers with: how much more real data, and what stands behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from physsynth.core.checks import Check
from physsynth.core.errors import ParameterError
from physsynth.require.credit import Credit
from physsynth.require.plain import plain, rows
from physsynth.require.regime import Regime
from physsynth.require.statement import Round, compose

VERDICTS = MappingProxyType(
    {
        "FORECAST": "reachable, and this is the forecast",
        "MET": "the data in hand already support the claim",
        "NEEDS_PILOT": "too little is known to forecast anything; collect a pilot first",
        "FLOOR": "no amount of this kind of data reaches the target",
        "EXTRAPOLATION": "the quantity lies outside the measured regime, or cannot be told to lie inside; "
        "there the number rests on the model alone",
        "CREDIT_REFUSED": "simulation earns no credit here; the number without it stands",
    }
)
LEVELS = (0.05, 0.5, 0.8, 0.95)


@dataclass(frozen=True)
class Question:
    """What was asked, in words.

    Parameters
    ----------
    claim : str
        The sentence that the data shall support.
    quantity : str
        The quantity that the claim is about.
    target : str
        When the claim counts as supported.
    counted : str
        What the number counts, in the plural: "patients", "trials", "miles".
    reading : str
        How the number is read: "more patients" come on top of the data in hand.
    awaited : bool
        Whether time will tell the number, so that its interval is a forecast and it may never come.
    """

    claim: str
    quantity: str
    target: str
    counted: str
    reading: str = "{number} more {counted}"
    awaited: bool = True


@dataclass(frozen=True)
class Requirement:
    """How much more real data a claim needs, where, and whether data alone can do it.

    Parameters
    ----------
    verdict : str
        One of FORECAST, MET, NEEDS_PILOT, FLOOR, EXTRAPOLATION, CREDIT_REFUSED.
    number : float or None
        The number to plan with, None if there is none; on top of the data in hand, unless the question
        is read otherwise.
    question : Question
    quantiles : mapping of float to float
        Quantiles of the number that will turn out to be needed; inf where it is never reached.
    probability_never : float
        Probability that the target is not reached within the largest number looked at.
    bound : float or None
        What can be said today: the present upper bound, or width, of the quantity.
    floor : float or None
        The best that any amount of such data can do, on the scale of the target.
    where : xr.Dataset
        Over ``condition``: what each candidate condition is worth.
    forecast : xr.Dataset
        What the quantiles were computed from, one entry per ``replicate``; empty for exact formulas.
    assumptions : tuple of str
    checks : tuple of Check
    credit : Credit or None
        What simulation is worth here, with the number without it; None where none was handed in.
    regime : Regime or None
        Where the quantity lies beside the measured range, and what would reveal an error there.
    worth : xr.Dataset
        Over ``parameter``: the largest share of the quantity's variance that knowing it could remove.
    stopping : str
        When to stop, and how often one may look.
    in_hand : xr.Dataset
        Over ``measurement``: what leaving out each of the measurements in hand would cost.

    Raises
    ------
    ParameterError
        If the verdict is none of the six.
    """

    verdict: str
    number: float | None
    question: Question
    quantiles: Mapping[float, float]
    probability_never: float = 0.0
    bound: float | None = None
    floor: float | None = None
    where: xr.Dataset = field(default_factory=xr.Dataset)
    forecast: xr.Dataset = field(default_factory=xr.Dataset)
    assumptions: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    credit: Credit | None = None
    regime: Regime | None = None
    worth: xr.Dataset = field(default_factory=xr.Dataset)
    stopping: str = "not stated"
    in_hand: xr.Dataset = field(default_factory=xr.Dataset)

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ParameterError(
                "unknown verdict", key="verdict", wanted=" or ".join(VERDICTS), got=repr(self.verdict)
            )

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON; infinities become None and are listed under ``never_reached``."""
        return {
            "verdict": self.verdict,
            "meaning": VERDICTS[self.verdict],
            "number": plain(self.number),
            "counted": self.question.counted,
            "claim": self.question.claim,
            "quantity": self.question.quantity,
            "target": self.question.target,
            "quantiles": {f"{level:g}": plain(n) for level, n in self.quantiles.items()},
            "never_reached": [f"{level:g}" for level, n in self.quantiles.items() if math.isinf(n)],
            "probability_never": plain(self.probability_never),
            "bound": plain(self.bound),
            "floor": plain(self.floor),
            "where": rows(self.where, "condition"),
            "worth": rows(self.worth, "parameter"),
            "in_hand": rows(self.in_hand, "measurement"),
            "credit": None if self.credit is None else self.credit.summary(),
            "regime": None if self.regime is None else self.regime.summary(),
            "stopping": self.stopping,
            "assumptions": list(self.assumptions),
            "checks": [{name: plain(value) for name, value in vars(check).items()} for check in self.checks],
        }

    def statement(
        self,
        context: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        earlier: Sequence[Round] = (),
    ) -> dict[str, Any]:
        """Return the real-data requirement statement as plain sections, ready for JSON.

        Parameters
        ----------
        context : mapping of str to str, optional
            Context of use in the terms of ASME V&V 40: question of interest, context of use, model
            influence, decision consequence.
        data : mapping of str to str, optional
            The data in hand: source, size, digest.
        earlier : sequence of Round
            Earlier forecasts of the same claim, and what happened.
        """
        return compose(self, VERDICTS[self.verdict], context or {}, data or {}, earlier)


def quantiles_of(needed: np.ndarray, levels: tuple[float, ...] = LEVELS) -> dict[float, float]:
    """Return quantiles of the needed numbers; the smallest that so large a share of them stays within.

    Examples
    --------
    >>> quantiles_of(np.array([3.0, 8.0, 20.0, np.inf]), (0.5, 0.95))
    {0.5: 8.0, 0.95: inf}
    """
    ordered = np.sort(np.asarray(needed, float))
    places = [max(math.ceil(level * ordered.size - 1e-9) - 1, 0) for level in levels]
    return {level: float(ordered[place]) for level, place in zip(levels, places, strict=True)}

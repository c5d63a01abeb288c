"""The regime map: where the quantity lies, beside where there are data.

A forecast may be called one where the quantity lies within what is measured, or is a parameter of the model,
which lies nowhere and means what the model means by it. Whatever else a quantity is, the model carries it
from the data to where it lies: it counts as an extrapolation until somebody says where that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from physsynth.core.errors import ParameterError

if TYPE_CHECKING:
    from physsynth.require.requirement import Requirement

MOST_OUTSIDE = 0.5
MARK = "regime:"
NOT_ASSESSED = (
    f"{MARK} not assessed; whether the quantity lies within what is measured cannot be told from what was "
    "handed in, so it counts as outside until `regime` or `direct` says where it lies"
)
OF_THE_MODEL = (
    "The quantity is a parameter of the model: it has no place among the conditions, and means what the "
    "model means by it."
)
OUTSIDE = "the quantity lies where nothing was measured: there the number rests on the model alone"


@dataclass(frozen=True)
class Axis:
    """One axis of the regime: what was measured along it, and what is asked.

    Parameters
    ----------
    name, unit : str
    measured, asked : (float, float)
        Least and largest value.
    outside : float
        Share of what is asked that lies outside the measured range.
    """

    name: str
    unit: str
    measured: tuple[float, float]
    asked: tuple[float, float]
    outside: float


@dataclass(frozen=True)
class Direct:
    """Direct measurements at one condition.

    Parameters
    ----------
    condition : str
    number : int
        How many.
    error : float
        The error of the response that they find out four times in five.
    unit : str
        Of the response.
    what : str
        What is measured, in words that the condition follows.
    effect : float or None
        The factor by which such an error changes the quantity; None where that is not known.
    """

    condition: str
    number: int
    error: float
    unit: str = "1"
    what: str = "direct measurements at condition"
    effect: float | None = None

    def sentence(self) -> str:
        """Say what to measure."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        effect = (
            "" if self.effect is None else f", which changes the quantity by a factor of {self.effect:.2g}"
        )
        return (
            f"{self.number:,} {self.what} {self.condition} would reveal, "
            f"four times in five, a model whose response there is off by {self.error:.3g}{unit}{effect}."
        )


@dataclass(frozen=True)
class Counted:
    """Failures counted directly, where they would happen.

    Parameters
    ----------
    number : int
        Trials, each of which fails or not.
    factor : float
        The error of the failure probability that they find out four times in five.
    what : str
        What is tried, in the plural.
    """

    number: int
    factor: float
    what: str = "trials"

    def sentence(self) -> str:
        """Say what to count."""
        return (
            f"Failures counted in {self.number:,} {self.what} would reveal, four times in five, "
            f"a probability that is off by a factor of {self.factor:.2g}."
        )


@dataclass(frozen=True)
class Regime:
    """Whether a quantity lies inside the measured range, axis by axis.

    Parameters
    ----------
    axes : tuple of Axis
    direct : Direct or None
        Which direct measurements would reveal an error of the model where nothing was measured.
    note : str
        What is to be said besides.
    counted : Counted or None
        How many failures counted directly would do so.
    """

    axes: tuple[Axis, ...]
    direct: Direct | None = None
    note: str = ""
    counted: Counted | None = None

    @classmethod
    def of_a_parameter(cls) -> Regime:
        """Return the regime of a parameter of the model."""
        return cls((), note=OF_THE_MODEL)

    @classmethod
    def of(
        cls,
        measured: Mapping[str, ArrayLike],
        asked: Mapping[str, ArrayLike],
        units: Mapping[str, str] | None = None,
        weight: Float[np.ndarray, " n"] | None = None,
    ) -> Regime:
        """Compare what is asked with the range of what was measured.

        Parameters
        ----------
        measured, asked : mapping of str to array
            Values along each axis: a condition, a load, a response.
        units : mapping of str to str, optional
        weight : array, optional
            Of each asked value; equal unless given.

        Raises
        ------
        ParameterError
            If an asked axis was not measured, or there are no values.

        Examples
        --------
        >>> Regime.of({"amplitude": [0.5, 1.0]}, {"amplitude": [2.0]}, {"amplitude": "m"}).outside
        1.0
        """
        return cls(
            tuple(_axis(name, measured, values, units or {}, weight) for name, values in asked.items())
        )

    @classmethod
    def of_conditions(cls, measured: ArrayLike, asked: ArrayLike) -> Regime:
        """Compare conditions (C, ...) that are asked with those measured, each entry an axis.

        Examples
        --------
        >>> Regime.of_conditions([[0.5, 1.0], [1.0, 2.0]], [[2.5, 1.5]]).sentences()[0]
        'condition[0]: measured from 0.5 to 1, asked 2.5: 100% outside the data.'
        """
        known, wanted = (
            np.asarray(part, float).reshape(len(np.asarray(part)), -1) for part in (measured, asked)
        )
        names = ["condition"] if known.shape[1] == 1 else [f"condition[{i}]" for i in range(known.shape[1])]
        return cls.of(dict(zip(names, known.T, strict=True)), dict(zip(names, wanted.T, strict=True)))

    @property
    def outside(self) -> float:
        """The largest share, over the axes, of what is asked that lies outside the measured range."""
        return max((axis.outside for axis in self.axes), default=0.0)

    @property
    def extrapolates(self) -> bool:
        """Whether most of what is asked lies where nothing was measured."""
        return self.outside > MOST_OUTSIDE

    @property
    def reveal(self) -> str:
        """The direct measurements in words; empty where none were asked for."""
        return " ".join(one.sentence() for one in (self.direct, self.counted) if one is not None)

    def sentences(self) -> list[str]:
        """Say of each axis whether the quantity lies inside."""
        return [*(_sentence(axis) for axis in self.axes), *([self.note] if self.note else [])]

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON."""
        axes = [
            {**vars(axis), "measured": list(axis.measured), "asked": list(axis.asked)} for axis in self.axes
        ]
        return {"axes": axes, "outside": self.outside, "reveal": self.reveal, "note": self.note}


def placed(need: Requirement, regime: Regime | None) -> Requirement:
    """Return the answer with its regime: outside the measured range it is an extrapolation.

    So it is where the regime is not known, and that is said among the assumptions and beside the verdict. An
    answer that was placed before is placed anew.
    """
    lines = tuple(line for line in need.assumptions if not line.startswith(MARK) and line != OUTSIDE)
    need = replace(need, verdict=_unplaced(need), regime=regime, assumptions=lines)
    if regime is None:
        return _beyond(replace(need, assumptions=(NOT_ASSESSED, *lines)))
    return _beyond(replace(need, assumptions=(OUTSIDE, *lines))) if regime.extrapolates else need


def _unplaced(need):
    """Return the verdict that there would be inside the measured range."""
    if need.verdict != "EXTRAPOLATION":
        return need.verdict
    return "MET" if need.number == 0 else "FORECAST"


def _beyond(need):
    return replace(need, verdict="EXTRAPOLATION") if need.verdict in ("FORECAST", "MET") else need


def _axis(name, measured, values, units, weight):
    if name not in measured:
        raise ParameterError(
            "an axis that was not measured", key=f'measured["{name}"]', wanted="the values measured along it"
        )
    known, asked = (np.asarray(part, float).ravel() for part in (measured[name], values))
    if not known.size or not asked.size or not np.isfinite([*known, *asked]).all():
        raise ParameterError("no values along an axis", key=name, wanted="finite numbers")
    low, high = float(known.min()), float(known.max())
    out = (asked < low) | (asked > high)
    share = float(np.average(out, weights=weight))
    return Axis(name, units.get(name, "1"), (low, high), (float(asked.min()), float(asked.max())), share)


def _sentence(axis):
    unit = "" if axis.unit == "1" else f" {axis.unit}"
    span = f"measured from {axis.measured[0]:.3g} to {axis.measured[1]:.3g}{unit}"
    ends = f"{axis.asked[0]:.3g}{unit}"
    if axis.asked[1] > axis.asked[0]:
        ends = f"{axis.asked[0]:.3g} to {axis.asked[1]:.3g}{unit}"
    place = "inside" if axis.outside == 0 else f"{axis.outside:.0%} outside"
    return f"{axis.name}: {span}, asked {ends}: {place} the data."

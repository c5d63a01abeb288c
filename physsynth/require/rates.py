"""Exposure to estimate a failure rate, or to show that it is better than another; normal approximations.

    to know r within a share d of itself:            n = (z / d)^2 / r,            z = z_((1 + C) / 2)
    to show that (1 - d) r is better than r:         n = (1 - d) r ((z_C + z_power) / (d r))^2

Source: Kalra and Paddock (2016), Driving to Safety, RAND RR-1478, the second and third question of table 1.
"""

from __future__ import annotations

from scipy import special

from physsynth.require.arguments import fraction, positive
from physsynth.require.requirement import LEVELS, Question, Requirement
from physsynth.require.statement import number_text

ASSUMPTIONS = (
    "failures come independently, at one constant rate",
    "the true rate is the one stated; failures are many enough for their count to be normal",
)


def estimation(rate: float, within: float, confidence: float, unit: str = "units of exposure") -> Requirement:
    """Return the exposure that tells a rate within a share of itself.

    Parameters
    ----------
    rate : float
        The true rate, per unit of exposure.
    within : float
        Half the width of the two-sided interval, as a share of the rate.
    confidence : float
        Of the interval.
    unit : str
        What exposure is counted in, in the plural.

    Raises
    ------
    ParameterError
        If a number is outside its domain.

    Examples
    --------
    >>> round(estimation(1.09e-8, 0.2, 0.95, "miles").number / 1e9, 1)  # fatalities: 8.8 billion miles
    8.8
    """
    positive("rate", rate)
    z = special.ndtri((1 + fraction("confidence", confidence)) / 2)
    claim = f"The failure rate is known within {within:.0%} of itself with {confidence:g} confidence."
    return _answer(claim, (z / fraction("within", within)) ** 2 / rate, unit)


def comparison(
    rate: float, better: float, confidence: float, power: float = 0.8, unit: str = "units of exposure"
) -> Requirement:
    """Return the exposure that shows a rate to be better than another by a share of it.

    Parameters
    ----------
    rate : float
        The rate to be beaten, per unit of exposure.
    better : float
        By which share the true rate is lower.
    confidence, power : float
        Of the one-sided test.
    unit : str
        What exposure is counted in, in the plural.

    Raises
    ------
    ParameterError
        If a number is outside its domain.

    Examples
    --------
    >>> round(comparison(1.09e-8, 0.2, 0.95, 0.8, "miles").number / 1e9)  # fatalities: 11 billion miles
    11
    """
    positive("rate", rate)
    z = special.ndtri(fraction("confidence", confidence)) + special.ndtri(fraction("power", power))
    gap = fraction("better", better) * rate
    rarity = f"one failure in {number_text(1 / rate)} {unit}"
    claim = f"The failure rate is better than {rarity}, with {confidence:g} confidence."
    return _answer(claim, (1 - better) * rate * (z / gap) ** 2, unit)


def _answer(claim, exposure, unit):
    return Requirement(
        verdict="FORECAST",
        number=float(exposure),
        question=Question(claim, f"failure rate, per one of the {unit}", claim, unit),
        quantiles=dict.fromkeys(LEVELS, float(exposure)),
        assumptions=ASSUMPTIONS,
        stopping="one look, at the stated exposure",
    )

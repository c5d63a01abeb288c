"""Demonstrate a failure rate while looking at every trial: a bound that holds at all looks together.

For a rate x below r the likelihood ratio L(x) / L(r) is a supermartingale under every true rate of r or
more, so its mixture over x with density proportional to x^(a - 1) on (0, r),

    E = a r^-a  (integral of x^(a - 1) L(x) over 0 < x < r) / L(r),

is an e-process: P(E >= 1 / (1 - C) at any look) <= 1 - C wherever the rate is r or more. The claim
"rate <= r" is demonstrated at the first look with E >= 1 / (1 - C), and the bound at a look is the largest
r that is not yet demonstrated.

Source: Ville (1939), Etude critique de la notion de collectif; Robbins (1970), Ann. Math. Stat. 41, 1397
(mixtures); Ramdas, Gruenwald, Vovk and Shafer (2023), Stat. Sci. 38, 576 (e-processes).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy import optimize

from physsynth.require.belief import Exact
from physsynth.require.failures import Exposure, check_test, exposure_kind, further
from physsynth.require.requirement import LEVELS, Question, Requirement
from physsynth.require.statement import number_text

# Between betting on no failure at all (a = 0) and on any rate below r alike (a = 1).
MIXTURE = 0.5
STOPPING = (
    "look as often as wanted, and stop as soon as the bound meets the target: it holds at all looks "
    "together, so that how many were used costs nothing"
)


def log_evidence(
    kind: Exposure, rate: float, failures: int | np.ndarray, exposure: float | np.ndarray
) -> Float[np.ndarray, ...]:
    """Return log E against "the rate is `rate` or more" after each of the given states of the test.

    Examples
    --------
    >>> from physsynth.require import Binomial
    >>> round(float(np.exp(log_evidence(Binomial(), 0.1, 0, 38))), 1)
    24.6
    """
    failures, exposure = np.asarray(failures, float), np.asarray(exposure, float)
    weight = math.log(MIXTURE) - MIXTURE * math.log(rate)
    integral = kind.log_integral(MIXTURE, rate, failures, exposure)
    return weight + integral - kind.log_likelihood(rate, failures, exposure)


def monitor(
    rate: float,
    confidence: float,
    failures: int = 0,
    exposure: float = 0,
    model: str | Exposure = "binomial",
    unit: str | None = None,
) -> Requirement:
    """Return how much more failure-free exposure demonstrates a rate, however often one looks.

    Parameters
    ----------
    rate, confidence, failures, exposure, model, unit
        As for `demonstration`.

    Returns
    -------
    Requirement
        ``number`` is the further exposure, ``bound`` the present upper bound of the rate, valid at every
        look at once. MET if the rate is demonstrated.

    Raises
    ------
    ParameterError, UnknownNameError
        As for `demonstration`.

    Examples
    --------
    >>> monitor(0.01, 0.95).number  # in one look planned in advance it takes 299
    377
    """
    kind = exposure_kind(model, unit)
    check_test(kind, rate, confidence, failures, exposure)
    needed = -math.log1p(-confidence)

    def lacking(more):
        return float(log_evidence(kind, rate, failures, exposure + more)) - needed

    more = 0 if lacking(0) >= 0 else further(kind, rate, lacking)
    planned = further(kind, rate, lambda n: Exact().confidence(kind, rate, failures, n) - confidence)
    return Requirement(
        verdict="MET" if more == 0 else "FORECAST",
        number=more,
        question=_question(rate, confidence, kind),
        quantiles=dict.fromkeys(LEVELS, float(more)),
        bound=_bound(kind, needed, failures, exposure),
        assumptions=(
            kind.assumption,
            "no further failure occurs; where one does, look again with it counted",
            f"valid at every look: {number_text(exposure + more)} {kind.unit} in all, where one look planned "
            f"in advance would take {number_text(planned)} with as many failures",
        ),
        stopping=STOPPING,
    )


def _bound(kind, needed, failures, exposure):
    """Return the largest rate that is not yet demonstrated; inf, or 1 for trials, where every one is."""
    highest = kind.quantile(1.0, 0.0, 0.5)
    if kind.survived(failures, exposure) <= 0:
        return highest

    def excess(rate):
        return float(log_evidence(kind, rate, failures, exposure)) - needed

    low = high = max(failures, 1.0) / (exposure + 1.0)
    while excess(low) > 0:
        low /= 2
    while excess(high) < 0:
        high = 2 * high if math.isinf(highest) else high + (highest - high) / 2
    return optimize.root_scalar(excess, bracket=(low, high), rtol=1e-12).root if high > low else high


def _question(rate, confidence, kind):
    rarity = f"one failure in {number_text(1 / rate)} {kind.unit}"
    return Question(
        claim=f"There is at most {rarity}, with {confidence:g} confidence at every look.",
        quantity=f"failure rate, per one of the {kind.unit}",
        target=f"upper bound, valid at every look with confidence {confidence:g}, of at most {rate:.3g}",
        counted=kind.unit,
    )

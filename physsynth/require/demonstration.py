"""Demonstrate a failure rate: the exposure without a further failure that supports "rate <= r".

With k failures in exposure n, the exact one-sided upper confidence bound u solves

    binomial (per trial):         P(X <= k | n, u) = 1 - C      (Clopper and Pearson 1934)
    Poisson (per mile, hour):     P(X <= k | n u)  = 1 - C      (Garwood 1936)

and the claim holds at confidence C once u <= r. For k = 0 this is the success-run theorem,
n = ln(1 - C) / ln(1 - r), and n = -ln(1 - C) / r for a rate. A belief replaces the bound by a posterior's.
"""

from __future__ import annotations

from physsynth.core.errors import ParameterError
from physsynth.require.belief import Belief, Exact
from physsynth.require.failures import Exposure, check_test, exposure_kind, further
from physsynth.require.requirement import LEVELS, Question, Requirement
from physsynth.require.statement import number_text


def demonstration(
    rate: float,
    confidence: float,
    failures: int = 0,
    exposure: float = 0,
    model: str | Exposure = "binomial",
    unit: str | None = None,
    belief: Belief | None = None,
) -> Requirement:
    """Return how much more exposure without a failure demonstrates a failure rate at a confidence.

    Parameters
    ----------
    rate : float
        The failure rate to demonstrate, per trial or per unit of exposure.
    confidence : float
        For example 0.95; one-sided.
    failures : int
        Failures seen so far.
    exposure : float
        Trials, miles or hours so far, those failures included.
    model : {"binomial", "poisson"} or Exposure
        Independent trials, or failures at a constant rate per mile or hour.
    unit : str, optional
        What exposure is counted in, in the plural: "miles".
    belief : Belief, optional
        `Prior` for a conjugate prior, `PartialBelief` for conservative Bayesian inference; without one
        the statement is the exact frequentist one.

    Returns
    -------
    Requirement
        ``number`` is the further exposure; ``bound`` the present upper bound of the rate. MET if
        that bound does not exceed `rate`.

    Raises
    ------
    ParameterError, UnknownNameError
        If an argument is outside its domain, or the model unknown.

    Examples
    --------
    >>> demonstration(0.01, 0.95).number
    299
    >>> demonstration(1.09e-8, 0.95, model="poisson", unit="miles").number / 1e6  # doctest: +ELLIPSIS
    274.8...

    Source: Clopper and Pearson (1934), Biometrika 26; Garwood (1936), Biometrika 28; Kalra and
    Paddock (2016), Driving to Safety, RAND RR-1478, table 1.
    """
    kind, held = exposure_kind(model, unit), _belief(belief)
    check_test(kind, rate, confidence, failures, exposure)
    bound = held.bound(kind, confidence, failures, exposure)

    def lacking(more):
        return held.confidence(kind, rate, failures, exposure + more) - confidence

    more = 0 if bound <= rate else further(kind, rate, lacking)
    return Requirement(
        verdict="MET" if more == 0 else "FORECAST",
        number=more,
        question=_question(rate, confidence, kind, held.sort),
        quantiles=dict.fromkeys(LEVELS, float(more)),
        bound=bound,
        assumptions=(
            kind.assumption,
            "no further failure occurs; each one calls for a new computation with the failures counted",
            "the looks are few and planned; for a bound that holds at every look use monitor",
            *held.assumptions(),
        ),
    )


def _belief(belief):
    if belief is None:
        return Exact()
    if not isinstance(belief, Belief):
        raise ParameterError(
            "not a belief", key="belief", wanted="Prior, PartialBelief or None", got=repr(belief)
        )
    return belief


def _question(rate, confidence, kind, sort):
    rarity = f"one failure in {number_text(1 / rate)} {kind.unit}"
    return Question(
        claim=f"There is at most {rarity}, with {confidence:g} {sort}.",
        quantity=f"failure rate, per one of the {kind.unit}",
        target=f"upper bound at {sort} {confidence:g} of at most {rate:.3g}",
        counted=kind.unit,
    )

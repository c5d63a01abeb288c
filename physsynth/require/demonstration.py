"""Demonstrate a failure rate: the exposure without a further failure that supports "rate <= r".

With k failures in exposure n, the exact one-sided upper confidence bound u solves

    binomial (per trial):         P(X <= k | n, u) = 1 - C      (Clopper and Pearson 1934)
    Poisson (per mile, hour):     P(X <= k | n u)  = 1 - C      (Garwood 1936)

and the claim holds at confidence C once u <= r. For k = 0 this is the success-run theorem,
n = ln(1 - C) / ln(1 - r), and n = -ln(1 - C) / r for a rate.

With a conjugate prior the same question is asked of the posterior, Beta(a + k, b + n - k) or
Gamma(a + k, b + n): the claim holds once P(rate <= r | data) >= C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from scipy import optimize, special

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.require.arguments import count, fraction, nonnegative, positive
from physsynth.require.requirement import LEVELS, Question, Requirement
from physsynth.require.statement import number_text

_LARGEST = 1e18


@dataclass(frozen=True)
class Prior:
    """What is believed of the rate before the test: Beta(a, b) per trial, Gamma(a, rate b) otherwise.

    Parameters
    ----------
    a, b : float
        Pseudo-failures; pseudo-successes (binomial) or pseudo-exposure (Poisson).

    Raises
    ------
    ParameterError
        If one is not positive.
    """

    a: float
    b: float

    def __post_init__(self):
        positive("belief.a", self.a)
        positive("belief.b", self.b)


class Exposure(Protocol):
    """How failures come: one a trial, or at a rate."""

    @property
    def unit(self) -> str:
        """What exposure is counted in, in the plural."""
        ...

    @property
    def assumption(self) -> str:
        """What the likelihood takes for granted."""
        ...

    def check(self, rate: float, failures: int, exposure: float) -> None:
        """Raise ParameterError where the numbers cannot be of this kind."""
        ...

    def confidence(self, rate: float, failures: int, exposure: float, prior: Prior | None) -> float:
        """Return the confidence (or posterior probability) that the true rate is at most `rate`."""
        ...

    def bound(self, confidence: float, failures: int, exposure: float, prior: Prior | None) -> float:
        """Return the upper bound of the rate at a confidence."""
        ...

    def root(self, lacking: Callable[[float], float], most: float) -> float:
        """Return the least exposure in (0, most] at which nothing is lacking any more."""
        ...


@dataclass(frozen=True)
class Binomial:
    """Independent trials, each of which fails with the same probability."""

    unit: str = "trials"
    assumption: str = "trials are independent and fail with one and the same probability"

    def check(self, rate: float, failures: int, exposure: float) -> None:
        """Raise ParameterError unless rate < 1 and failures <= trials, both counted."""
        if rate >= 1:
            raise ParameterError(
                "a failure probability of 1 or more",
                key="rate",
                wanted="a probability below 1",
                got=rate,
                advice='for failures per mile or hour use model="poisson"',
            )
        count("exposure", exposure)
        if failures > exposure:
            raise ParameterError(
                "more failures than trials", key="failures", wanted=f"at most {exposure:g}", got=failures
            )

    def confidence(self, rate: float, failures: int, exposure: float, prior: Prior | None) -> float:
        """Return P(rate' <= rate), one minus the exact binomial tail without a prior."""
        a, b = _shape(failures, exposure - failures, prior, no_prior=(1.0, 0.0))
        return float(special.betainc(a, b, rate)) if b > 0 else 0.0

    def bound(self, confidence: float, failures: int, exposure: float, prior: Prior | None) -> float:
        """Return the Clopper-Pearson upper bound, or the Beta quantile under a prior."""
        a, b = _shape(failures, exposure - failures, prior, no_prior=(1.0, 0.0))
        return float(special.betaincinv(a, b, confidence)) if b > 0 else 1.0

    def root(self, lacking: Callable[[float], float], most: float) -> int:
        """Return the least whole number of trials, by bisection."""
        low, high = 0, int(most) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if lacking(middle) >= 0 else (middle, high)
        return high


@dataclass(frozen=True)
class Poisson:
    """Failures at a constant rate per unit of exposure."""

    unit: str = "units of exposure"
    assumption: str = "failures come independently, at one constant rate"

    def check(self, rate: float, failures: int, exposure: float) -> None:
        """Raise ParameterError if there are failures without exposure."""
        if failures and not exposure:
            raise ParameterError(
                "failures without exposure", key="exposure", wanted="a number above 0", got=exposure
            )

    def confidence(self, rate: float, failures: int, exposure: float, prior: Prior | None) -> float:
        """Return P(rate' <= rate), one minus the exact Poisson tail without a prior."""
        a, b = _shape(failures, exposure, prior, no_prior=(1.0, 0.0))
        return float(special.gammainc(a, b * rate))

    def bound(self, confidence: float, failures: int, exposure: float, prior: Prior | None) -> float:
        """Return the Garwood upper bound, or the Gamma quantile under a prior."""
        a, b = _shape(failures, exposure, prior, no_prior=(1.0, 0.0))
        return float(special.gammaincinv(a, confidence)) / b if b > 0 else float("inf")

    def root(self, lacking: Callable[[float], float], most: float) -> float:
        """Return the exposure, by Brent's method."""
        return optimize.root_scalar(lacking, bracket=(0.0, most), method="brentq", rtol=1e-13).root


def _shape(failures, rest, prior, no_prior):
    """Return both parameters of the Beta or Gamma distribution that the bound is a quantile of."""
    a, b = (prior.a, prior.b) if prior else no_prior
    return a + failures, b + rest


MODELS = {"binomial": Binomial, "poisson": Poisson}


def demonstration(
    rate: float,
    confidence: float,
    failures: int = 0,
    exposure: float = 0,
    model: str | Exposure = "binomial",
    unit: str | None = None,
    belief: Prior | None = None,
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
    belief : Prior, optional
        A conjugate prior; without one the statement is the exact frequentist one.

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
    Paddock (2016), Driving to Safety, RAND RR-1478, eq. 1 to 3.
    """
    kind = _model(model, unit)
    positive("rate", rate)
    fraction("confidence", confidence)
    count("failures", failures)
    nonnegative("exposure", exposure)
    kind.check(rate, failures, exposure)
    _check_belief(belief)
    bound = kind.bound(confidence, failures, exposure, belief)
    more = 0 if bound <= rate else _further(kind, rate, confidence, failures, exposure, belief)
    return Requirement(
        verdict="MET" if more == 0 else "FORECAST",
        number=more,
        question=_question(rate, confidence, kind, belief),
        quantiles=dict.fromkeys(LEVELS, float(more)),
        bound=bound,
        assumptions=_assumptions(kind, belief),
    )


def _model(model, unit):
    if isinstance(model, str):
        if model not in MODELS:
            raise unknown_name("model of failures", model, MODELS, key="model")
        return MODELS[model](unit) if unit else MODELS[model]()
    return model


def _check_belief(belief):
    if not isinstance(belief, Prior | None):
        raise ParameterError("not a prior", key="belief", wanted="Prior(a, b) or None", got=repr(belief))


def _further(kind, rate, confidence, failures, exposure, prior):
    """Return the least further exposure, free of failures, that brings the confidence to its target."""

    def lacking(more):
        return kind.confidence(rate, failures, exposure + more, prior) - confidence

    most = 1.0 / rate
    while lacking(most) < 0:
        if most > _LARGEST:
            raise ParameterError(
                "no exposure of a size that could be run demonstrates this rate",
                key="rate",
                wanted=f"less than {_LARGEST:g} {kind.unit}",
                got=rate,
            )
        most *= 2
    return kind.root(lacking, most)


def _question(rate, confidence, kind, prior):
    sort = "posterior probability" if prior else "confidence"
    rarity = f"one failure in {number_text(1 / rate)} {kind.unit}"
    return Question(
        claim=f"There is at most {rarity}, with {confidence:g} {sort}.",
        quantity=f"failure rate, per one of the {kind.unit}",
        target=f"upper bound at {sort} {confidence:g} of at most {rate:.3g}",
        counted=kind.unit,
    )


def _assumptions(kind, prior):
    shared = (
        kind.assumption,
        "no further failure occurs; each one calls for a new computation with the failures counted",
        "the looks are few and planned: a bound that holds at every look needs more exposure",
    )
    if prior is None:
        return shared
    return (*shared, f"conjugate prior with a = {number_text(prior.a)}, b = {number_text(prior.b)}")

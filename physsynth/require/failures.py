"""How failures come: one a trial, or at a rate per mile or hour.

Each kind gives the conjugate family of its rate, its likelihood, and the integral of the likelihood over
rates below a bound,

    log of the integral of x^(a - 1) L(x) over 0 < x < r,

from which confidence bounds, posteriors and test martingales are all made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy import optimize, special

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.require.arguments import count, fraction, nonnegative, positive, strategy

Numbers = float | np.ndarray
_LARGEST = 1e18


@runtime_checkable
class Exposure(Protocol):
    """How failures come."""

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

    def survived(self, failures: int, exposure: float) -> float:
        """Return the part of the exposure that passed without failure."""
        ...

    def cdf(self, a: float, b: float, rate: float) -> float:
        """Return the conjugate distribution function at a rate."""
        ...

    def quantile(self, a: float, b: float, level: float) -> float:
        """Return the quantile of the conjugate distribution."""
        ...

    def log_likelihood(self, rate: float, failures: Numbers, exposure: Numbers) -> np.ndarray:
        """Return the log likelihood of a rate, up to a constant."""
        ...

    def log_integral(self, a: float, rate: float, failures: Numbers, exposure: Numbers) -> np.ndarray:
        """Return the log of the integral of x^(a - 1) L(x) over 0 < x < rate."""
        ...

    def root(self, lacking: Callable[[float], float], most: float) -> float:
        """Return the least exposure in (0, most] at which nothing is lacking any more."""
        ...


@dataclass(frozen=True)
class Binomial:
    """Independent trials, each of which fails with the same probability.

    Parameters
    ----------
    unit : str
        What is counted, in the plural.
    """

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

    def survived(self, failures: int, exposure: float) -> float:
        """Return the number of trials that did not fail."""
        return exposure - failures

    def cdf(self, a: float, b: float, rate: float) -> float:
        """Return P(Beta(a, b) <= rate); nothing is known where b = 0."""
        return float(special.betainc(a, b, rate)) if b > 0 else 0.0

    def quantile(self, a: float, b: float, level: float) -> float:
        """Return the quantile of Beta(a, b)."""
        return float(special.betaincinv(a, b, level)) if b > 0 else 1.0

    def log_likelihood(self, rate: float, failures: Numbers, exposure: Numbers) -> np.ndarray:
        """Return k log r + (n - k) log(1 - r)."""
        return special.xlogy(failures, rate) + special.xlog1py(exposure - failures, -rate)

    def log_integral(self, a: float, rate: float, failures: Numbers, exposure: Numbers) -> np.ndarray:
        """Return the log of the incomplete beta function B(r; a + k, n - k + 1)."""
        left, right = a + failures, exposure - failures + 1.0
        return special.betaln(left, right) + _log(special.betainc(left, right, rate))

    def root(self, lacking: Callable[[float], float], most: float) -> int:
        """Return the least whole number of trials, by bisection."""
        low, high = 0, int(most) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if lacking(middle) >= 0 else (middle, high)
        return high


@dataclass(frozen=True)
class Poisson:
    """Failures at a constant rate per unit of exposure.

    Parameters
    ----------
    unit : str
        What exposure is counted in, in the plural.
    """

    unit: str = "units of exposure"
    assumption: str = "failures come independently, at one constant rate"

    def check(self, rate: float, failures: int, exposure: float) -> None:
        """Raise ParameterError if there are failures without exposure."""
        if failures and not exposure:
            raise ParameterError(
                "failures without exposure", key="exposure", wanted="a number above 0", got=exposure
            )

    def survived(self, failures: int, exposure: float) -> float:
        """Return the exposure; a failure takes none of it."""
        return exposure

    def cdf(self, a: float, b: float, rate: float) -> float:
        """Return P(Gamma(a, rate b) <= rate)."""
        return float(special.gammainc(a, b * rate))

    def quantile(self, a: float, b: float, level: float) -> float:
        """Return the quantile of Gamma(a, rate b); infinite where b = 0."""
        return float(special.gammaincinv(a, level)) / b if b > 0 else float("inf")

    def log_likelihood(self, rate: float, failures: Numbers, exposure: Numbers) -> np.ndarray:
        """Return k log r - r n."""
        return special.xlogy(failures, rate) - rate * exposure

    def log_integral(self, a: float, rate: float, failures: Numbers, exposure: Numbers) -> np.ndarray:
        """Return the log of the incomplete gamma function at r n, in units of the exposure."""
        shape, exposure = a + failures, np.maximum(exposure, np.finfo(float).tiny)
        inside = _log(special.gammainc(shape, rate * exposure)) + special.gammaln(shape)
        early = shape * np.log(rate) - np.log(shape)
        return np.where(rate * exposure > 1e-12, inside - shape * np.log(exposure), early)

    def root(self, lacking: Callable[[float], float], most: float) -> float:
        """Return the exposure, by Brent's method."""
        return optimize.root_scalar(lacking, bracket=(0.0, most), method="brentq", rtol=1e-13).root


def _log(values):
    """Return the log; that of nothing is minus infinity."""
    with np.errstate(divide="ignore"):
        return np.log(values)


MODELS = {"binomial": Binomial, "poisson": Poisson}


def exposure_kind(model: str | Exposure, unit: str | None) -> Exposure:
    """Return the strategy that a name stands for; a strategy is taken as it is.

    Raises
    ------
    UnknownNameError, ParameterError
        If there is no model of that name, or it is no strategy.
    """
    if not isinstance(model, str):
        return strategy("model", model, Exposure, " or ".join(MODELS))
    if model not in MODELS:
        raise unknown_name("model of failures", model, MODELS, key="model")
    return MODELS[model](unit) if unit else MODELS[model]()


def check_test(kind: Exposure, rate: float, confidence: float, failures: int, exposure: float) -> None:
    """Check the numbers of a demonstration test.

    Raises
    ------
    ParameterError
        If one is outside its domain.
    """
    positive("rate", rate)
    fraction("confidence", confidence)
    count("failures", failures)
    nonnegative("exposure", exposure)
    kind.check(rate, failures, exposure)


def further(kind: Exposure, rate: float, lacking: Callable[[float], float]) -> float:
    """Return the least further exposure at which nothing is lacking any more.

    Raises
    ------
    ParameterError
        If no exposure of a size that could be run does it.
    """
    most = 1.0 / rate
    while lacking(most) < 0:
        if most > _LARGEST:
            raise ParameterError(
                "no exposure of a size that could be run demonstrates this rate",
                key="rate",
                wanted=f"less than {_LARGEST:g} {kind.unit}",
                got=rate,
                advice="state a higher rate, a lower confidence, or a belief that allows it",
            )
        most *= 2
    return kind.root(lacking, most)

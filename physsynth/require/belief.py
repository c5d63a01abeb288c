"""What is believed of a failure rate before the test, as a strategy that `demonstration` is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from scipy import optimize, special

from physsynth.core.errors import ParameterError
from physsynth.require.arguments import fraction, nonnegative, positive
from physsynth.require.failures import Exposure
from physsynth.require.statement import number_text

_FAR_ABOVE = 1e6


@runtime_checkable
class Belief(Protocol):
    """A way to go from failures and exposure to confidence in a rate."""

    @property
    def sort(self) -> str:
        """What the confidence is called."""
        ...

    def confidence(self, kind: Exposure, rate: float, failures: int, exposure: float) -> float:
        """Return the confidence that the true rate is at most `rate`."""
        ...

    def bound(self, kind: Exposure, confidence: float, failures: int, exposure: float) -> float:
        """Return the least rate that is held with this confidence."""
        ...

    def assumptions(self) -> tuple[str, ...]:
        """Say what is believed."""
        ...


@dataclass(frozen=True)
class Exact:
    """No belief: the exact bounds of Clopper and Pearson (1934) and Garwood (1936)."""

    sort: str = "confidence"

    def confidence(self, kind: Exposure, rate: float, failures: int, exposure: float) -> float:
        """Return 1 - P(at most so many failures | rate)."""
        return kind.cdf(1 + failures, kind.survived(failures, exposure), rate)

    def bound(self, kind: Exposure, confidence: float, failures: int, exposure: float) -> float:
        """Return the one-sided upper confidence bound."""
        return kind.quantile(1 + failures, kind.survived(failures, exposure), confidence)

    def assumptions(self) -> tuple[str, ...]:
        """Nothing is believed."""
        return ()


@dataclass(frozen=True)
class Prior:
    """A conjugate prior: Beta(a, b) for a probability, Gamma(a, rate b) for a rate.

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
    sort: str = "posterior probability"

    def __post_init__(self):
        positive("belief.a", self.a)
        positive("belief.b", self.b)

    def confidence(self, kind: Exposure, rate: float, failures: int, exposure: float) -> float:
        """Return the posterior probability of a rate of at most `rate`."""
        return kind.cdf(self.a + failures, self.b + kind.survived(failures, exposure), rate)

    def bound(self, kind: Exposure, confidence: float, failures: int, exposure: float) -> float:
        """Return the posterior quantile."""
        return kind.quantile(self.a + failures, self.b + kind.survived(failures, exposure), confidence)

    def assumptions(self) -> tuple[str, ...]:
        """State the prior."""
        return (f"conjugate prior with a = {number_text(self.a)}, b = {number_text(self.b)}",)


@dataclass(frozen=True)
class PartialBelief:
    """Conservative Bayesian inference: all that is believed is P(rate <= goal) = probability.

    Among all priors that agree with it, the one least favourable to the claim "rate <= r" puts
    the believed mass where the data are least likely below the goal, and the rest where they are most
    likely above r:

        confidence = theta m / (theta m + (1 - theta) M),
        m = min of L(x) over least <= x <= goal,   M = max of L(x) over x > r

    Parameters
    ----------
    goal : float
        The rate that is believed in.
    probability : float
        theta, how strongly.
    least : float
        A rate that it cannot be below. With 0, one failure seen leaves no confidence at all.

    Raises
    ------
    ParameterError
        If a number is outside its domain.

    Source: Zhao, Robu, Flynn, Salako and Strigini (2019), Assessing the safety and reliability of autonomous
    vehicles from road testing, ISSRE 2019, arXiv:1908.06540.
    """

    goal: float
    probability: float
    least: float = 0.0
    sort: str = "conservative posterior probability"

    def __post_init__(self):
        positive("belief.goal", self.goal)
        fraction("belief.probability", self.probability)
        nonnegative("belief.least", self.least)
        if self.least > self.goal:
            raise ParameterError(
                "the least rate lies above the one believed in",
                key="belief.least",
                wanted=f"at most {self.goal:g}",
                got=self.least,
            )

    def confidence(self, kind: Exposure, rate: float, failures: int, exposure: float) -> float:
        """Return the least posterior probability of a rate of at most `rate`."""
        if rate < self.goal:
            return 0.0
        ends = [float(kind.log_likelihood(end, failures, exposure)) for end in (self.least, self.goal)]
        mode = failures / exposure if exposure else rate
        most = float(kind.log_likelihood(max(rate, mode), failures, exposure))
        if min(ends) == -math.inf:
            return 0.0
        # The two are large and may cancel: their difference comes first.
        odds = math.log(self.probability / (1 - self.probability)) + (min(ends) - most)
        return float(special.expit(odds))

    def bound(self, kind: Exposure, confidence: float, failures: int, exposure: float) -> float:
        """Return the least rate held with this confidence; inf, or 1 for trials, where there is none."""
        highest = kind.quantile(1.0, 0.0, confidence)
        if self.confidence(kind, self.goal, failures, exposure) >= confidence:
            return self.goal
        top = highest if math.isfinite(highest) else self.goal * _FAR_ABOVE
        if self.confidence(kind, top, failures, exposure) < confidence:
            return highest

        def excess(rate):
            return self.confidence(kind, rate, failures, exposure) - confidence

        return optimize.root_scalar(excess, bracket=(self.goal, top)).root

    def assumptions(self) -> tuple[str, ...]:
        """State the belief."""
        held = f"P(rate <= {self.goal:.3g}) = {self.probability:g} before the test, and nothing else"
        return (held, f"the rate is at least {self.least:.3g}") if self.least else (held,)

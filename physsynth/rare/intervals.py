"""How sure an estimate is: strategies that turn a sample into a coefficient of variation and an interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import stats

FEW = 8


class Spread(Protocol):
    """The uncertainty of an estimated probability."""

    @property
    def cov(self) -> float:
        """Coefficient of variation of the estimate."""
        ...

    def interval(self, level: float) -> tuple[float, float]:
        """Return a confidence interval."""
        ...


@dataclass(frozen=True)
class Binomial:
    """`failures` in `draws` independent runs; the interval is Clopper and Pearson's (1934).

    Examples
    --------
    >>> low, high = Binomial(0, 100).interval(0.95)
    >>> low, round(high, 4)
    (0.0, 0.0362)
    """

    failures: int
    draws: int

    @property
    def cov(self) -> float:
        """sqrt((1 - p) / (p n))."""
        return float(np.sqrt(1 / self.failures - 1 / self.draws)) if self.failures else np.inf

    def interval(self, level: float) -> tuple[float, float]:
        """Return the exact interval, never shorter than nominal."""
        m, n, tail = self.failures, self.draws, (1 - level) / 2
        low = stats.beta.ppf(tail, m, n - m + 1) if m else 0.0
        high = stats.beta.isf(tail, m + 1, n - m) if m < n else 1.0
        return float(low), float(high)


@dataclass(frozen=True)
class Weighted:
    """Mean of independent non-negative weights, given by its value, cov and effective failing runs.

    The interval is Student's t on the logarithm: a sample that misses large weights gives a small
    mean and a small variance together, which a symmetric interval would not forgive.
    """

    probability: float
    cov: float
    effective: float
    draws: int

    @classmethod
    def of(cls, weight: np.ndarray, stratum: np.ndarray | None = None) -> Weighted:
        """Return the spread of mean(weight), weight (n,) being 0 where nothing failed.

        `stratum` (n,) says which component of a mixture made each draw, if every component was drawn
        in proportion to its share: only the variance within the components is left then.
        """
        n, total = len(weight), weight.sum()
        if not total > 0:
            return cls(0.0, np.inf, 0.0, n)
        if n == 1:
            return cls(float(total), np.inf, 1.0, n)
        squares = np.sum(weight**2)
        variance = max(squares - total**2 / n, 0.0) / max(n - 1, 1) * n
        if stratum is not None:
            variance = min(variance, _within(weight, stratum))
        return cls(float(total / n), float(np.sqrt(variance) / total), float(total**2 / squares), n)

    def at_least(self, variance: float) -> Weighted:
        """Return the spread with the squared cov of one draw not below a value foreseen elsewhere."""
        foreseen = np.sqrt(max(variance, 0.0) / max(self.draws, 1))
        return replace(self, cov=float(max(self.cov, foreseen))) if np.isfinite(foreseen) else self

    def interval(self, level: float) -> tuple[float, float]:
        """Return p exp(-+ t cov), or (0, 1) if nothing failed."""
        return _log_interval(self.probability, self.cov, max(self.effective - 1.0, 1.0), level)


def _within(weight, stratum):
    """Sum over strata of n_k s_k^2 (Cochran 1977, eq. 5.13); one of few draws has the variance of all."""
    count = np.bincount(stratum)
    mean = np.bincount(stratum, weight) / np.maximum(count, 1)
    square = np.bincount(stratum, (weight - mean[stratum]) ** 2)
    own = square / np.maximum(count - 1, 1)
    return float(np.sum(count * np.where(count >= FEW, own, np.maximum(own, weight.var()))))


@dataclass(frozen=True)
class Replicates:
    """Estimates of independent runs, and the coefficient of variation `single` foreseen for one of them.

    Few replicates can agree by luck, so the spread is never taken below the foreseen one.
    """

    estimates: tuple[float, ...]
    single: float

    @property
    def probability(self) -> float:
        """Mean of the runs."""
        return float(np.mean(self.estimates))

    @property
    def cov(self) -> float:
        """Coefficient of variation of the mean of the runs."""
        if not self.probability > 0:
            return np.inf
        observed = np.std(self.estimates, ddof=1) / self.probability if len(self.estimates) > 1 else 0.0
        return float(max(observed, self.single) / np.sqrt(len(self.estimates)))

    def interval(self, level: float) -> tuple[float, float]:
        """Return p exp(-+ t cov) with one degree of freedom less than runs."""
        return _log_interval(self.probability, self.cov, max(len(self.estimates) - 1, 2), level)


def _log_interval(probability, cov, freedom, level):
    if not probability > 0:
        return 0.0, 1.0
    reach = np.exp(stats.t.ppf(0.5 + level / 2, freedom) * cov)
    return float(probability / reach), float(min(1.0, probability * reach))

"""The variance of a statistic, from one sample of it, and what is known of that variance.

Where what two deletions change adds up, the statistic is smooth and the variance is that of its jackknife
pseudo-values; how far it may be off, resampling them tells, by the studentised log of their variance. A
quantile is not smooth: its jackknife is inconsistent, its bootstrap is not, and how far that may be off,
bootstrapping each of some resamples tells.

Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap (chapters 11 and 12); Shao and Wu
(1989), Ann. Stat. 17, 1176 (the jackknife of quantiles).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from physsynth.core.errors import ParameterError
from physsynth.require import arguments

Sample = Float[np.ndarray, "n ..."]
Statistic = Callable[[Sample], float]
GROUPS, BLOCKS = 200, 10
# Share of what leaving out a block changes that its parts do not explain one by one.
ROUGH = 0.1
_RESAMPLES, _OUTER, _INNER = 400, 40, 40
_LEAST_SPREAD = 0.5
# A resample that hardly varies tells no more than that; a variance is not taken to be off further.
_FARTHEST = math.log(100.0)


class Spread(NamedTuple):
    """A statistic, its variance per measurement, and draws of the log of true over estimated variance.

    `correlation` is that of the errors of the statistic and of the log of its variance: a share that comes
    out too low makes its variance so, too.
    """

    value: float
    variance: float
    log_ratios: Float[np.ndarray, " draw"]
    correlation: float

    @classmethod
    def of(cls, function: Statistic, sample: Sample) -> Spread:
        """Find a statistic's variance by the jackknife, or by the bootstrap where it is not smooth.

        Raises
        ------
        ParameterError
            If the statistic is no finite number, or does not vary.

        Examples
        --------
        >>> sample = np.random.default_rng(0).normal(size=1000)
        >>> round(Spread.of(np.mean, sample).variance, 1), round(Spread.of(np.median, sample).variance, 1)
        (1.0, 1.5)
        """
        rng = np.random.default_rng(0)
        whole = _value(function, sample)
        groups = np.array_split(rng.permutation(len(sample)), min(len(sample), GROUPS))
        without = np.array([_without(function, sample, group) for group in groups])
        found = _pseudo_values(whole, without, groups)
        if _rough(function, sample, groups, without - whole):
            found = _bootstrapped(function, sample, rng)
        spread = cls(whole, *found)
        _check_varies(spread)
        return spread

    def variances(self, u: Float[np.ndarray, " u"]) -> Float[np.ndarray, " u"]:
        """Return quantiles of the variance's confidence distribution."""
        return self.variance * np.exp(np.quantile(self.log_ratios, u))


def _pseudo_values(whole, without, groups):
    """Return the jackknife's variance, draws of the log of how far it may be off, and the correlation."""
    n, size = sum(map(len, groups)), np.array([len(group) for group in groups])
    pseudo = (n * whole - (n - size) * without) / size
    weight = np.sqrt(size / size.mean())
    centred = weight * (pseudo - np.average(pseudo, weights=size))
    picks = np.random.default_rng(1).integers(len(centred), size=(_RESAMPLES, len(centred)))
    logs, error = _log_variance(centred[None])
    drawn, errors = _log_variance(centred[picks])
    correlation = _correlation(centred, centred**2)
    ratios = (logs - drawn) * error / errors
    return float(np.exp(logs[0]) * size.mean()), np.clip(ratios, -_FARTHEST, _FARTHEST), correlation


def _log_variance(values):
    """Return the log of each row's variance and the standard error of that."""
    n = values.shape[1]
    off = values - values.mean(axis=1, keepdims=True)
    variance = np.maximum(np.mean(off**2, axis=1), np.finfo(float).tiny)
    fourth = np.mean((off / np.sqrt(variance)[:, None]) ** 4, axis=1)
    return np.log(variance * n / (n - 1)), np.sqrt(np.maximum(fourth - 1, _LEAST_SPREAD) / n)


def _rough(function, sample, groups, changes):
    """Tell whether leaving out a block changes something else than leaving out its parts one by one."""
    whole = _value(function, sample)
    blocks = np.array_split(np.arange(len(groups)), BLOCKS)
    together = [
        _without(function, sample, np.concatenate([groups[i] for i in block])) - whole for block in blocks
    ]
    apart = [changes[block].sum() for block in blocks]
    rest = np.sum(np.subtract(together, apart) ** 2)
    return bool(rest > ROUGH * np.sum(np.square(together)))


def _bootstrapped(function, sample, rng):
    """Return the bootstrap's variance, draws of the log of how far it may be off, and the correlation."""
    log_variance = _bootstrap(function, sample, _RESAMPLES, rng)
    resamples = [sample[rng.integers(len(sample), size=len(sample))] for _ in range(_OUTER)]
    drawn = [_bootstrap(function, resample, _INNER, rng) for resample in resamples]
    correlation = _correlation([_value(function, resample) for resample in resamples], drawn)
    # The noise of so few inner resamples is taken out.
    scatter = max(float(np.var(drawn, ddof=1)) - 2 / (_INNER - 1), 2 / (_RESAMPLES - 1))
    normal = rng.standard_normal(_RESAMPLES)
    ratios = math.sqrt(scatter) * (normal - normal.mean())
    return len(sample) * math.exp(log_variance), ratios, correlation


def _correlation(values, others):
    """Return a correlation, 0 where one of the two does not vary."""
    varies = np.ptp(values) > 0 and np.ptp(others) > 0
    return float(np.corrcoef(values, others)[0, 1]) if varies else 0.0


def _bootstrap(function, sample, resamples, rng):
    """Return the log of the variance of the statistic over resamples."""
    picks = rng.integers(len(sample), size=(resamples, len(sample)))
    values = [_value(function, sample[pick]) for pick in picks]
    return math.log(max(float(np.var(values, ddof=1)), np.finfo(float).tiny))


def _without(function, sample, group):
    return _value(function, np.delete(sample, group, axis=0))


def _value(function, sample):
    value = arguments.numbers("statistic", function(sample), "one finite number a sample")
    if value.shape != ():
        raise ParameterError(
            "a statistic that is no number", key="statistic", wanted="one finite number a sample", got=value
        )
    return float(value)


def _check_varies(spread):
    if spread.variance <= (1e-12 * max(abs(spread.value), np.finfo(float).tiny)) ** 2:
        raise ParameterError(
            "a statistic that stays the same whatever is left out of its sample",
            key="statistic",
            wanted="a statistic of a sample that varies",
            got=spread.value,
        )

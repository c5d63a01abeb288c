"""What a synthetic set is worth in real measurements, and the ceiling that more of it cannot pass.

An estimate T from n real measurements has the mean squared error s^2 / n; from m synthetic ones it has
b^2 + s_z^2 / m, with b the bias of whatever made them. The two are equal at

    n_eq = s^2 / (b^2 + s_z^2 / m)  ->  s^2 / b^2  as m grows.

Source: Hannig (2009), Stat. Sinica 19, 491 (generalised fiducial intervals); `spread` for s^2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy import special
from scipy.stats import qmc

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.require import arguments
from physsynth.require.credit import Credit
from physsynth.require.outcome import needs_pilot
from physsynth.require.pilots import least_check, varies_check
from physsynth.require.requirement import LEVELS, Question, Requirement
from physsynth.require.spread import Sample, Spread

LEAST_REAL = LEAST_SYNTHETIC = 10
_LOG_POINTS = 9
# The squared distance, in standard errors, beyond which a normal is cut off by nothing.
_FAR = 100.0


class Finding(NamedTuple):
    """What a yardstick found: quantiles of n_eq and of its ceiling, and how n_eq depends on the bias."""

    quantiles: dict[float, float]
    ceiling: float
    bias: float
    tipping: float | None
    curve: xr.Dataset
    assumptions: tuple[str, ...]


@runtime_checkable
class Yardstick(Protocol):
    """What synthetic and real measurements are compared by."""

    @property
    def words(self) -> str:
        """What is estimated or trained."""
        ...

    def compare(self, real: Sample, synthetic: Sample, levels: tuple[float, ...]) -> Finding:
        """Return the worth of the synthetic set."""
        ...


@dataclass(frozen=True)
class Estimate:
    """A statistic of a sample: a mean, a variance, a quantile, a regression coefficient.

    Parameters
    ----------
    function : callable
        ``function(sample)`` -> float, of an array with one measurement a row.
    words : str
        What it estimates.
    """

    function: Callable[[Sample], float]
    words: str = "statistic"

    def compare(self, real: Sample, synthetic: Sample, levels: tuple[float, ...]) -> Finding:
        """Draw (s^2, s_z^2, b) from their confidence distributions, and n_eq with them.

        The errors of T and of its variance are correlated as the sample shows.
        |b| has the confidence distribution of the root of a noncentral chi-square's noncentrality:
        with v = s^2 / n + s_z^2 / m, (T_syn - T_real)^2 / v is chi-square(1, b^2 / v).
        """
        at_real, at_synthetic = (Spread.of(self.function, sample) for sample in (real, synthetic))
        u = qmc.Sobol(3, scramble=False).random_base2(_LOG_POINTS) + 2.0 ** -(_LOG_POINTS + 1)
        spread = at_real.variances(u[:, 0])
        scatter = at_synthetic.variances(u[:, 1]) / len(synthetic)
        found = at_synthetic.value - at_real.value
        variances = np.array([at_real.variance / len(real), at_synthetic.variance / len(synthetic)])
        errors = np.array([-at_real.correlation, at_synthetic.correlation]) * np.sqrt(variances)
        shared = np.sign(found) * errors / math.sqrt(variances.sum())
        squared_bias = _squared_bias(found, spread / len(real) + scatter, _correlated(u, shared))
        worth, unbiased = spread / (squared_bias + scatter), squared_bias == 0
        excess = found**2 - variances.sum()
        return Finding(
            quantiles={level: _quantile(worth, spread / scatter, unbiased, level) for level in levels},
            ceiling=at_real.variance / excess if excess > 0 else math.inf,
            bias=found,
            tipping=_tipping(*variances),
            curve=_curve(found, at_real.variance, variances[1]),
            assumptions=("the statistic is about normal, as means, coefficients and quantiles of many are",),
        )


def _correlated(u, shared):
    """Return the last of three even uniforms, correlated with the others as told."""
    own = math.sqrt(max(1 - float(shared @ shared), 0.0))
    return special.ndtr(special.ndtri(u[:, :2]) @ shared + own * special.ndtri(u[:, 2]))


def _squared_bias(found, variance, u):
    """Return quantiles of b^2: the noncentrality whose chance to exceed what was found is u.

    Far from zero the other sign of what was found has no chance, and its root is normal.
    """
    seen = found**2 / variance
    none = special.chdtr(1.0, seen)
    near = special.chndtrinc(np.minimum(seen, _FAR), 1.0, np.minimum(1 - u, none))
    far = (np.sqrt(seen) + special.ndtri(u)) ** 2
    return np.where(1 - u >= none, 0.0, np.where(seen < _FAR, np.nan_to_num(near), far)) * variance


def _quantile(worth, without_bias, unbiased, level):
    """Return a quantile of n_eq; at its upper end a bias that may be nil counts as nil for certain.

    Otherwise the mass at b = 0 would share its quantiles with the rest, and cover too rarely there. A miss
    comes from the bias or from the variances, so the latter get half of the chance to miss.
    """
    if level > 0.5:
        worth = np.where(unbiased, np.quantile(without_bias, (1 + level) / 2), worth)
    return float(np.quantile(worth, level))


def _tipping(variance_real, variance_synthetic):
    """Return the bias at which the synthetic set is worth no more than the real data in hand."""
    return math.sqrt(variance_real - variance_synthetic) if variance_real > variance_synthetic else None


def _curve(found, spread, scatter):
    bias = np.linspace(0.0, max(3 * abs(found), math.sqrt(spread)), 31)
    return xr.Dataset({"bound": ("bias", spread / (bias**2 + max(scatter, 1e-300)))}, {"bias": bias})


STATISTICS = {
    "mean": Estimate(np.mean, "mean"),
    "variance": Estimate(np.var, "variance"),
    "standard_deviation": Estimate(np.std, "standard deviation"),
}


def worth(
    real: ArrayLike, synthetic: ArrayLike, statistic: str | Callable[[Sample], float] | Yardstick = "mean"
) -> Requirement:
    """Return how many real measurements a synthetic set is worth for a statistic or a trained model.

    Parameters
    ----------
    real : array (n, ...)
        Real measurements, one a row.
    synthetic : array (m, ...)
        Synthetic ones, all from one generator.
    statistic : "mean", "variance", "standard_deviation", callable or Yardstick
        ``statistic(sample)`` -> float; or `Trained` for a model that is trained.

    Returns
    -------
    Requirement
        ``number`` is n_eq, ``quantiles`` its confidence distribution, ``bound`` what it is at least with
        95 % confidence, ``floor`` its ceiling s^2 / b^2; ``credit`` says the same with the bias. Verdict
        CREDIT_REFUSED if it may be less than one real measurement, NEEDS_PILOT if there are fewer than 10
        real ones or they do not vary.

    Raises
    ------
    ParameterError, UnknownNameError
        If the samples are no finite arrays, or the statistic is unknown or no number.

    Examples
    --------
    Means of 1000 real measurements with sd 1 and of 10,000 synthetic ones, off by 0.5: at most 1 / 0.25 = 4.

    >>> rng = np.random.default_rng(0)
    >>> need = worth(rng.normal(size=1000), rng.normal(0.5, 1.0, 10_000))
    >>> 2 < need.quantiles[0.05] < 4 < need.quantiles[0.95] < 7
    True
    """
    yardstick = _yardstick(statistic)
    real, synthetic = _sample("real", real), _sample("synthetic", synthetic)
    _check_synthetic(real, synthetic)
    question = _question(yardstick)
    checks = (least_check("real measurements", len(real), LEAST_REAL), varies_check("real", real))
    if not all(check.passed for check in checks):
        return needs_pilot(question, checks)
    found = yardstick.compare(real, synthetic, LEVELS)
    least = found.quantiles[LEVELS[0]]
    refused = "" if least >= 1 else "with 95 % confidence it is not worth even one real measurement"
    credit = Credit(
        method=f"matched error of the {yardstick.words}",
        equivalents=found.quantiles[0.5],
        interval=(least, found.quantiles[0.95]),
        ceiling=found.ceiling,
        bias=found.bias,
        tipping=found.tipping,
        bias_means=f"{yardstick.words} from synthetic minus from real data",
        curve=found.curve,
        refused=refused,
    )
    return Requirement(
        verdict="CREDIT_REFUSED" if refused else "FORECAST",
        number=None if math.isinf(credit.equivalents) else credit.equivalents,
        question=question,
        quantiles=found.quantiles,
        bound=least,
        floor=found.ceiling,
        assumptions=(
            "real measurements are independent draws of what the claim is about",
            "synthetic ones are independent draws of one generator, which was not fitted to these real ones",
            *found.assumptions,
        ),
        checks=checks,
        credit=credit,
        stopping="more synthetic data may be made at any time; none of it passes the ceiling",
    )


def _yardstick(statistic):
    if isinstance(statistic, str):
        if statistic not in STATISTICS:
            raise unknown_name("statistic", statistic, STATISTICS, key="statistic")
        return STATISTICS[statistic]
    if isinstance(statistic, Callable) and not isinstance(statistic, type):
        return Estimate(statistic, getattr(statistic, "__name__", "statistic").replace("_", " "))
    return arguments.strategy("statistic", statistic, Yardstick, '"mean", a callable or Trained')


def _sample(name, values):
    sample = arguments.numbers(name, values, "an array (n, ...) of finite numbers")
    if sample.ndim == 0 or len(sample) < 2:
        raise ParameterError("no sample", key=name, wanted="two or more rows", got=f"shape {sample.shape}")
    return arguments.moderate(name, sample)


def _check_synthetic(real, synthetic):
    wanted = f"{LEAST_SYNTHETIC} or more rows of shape {real.shape[1:]}, as the real ones, that vary"
    like = synthetic.shape[1:] == real.shape[1:] and len(synthetic) >= LEAST_SYNTHETIC
    if not like or not np.ptp(synthetic, axis=0).any():
        raise ParameterError(
            "synthetic measurements that cannot be compared",
            key="synthetic",
            wanted=wanted,
            got=f"shape {synthetic.shape}",
        )


def _question(yardstick):
    return Question(
        claim=f"The synthetic set is worth so many real measurements for the {yardstick.words}.",
        quantity=f"real-equivalents of the synthetic set for the {yardstick.words}",
        target="mean squared error, or risk, as small as with so many real measurements",
        counted="measurements",
        reading="As good as {number} real {counted}",
        awaited=False,
    )

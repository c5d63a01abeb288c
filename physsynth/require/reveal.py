"""Which direct measurements would reveal an error of the model where nothing was measured, and how many.

Of the conditions at which the quantity's own regime could be measured, the one is taken whose response r goes
with the quantity q most closely over the posterior. A quantity known within its target sd t then pins down
that response within

    t_r = t |cov(r, q)| / var(q).

The mean of k direct measurements with noise s scatters by sqrt(s^2 / k + t_r^2) about what the model
predicts; at k = s^2 / t_r^2 the two are equally precise, and a model off by 4 t_r is found out by a two-sided
test at 5 % with a chance of 80 %: (1.96 + 0.84) sqrt(2) = 3.96.

Of a failure probability P the quantity is log P, and the responses that it rests on are those of failures.
Failure i lasts until the response is m_i lower, its margin; so a response that is t_r lower everywhere lowers
log P by t, where

    P(m > t_r | failure) = exp(-t).

No response need be lowered to count failures: that their number reveals P off by exp(4 t) takes as many
trials as make a two-sided test at 5 % do so, of a Poisson count whose log mean is known within t.

Source: Lehmann and Romano (2005), Testing Statistical Hypotheses, 3rd ed., chapter 3 (power).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import stats

from physsynth.core.errors import ParameterError
from physsynth.require import arguments
from physsynth.require.measurement import Measurement, tabulate
from physsynth.require.regime import Counted, Direct

FOUND_OUT = (1.959964 + 0.841621) * math.sqrt(2)
_POWER, _TAIL, _STEP = 0.8, 0.025, 1.05
_ENOUGH = 20


def reveal(
    measurement: Measurement,
    rows: Float[np.ndarray, "draw d"],
    values: Float[np.ndarray, " draw"],
    conditions: Float[Array, "condition ..."],
    target: float,
) -> Direct:
    """Return the direct measurements that test the model where the quantity lies.

    Parameters
    ----------
    measurement : Measurement
    rows : array (draw, d)
        Posterior draws.
    values : array (draw,)
        The quantity at each.
    conditions : array (C, ...)
        Where the quantity's own regime could be measured.
    target : float
        Wanted sd of the quantity.
    """
    step = max(len(rows) // 1000, 1)
    some, quantity = jnp.asarray(rows[::step]), values[::step] - values[::step].mean()
    responses = np.asarray(tabulate(measurement, some, conditions), float)
    centred = responses - responses.mean(axis=0)
    together = np.abs(centred.T @ quantity) / np.sum(quantity**2)
    closeness = together * quantity.std() / np.maximum(centred.std(axis=0), 1e-300)
    best = int(np.argmax(closeness))
    known = max(target * float(together[best]), 1e-300)
    scatter = float(_scatter(measurement, some[:50], conditions[best]))
    return Direct(str(np.asarray(conditions[best]).tolist()), _as_precise(scatter, known), FOUND_OUT * known)


def reveal_failures(
    margins: Float[np.ndarray, " failure"],
    weight: Float[np.ndarray, " failure"],
    scatter: Float[np.ndarray, " condition"],
    conditions: Sequence[str],
    target: float,
    unit: str = "1",
    what: str = "direct measurements at condition",
) -> Direct:
    """Return the direct measurements that test the model where failures lie.

    Parameters
    ----------
    margins, weight : array (failure,)
        By how much the response could be lower and each still fail, and its share of the probability.
    scatter : array (condition,)
        Standard deviation of one measurement at each condition where the failures' regime can be measured.
    conditions : sequence of str
    target : float
        Wanted sd of the log probability.
    unit, what : str
        See `Direct`.

    Raises
    ------
    ParameterError
        If there is no condition or no failure, or a number is no such.

    Examples
    --------
    >>> margins = -np.log1p(-(np.arange(1000) + 0.5) / 1000)    # the tail falls by a factor e per unit
    >>> found = reveal_failures(margins, np.ones(1000), np.array([1.9, 3.0]), ["low", "high"], 0.5)
    >>> found.condition, found.number, round(found.error, 1)
    ('low', 15, 2.0)
    """
    margins, weight, scatter = _checked(margins, weight, scatter, conditions)
    arguments.positive("target", target)
    order = np.argsort(margins)
    lost = np.cumsum(weight[order]) / weight.sum()
    known = float(np.interp(-math.expm1(-target), lost, margins[order]))
    best, error = int(np.argmin(scatter)), FOUND_OUT * known
    beyond = margins > error
    left = float(weight[beyond].sum() / weight.sum())
    effect = 1 / left if beyond.sum() >= _ENOUGH else None
    return Direct(conditions[best], _as_precise(float(scatter[best]), known), error, unit, what, effect)


def reveal_by_counting(probability: float, target: float, what: str = "trials") -> Counted:
    """Return how many trials' failures test a failure probability.

    Parameters
    ----------
    probability : float
    target : float
        Wanted sd of its logarithm.
    what : str
        See `Counted`.

    Raises
    ------
    ParameterError
        If the probability is none, or the target not positive.

    Examples
    --------
    >>> reveal_by_counting(0.01, 0.25).number
    2607
    """
    arguments.fraction("probability", probability)
    arguments.positive("target", target)
    mean = target**-2
    while _power(mean, target) < _POWER:
        mean *= _STEP
    return Counted(math.ceil(mean / probability * (1 - 1e-9)), math.exp(FOUND_OUT * target), what)


def _as_precise(scatter: float, known: float) -> int:
    """Return how many measurements' mean is as precise as a response known so well."""
    return max(math.ceil((scatter / max(known, 1e-300)) ** 2 * (1 - 1e-9)), 1)


def _checked(margins, weight, scatter, conditions):
    margins = arguments.numbers("margins", margins, "one number a failure")
    weight = arguments.numbers("weight", weight, "one number a failure")
    scatter = arguments.numbers("scatter", scatter, "one number a condition")
    if not margins.size or margins.shape != weight.shape or weight.min() < 0 or not weight.sum() > 0:
        wanted = "a weight of each failure, none negative and not all 0"
        raise ParameterError("failures without weights", key="weight", wanted=wanted, got=weight.shape)
    if not scatter.size or scatter.shape != (len(conditions),):
        wanted = "a scatter of each condition"
        raise ParameterError("conditions without scatter", key="scatter", wanted=wanted, got=scatter.shape)
    return margins, weight, scatter


def _power(mean: float, target: float) -> float:
    """Return the least chance to find out a rate off by exp(4 t) either way, from a count of such a mean."""
    node, share = np.polynomial.hermite_e.hermegauss(61)
    factor = math.exp(FOUND_OUT * target)
    counts = np.arange(math.ceil(mean * factor + 10 * math.sqrt(mean * factor) + 20))
    expected = mean * np.exp(target * node)
    reached = stats.poisson.cdf(counts[:, None], expected) @ (share / share.sum())
    above = np.concatenate([[1.0], 1 - reached[:-1]])
    strange = (reached <= _TAIL) | (above <= _TAIL)
    return min(float(stats.poisson.pmf(counts, mean * off)[strange].sum()) for off in (factor, 1 / factor))


@partial(jax.jit, static_argnames="measurement")
def _scatter(measurement, rows, condition):
    """Return the noise's sd at a condition, by the slope of its coordinate: information = 1 / sd^2."""
    layout, noise = measurement.layout, measurement.noise

    def unit(row):
        theta, response = layout.split(row), measurement.response(row, condition)
        slope = jax.jacfwd(lambda f: noise.coordinates(f, theta, condition))(response)
        return 1 / jnp.sqrt(jnp.sum(slope**2))

    return jnp.median(jax.vmap(unit)(rows))

"""At which size of the data a score meets a target, from scores at smaller sizes.

Scores of training sets that were drawn from one pilot of N share what is particular to that pilot: however
many are drawn, their mean at size k keeps the variance v_k k / N, fully correlated between sizes, and their
own scatter is only (1 - k / N) v_k. An interval that forgets this (a bootstrap of the subsamples) covers
far too rarely.

How far the scores tell of what comes is a matter of their shape. Straight on logarithmic axes, a curve is
taken to go on so, give or take a change of pace by a third, for three quarters of the octaves that were seen;
bent, only for half a step between sizes, since each law bends on in its own way, and the interval hears all
that fit; and where no law with fewer numbers than there are sizes fits, not at all. Beyond, the verdict is
EXTRAPOLATION.

Source: Hoeffding (1948), Ann. Math. Stat. 19, 293 (the variance of a mean over subsets); `curves` for laws.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special, stats

from physsynth.core.checks import Check
from physsynth.core.errors import ParameterError
from physsynth.require import arguments
from physsynth.require.credit import Credit
from physsynth.require.curves import UNLIKELY, Ensemble, Family, Seen, bends, fit, lasting
from physsynth.require.outcome import needs_pilot
from physsynth.require.pilots import least_check, varies_check
from physsynth.require.requirement import Question, Requirement, quantiles_of

LEAST_SIZES = 3
LEAST_REPLICATES = 2
SHOWN = 200
NEVER = 1e12
_MOST_OF_PILOT = 0.9
_SAME = 1e-12
ONE_PILOT = (
    "replicates agree at the largest size, so all are taken to be drawn from one pilot of {} (`pilot`)"
)
_PLAIN = 1e-3
_LASTING = 0.75
_PERFECTION = "0 for an error, 1 for an accuracy"


def learning_curve(
    sizes: ArrayLike,
    scores: ArrayLike,
    target: float,
    pilot: int | None = None,
    best: float = 0.0,
    assurance: float = 0.8,
    augmented: ArrayLike | None = None,
    common_sd: float = 0.0,
) -> Requirement:
    """Return the size of the data at which a score meets a target.

    Parameters
    ----------
    sizes : array (K,)
        Sizes of the training sets, rising.
    scores : array (R, K)
        Their scores, one row a replicate.
    target : float
        The score that is wanted.
    pilot : int, optional
        Size of the one pilot that all training sets were drawn from; without it every replicate counts as
        data of its own, unless all agree at the largest size: then they are taken to be drawn from so many.
    best : float
        The score of perfection: 0 for an error, 1 for an accuracy.
    assurance : float
        Wanted probability that the size suffices.
    augmented : array (R, K), optional
        Scores of the same real training sets with synthetic data added.
    common_sd : float
        Standard deviation that all scores share, for example of the one held-out set.

    Returns
    -------
    Requirement
        ``number`` is the size in all, the data in hand included; ``floor`` the score that no size passes;
        ``bound`` the mean score at the largest size. FLOOR where the asymptote more probably than not
        misses the target; MET where the largest size meets it with the assurance; NEEDS_PILOT below three
        sizes or two replicates; EXTRAPOLATION where the number lies farther out than the shape of the curve
        allows, or no law fits. With `augmented`, ``number`` is the size with the synthetic data, and
        ``credit`` holds the one without.

    Raises
    ------
    ParameterError
        If shapes do not fit, sizes do not rise, or scores lie on both sides of `best`.

    Examples
    --------
    Errors 1 / sqrt(n), each with 2 % scatter; 0.05 takes 400.

    >>> rng, sizes = np.random.default_rng(1), np.array([20, 40, 80, 160])
    >>> scores = sizes**-0.5 * (1 + 0.02 * rng.normal(size=(20, 4)))
    >>> need = learning_curve(sizes, scores, 0.05)
    >>> need.quantiles[0.05] < 400 < need.quantiles[0.95]
    True
    """
    sizes, losses, wanted = _checked(sizes, "scores", scores, target, best)
    arguments.fraction("assurance", assurance)
    arguments.nonnegative("common_sd", common_sd)
    if pilot is not None:
        arguments.count("pilot", pilot, int(sizes[-1]))
    question = _question(target)
    checks = _checks(losses)
    if not all(check.passed for check in checks):
        return needs_pilot(question, checks)
    drawn = pilot
    if pilot is None and _agree(losses[:, -1]):
        pilot = int(sizes[-1])
    alone = _answer(question, _seen(sizes, losses, pilot, common_sd), wanted, best, target, assurance, checks)
    if drawn is None and pilot is not None:
        alone = replace(alone, assumptions=(*alone.assumptions, ONE_PILOT.format(pilot)))
    if augmented is None:
        return alone
    _, other, _ = _checked(sizes, "augmented", augmented, target, best)
    if not all(check.passed for check in _checks(other)):
        return needs_pilot(question, _checks(other))
    both = _answer(question, _seen(sizes, other, pilot, common_sd), wanted, best, target, assurance, checks)
    return _with_credit(both, alone)


def by_replicate(
    replicate: ArrayLike, size: ArrayLike, score: ArrayLike
) -> tuple[Float[np.ndarray, " size"], Float[np.ndarray, "replicate size"]]:
    """Turn a long table, one row a score, into sizes (K,) and scores (R, K).

    Raises
    ------
    ParameterError
        If a replicate does not have exactly one score at each size.
    """
    rows, places = np.unique(replicate, return_inverse=True)
    sizes, columns = np.unique(np.asarray(size, float), return_inverse=True)
    seen = np.zeros((len(rows), len(sizes)), int)
    np.add.at(seen, (places, columns), 1)
    if not np.all(seen == 1):
        row, column = np.argwhere(seen != 1)[0]
        raise ParameterError(
            "a table of scores with holes or repeats",
            key="replicate",
            wanted=f"one score of each replicate at each of the {len(sizes)} sizes",
            got=f"{seen[row, column]} of replicate {rows[row]} at size {sizes[column]:g}",
        )
    scores = np.empty(seen.shape)
    scores[places, columns] = np.asarray(score, float)
    return sizes, scores


def _checked(sizes, name, scores, target, best):
    places = arguments.numbers("sizes", sizes, "rising counts")
    wanted = f"finite numbers (R, {places.size}), one row a replicate"
    table, best = arguments.numbers(name, scores, wanted), arguments.finite("best", best)
    if places.ndim != 1 or not np.all(np.diff(places) > 0) or not np.all(places >= 1):
        raise ParameterError("sizes that do not rise", key="sizes", wanted="rising counts", got=repr(sizes))
    if table.ndim != 2 or not len(table) or table.shape[1] != len(places):
        raise ParameterError(
            "scores that do not fit the sizes", key=name, wanted=wanted, got=f"shape {table.shape}"
        )
    side = np.sign(table.mean() - best)
    wanted = side * (arguments.finite("target", target) - best)
    if not np.all(side * (table - best) >= 0) or wanted <= 0:
        raise ParameterError(
            "scores or target beyond perfection",
            key="best",
            wanted="all scores and the target on one side of it",
            got=best,
            advice=_PERFECTION,
        )
    _check_better(side * (table - best), best)
    return places, side * (table - best), wanted


def _check_better(losses, best):
    """Check that scores do not move away from perfection as the data grow."""
    rise, freedom = losses[:, -1] - losses[:, 0], len(losses) - 1
    error = rise.std(ddof=1) / math.sqrt(len(rise)) if freedom else math.inf
    if freedom and rise.mean() > stats.t.ppf(1 - _PLAIN, freedom) * error:
        raise ParameterError(
            "scores that get worse the more data there are",
            key="best",
            wanted="scores that come closer to it",
            got=best,
            advice=_PERFECTION,
        )


def _checks(losses):
    replicates, sizes = losses.shape
    return (
        least_check("sizes", sizes, LEAST_SIZES),
        least_check("replicates", replicates, LEAST_REPLICATES),
        varies_check("score", losses),
    )


def _question(target):
    return Question(
        claim=f"Trained on so much data, the model reaches a score of {target:.3g}.",
        quantity="score of the trained model",
        target=f"score {target:.3g}",
        counted="measurements",
        reading="{number} {counted} in all",
    )


def _agree(scores):
    """Tell whether replicates have one and the same score, as training sets that are all of a pilot do."""
    return len(scores) > 1 and np.ptp(scores) <= _SAME * np.abs(scores).max()


def _seen(sizes, losses, pilot, common_sd) -> Seen:
    """Return mean losses with the covariance of what they would be over other pilots."""
    replicates = len(losses)
    share = np.zeros(len(sizes)) if pilot is None else sizes / pilot
    variance = _variances(sizes, losses, share)
    scatter = np.sqrt(variance)
    if pilot is None:
        covariance = np.outer(scatter, scatter) * _correlation(losses) / replicates
    else:
        covariance = np.outer(scatter * np.sqrt(share), scatter * np.sqrt(share))
        covariance += np.diag(variance * (1 - share) / replicates)
    covariance += common_sd**2 + np.diag(1e-9 * variance)
    return Seen(sizes, losses.mean(0), covariance, (replicates - 1) * len(sizes) / 2)


def _variances(sizes, losses, share):
    """Return the variance of one training set's score, log-linear in log k over the sizes.

    Subsets of size k of a pilot of N scatter less, by (1 - k / N); near N they say nothing of it. The log of
    a variance seen with f degrees of freedom is too low by log(f / 2) - digamma(f / 2) on average.
    """
    told, half = share < _MOST_OF_PILOT, (len(losses) - 1) / 2
    short = math.log(half) - special.digamma(half)
    seen = losses.var(axis=0, ddof=1)[told] / (1 - share[told]) * math.exp(short)
    seen = np.maximum(seen, 1e-6 * losses.mean(axis=0)[told] ** 2 / len(losses))
    x = np.log(sizes) - np.log(sizes[told]).mean()
    slope = np.sum(x[told] * np.log(seen)) / max(np.sum(x[told] ** 2), 1e-12) if told.sum() > 1 else -1.0
    level = np.log(seen.mean()) if told.sum() == 1 else np.mean(np.log(seen))
    return np.exp(level + np.clip(slope, -3.0, 0.0) * x)


def _correlation(losses):
    """Return one correlation between any two sizes within a replicate.

    What all sizes share does not matter for how the curve goes on, what they do not share does; so of the
    correlations that the replicates allow a low one is taken, one standard error (Fisher's z) below.
    """
    replicates, k = losses.shape
    standard = losses - losses.mean(0)
    standard = standard / np.maximum(standard.std(0), 1e-300)
    mean = (np.sum(np.mean(standard.T @ standard / len(losses), axis=0)) * k - k) / (k * (k - 1))
    error = math.sqrt(2 / (max(replicates - 3, 1) * k * (k - 1)))
    rho = max(math.tanh(math.atanh(float(np.clip(mean, -0.95, 0.95))) - error), 0.0)
    return np.full((k, k), rho) + (1 - rho) * np.eye(k)


def _answer(question, seen, wanted, best, target, assurance, checks) -> Requirement:
    curves, families = fit(seen)
    needed = curves.needed(wanted)
    needed = np.where(needed > NEVER, np.inf, needed)
    largest = float(seen.sizes[-1])
    side = 1.0 if target > best else -1.0
    planned = quantiles_of(needed, (assurance,))[assurance]
    never = float(np.mean(np.isinf(needed)))
    shape = (_fits(families, seen), _reach(planned, families, seen))
    levels_off = float(np.mean(curves.floor >= wanted))
    verdict = "FLOOR" if levels_off >= 0.5 else "MET" if planned <= largest else _trusted(shape)
    floor = best + side * float(np.median(curves.floor))
    lines = _assumptions(verdict, levels_off, planned, largest)
    return Requirement(
        verdict=verdict,
        number=math.ceil(planned) if math.isfinite(planned) else None,
        question=question,
        quantiles=quantiles_of(needed),
        probability_never=never,
        bound=best + side * float(seen.mean[-1]),
        floor=floor,
        forecast=_paths(curves, seen, needed, best, side, target),
        assumptions=lines,
        checks=(*checks, *shape),
        stopping=(
            "after each round hand in the scores at the new sizes as well and forecast anew; "
            "keep the earlier forecasts in the record"
        ),
    )


def _assumptions(verdict, levels_off, planned, largest):
    reach = (
        f"the size planned with is {planned / largest:.3g} times {largest:g}, the largest size seen; "
        f"how the curve may bend beyond {largest:g} these scores cannot tell"
    )
    lines = (
        *((reach,) if largest < planned < math.inf else ()),
        "the curve goes on as one of the laws tried, with or without a floor: power laws, shifted, broken or "
        "cut off; stretched exponentials; inverse logarithms; its pace changes by a third or so, not by a "
        "multiple",
        "new data are of the kind that the scores come from",
    )
    first = {
        "FLOOR": (f"floor: with probability {levels_off:.0%} the curve levels off before the target",),
        "EXTRAPOLATION": ("the size lies beyond what the scores tell of; the number rests on the laws",),
    }
    return (*first.get(verdict, ()), *lines)


def _trusted(checks):
    return "FORECAST" if all(check.passed for check in checks) else "EXTRAPOLATION"


def _fits(families: tuple[Family, ...], seen: Seen) -> Check:
    """Check that some law with fewer numbers than sizes explains the scores."""
    likely = max(family.likely(seen) for family in families if family.spare)
    return Check(
        "probability of scores so far off, of the law that fits them best",
        likely,
        f">= {UNLIKELY:g}",
        likely >= UNLIKELY,
        "no law explains these scores; collect a round and forecast anew",
    )


def _reach(planned: float, families: tuple[Family, ...], seen: Seen) -> Check:
    """Check that no large change of pace is likely as far as the size planned with.

    A curve that bends keeps changing: it is carried half as far as the last step between sizes.
    """
    factor = planned / seen.sizes[-1]
    if bends(families, seen):
        most = math.sqrt(seen.sizes[-1] / seen.sizes[-2])
        name, value = "size planned with, over the largest size seen; the curve bends", factor
        wanted, passed = f"<= {most:.3g}", factor <= most
    else:
        octaves = math.log2(seen.sizes[-1] / seen.sizes[0])
        value = lasting(math.log2(max(factor, 1.0)), octaves) if math.isfinite(factor) else 0.0
        name = f"probability of no large change of pace over the largest size seen, to {factor:.3g} times it"
        wanted, passed = f">= {_LASTING:g}", value >= _LASTING
    advice = "an extrapolation this far rests on the laws alone; collect a round and forecast anew"
    return Check(name, value, wanted, passed, advice)


def _paths(curves: Ensemble, seen: Seen, needed, best, side, target) -> xr.Dataset:
    finite = needed[np.isfinite(needed)]
    far = max(float(np.quantile(finite, 0.95)) if finite.size else 0.0, 4 * seen.sizes[-1])
    n = np.unique(np.geomspace(seen.sizes[0], min(far, 100 * seen.sizes[-1]), 25).round())
    picks = np.linspace(0, len(curves.floor) - 1, SHOWN).round().astype(int)
    values = best + side * curves.losses(n)[picks]
    return xr.Dataset(
        {
            "needed": ("replicate", needed[picks], {"units": "1", "long_name": "size needed; inf if never"}),
            "width": (("replicate", "n"), values, {"units": "1", "long_name": "score"}),
        },
        {"n": ("n", n, {"units": "1", "long_name": "size of the data"})},
        {"target": target, "present": best + side * float(seen.mean[-1]), "scale": "linear"},
    )


def _with_credit(both: Requirement, alone: Requirement) -> Requirement:
    """Set the answers with and without synthetic data side by side."""
    pairs = np.array([alone.forecast["needed"].values, both.forecast["needed"].values])
    known = np.isfinite(pairs).all(axis=0)
    saved = np.sort(np.subtract(*np.where(known, pairs, 0.0)))
    low, middle, high = (float(np.quantile(saved, level)) for level in (0.05, 0.5, 0.95))
    credit = Credit(
        method="learning curves with and without the synthetic data",
        equivalents=middle,
        interval=(low, high),
        ceiling=math.inf,
        number_without=alone.number,
        bound_without=alone.bound,
        refused="" if middle > 0 else "with the synthetic data the target takes as much real data or more",
    )
    if credit.refused:
        return replace(alone, verdict="CREDIT_REFUSED", credit=credit)
    return replace(both, credit=credit)

"""Does what `physsynth.require` says of synthetic data hold? Simulated truth, table by table.

    python experiments/benchmarks/require_synthetic.py [--only TABLE ...]

credit: 1000 real tests with simulated twins, 50,000 further simulations; the simulator's failure rate is
`bias` times the real one. Over 4000 replications: how often credit is given, how often the 95 % bound with
credit then covers the true rate, how much lower it is, and beside it the usual prediction-powered interval
and a power prior that takes simulation at its word.

few: the same with 0.3, 0.5 and 1 times as many further simulations as real tests.

elsewhere: the same off that grid, for tests drawn at random: rates of 0.001 to 0.2, biases of 0.2 to 3, 60 to
10,000 real tests, 0.3 to 1000 times as many simulations, twins that agree not at all to almost always,
confidence of 0.8 to 0.99. Beside the bound where credit is given, the one that is stated, with credit or not.

per_mile: the same for failures that come at a rate, 50, 10 and 2 expected in the real exposure, of which
simulation reproduces four in five where it fails as often; 50 times that exposure is simulated besides.

worth: how often the 90 % interval of the real-equivalents covers s^2 / (b^2 + s_z^2 / m). statistics: the
same for a median, a 90 % quantile, a slope, one whose noise grows, a share and a standard deviation. trained:
the same for least squares trained on a synthetic set, at four true worths; classifier: for a logistic
regression, its true worth read from the mean risk of models trained on many fresh sets, and the ceiling, too,
of 150 synthetic rows beside those of 20,000.

curve: mean distance to the nearest of n points on the unit torus, 1 / (2 sqrt(n)), scored at 15, 30, 60 and
120 points of one pilot of 120; how often the 90 % interval of the size covers 345, and how often that of a
bootstrap of the subsamples does. laws: independent scores at these sizes, ten of each, under nine laws and
three scatters. changes: the same under power laws drawn at random, exponents of 0.3 to 0.8, which from 1 to 4
times the largest size on have an exponent up to twice as large, or as small; the target lies 1.2 to 5 times
as far as the largest size, each even on the log scale.

Seeds differ from those that anything here was chosen with.

It prints, and writes next to this file under results/require_synthetic.json.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

import physsynth
from physsynth.require import (
    ControlVariate,
    PowerPrior,
    PredictionPowered,
    Trained,
    learning_curve,
    worth,
)
from physsynth.require.borrow import Comparison
from physsynth.require.pairs import WINDOWS, Pairs, Simulations

RESULTS = Path(__file__).parent / "results"
RATES, BIASES, REPLICATIONS, CONFIDENCE = (0.05, 0.01, 0.002), (1.0, 0.7, 0.4), 4000, 0.95
ELSEWHERE, CONFIDENCES, AGREEMENTS = 160, (0.8, 0.9, 0.95, 0.99), (-0.3, 0.0, 0.5, 0.8, 0.95, 0.99, 0.999)
OTHER_BIASES = (0.2, 0.4, 0.55, 0.7, 0.85, 0.95, 1.0, 1.05, 1.15, 1.3, 1.6, 2.0, 3.0)
METHODS = (ControlVariate(), PredictionPowered(), PowerPrior())


class Tests(NamedTuple):
    """True rate and bias, numbers of real tests and simulations, agreement of twins, and the confidence."""

    rate: float
    bias: float
    trials: int = 1000
    simulated: int = 50_000
    agreement: float = 0.95
    confidence: float = 0.95

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Tests:
        """Draw tests at random, with 2 to 300 real failures expected."""
        while True:
            rate, trials = _log_uniform(rng, 0.001, 0.2), round(_log_uniform(rng, 60, 10_000))
            bias, more = rng.choice(OTHER_BIASES), round(trials * _log_uniform(rng, 0.3, 1000))
            agreement, confidence = rng.choice(AGREEMENTS), rng.choice(CONFIDENCES)
            if 2 < rate * trials < 300 and rate * bias < 0.5:
                return cls(rate, float(bias), trials, more, float(agreement), float(confidence))

    def outcomes(self, rng: np.random.Generator, replications: int) -> tuple[Pairs, Simulations]:
        """Real and simulated failures as two correlated normals below their thresholds."""
        rate, share = self.rate, self.bias * self.rate
        law: Any = stats.multivariate_normal
        covariance = [[1, self.agreement], [self.agreement, 1]]
        both = float(law.cdf(stats.norm.ppf([rate, share]), cov=covariance))
        chances = np.maximum([both, rate - both, share - both, 1 - rate - share + both], 0.0)
        cells = rng.multinomial(self.trials, chances / chances.sum(), size=replications).T.astype(float)
        seen = rng.binomial(self.simulated, share, size=replications).astype(float)
        return Pairs(*cells), Simulations(seen, np.full(replications, float(self.simulated)))


def _log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


class _Nothing:
    """What tells without a bound where credit may be given at all."""

    name = "nothing"

    def bound(self, pairs, simulated, confidence):
        return np.ones_like(pairs.both)

    def equivalents(self, pairs, simulated, confidence):
        return np.ones_like(pairs.both)


def _shares(method, pairs: Pairs, simulated: Simulations, tests: Tests) -> dict:
    """Return how often credit is given, how often the bound then covers, and what it is worth.

    Bounds are computed where the failures in hand allow credit.
    """
    cheap = Comparison.of(_Nothing(), pairs, simulated, tests.confidence)
    maybe, rate = cheap.enough & cheap.related & cheap.alike, tests.rate
    given, bound, equivalents = np.zeros(maybe.shape, bool), cheap.without.copy(), np.zeros(maybe.shape)
    if maybe.any():
        some_pairs = Pairs(*np.asarray(pairs)[:, maybe])
        some_simulated = Simulations(*np.asarray(simulated)[:, maybe])
        compared = Comparison.of(method, some_pairs, some_simulated, tests.confidence)
        given[maybe], bound[maybe], equivalents[maybe] = compared.given, compared.bound, compared.equivalents
    stated = np.where(given, bound, cheap.without)
    return {
        "credit given": float(given.mean()),
        "coverage where given": float(np.mean(bound[given] >= rate)) if given.any() else None,
        "bound over the one without": float(np.median((bound / cheap.without)[given]))
        if given.any()
        else None,
        "real tests saved": float(np.median(equivalents[given])) if given.any() else None,
        "coverage of what is stated": float(np.mean(stated >= rate)),
    }


def credit() -> Iterator[dict]:
    """Coverage of bounds with credit, where it is given."""
    rng = np.random.default_rng(140)
    for rate in RATES:
        for bias in BIASES:
            pairs, simulated = Tests(rate, bias).outcomes(rng, REPLICATIONS)
            for method in METHODS:
                shares = _shares(method, pairs, simulated, Tests(rate, bias))
                yield {"rate": rate, "bias": bias, "method": method.name, **shares}
            yield {
                "rate": rate,
                "bias": bias,
                "method": "peers",
                "normal prediction-powered, 90 %": float(np.mean(_usual(pairs, simulated, rate))),
                "simulation at its word, 95 %": float(np.mean(_pooled(pairs, simulated) >= rate)),
            }


def few() -> Iterator[dict]:
    """The same with hardly more simulations than real tests."""
    rng = np.random.default_rng(144)
    for simulated, rate, bias in product((300, 500, 1000), RATES, BIASES):
        pairs, simulations = Tests(rate, bias, simulated=simulated).outcomes(rng, REPLICATIONS)
        for method in METHODS:
            shares = _shares(method, pairs, simulations, Tests(rate, bias))
            yield {"simulated": simulated, "rate": rate, "bias": bias, "method": method.name, **shares}


def elsewhere() -> Iterator[dict]:
    """The same for tests drawn at random."""
    draws, rng = np.random.default_rng(141), np.random.default_rng(142)
    for _ in range(ELSEWHERE):
        tests = Tests.drawn(draws)
        pairs, simulated = tests.outcomes(rng, REPLICATIONS)
        for method in METHODS:
            yield {**tests._asdict(), "method": method.name, **_shares(method, pairs, simulated, tests)}


def per_mile() -> Iterator[dict]:
    """Coverage of bounds with credit for failures that come at a rate; 1 mile run and simulated again."""
    rng = np.random.default_rng(143)
    for expected in (50, 10, 2):
        for bias in BIASES:
            both = 0.8 * min(bias, 1.0) * expected
            means = np.array([[both, expected - both, bias * expected - both]]).T
            caught, missed, cried = rng.poisson(means, (3, REPLICATIONS)).astype(float)
            pairs = Pairs(caught, missed, cried, WINDOWS - caught - missed - cried)
            seen = rng.poisson(50 * bias * expected, REPLICATIONS).astype(float)
            simulated = Simulations(seen, np.full(REPLICATIONS, 50 * WINDOWS))
            for method in METHODS:
                shares = _shares(method, pairs, simulated, Tests(expected / WINDOWS, bias))
                saved = shares.pop("real tests saved")
                shares["real exposure saved"] = None if saved is None else saved / WINDOWS
                yield {"expected failures": expected, "bias": bias, "method": method.name, **shares}


def _usual(pairs, simulated, rate):
    """Tell where the two-sided normal 90 % interval of the prediction-powered estimate covers."""
    share = simulated.failures / simulated.trials
    n = pairs.trials
    rectifier = (pairs.real_only - pairs.simulated_only) / n
    scatter = (pairs.real_only + pairs.simulated_only) / n - rectifier**2
    error = np.sqrt(scatter / n + share * (1 - share) / simulated.trials)
    return np.abs(share + rectifier - rate) <= stats.norm.ppf(0.95) * error


def _pooled(pairs, simulated):
    """Return the bound that counts every simulated trial as a real one."""
    failed = pairs.failures + simulated.failures
    return special.betaincinv(1 + failed, pairs.trials + simulated.trials - failed, CONFIDENCE)


def of_worth() -> Iterator[dict]:
    """Coverage of the real-equivalents of a mean, on other seeds than the intervals were made with."""
    rng = np.random.default_rng(34)
    for bias, sd, n, m in [
        (0.2, 1.2, 50, 2000),
        (0.5, 1.0, 30, 300),
        (0.1, 1.0, 400, 10_000),
        (0, 1, 50, 500),
    ]:
        truth = 1 / (bias**2 + sd**2 / m)
        needs = [worth(rng.normal(size=n), rng.normal(bias, sd, m)) for _ in range(1000)]
        inside = [need.quantiles[0.05] <= truth <= need.quantiles[0.95] for need in needs]
        yield {"bias": bias, "sd": sd, "real": n, "synthetic": m, "worth": truth, "coverage": np.mean(inside)}


def _line(rng, n, slope):
    x = rng.normal(size=n)
    return np.column_stack([x, slope * x + rng.normal(size=n)])


def _fan(rng, n, slope):
    x = rng.exponential(size=n)
    return np.column_stack([x, slope * x + x * rng.normal(size=n)])


def _slope(sample):
    x, y = (sample - sample.mean(0)).T
    return float(x @ y / (x @ x))


def _through_origin(sample):
    x, y = sample.T
    return float(x @ y / (x @ x))


def _shifted(rng, n, bias):
    return rng.normal(bias, 1.0, n)


def _failed(rng, n, bias):
    return (rng.random(n) < 0.1 + bias).astype(float)


def _scaled(rng, n, bias):
    return (2 + bias) / 2 * rng.gamma(4.0, size=n)


class Kind(NamedTuple):
    """A statistic, what draws (generator, number, bias) to take it of, its s^2, and s_z^2 from the bias."""

    name: str
    function: Callable[[np.ndarray], float]
    draw: Callable[[np.random.Generator, int, float], np.ndarray]
    spread: float
    scatter: Callable[[float], float]


NORMAL_90 = 0.09 / float(stats.norm.pdf(stats.norm.ppf(0.9))) ** 2
# The sd of a gamma of shape 4, whose kurtosis is 4.5: s^2 = (4.5 - 1) 4 / 4.
KINDS = (
    Kind("median", lambda x: float(np.median(x)), _shifted, math.pi / 2, lambda b: math.pi / 2),
    Kind("90 % quantile", lambda x: float(np.quantile(x, 0.9)), _shifted, NORMAL_90, lambda b: NORMAL_90),
    Kind("slope", _slope, lambda rng, n, b: _line(rng, n, 1 + b), 1.0, lambda b: 1.0),
    Kind("slope, growing noise", _through_origin, lambda rng, n, b: _fan(rng, n, 1 + b), 6.0, lambda b: 6.0),
    Kind("share", lambda x: float(np.mean(x)), _failed, 0.09, lambda b: (0.1 + b) * (0.9 - b)),
    Kind("sd of a gamma", lambda x: float(np.std(x)), _scaled, 3.5, lambda b: 3.5 * (1 + b / 2) ** 2),
)


def statistics() -> Iterator[dict]:
    """Coverage of the real-equivalents for other statistics than the mean, biased by two standard errors."""
    for place, kind in enumerate(KINDS):
        for real, synthetic in ((60, 1000), (300, 3000)):
            rng, bias = np.random.default_rng([33, place, real]), 2 * math.sqrt(kind.spread / real)
            truth = kind.spread / (bias**2 + kind.scatter(bias) / synthetic)
            samples = ((kind.draw(rng, real, 0.0), kind.draw(rng, synthetic, bias)) for _ in range(200))
            found = [worth(*pair, kind.function).quantiles for pair in samples]
            low, middle, high = (np.array([q[level] for q in found]) for level in (0.05, 0.5, 0.95))
            yield {
                "statistic": kind.name,
                "real": real,
                "synthetic": synthetic,
                "worth": truth,
                "coverage": float(np.mean((low <= truth) & (high >= truth))),
                "missed below": float(np.mean(high < truth)),
                "missed above": float(np.mean(low > truth)),
                "median of the medians over the truth": float(np.median(middle) / truth),
            }


PREDICTORS, REAL, FITTED = 5, 200, 4000
YARDSTICK = Trained(
    lambda sample: np.linalg.lstsq(sample[:, :PREDICTORS], sample[:, PREDICTORS], rcond=None)[0],
    lambda slopes, sample: (sample[:, PREDICTORS] - sample[:, :PREDICTORS] @ slopes) ** 2,
    sizes=(8, 12, 18, 27, 40, 60, 90, 135),
    repeats=2,
)


def trained() -> Iterator[dict]:
    """Coverage of the real-equivalents of a training set for least squares, at four true worths.

    Trained on k rows it has the excess risk p / (k - p - 1).
    """
    for worth_of in (15, 30, 60, 100):
        rng, inside, middles = np.random.default_rng([76, worth_of]), [], []
        for _ in range(200):
            error = rng.normal(size=PREDICTORS)
            error *= math.sqrt(PREDICTORS / (worth_of - PREDICTORS - 1)) / np.linalg.norm(error)
            synthetic = _rows(rng, FITTED, 1 + error)
            excess = np.sum((YARDSTICK.fit(synthetic) - 1) ** 2)
            truth = PREDICTORS + 1 + PREDICTORS / excess
            q = worth(_rows(rng, REAL, np.ones(PREDICTORS)), synthetic, YARDSTICK).quantiles
            inside.append(q[0.05] <= truth <= q[0.95])
            middles.append(q[0.5] / truth)
        yield {
            "worth": worth_of,
            "coverage": float(np.mean(inside)),
            "median of the medians over the truth": float(np.median(middles)),
        }


def _rows(rng, n, slopes):
    x = rng.normal(size=(n, PREDICTORS))
    return np.column_stack([x, x @ slopes + rng.normal(size=n)])


SLOPES = np.array([1.0, -0.7, 0.5, 0.0])
TRIED = (12, 18, 27, 40, 60, 90, 135, 200)


def _classified(rng, n, slopes):
    x = rng.normal(size=(n, len(slopes)))
    return np.column_stack([x, rng.random(n) < special.expit(x @ slopes)])


def _logistic(sample):
    """Fit logistic regression with a weak penalty by Newton's steps."""
    x, y = sample[:, :-1], sample[:, -1]
    slopes = np.zeros(x.shape[1])
    for _ in range(8):
        chance = special.expit(x @ slopes)
        matrix = (x * (chance * (1 - chance))[:, None]).T @ x + np.eye(len(slopes))
        slopes = slopes + np.linalg.solve(matrix, x.T @ (y - chance) - slopes)
    return slopes


def _surprise(slopes, sample):
    """Return minus the log probability given to each outcome."""
    return np.logaddexp(0.0, -(2 * sample[:, -1] - 1) * (sample[:, :-1] @ slopes))


CLASSIFIER = Trained(_logistic, _surprise, sizes=TRIED, repeats=2)


def _true_risks(rng):
    """Return risks on a large set, and the mean risk of models trained on each size, over 1500 sets."""
    exam = _classified(rng, 20_000, SLOPES)[:, :-1]
    chance = special.expit(exam @ SLOPES)

    def risk(slopes):
        score = exam @ slopes
        return float(np.mean(np.logaddexp(0.0, score) - chance * score))

    means = [np.mean([risk(_logistic(_classified(rng, k, SLOPES))) for _ in range(1500)]) for k in TRIED]
    return risk, np.array(means)


def classifier() -> Iterator[dict]:
    """Coverage of the real-equivalents of a training set for logistic regression, and its ceiling."""
    risk, means = _true_risks(np.random.default_rng(77))

    def worth_of(slopes):
        return float(np.exp(np.interp(-risk(slopes), -means, np.log(TRIED))))

    for bias in (0.6, 0.45, 0.35):
        shifted = SLOPES + bias * np.array([1.0, 1.0, -1.0, 1.0]) / 2
        best = worth_of(_logistic(_classified(np.random.default_rng(78), 400_000, shifted)))
        for synthetic in (150, 20_000):
            rng, rows = np.random.default_rng([79, int(100 * bias), synthetic]), []
            for _ in range(200):
                made = _classified(rng, synthetic, shifted)
                need = worth(_classified(rng, 300, SLOPES), made, CLASSIFIER)
                q, truth = need.quantiles, worth_of(_logistic(made))
                rows.append([q[0.05] <= truth <= q[0.95], q[0.5] / truth, (need.floor or 0.0) / best, truth])
            inside, middle, ceiling, truth = np.array(rows).T
            yield {
                "bias of the slopes": bias,
                "synthetic": synthetic,
                "worth, median": float(np.median(truth)),
                "coverage": float(inside.mean()),
                "median of the medians over the truth": float(np.median(middle)),
                "ceiling": best,
                "median of the ceilings over the truth": float(np.median(ceiling)),
            }


PILOT, TRUTH, CURVE_SEED = 120, 345, 73
SIZES = np.array([15, 30, 60, 120])


def nearest_distances(rng, replicates=20, tests=400) -> np.ndarray:
    """Return mean distances to the nearest of k points of one pilot, a row a replicate."""
    pilot, places = rng.random((PILOT, 2)), rng.random((tests, 2))
    apart = np.abs(pilot[:, None] - places)
    distance = np.sqrt((np.minimum(apart, 1 - apart) ** 2).sum(-1))
    orders = [rng.permutation(PILOT) for _ in range(replicates)]
    return np.array([[distance[order[:k]].min(0).mean() for k in SIZES] for order in orders])


def curve() -> Iterator[dict]:
    """Coverage of the size that meets a target, on one pilot."""
    rng, target, rows = np.random.default_rng(CURVE_SEED), 0.5 / math.sqrt(TRUTH), []
    for _ in range(400):
        scores = nearest_distances(rng)
        need = learning_curve(SIZES, scores, target, pilot=PILOT)
        low, high = _bootstrap(rng, scores, target)
        found = [need.quantiles[q] for q in (0.05, 0.5, 0.95)]
        rows.append([*found, low <= TRUTH <= high, need.verdict == "FORECAST"])
    low, middle, high, bootstrap, trusted = np.array(rows, float).T
    yield {
        "pilot": PILOT,
        "truth": TRUTH,
        "coverage of 90 %": float(np.mean((low <= TRUTH) & (high >= TRUTH))),
        "missed below": float(np.mean(high < TRUTH)),
        "missed above": float(np.mean(low > TRUTH)),
        "median ratio of the ends": float(np.median(high / low)),
        "median of the medians": float(np.median(middle)),
        "coverage of a subsample bootstrap": float(bootstrap.mean()),
        "verdict FORECAST": float(trusted.mean()),
    }


def two_regimes(n):
    """A power law that steepens once 60 are seen."""
    return 3 / (n**0.2 * (1 + (n / 60) ** 2) ** 0.2)


def late_break(n):
    """A power law that steepens at 200, beyond all sizes seen."""
    return 3 / (n**0.4 * (1 + (n / 200) ** 4) ** 0.15)


def late_slowdown(n):
    """A power law that flattens at 200."""
    return 3 / (n**0.6 * (1 + (n / 200) ** 4) ** -0.075)


def late_bend(n):
    """A power law that steepens at 300."""
    return 3 / (n**0.5 * (1 + (n / 300) ** 4) ** 0.1)


LAWS = {
    "power law": lambda n: 3 * n**-0.5,
    "power law and floor": lambda n: 0.1 + 3 * n**-0.8,
    "exponential": lambda n: 0.2 + np.exp(-((n / 40) ** 0.8)),
    "two regimes": two_regimes,
    "two powers": lambda n: 2 * n**-0.9 + 0.6 * n**-0.15,
    "sigmoid": lambda n: 0.1 + 1 / (1 + (n / 80) ** 1.5),
    "late break": late_break,
    "late slowdown": late_slowdown,
    "late bend": late_bend,
}
SCATTERS = (0.001, 0.01, 0.04)


def laws(seed: int = 72, replications: int = 100) -> Iterator[dict]:
    """Coverage for independent scores under several laws and scatters, and how often it is a forecast.

    The last six laws are in no family, the last three of them change beyond all sizes seen.
    """
    for place, (name, law) in enumerate(LAWS.items()):
        for scatter in SCATTERS:
            rng, rows, said = np.random.default_rng([seed, place, int(1000 * scatter)]), [], []
            for _ in range(replications):
                scores = law(SIZES.astype(float)) * (1 + scatter * rng.normal(size=(10, len(SIZES))))
                need = learning_curve(SIZES, scores, float(law(float(TRUTH))))
                rows.append([need.quantiles[level] for level in (0.05, 0.5, 0.95)])
                said.append(need.verdict == "FORECAST")
            low, middle, high = np.array(rows).T
            inside, trusted = (low <= TRUTH) & (high >= TRUTH), np.array(said)
            yield {
                "law": name,
                "scatter": scatter,
                "coverage of 90 %": float(np.mean(inside)),
                "missed below": float(np.mean(high < TRUTH)),
                "missed above": float(np.mean(low > TRUTH)),
                "verdict FORECAST": float(trusted.mean()),
                "missed and yet FORECAST": float(np.mean(~inside & trusted)),
                "median ratio of the ends": float(np.median(np.where(np.isfinite(low), high / low, np.inf))),
                "median of the medians": float(np.median(middle)),
            }


def changes(seed: int = 74, replications: int = 300) -> Iterator[dict]:
    """Coverage, all told and where it is called a forecast, for power laws whose exponent changes unseen."""
    for scatter in (0.01, 0.04):
        rng, rows = np.random.default_rng([seed, int(1000 * scatter)]), []
        for _ in range(replications):
            exponent, turn = rng.uniform(0.3, 0.8), PILOT * _log_uniform(rng, 1, 4)
            later, truth = exponent * _log_uniform(rng, 0.5, 2), PILOT * _log_uniform(rng, 1.2, 5)
            scores = 3 * SIZES**-exponent * (1 + scatter * rng.normal(size=(10, len(SIZES))))
            target = 3 * min(truth, turn) ** -exponent * max(truth / turn, 1.0) ** -later
            need = learning_curve(SIZES, scores, target)
            low, high = need.quantiles[0.05], need.quantiles[0.95]
            rows.append([low <= truth <= high, need.verdict == "FORECAST", high / low])
        inside, trusted = np.array(rows)[:, :2].astype(bool).T
        yield {
            "scatter": scatter,
            "replications": replications,
            "coverage of 90 %": float(np.mean(inside)),
            "verdict FORECAST": float(np.mean(trusted)),
            "coverage of 90 % where FORECAST": float(np.mean(inside[trusted])),
            "median ratio of the ends where FORECAST": float(np.median(np.array(rows)[trusted, 2])),
        }


def _bootstrap(rng, scores, target):
    """Return the usual interval: resample the subsamples, fit a power law to each, 5 to 95 %."""
    picks = rng.integers(len(scores), size=(200, len(scores)))
    logs = np.log(scores[picks].mean(axis=1))
    slope, level = np.polyfit(np.log(SIZES), logs.T, 1)
    return np.quantile(np.exp((math.log(target) - level) / slope), [0.05, 0.95])


TABLES: dict[str, Callable[[], Iterator[dict]]] = {
    "credit": credit,
    "few": few,
    "elsewhere": elsewhere,
    "per_mile": per_mile,
    "worth": of_worth,
    "statistics": statistics,
    "trained": trained,
    "classifier": classifier,
    "curve": curve,
    "laws": laws,
    "changes": changes,
}


def main():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--only", nargs="*", default=list(TABLES), choices=list(TABLES))
    found = {}
    for name in parser.parse_args().only:
        start, found[name] = time.process_time(), []
        for row in TABLES[name]():
            found[name].append(row)
            print("  ".join(f"{key} {_short(value)}" for key, value in row.items()), flush=True)
        print(f"{name}: {time.process_time() - start:.0f} CPU seconds")
    path = RESULTS / "require_synthetic.json"
    versions = {"physsynth": physsynth.__version__, "python": platform.python_version()}
    known = json.loads(path.read_text())["tables"] if path.exists() else {}
    path.write_text(json.dumps({"versions": versions, "tables": known | found}, indent=1) + "\n")
    print("wrote", path)


def _short(value):
    return f"{value:.3g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()

"""The monitor keeps its promise at every look; peeking at exact bounds does not."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from physsynth.core.errors import ParameterError
from physsynth.require import Binomial, Poisson, demonstration, monitor
from physsynth.require.monitor import MIXTURE, log_evidence

RATE, LOOKS, RUNS = 0.05, 2000, 2000


@pytest.fixture(scope="module")
def tests_at_the_rate():
    """Failures seen so far in trials whose true rate is just the one to be demonstrated."""
    failed = np.random.default_rng(0).random((RUNS, LOOKS)) < RATE
    return np.cumsum(failed, axis=1), np.arange(1, LOOKS + 1)


def test_false_demonstrations_over_2000_looks(tests_at_the_rate):
    """At most 5 %; three standard errors of a share of 2,000 runs are 1.5 %."""
    failures, trials = tests_at_the_rate
    crossed = (log_evidence(Binomial(), RATE, failures, trials) >= math.log(20)).any(axis=1)
    assert crossed.mean() <= 0.05 + 0.015


def test_peeking_at_clopper_and_pearson_breaks_the_promise(tests_at_the_rate):
    """The exact bound at each of 2,000 looks is below the true rate at some time in over 15 % of runs."""
    failures, trials = tests_at_the_rate
    crossed = (stats.binom.cdf(failures, trials, RATE) <= 0.05).any(axis=1)
    assert crossed.mean() > 0.15


def test_false_demonstrations_of_a_poisson_rate():
    """Looks after every failure-free stretch, just before each failure: where the evidence peaks."""
    gaps = np.random.default_rng(1).exponential(1 / RATE, (RUNS, 200))
    exposure, failures = np.cumsum(gaps, axis=1), np.arange(200)
    crossed = (log_evidence(Poisson(), RATE, failures, exposure) >= math.log(20)).any(axis=1)
    assert crossed.mean() <= 0.05 + 0.015


@pytest.mark.parametrize(("kind", "n"), [(Binomial(), 40), (Poisson(), 40.0)])
def test_evidence_is_the_mixture_it_says(kind, n):
    def ratio(u):  # x = r u^(1 / a) turns the mixing density into a uniform one
        x = RATE * u ** (1 / MIXTURE)
        return math.exp(kind.log_likelihood(x, 1, n) - kind.log_likelihood(RATE, 1, n))

    mixture = integrate.quad(ratio, 0, 1)[0]
    assert log_evidence(kind, RATE, 1, n) == pytest.approx(math.log(mixture), abs=1e-8)


@pytest.mark.parametrize("model", ["binomial", "poisson"])
def test_number_is_where_the_bound_meets_the_rate(model):
    need = monitor(0.01, 0.95, failures=1, exposure=50, model=model)
    assert need.number is not None
    enough = 50 + need.number + (1e-6 if model == "poisson" else 0)
    met = monitor(0.01, 0.95, failures=1, exposure=enough, model=model)
    assert met.verdict == "MET"
    assert met.bound == pytest.approx(0.01, rel=2e-3)
    assert need.bound is not None
    assert need.bound > 0.01


def test_price_of_looking_is_shown():
    """A fixed test takes 299 trials; one that is watched takes about a quarter more."""
    need, fixed = monitor(0.01, 0.95), demonstration(0.01, 0.95)
    assert need.number is not None
    assert fixed.number is not None
    assert 1.1 < need.number / fixed.number < 1.4
    assert any("299" in line for line in need.assumptions)
    assert "all looks together" in need.statement()["stopping_rule"]


def test_nothing_seen_yet_bounds_nothing():
    assert monitor(0.01, 0.95).bound == 1.0
    assert monitor(0.01, 0.95, model="poisson").bound == math.inf
    with pytest.raises(ParameterError, match="positive"):
        monitor(0.0, 0.95)

"""Credit for simulation: what it saves, when it is refused, and that bounds with it keep their promise."""

import math

import numpy as np
import pytest
from scipy import stats

from physsynth.core.errors import ParameterError, UnknownNameError
from physsynth.require import ControlVariate, PartialBelief, PowerPrior, PredictionPowered, demonstration
from physsynth.require.borrow import Comparison
from physsynth.require.pairs import Pairs, Simulations

TRIALS, SIMULATED, REPLICATIONS = 1000, 50_000, 400
METHODS = (ControlVariate(), PredictionPowered(), PowerPrior())


def outcomes(rate, bias, rng, agreement=0.95):
    """Real and simulated failures as two correlated normals below their thresholds."""
    ends = stats.norm.ppf([rate, bias * rate])
    both = stats.multivariate_normal.cdf(ends, cov=[[1, agreement], [agreement, 1]])
    chances = [both, rate - both, bias * rate - both, 1 - rate - bias * rate + both]
    cells = rng.multinomial(TRIALS, chances, size=REPLICATIONS).T.astype(float)
    seen = rng.binomial(SIMULATED, bias * rate, size=REPLICATIONS).astype(float)
    return Pairs(*cells), Simulations(seen, np.full(REPLICATIONS, float(SIMULATED)))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize(("rate", "bias"), [(0.05, 1.0), (0.05, 0.4), (0.01, 0.7)])
def test_accepted_bounds_cover(method, rate, bias):
    """Of 400 replications at a nominal 0.95; three standard errors are 0.033."""
    pairs, simulated = outcomes(rate, bias, np.random.default_rng(0))
    compared = Comparison.of(method, pairs, simulated, 0.95)
    given = compared.given
    assert given.mean() > 0.3
    assert np.mean(compared.bound[given] >= rate) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / given.sum())


def test_hardly_any_real_failures_earn_no_credit():
    pairs, simulated = outcomes(0.002, 1.0, np.random.default_rng(0))
    compared = Comparison.of(ControlVariate(), pairs, simulated, 0.95)
    assert compared._replace(without=np.full(REPLICATIONS, 1.0)).given.mean() < 0.15


def _compared(method, trials):
    rng = np.random.default_rng(0)
    pairs, _ = outcomes(0.05, 1.0, rng, agreement=0.8)
    simulated = Simulations(rng.binomial(trials, 0.05, REPLICATIONS).astype(float), float(trials))
    return Comparison.of(method, pairs, simulated, 0.95)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("trials", [300, 50_000])
def test_bounds_cover_whether_credit_is_given_or_not(method, trials):
    """Of 400 replications at a nominal 0.95; three standard errors are 0.033."""
    compared = _compared(method, trials)
    stated = np.where(compared.given, compared.bound, compared.without)
    assert np.mean(stated >= 0.05) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / REPLICATIONS)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_credit_is_given_where_simulation_goes_with_reality(method):
    assert _compared(method, 50_000).given.mean() > 0.3


def test_so_few_simulations_that_they_would_raise_the_bound_earn_no_credit():
    """Luck left aside: with 300 simulations of 1000 tests they raise it, with 50,000 they lower it."""
    shares = []
    for trials in (300, 50_000):
        rng = np.random.default_rng(0)
        pairs, _ = outcomes(0.01, 1.0, rng)
        simulated = Simulations(rng.binomial(trials, 0.01, REPLICATIONS).astype(float), float(trials))
        shares.append(Comparison.of(ControlVariate(), pairs, simulated, 0.95).given.mean())
    assert shares[0] < 0.02
    assert shares[1] > 0.8


def test_credit_is_not_settled_by_luck():
    """Where it is given, the bound with simulation is the higher one nearly as often as the lower one."""
    rng = np.random.default_rng(0)
    pairs, _ = outcomes(0.05, 1.0, rng)
    simulated = Simulations(rng.binomial(500, 0.05, REPLICATIONS).astype(float), 500.0)
    compared = Comparison.of(ControlVariate(), pairs, simulated, 0.95)
    assert compared.given.mean() > 0.5
    assert 0.3 < np.mean((compared.bound > compared.without)[compared.given]) < 0.6


def test_bounds_of_a_high_confidence_cover():
    """At a nominal 0.99, many tests; three standard errors of 400 are 0.015."""
    rng, rate = np.random.default_rng(2), 0.06
    both = [0.02, 0.04, 0.05, 0.89]
    cells = rng.multinomial(4000, both, size=REPLICATIONS).T.astype(float)
    simulated = Simulations(rng.binomial(23_000, 0.07, REPLICATIONS).astype(float), 23_000.0)
    bound = ControlVariate().bound(Pairs(*cells), simulated, 0.99)
    assert np.mean(bound >= rate) >= 0.99 - 3 * math.sqrt(0.99 * 0.01 / REPLICATIONS)


def test_simulation_that_tells_nothing_earns_no_credit_by_luck():
    """Outcomes that have nothing to do with each other look so in all but one case of a thousand."""
    pairs, simulated = outcomes(0.05, 1.0, np.random.default_rng(0), agreement=0.0)
    assert Comparison.of(ControlVariate(), pairs, simulated, 0.8).related.mean() < 0.01


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_a_power_prior_costs_a_hundredth_at_most(confidence):
    """Simulation that fails half as often; three standard errors are 0.06 and 0.015."""
    pairs, simulated = outcomes(0.1, 0.5, np.random.default_rng(1))
    bound = PowerPrior().bound(pairs, simulated, confidence)
    error = math.sqrt(confidence * (1 - confidence) / REPLICATIONS)
    assert np.mean(bound >= 0.1) >= confidence - 0.01 - 3 * error


GOOD = {"both": 18, "real_only": 2, "simulated_only": 4, "neither": 976}


@pytest.mark.parametrize("credit", ["control_variate", "prediction_powered", "power_prior"])
def test_number_without_credit_stands_beside(credit):
    """Clopper and Pearson at 20 of 1000: 0.0289."""
    need = demonstration(0.025, 0.95, paired=GOOD, simulated=(2200, 100_000), credit=credit)
    alone = demonstration(0.025, 0.95, failures=20, exposure=1000)
    assert need.verdict == "FORECAST"
    assert (need.credit.number_without, need.credit.bound_without) == (alone.number, alone.bound)
    assert alone.bound == pytest.approx(0.02893, abs=1e-5)
    assert (need.bound or 1) < (alone.bound or 0)
    assert (need.number or 0) <= (alone.number or 0)
    low, high = need.credit.interval
    assert low <= need.credit.equivalents <= min(high, need.credit.ceiling * (1 + 1e-9))
    lines = " ".join(need.statement()["credit"])
    assert "Without simulation" in lines
    assert "tips" in lines


def test_claim_tips_where_simulation_would_be_too_kind():
    """Simulation fails in 2.2 %; were its rate 0.73 of the real one or less, that would exceed 3 %."""
    need = demonstration(0.03, 0.95, paired=GOOD, simulated=(2200, 100_000))
    assert need.credit.bias == pytest.approx(0.022 / 0.02)
    assert need.credit.tipping == pytest.approx(0.022 / 0.03, rel=0.05)
    curve = need.statement()["figures"]["tipping"]["curve"]
    tipped = [row["bound"] > 0.03 for row in curve]
    assert tipped == [row["bias"] < need.credit.tipping for row in curve]


@pytest.mark.parametrize(
    ("cells", "simulated_failures", "rate", "reason"),
    [
        ((1, 0, 0, 100), 1000, 0.02, "real failures"),
        ((1, 19, 20, 960), 2000, 0.025, "by chance"),
        ((18, 2, 22, 958), 2000, 0.025, "unlike"),
        ((30, 0, 0, 970), 3000, 0.01, "tipping"),
    ],
)
def test_credit_is_refused(cells, simulated_failures, rate, reason):
    pairs = Pairs(*cells)._asdict()
    need = demonstration(rate, 0.95, paired=pairs, simulated=(simulated_failures, 100_000))
    assert need.verdict == "CREDIT_REFUSED"
    assert reason in need.credit.refused
    assert (need.number, need.bound) == (need.credit.number_without, need.credit.bound_without)
    assert need.failed


def test_outcomes_one_by_one_are_counted():
    rng = np.random.default_rng(0)
    real = rng.random(400) < 0.1
    table = np.column_stack([real, real ^ (rng.random(400) < 0.01)]).astype(int)
    one, other = (
        demonstration(0.15, 0.95, paired=paired, simulated=simulated)
        for paired, simulated in (
            (table, np.repeat([1, 0], [100, 900])),
            (Pairs.of(table)._asdict(), (100, 1000)),
        )
    )
    assert one.summary() == other.summary()


PER_MILE = {"both": 18, "real_only": 2, "simulated_only": 4, "exposure": 1e6}


@pytest.mark.parametrize("credit", ["control_variate", "prediction_powered", "power_prior"])
def test_failures_per_mile_earn_credit_as_trials_do(credit):
    """A mile as a million trials of a metre: where failures are rare the two are the same."""
    need = demonstration(2.6e-5, 0.95, paired=PER_MILE, simulated=(2200, 1e8), model="poisson", credit=credit)
    trials = {**PER_MILE, "neither": 10**9 - 24}
    del trials["exposure"]
    other = demonstration(2.6e-8, 0.95, paired=trials, simulated=(2200, 10**11), credit=credit)
    assert need.verdict == other.verdict
    assert need.bound == pytest.approx(1000 * (other.bound or 0), rel=1e-4)
    assert need.credit.equivalents == pytest.approx(other.credit.equivalents / 1000, rel=1e-3)
    # Garwood's upper bound of 20 failures at 95 %: 29.062
    assert need.credit.bound_without == pytest.approx(29.062e-6, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"simulated": None}, "simulated"),
        ({"paired": None}, "paired"),
        ({"exposure": 10}, "exposure"),
        ({"model": "poisson"}, "paired"),
        ({"model": "poisson", "paired": PER_MILE, "simulated": [0, 1]}, "simulated"),
        ({"belief": PartialBelief(0.001, 0.9)}, "belief"),
        ({"paired": {"both": 1}}, "paired"),
        ({"paired": dict.fromkeys(GOOD, 0)}, "paired"),
        ({"credit": PowerPrior}, "credit"),
        ({"paired": [(0, 2)]}, "paired"),
        ({"paired": [0, 1]}, "paired"),
        ({"simulated": (5, 2)}, "simulated"),
        ({"simulated": "many"}, "simulated"),
        ({"credit": 3}, "credit"),
    ],
)
def test_bad_input_is_named(change, key):
    with pytest.raises(ParameterError) as caught:
        demonstration(0.03, 0.95, **{"paired": GOOD, "simulated": (2200, 100_000), **change})
    assert caught.value.key == key


def test_unknown_method():
    with pytest.raises(UnknownNameError, match='did you mean "power_prior"'):
        demonstration(0.03, 0.95, paired=GOOD, simulated=(2200, 100_000), credit="power_piror")

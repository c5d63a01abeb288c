"""Demonstration tests against the published tables."""

import math

import pytest
from scipy import stats

from physsynth.core.errors import ParameterError, PhyssynthError, UnknownNameError
from physsynth.require import Binomial, Poisson, Prior, demonstration


def needed(*args, **kwargs) -> float:
    number = demonstration(*args, **kwargs).number
    assert number is not None
    return number


@pytest.mark.parametrize(
    ("reliability", "confidence", "trials"),
    [(0.99, 0.95, 299), (0.9, 0.9, 22), (0.95, 0.95, 59), (0.9, 0.95, 29)],
)
def test_success_run_table(reliability, confidence, trials):
    """n = ln(1 - C) / ln(R), rounded up."""
    need = demonstration(1 - reliability, confidence)
    assert need.number == trials
    assert trials == math.ceil(math.log(1 - confidence) / math.log(reliability))
    assert need.verdict == "FORECAST"


@pytest.mark.parametrize(
    ("per_hundred_million", "million_miles"),
    [(1.09, 275), (77, 3.9), (190, 1.6)],
    ids=["fatal", "injury", "crash"],
)
def test_driving_to_safety_failure_free_miles(per_hundred_million, million_miles):
    """Kalra and Paddock (2016), RAND RR-1478, table 1, row 1: 275, 3.9 and 1.6 million miles."""
    miles = needed(per_hundred_million / 1e8, 0.95, model="poisson", unit="miles")
    assert miles == pytest.approx(1e6 * million_miles, rel=0.02)
    assert miles == pytest.approx(-math.log(0.05) * 1e8 / per_hundred_million, rel=1e-12)


def test_one_failure_needs_the_next_cell_of_the_table():
    """Failures 0, 1, 2, 3 at 95 % / 95 %: 59, 93, 124, 153 trials (exact binomial sampling plans)."""
    assert [needed(0.05, 0.95, failures=k, exposure=k) + k for k in range(4)] == [59, 93, 124, 153]


@pytest.mark.parametrize(("k", "n"), [(0, 12), (3, 40), (7, 7)])
def test_binomial_bound_is_clopper_and_pearson(k, n):
    bound = demonstration(1e-3, 0.95, failures=k, exposure=n).bound
    exact = stats.binomtest(k, n, alternative="less").proportion_ci(0.95, method="exact").high
    assert bound == pytest.approx(exact, rel=1e-9)


def test_poisson_bound_is_garwood():
    """Upper bound at 3 events and 97.5 %: 8.767 (Garwood 1936; table in every text)."""
    assert demonstration(1.0, 0.975, failures=3, exposure=1.0, model="poisson").bound == pytest.approx(
        8.767, abs=5e-4
    )


def test_exposure_already_run_is_credited_to_the_last_trial():
    assert demonstration(0.01, 0.95, exposure=200).number == 99
    assert demonstration(0.01, 0.95, exposure=298).number == 1
    met = demonstration(0.01, 0.95, exposure=299)
    assert (met.verdict, met.number) == ("MET", 0)
    assert met.bound is not None
    assert met.bound <= 0.01


def test_bound_meets_the_rate_exactly_at_the_number():
    more = needed(1e-5, 0.9, failures=2, exposure=1e4, model="poisson", unit="hours")
    after = demonstration(1e-5, 0.9, failures=2, exposure=1e4 + more, model="poisson")
    assert after.bound == pytest.approx(1e-5, rel=1e-9)


def test_uniform_prior_needs_one_trial_less():
    """Beta(1, 1) after n successes is Beta(1, n + 1): the success-run formula at n + 1."""
    assert demonstration(0.01, 0.95, belief=Prior(1.0, 1.0)).number == 298


def test_statement_names_claim_and_number():
    statement = demonstration(1.09e-8, 0.95, model="poisson", unit="miles").statement(data={"source": "none"})
    assert statement["number"] == "274,837,823 more miles."
    assert "one failure in 91,743,119 miles" in statement["claim"]
    assert statement["data_in_hand"] == {"source": "none"}
    assert statement["context_of_use"]["decision consequence"] == "not stated"


@pytest.mark.parametrize(
    "arguments",
    [
        {"rate": 0.0},
        {"rate": -1e-3},
        {"rate": 1.5},
        {"rate": float("nan")},
        {"rate": "often"},
        {"confidence": 1.0},
        {"confidence": 95},
        {"failures": -1},
        {"failures": 1.5},
        {"failures": 3, "exposure": 2},
        {"exposure": -5},
        {"exposure": 2.5},
        {"exposure": math.inf},
        {"failures": 1, "exposure": 0, "model": "poisson"},
        {"belief": "none"},
    ],
)
def test_bad_input_is_named(arguments):
    with pytest.raises(ParameterError) as caught:
        demonstration(**{"rate": 0.01, "confidence": 0.95, **arguments})
    assert str(caught.value.key).split(".")[0] in arguments
    assert caught.value.wanted


def test_unknown_model_and_bad_prior():
    with pytest.raises(UnknownNameError, match='did you mean "poisson"'):
        demonstration(0.01, 0.95, model="poison")
    with pytest.raises(PhyssynthError):
        Prior(0.0, 1.0)


def test_a_strategy_is_taken_as_it_is():
    assert demonstration(0.01, 0.95, model=Binomial("launches")).question.counted == "launches"
    assert demonstration(2.0, 0.95, model=Poisson("hours")).number == pytest.approx(-math.log(0.05) / 2)

"""Demonstration tests against the published tables."""

import math

import pytest
from scipy import stats

from physsynth.core.errors import ParameterError, PhyssynthError, UnknownNameError
from physsynth.require import Binomial, PartialBelief, Poisson, Prior, comparison, demonstration, estimation


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


PER_HUNDRED_MILLION = {"fatalities": 1.09, "injuries": 77, "crashes": 190}


@pytest.mark.parametrize(
    ("severity", "free", "within", "better"),
    [
        ("fatalities", 275e6, 8.8e9, 11e9),
        ("injuries", 3.9e6, 125e6, 161e6),
        ("crashes", 1.6e6, 51e6, 65e6),
    ],
)
def test_driving_to_safety(severity, free, within, better):
    """Kalra and Paddock (2016), RAND RR-1478, table 1: all nine cells, as rounded there.

    Miles without failure at 95 % confidence; to know the rate within 20 %; to show one 20 % lower.
    """
    rate = PER_HUNDRED_MILLION[severity] / 1e8
    assert needed(rate, 0.95, model="poisson", unit="miles") == pytest.approx(free, rel=0.02)
    assert needed(rate, 0.95, model="poisson") == pytest.approx(-math.log(0.05) / rate, rel=1e-12)
    assert estimation(rate, 0.2, 0.95, "miles").number == pytest.approx(within, rel=0.02)
    assert comparison(rate, 0.2, 0.95, 0.8, "miles").number == pytest.approx(better, rel=0.04)


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


def test_effective_sample_size_of_a_prior():
    """Beta(1 + k, 1 + n - k) is worth k failures in n trials on top of Beta(1, 1); so with Gamma."""
    for k, n in [(0, 50), (3, 40)]:
        informed = demonstration(1e-3, 0.95, belief=Prior(1.0 + k, 1.0 + n - k))
        assert informed.bound == demonstration(1e-3, 0.95, k, n, belief=Prior(1.0, 1.0)).bound
        informed = demonstration(1e-3, 0.95, belief=Prior(1.0 + k, 7.0 + n), model="poisson")
        assert informed.bound == demonstration(1e-3, 0.95, k, n, None, None, Prior(1.0, 7.0), "poisson").bound


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
        {"belief": Prior},
        {"model": Binomial},
        {"model": 3},
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


def test_conservative_bayesian_inference_by_hand():
    """Belief theta in "rate <= goal" after n failure-free trials, the rest of the mass just above r:

    confidence = theta (1 - goal)^n / (theta (1 - goal)^n + (1 - theta) (1 - r)^n).
    """
    goal, theta, rate, n = 1e-4, 0.9, 1e-3, 1000
    good, bad = theta * (1 - goal) ** n, (1 - theta) * (1 - rate) ** n
    belief = PartialBelief(goal, theta)
    assert belief.confidence(Binomial(), rate, 0, n) == pytest.approx(good / (good + bad), rel=1e-9)
    more = needed(rate, 0.95, belief=belief)
    exact = math.log(0.95 / 0.05 * (1 - theta) / theta) / math.log((1 - goal) / (1 - rate))
    assert more == math.ceil(exact)
    assert more < needed(rate, 0.95)


def test_conservative_bayes_is_below_every_prior_with_the_same_belief():
    """Against Gamma priors scaled so that P(rate <= goal) = theta."""
    goal, theta, rate = 1e-3, 0.8, 5e-3
    belief = PartialBelief(goal, theta, least=1e-4)
    for shape in (1.0, 2.0, 5.0):
        prior = Prior(shape, float(stats.gamma.ppf(theta, shape)) / goal)
        for exposure in (100.0, 1000.0, 5000.0):
            conservative = belief.confidence(Poisson(), rate, 0, exposure)
            assert conservative <= prior.confidence(Poisson(), rate, 0, exposure)


def test_partial_belief_needs_a_least_rate_once_a_failure_is_seen():
    assert PartialBelief(1e-4, 0.9).confidence(Binomial(), 1e-2, 1, 10_000) == 0.0
    assert PartialBelief(1e-4, 0.9, least=1e-5).confidence(Binomial(), 1e-2, 1, 10_000) > 0.9


def test_partial_belief_bound_is_where_its_confidence_is_reached():
    belief = PartialBelief(1e-4, 0.9)
    need = demonstration(1e-3, 0.95, exposure=500, belief=belief)
    assert belief.confidence(Binomial(), need.bound or 0, 0, 500) == pytest.approx(0.95, abs=1e-9)
    met = demonstration(1e-3, 0.95, exposure=500 + (need.number or 0), belief=belief)
    assert met.verdict == "MET"


def test_a_belief_in_the_very_rate_never_grows():
    """All that is not believed may lie just above the rate, where the data are as likely: 0.9 stays 0.9."""
    with pytest.raises(ParameterError, match="no exposure"):
        demonstration(0.01, 0.95, belief=PartialBelief(0.01, 0.9))


def test_partial_belief_that_contradicts_itself():
    with pytest.raises(ParameterError, match="least rate"):
        PartialBelief(1e-4, 0.9, least=1e-3)

"""Learning curves against laws whose size is known."""

import math

import numpy as np
import pytest

from physsynth.core.errors import ParameterError
from physsynth.require import Round, learning_curve
from physsynth.require.curves import LAWS, Seen, fit, lasting

PILOT, TRUTH = 120, 345
SIZES = np.array([15, 30, 60, 120])


def nearest_distances(rng, replicates=20, tests=400):
    """Mean distance to the nearest of k points of one pilot on the unit torus: 1 / (2 sqrt(k)) on average."""
    pilot, places = rng.random((PILOT, 2)), rng.random((tests, 2))
    apart = np.abs(pilot[:, None] - places)
    distance = np.sqrt((np.minimum(apart, 1 - apart) ** 2).sum(-1))
    orders = [rng.permutation(PILOT) for _ in range(replicates)]
    return np.array([[distance[order[:k]].min(0).mean() for k in SIZES] for order in orders])


def test_subsamples_of_one_pilot_are_covered_honestly():
    """A power law, pilot 120, truth 345: 90 % intervals cover at least 85 %, within a factor of 4."""
    rng, target = np.random.default_rng(0), 0.5 / math.sqrt(TRUTH)
    quantiles = [
        learning_curve(SIZES, nearest_distances(rng), target, pilot=PILOT).quantiles for _ in range(60)
    ]
    assert np.mean([q[0.05] <= TRUTH <= q[0.95] for q in quantiles]) >= 0.85
    assert np.median([q[0.95] / q[0.05] for q in quantiles]) < 4
    assert np.median([q[0.5] for q in quantiles]) == pytest.approx(TRUTH, rel=0.1)


def test_subsamples_of_one_pilot_give_themselves_away():
    """At its size all of them are the pilot: the interval is the same without being told, and it says so."""
    scores, target = nearest_distances(np.random.default_rng(0)), 0.5 / math.sqrt(TRUTH)
    told, found = (learning_curve(SIZES, scores, target, pilot=pilot) for pilot in (PILOT, None))
    assert found.quantiles == told.quantiles
    assert "one pilot of 120" in found.assumptions[-1]
    assert "one pilot of 120" not in str(told.assumptions)


def power_law(rng, floor, exponent, scatter, sizes=SIZES):
    return (floor + 3 * sizes**-exponent) * (1 + scatter * rng.normal(size=(10, len(sizes))))


@pytest.mark.parametrize(
    ("floor", "exponent", "scatter"), [(0.0, 0.5, 0.04), (0.1, 0.8, 0.04), (0.0, 0.5, 0.001)]
)
def test_independent_scores_are_covered(floor, exponent, scatter):
    rng, target = np.random.default_rng(1), floor + 3 * TRUTH**-exponent
    inside = 0
    for _ in range(60):
        q = learning_curve(SIZES, power_law(rng, floor, exponent, scatter), target).quantiles
        inside += q[0.05] <= TRUTH <= q[0.95]
    assert inside / 60 >= 0.9 - 3 * math.sqrt(0.09 / 60)


def test_a_bent_curve_is_covered_by_the_laws_that_fit_it():
    """A sum of two powers, none of the laws tried: the best of them alone covers in six cases of ten."""
    rng, inside = np.random.default_rng(3), 0
    for _ in range(20):
        scores = two_powers(SIZES.astype(float)) * (1 + 0.001 * rng.normal(size=(10, len(SIZES))))
        q = learning_curve(SIZES, scores, two_powers(TRUTH)).quantiles
        inside += q[0.05] <= TRUTH <= q[0.95]
    assert inside / 20 >= 0.9 - 3 * math.sqrt(0.09 / 20)


def two_powers(n):
    return 2 * n**-0.9 + 0.6 * n**-0.15


def exponential(n):
    return 0.2 + np.exp(-((n / 40) ** 0.8))


def steepening(n):
    """A power law whose exponent goes from 0.2 to 0.6 about 60; none of the laws tried."""
    return 3 / (n**0.2 * (1 + (n / 60) ** 2) ** 0.2)


@pytest.mark.parametrize("law", [exponential, steepening])
@pytest.mark.parametrize("scatter", [0.001, 0.01, 0.04])
def test_a_bent_curve_is_not_forecast_three_times_as_far(law, scatter):
    """At 345 of 120 seen: nobody can tell there how the bending goes on."""
    rng = np.random.default_rng(2)
    for _ in range(5):
        scores = law(SIZES) * (1 + scatter * rng.normal(size=(10, len(SIZES))))
        need = learning_curve(SIZES, scores, law(TRUTH))
        assert need.verdict in ("EXTRAPOLATION", "FLOOR")
        assert any("over the largest size" in check.name for check in need.failed) or need.verdict == "FLOOR"


def test_a_straight_curve_is_forecast_and_a_near_target_too():
    """A power law reaches about two octaves beyond the three seen, a bent curve half an octave."""
    rng = np.random.default_rng(4)
    scores = power_law(rng, 0.0, 0.5, 0.01)
    assert learning_curve(SIZES, scores, 3 * TRUTH**-0.5).verdict == "FORECAST"
    assert learning_curve(SIZES, scores, 3 * 4000**-0.5).verdict == "EXTRAPOLATION"
    bent = power_law(rng, 0.1, 0.8, 0.01)
    assert learning_curve(SIZES, bent, 0.1 + 3 * 140**-0.8).verdict == "FORECAST"
    assert learning_curve(SIZES, bent, 0.1 + 3 * TRUTH**-0.8).verdict == "EXTRAPOLATION"


def test_an_asymptote_above_the_target_is_a_floor():
    sizes = np.array([20, 40, 80, 160, 320, 640])
    scores = power_law(np.random.default_rng(0), 0.5, 1.0, 0.005, sizes)
    need = learning_curve(sizes, scores, 0.45)
    assert (need.verdict, need.number) == ("FLOOR", None)
    assert need.floor == pytest.approx(0.5, abs=0.02)
    assert "levels off" in need.statement()["floor"]


def test_a_new_round_narrows_the_forecast():
    rng = np.random.default_rng(3)
    sizes = np.array([15, 30, 60, 120, 240])
    scores = power_law(rng, 0.0, 0.5, 0.05, sizes)
    target = 3 * TRUTH**-0.5
    first = learning_curve(sizes[:4], scores[:, :4], target)
    second = learning_curve(sizes, scores, target)
    spans = [need.quantiles[0.95] / need.quantiles[0.05] for need in (first, second)]
    assert spans[1] < spans[0]
    record = second.statement(earlier=[Round.of("after 120", first, TRUTH)])["earlier_forecasts"]
    assert record[0]["inside"] is True


def test_accuracy_rises_to_one():
    accuracy = 1 - power_law(np.random.default_rng(2), 0.0, 0.7, 0.02)
    need = learning_curve(SIZES, accuracy, 1 - 3 * TRUTH**-0.7, best=1.0)
    assert need.quantiles[0.05] < TRUTH < need.quantiles[0.95]
    assert need.bound == pytest.approx(1 - 3 * 120**-0.7, rel=0.01)


def test_synthetic_data_stand_beside_the_number_without():
    """Scores with synthetic data as if there were 60 more real ones: about 60 fewer are needed.

    The curve with them is bent, and 285 is 2.4 times the largest size.
    """
    rng, target = np.random.default_rng(5), 3 * TRUTH**-0.5
    real = power_law(rng, 0.0, 0.5, 0.01)
    augmented = 3 * (SIZES + 60.0) ** -0.5 * (1 + 0.01 * rng.normal(size=(10, 4)))
    need = learning_curve(SIZES, real, target, augmented=augmented)
    assert need.verdict == "EXTRAPOLATION"
    assert 0 < (need.number or 0) < (need.credit.number_without or 0)
    useless = learning_curve(SIZES, augmented, target, augmented=real)
    assert useless.verdict == "CREDIT_REFUSED"


def test_met_and_pilot():
    scores = power_law(np.random.default_rng(0), 0.0, 0.5, 0.02)
    assert learning_curve(SIZES, scores, 1.0).verdict == "MET"
    assert learning_curve(SIZES[:2], scores[:, :2], 0.1).verdict == "NEEDS_PILOT"
    assert learning_curve(SIZES, scores[:1], 0.1).verdict == "NEEDS_PILOT"


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_laws_fall_and_are_inverted(law):
    box = law.box(SIZES.astype(float))
    shapes = box[:, 0] + np.random.default_rng(0).random((50, len(box))) * np.ptp(box, axis=1)
    n = np.array([20.0, 50.0, 300.0])
    curve = law.curve(n, shapes[:, None, :])
    assert np.all(np.diff(curve, axis=1) < 0)
    usual = curve > -30
    np.testing.assert_allclose(
        law.size(curve, shapes[:, None, :])[usual], np.broadcast_to(n, curve.shape)[usual]
    )


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"sizes": [30, 15, 60, 120]}, "sizes"),
        ({"scores": np.ones((3, 2))}, "scores"),
        ({"target": float("nan")}, "target"),
        ({"target": -0.1}, "best"),
        ({"pilot": 50}, "pilot"),
        ({"assurance": 2}, "assurance"),
        ({"common_sd": -1}, "common_sd"),
        ({"best": None}, "best"),
        ({"best": 2.0}, "best"),
        ({"sizes": [15, 30, 60, np.inf]}, "sizes"),
        ({"sizes": ["few", "more", "many", "all"]}, "sizes"),
        ({"scores": np.ones((0, 4))}, "scores"),
        ({"augmented": np.full((10, 4), np.nan)}, "augmented"),
    ],
)
def test_bad_input_is_named(change, key):
    scores = power_law(np.random.default_rng(0), 0.0, 0.5, 0.02)
    with pytest.raises(ParameterError) as caught:
        learning_curve(**{"sizes": SIZES, "scores": scores, "target": 0.1, **change})
    assert caught.value.key == key


def test_an_accuracy_taken_for_an_error_is_found_out():
    """Scores that rise away from perfection: `best` was forgotten."""
    scores = 1 - power_law(np.random.default_rng(0), 0.0, 0.5, 0.02) / 2
    with pytest.raises(ParameterError, match="1 for an accuracy"):
        learning_curve(SIZES, scores, 0.95)
    assert learning_curve(SIZES, scores, 0.9, best=1.0).verdict == "FORECAST"


def test_a_target_that_is_only_far_away_is_no_floor():
    """3 n^-1/2 = 1e-6 takes 9e12: no size that is looked at, but nothing levels off."""
    need = learning_curve(SIZES, power_law(np.random.default_rng(0), 0.0, 0.5, 0.02), 1e-6)
    assert (need.verdict, need.number) == ("EXTRAPOLATION", None)
    assert need.failed


def test_statement_says_how_far_the_curve_is_carried():
    scores = power_law(np.random.default_rng(1), 0.0, 0.5, 0.01)
    need = learning_curve(SIZES, scores, 3 * TRUTH**-0.5)
    line = next(line for line in need.statement()["assumptions"] if "the largest size seen" in line)
    assert f"{need.quantiles[0.8] / 120:.3g} times 120" in line
    assert "cannot tell" in line


@pytest.mark.parametrize("augmented", [0.9, 1.1])
def test_augmented_scores_of_one_replicate_need_a_pilot(augmented):
    scores = power_law(np.random.default_rng(1), 0.0, 0.5, 0.01)
    assert learning_curve(SIZES, scores, 0.1, augmented=augmented * scores[:1]).verdict == "NEEDS_PILOT"


@pytest.mark.parametrize("seed", range(5))
def test_precise_scores_are_not_held_up_by_a_grid(seed):
    """Scatter of 0.1 % leaves about 1 % of the size open, whatever the exponent, if the pace lasts."""
    exponent, scatter = 0.0951, np.random.default_rng(seed).normal(size=(10, 4))
    scores = SIZES**-exponent * (1 + 0.001 * scatter)
    covariance = np.diag((0.001 * SIZES**-exponent) ** 2 / 10)
    curves, _ = fit(Seen(SIZES.astype(float), scores.mean(axis=0), covariance, 18.0))
    low, middle, high = np.quantile(
        curves._replace(pace=np.ones(4000)).needed(1000**-exponent), [0.05, 0.5, 0.95]
    )
    assert middle == pytest.approx(1000, rel=0.04)
    assert high < 1.2 * low


def test_a_curve_that_falls_faster_after_the_last_size_is_no_forecast():
    """From n^-0.5 to 1/n at 130, with 120 seen and a target at 600: no score foretells it."""
    rng, at = np.random.default_rng(6), 130

    def law(n):
        return np.where(n < at, n**-0.5, at**-0.5 * at / n)

    for _ in range(5):
        scores = law(SIZES) * (1 + 0.01 * rng.normal(size=(10, 4)))
        assert learning_curve(SIZES, scores, float(law(np.array(600.0)))).verdict == "EXTRAPOLATION"


def test_how_long_a_pace_lasts():
    """Jeffreys' prior: none in s octaves, then none in 3 s more with chance 1/2."""
    assert lasting(9, 3) == pytest.approx(0.5)
    assert lasting(0, 3) == 1

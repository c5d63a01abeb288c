"""Real-equivalents against simulated truth."""

import math

import numpy as np
import pytest

from physsynth.core.errors import ParameterError, UnknownNameError
from physsynth.require import Trained, worth
from physsynth.require.spread import Spread

REPLICATIONS = 100
# Three binomial standard errors of a nominal 0.90 over 100 replications.
BAND = 3 * math.sqrt(0.9 * 0.1 / REPLICATIONS)


def equivalents(bias, sd, m):
    """s^2 / (b^2 + s_z^2 / m) with s = 1."""
    return 1 / (bias**2 + sd**2 / m)


@pytest.mark.parametrize(
    ("bias", "sd", "n", "m"), [(0.2, 1.2, 50, 2000), (0.5, 1.0, 30, 300), (0.0, 1.0, 50, 500)]
)
def test_interval_covers_the_true_worth_at_its_rate(bias, sd, n, m):
    rng = np.random.default_rng(1)
    truth, inside = equivalents(bias, sd, m), 0
    for _ in range(REPLICATIONS):
        q = worth(rng.normal(size=n), rng.normal(bias, sd, m)).quantiles
        inside += q[0.05] <= truth <= q[0.95]
    assert inside / REPLICATIONS >= 0.9 - BAND


def test_more_synthetic_data_do_not_pass_the_ceiling():
    """With a bias of 0.5 sd a mean is never worth more than 4; s^2 from 200 groups has an error of 10 %."""
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=10_000), rng.normal(0.5, 1.0, 40_000)
    need = worth(real, synthetic)
    assert need.credit is not None
    assert need.credit.equivalents <= need.credit.ceiling * 1.01
    assert need.floor == need.credit.ceiling == pytest.approx(4.0, rel=0.3)
    assert need.credit.bias == pytest.approx(0.5, abs=0.05)


def test_a_set_that_is_worth_nothing_earns_no_credit():
    rng = np.random.default_rng(0)
    need = worth(rng.normal(size=200), rng.normal(3.0, 1.0, 1000))
    assert need.verdict == "CREDIT_REFUSED"
    assert "No credit" in need.statement()["credit"][0]


def test_a_bias_far_beyond_the_scatter_is_seen():
    """s^2 / b^2 = 1e-12, and nothing of it is lost where the noncentral chi-square has no numbers left."""
    rng = np.random.default_rng(5)
    need = worth(rng.normal(size=100), rng.normal(1e6, 1.0, 1000))
    assert need.verdict == "CREDIT_REFUSED"
    assert need.quantiles[0.95] == pytest.approx(1e-12, rel=0.5)


def test_any_smooth_statistic():
    """A variance, 20 % too large in the synthetic data: s^2 = 2, b^2 = 0.04, so at most 50."""
    rng = np.random.default_rng(2)
    synthetic = rng.normal(0.0, math.sqrt(1.2), 10_000)
    inside = 0
    for _ in range(20):
        q = worth(rng.normal(size=1000), synthetic, np.var).quantiles
        inside += q[0.05] <= 2 / (0.04 + 2 * 1.44 / 10_000) <= q[0.95]
    assert inside / 20 >= 0.9 - 3 * math.sqrt(0.09 / 20)


@pytest.mark.parametrize(
    ("statistic", "limit"),
    [(np.mean, 1.0), (np.median, math.pi / 2), (np.var, 2.0), (lambda x: np.quantile(x, 0.9), 2.92)],
)
def test_variances_of_statistics_smooth_or_not(statistic, limit):
    """Per measurement p (1 - p) / density^2 for a quantile; log variances are known to one in ten or so."""
    rng = np.random.default_rng(3)
    spreads = [Spread.of(statistic, rng.normal(size=1000)) for _ in range(4)]
    assert np.mean([np.log(spread.variance) for spread in spreads]) == pytest.approx(math.log(limit), abs=0.3)


def test_the_variance_of_a_share_errs_with_it():
    """Of outcomes 0 and 1 the squared deviation is linear in the outcome; of a normal it is uncorrelated."""
    rng = np.random.default_rng(6)
    few, many = ((rng.random(200) < chance).astype(float) for chance in (0.1, 0.9))
    assert [Spread.of(np.mean, x).correlation for x in (few, many)] == pytest.approx([1.0, -1.0])
    assert abs(Spread.of(np.mean, rng.normal(size=200)).correlation) < 3 / math.sqrt(200)


def test_worth_for_a_median():
    """A bias of 0.2 and s^2 = pi / 2: a jackknife's interval covers in half of the cases."""
    rng, truth, inside = np.random.default_rng(4), (math.pi / 2) / (0.04 + math.pi / 2 / 2000), 0
    for _ in range(15):
        q = worth(rng.normal(size=200), rng.normal(0.2, 1.0, 2000), np.median).quantiles
        inside += q[0.05] <= truth <= q[0.95]
    assert inside / 15 >= 0.9 - 3 * math.sqrt(0.09 / 15)


PREDICTORS = 5


def least_squares(sample):
    return np.linalg.lstsq(sample[:, :PREDICTORS], sample[:, PREDICTORS], rcond=None)[0]


def squared_error(slopes, sample):
    return (sample[:, PREDICTORS] - sample[:, :PREDICTORS] @ slopes) ** 2


def linear(rng, n, slopes):
    x = rng.normal(size=(n, PREDICTORS))
    return np.column_stack([x, x @ slopes + rng.normal(size=n)])


def test_trained_model_is_matched_by_its_risk():
    """Least squares on k normal rows has the excess risk p / (k - p - 1); n_eq solves it for the true one."""
    rng, inside = np.random.default_rng(0), 0
    yardstick = Trained(least_squares, squared_error, sizes=(8, 12, 18, 27, 40, 60, 90, 135), repeats=2)
    for _ in range(100):
        slopes = np.ones(PREDICTORS)
        error = rng.normal(size=PREDICTORS)
        error *= math.sqrt(PREDICTORS / 24) / np.linalg.norm(error)
        synthetic = linear(rng, 4000, slopes + error)
        excess = np.sum((least_squares(synthetic) - slopes) ** 2)
        truth = PREDICTORS + 1 + PREDICTORS / excess
        q = worth(linear(rng, 200, slopes), synthetic, yardstick).quantiles
        inside += q[0.05] <= truth <= q[0.95]
    assert inside / 100 >= 0.9 - 3 * math.sqrt(0.09 / 100)


def test_few_or_constant_real_data_need_a_pilot():
    rng = np.random.default_rng(0)
    assert worth(rng.normal(size=3), rng.normal(size=100)).verdict == "NEEDS_PILOT"
    assert worth(np.ones(50), rng.normal(size=100)).verdict == "NEEDS_PILOT"


def test_bad_input_is_named():
    good = np.arange(20.0)
    for change in ({"real": "many"}, {"real": [1.0, np.nan]}, {"synthetic": [1.0]}, {"statistic": 3}):
        with pytest.raises(ParameterError) as caught:
            worth(**{"real": good, "synthetic": good, **change})
        assert caught.value.key in change
    with pytest.raises(ParameterError, match="statistic"):
        worth(good, good, lambda sample: sample)
    with pytest.raises(UnknownNameError, match='"mean"'):
        worth(good, good, "meen")
    with pytest.raises(ParameterError, match="cannot be compared"):
        worth(np.ones((20, 2)) * good[:, None], good)
    with pytest.raises(ParameterError, match="cannot be compared"):
        worth(good, np.ones(20))
    with pytest.raises(ParameterError, match="stays the same"):
        worth(good, good, lambda sample: 1.0)


def test_a_yardstick_that_cannot_be_used_is_named():
    rows = linear(np.random.default_rng(6), 50, np.ones(PREDICTORS))
    for sizes in ((0, 5), (), (12, 8)):
        with pytest.raises(ParameterError):
            Trained(least_squares, squared_error, sizes=sizes)
    for loss in (lambda fit, sample: np.nan * sample[:, 0], lambda fit, sample: sample[:3, 0]):
        with pytest.raises(ParameterError) as caught:
            worth(rows, rows, Trained(least_squares, loss, sizes=(8, 12)))
        assert caught.value.key == "loss"

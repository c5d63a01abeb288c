"""Scenarios given failure: weights, conditional distributions, modes, causes and reweighting."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import physsynth as ps
from physsynth.core.errors import ParameterError

SPACE = ps.ParameterSpace(
    {
        "load": ps.Parameter(dist.Normal(10.0, 2.0), "kN", "load on the beam"),
        "strength": ps.Parameter(dist.Normal(30.0, 3.0), "kN", "strength of the beam"),
    }
)
MARGIN, DEVIATION = 20.0, np.sqrt(2.0**2 + 3.0**2)


def beam(p):
    return p["strength"] - p["load"]


@pytest.fixture(scope="module")
def event():
    return ps.rare.estimate(beam, SPACE, jax.random.key(0), target_cov=0.02)


def test_weights_sum_to_the_probability(event):
    assert event.scenarios["weight"].values.sum() == pytest.approx(event.probability, rel=1e-12)
    assert event.probability == pytest.approx(stats.norm.sf(MARGIN / DEVIATION), rel=4 * event.cov)


def test_scenarios_are_failures_with_units(event):
    scenarios = event.scenarios
    assert np.all(scenarios["g"] <= 0)
    np.testing.assert_allclose(scenarios["strength"] - scenarios["load"], scenarios["g"], atol=1e-6)
    assert scenarios["load"].attrs == {"units": "kN", "long_name": "load on the beam"}
    density = stats.norm.logpdf(scenarios["load"], 10, 2) + stats.norm.logpdf(scenarios["strength"], 30, 3)
    np.testing.assert_allclose(scenarios["log_density"], density, rtol=1e-5)


def test_plausibility_is_a_percentile_of_ordinary_density(event):
    # Two normals: the log density falls with u'u / 2, whose law is exponential, so the share of ordinary
    # scenarios that are less dense than u is exp(-u'u / 2); 4096 of them give it within 4 standard errors.
    square = ((event.scenarios["load"] - 10) / 2) ** 2 + ((event.scenarios["strength"] - 30) / 3) ** 2
    share = np.exp(-square.values / 2)
    np.testing.assert_allclose(event.scenarios["plausibility"] / 100, share, atol=4 * np.sqrt(0.01 / 4096))


def test_sample_follows_the_exact_conditional_distribution(event):
    sample = event.sample(jax.random.key(1), 2000)
    excess = (sample["load"] - sample["strength"] + MARGIN).values / DEVIATION
    truth = stats.truncnorm(MARGIN / DEVIATION, np.inf)
    # Kolmogorov distance of n independent draws exceeds 1.95 / sqrt(n) with probability 0.001
    assert stats.kstest(excess, truth.cdf).statistic < 1.95 / np.sqrt(sample.attrs["ess"])
    assert 100 < sample.attrs["ess"] <= 2000
    np.testing.assert_allclose(sample["weight"], 1 / 2000)


def test_design_point_of_a_plane(event):
    beta = MARGIN / DEVIATION
    assert event.modes.sizes["mode"] == 1
    # u* = beta (2, -3) / sqrt(13)
    expected = beta * np.array([2.0, -3.0]) / np.sqrt(13)
    np.testing.assert_allclose(event.modes["design_point"].values[0], expected, atol=0.05)
    np.testing.assert_allclose(event.modes["nominal_distance"].values[0], np.abs(expected), atol=0.05)
    assert event.modes["load_at_design_point"].values[0] == pytest.approx(10 + 2 * expected[0], abs=0.1)


def test_design_point_where_two_boundaries_meet():
    """Both of two parts must fail: the nearest failure is where their planes meet, at 2.5 sqrt(2)."""

    def parallel(p):
        return jnp.maximum(2.5 - p["u"][0], 2.5 - p["u"][1])

    found = ps.rare.estimate(
        parallel, ps.ParameterSpace.standard_normal(30), jax.random.key(1), method="subset", max_calls=20_000
    )
    assert found.calls + 3 * found.gradient_calls <= 20_000
    np.testing.assert_allclose(found.modes["reliability_index"], [2.5 * np.sqrt(2.0)], atol=0.01)


@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_sampling_nothing_is_an_error(event, n):
    with pytest.raises(ParameterError):
        event.sample(jax.random.key(0), n)
    with pytest.raises(ParameterError):
        event.spread(n)


def test_levels_are_between_0_and_1(event):
    with pytest.raises(ParameterError):
        event.interval(1.0)


def test_every_hyperbola_is_a_mode_and_in_the_spread():
    # 12.5 - |u0 u1|: P = 8.035e-7 by quadrature, a quarter in each quadrant
    space = ps.ParameterSpace.standard_normal(2)
    event = ps.rare.estimate(lambda p: 12.5 - jnp.abs(p["u"][0] * p["u"][1]), space, jax.random.key(5))
    assert abs(event.probability / 8.035086e-7 - 1) < 4 * event.cov
    assert event.modes.sizes["mode"] == 4
    # a quarter with a relative error below 12 %: two of them and the assignment near the axes
    np.testing.assert_allclose(event.modes["share"], 0.25, atol=0.07)
    picked = event.spread(12)
    assert set(picked["mode"].values[:4].tolist()) == {0, 1, 2, 3}
    assert len(np.unique(picked["u"].values, axis=0)) == 12
    with pytest.raises(ParameterError):
        event.spread(10**6)


def test_causes_of_an_additive_limit_state():
    space = ps.ParameterSpace(
        {
            "wave": ps.Parameter(dist.Normal(0.0, 1.0).expand([3]).to_event(1)),
            "load": ps.Parameter(dist.Normal(10.0, 2.0)),
            "strength": ps.Parameter(dist.Normal(30.0, 3.0)),
        }
    )

    def g(p):
        return p["strength"] - p["load"] - p["wave"].sum()

    values = {
        "wave": jnp.array([[0.0, 0.0, 0.0], [5.0, 1.0, -0.5], [0.1, 0.0, 0.0]]),
        "load": jnp.array([25.0, 12.0, 11.0]),
        "strength": jnp.array([24.0, 29.0, 10.0]),
    }
    found = ps.rare.causes(g, space, values)
    assert found.labels.tolist() == ["load high", "wave high", "strength low"]
    # the gain of a cause in an additive limit state is its own deviation from the median
    high = [[0, 15, 0], [6.0, 2, 0], [0.1, 1, 0]]
    low = [[0, 0, 6], [-0.5, 0, 1], [0, 0, 20]]
    np.testing.assert_allclose(found.gains[:, 1::2], high, atol=1e-5)
    np.testing.assert_allclose(found.gains[:, 0::2], low, atol=1e-5)
    assert found.shares([0.5, 0.25, 0.25])["load high"] == 0.5


def test_causes_of_a_discrete_parameter():
    space = ps.ParameterSpace(
        {"doubled": ps.Parameter(dist.Bernoulli(0.1)), "load": ps.Parameter(dist.Normal(1.0, 0.1))}
    )
    found = ps.rare.causes(
        lambda p: 1.5 - p["load"] * (1 + p["doubled"]),
        space,
        {"doubled": jnp.array([1, 0]), "load": jnp.array([1.0, 1.6])},
    )
    assert found.labels.tolist() == ["doubled high", "load high"]


def log_normal(draw, values):
    return -0.5 * (values["x"] - draw["mean"]) ** 2


def test_over_draws_against_the_closed_form():
    # X ~ N(m, 1), failure X > 3; scenarios from N(1, 1), means of the draws from N(0.8, 0.2)
    space = ps.ParameterSpace({"x": ps.Parameter(dist.Normal(1.0, 1.0))})
    event = ps.rare.estimate(lambda p: 3.0 - p["x"], space, jax.random.key(3), target_cov=0.01)
    values = {"x": jnp.asarray(event.scenarios["x"].values)}
    weight = event.scenarios["weight"].values
    means = 0.8 + 0.2 * jax.random.normal(jax.random.key(4), (500,))
    reference = log_normal({"mean": 1.0}, values)
    found = ps.rare.over_draws(values, weight, log_normal, reference, {"mean": means}, n=event.draws)
    truth = stats.norm.sf(3.0 - np.asarray(means))
    error = (found.probabilities - truth) / found.standard_errors
    # one sample serves all draws, so the errors move together: 4.5 standard errors for the worst
    assert np.abs(error).max() < 4.5
    assert np.median(found.standard_errors / truth) < 0.05
    assert found.probability == pytest.approx(found.probabilities.mean(), rel=1e-6)
    assert found.weights.sum() == pytest.approx(found.probability, rel=1e-6)
    low, high = found.interval(0.9)
    exact = np.quantile(truth, [0.05, 0.95])
    np.testing.assert_allclose([low, high], exact, rtol=0.1)


def test_over_draws_of_the_reference_itself_changes_nothing():
    values, weight = {"x": jnp.array([2.0, 3.0, 4.0])}, jnp.array([0.01, 0.02, 0.03])
    reference = log_normal({"mean": 0.0}, values)
    found = ps.rare.over_draws(values, weight, log_normal, reference, {"mean": jnp.zeros(130)}, n=100)
    np.testing.assert_allclose(found.probabilities, 0.06, rtol=1e-6)
    np.testing.assert_allclose(found.weights, weight, rtol=1e-6)
    assert found.ess == pytest.approx(0.06**2 / 0.0014)


def test_over_draws_refuses_unequal_lengths():
    with pytest.raises(ParameterError):
        ps.rare.over_draws(
            {"x": jnp.ones(3)}, jnp.ones(2), log_normal, jnp.ones(3), {"mean": jnp.zeros(2)}, n=5
        )


@pytest.mark.parametrize("n", [0, 2])
def test_over_draws_refuses_fewer_draws_than_scenarios(n):
    with pytest.raises(ParameterError, match="draws"):
        ps.rare.over_draws(
            {"x": jnp.ones(3)}, jnp.ones(3), log_normal, jnp.ones(3), {"mean": jnp.zeros(2)}, n=n
        )

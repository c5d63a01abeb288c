"""Failure probabilities against exact answers, and how often the intervals hold them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import physsynth as ps
from physsynth.core.errors import ParameterError, UnknownNameError

PLANE_2 = ps.ParameterSpace.standard_normal(2)
PLANE_100 = ps.ParameterSpace.standard_normal(100)


def plane(p):
    """Linear limit state at distance 3."""
    return 3.0 - p["u"].sum() / jnp.sqrt(p["u"].shape[0])


def two_sided(p):
    return 3.5 - jnp.abs(p["u"].sum()) / jnp.sqrt(p["u"].shape[0])


def four_branches(p):
    """Waarts (2000): P = 2.22279e-3 by quadrature."""
    a, b = p["u"]
    return jnp.minimum(
        3 + 0.1 * (a - b) ** 2 - jnp.abs(a + b) / jnp.sqrt(2.0), 7 / jnp.sqrt(2.0) - jnp.abs(a - b)
    )


def within(event, truth, deviations=4.0):
    """Whether the estimate is within so many of its own standard errors of the truth."""
    return abs(event.probability / truth - 1) < deviations * event.cov


@pytest.mark.parametrize("space", [PLANE_2, PLANE_100], ids=["2", "100"])
def test_plane(space):
    event = ps.rare.estimate(plane, space, jax.random.key(0))
    truth = stats.norm.sf(3.0)
    assert event.converged
    assert not event.warnings
    assert event.cov <= 0.05
    assert within(event, truth)
    assert event.calls + 3 * event.gradient_calls < 20_000
    assert event.modes["reliability_index"].values[0] == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("method", ["montecarlo", "subset", "importance"])
def test_every_method_finds_the_same(method):
    event = ps.rare.estimate(plane, PLANE_2, jax.random.key(1), 0.1, method=method)
    assert within(event, stats.norm.sf(3.0))
    low, high = event.interval(0.999)
    assert low < stats.norm.sf(3.0) < high


def test_two_sided_has_two_modes_of_one_half():
    event = ps.rare.estimate(two_sided, PLANE_100, jax.random.key(2))
    assert event.converged
    assert within(event, 2 * stats.norm.sf(3.5))
    assert event.modes.sizes["mode"] == 2
    # share of 0.5 with a standard error below 0.05: four of them
    np.testing.assert_allclose(event.modes["share"], 0.5, atol=0.2)
    points = event.modes["design_point"].values
    assert np.dot(points[0], points[1]) == pytest.approx(-(3.5**2), rel=0.05)


def test_four_branches():
    event = ps.rare.estimate(four_branches, PLANE_2, jax.random.key(3))
    assert event.converged
    assert within(event, 2.22279e-3)
    assert event.modes.sizes["mode"] == 4


def test_without_gradients_nothing_is_differentiated():
    event = ps.rare.estimate(four_branches, PLANE_2, jax.random.key(4), differentiable=False)
    assert event.gradient_calls == 0
    assert within(event, 2.22279e-3)


def test_coverage_of_the_interval():
    truth, seeds = 2.22279e-3, 100
    events = [ps.rare.estimate(four_branches, PLANE_2, jax.random.key(100 + s)) for s in range(seeds)]
    held = sum(low <= truth <= high for low, high in (event.interval(0.95) for event in events))
    # binomial(100, 0.95): 88 is passed with probability 0.998 by an interval that holds
    assert held >= 88
    ratio = np.array([event.probability for event in events]) / truth
    # the mean over 100 runs of 5 % each has a standard error of 0.5 %
    assert abs(ratio.mean() - 1) < 4 * 0.005


def test_interval_of_plain_monte_carlo_is_exact():
    from physsynth.rare.intervals import Binomial

    low, high = Binomial(4, 40).interval(0.95)
    # Clopper and Pearson (1934): 2.8 % to 23.7 % for 4 of 40
    assert (low, high) == pytest.approx((0.0279, 0.2366), abs=1e-4)


def test_discrete_parameter():
    space = ps.ParameterSpace(
        {
            "doubled": ps.Parameter(dist.Bernoulli(0.05)),
            "load": ps.Parameter(dist.LogNormal(0.0, 0.5), "N"),
        }
    )
    event = ps.rare.estimate(lambda p: 6.0 - p["load"] * (1 + p["doubled"]), space, jax.random.key(5))
    truth = 0.95 * stats.norm.sf(np.log(6) / 0.5) + 0.05 * stats.norm.sf(np.log(3) / 0.5)
    assert within(event, truth)
    doubled = event.scenarios["weight"].values[event.scenarios["doubled"].values == 1].sum()
    expected = 0.05 * stats.norm.sf(np.log(3) / 0.5)
    assert doubled == pytest.approx(expected, rel=0.3)


def test_only_discrete_parameters():
    space = ps.ParameterSpace({"missed": ps.Parameter(dist.Binomial(20, 0.1))})
    event = ps.rare.estimate(lambda p: 5.5 - p["missed"], space, jax.random.key(6))
    assert event.gradient_calls == 0
    assert within(event, stats.binom.sf(5, 20, 0.1))


def test_failed_runs_are_kept_and_counted():
    def sometimes_fails(p):
        return jnp.where(p["u"][1] > 1.0, jnp.nan, 1.0 - p["u"][0])

    event = ps.rare.estimate(sometimes_fails, PLANE_2, jax.random.key(7), 0.02, method="montecarlo")
    low, high = event.bounds
    assert event.failed_runs > 0
    assert low == event.probability
    # exact: P(u0 > 1, u1 <= 1) and that plus P(u1 > 1); 4 standard errors of the mean of n draws
    p, unknown = stats.norm.sf(1) * stats.norm.cdf(1), stats.norm.sf(1)
    assert low == pytest.approx(p, abs=4 * float(np.sqrt(p / event.draws)))
    assert high == pytest.approx(p + unknown, abs=4 * float(np.sqrt((p + unknown) / event.draws)))
    assert int((event.scenarios["status"] == 1).sum()) == round((high - low) * event.draws)


def test_failed_runs_in_a_rare_event():
    def sometimes_fails(p):
        return jnp.where(p["u"][1] > 2.0, jnp.nan, plane(p))

    event = ps.rare.estimate(sometimes_fails, PLANE_2, jax.random.key(8))
    assert np.isfinite(event.probability)
    assert event.bounds[1] > event.bounds[0]
    assert event.failed_runs > 0


def test_too_few_calls_are_said_so():
    event = ps.rare.estimate(two_sided, PLANE_100, jax.random.key(9), max_calls=300)
    assert not event.converged
    assert event.warnings
    assert event.calls + 3 * event.gradient_calls <= 300


def test_an_impossible_failure_is_not_called_converged():
    event = ps.rare.estimate(lambda p: 1.0 + 0.0 * p["u"][0], PLANE_2, jax.random.key(10), max_calls=5000)
    assert event.probability == 0.0
    assert not event.converged
    assert event.interval(0.95)[1] > 0
    assert event.scenarios.sizes["scenario"] == 0
    assert event.modes.sizes["mode"] == 0


def test_same_key_same_bytes():
    first, second = (ps.rare.estimate(four_branches, PLANE_2, jax.random.key(11)) for _ in range(2))
    assert first.scenarios.identical(second.scenarios)
    assert first.summary() == second.summary()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"target_cov": 0.0}, ParameterError),
        ({"max_calls": 0}, ParameterError),
        ({"method": "montecarl"}, UnknownNameError),
    ],
)
def test_bad_settings(change, error):
    with pytest.raises(error):
        ps.rare.estimate(plane, PLANE_2, jax.random.key(0), **change)


@pytest.mark.parametrize(
    ("limit_state", "says"),
    [
        (lambda p: 3.0 - float(p["u"][0]), r"ps\.external"),
        (lambda p: 3.0 - np.asarray(p["u"])[0], r"ps\.external"),
        (lambda p: 1.0 if p["u"][0] > 0 else 2.0, r"ps\.external"),
        (lambda p: None, "NoneType"),
        (lambda p: p["u"][0] + 1j, "complex"),
        (3.0, "function"),
    ],
    ids=["float()", "NumPy", "if", "None", "complex", "a number"],
)
def test_what_is_no_limit_state_is_said_at_the_door(limit_state, says):
    with pytest.raises(ParameterError, match=says):
        ps.rare.estimate(limit_state, PLANE_2, jax.random.key(0))


@pytest.mark.parametrize(
    ("space", "key", "says"),
    [
        ({"u": 1.0}, jax.random.key(0), "ParameterSpace"),
        (ps.ParameterSpace({}), jax.random.key(0), "at least one random parameter"),
        (PLANE_2, 0, "jax.random.key"),
        (PLANE_2, jax.random.split(jax.random.key(0), 3), "one JAX key"),
    ],
    ids=["a dict", "nothing random", "a number for a key", "three keys"],
)
def test_what_is_no_space_or_key_is_said_at_the_door(space, key, says):
    with pytest.raises(ParameterError, match=says):
        ps.rare.estimate(lambda p: 3.0 - p["u"][0], space, key)


def test_a_rare_category_between_common_ones_is_not_lost_beside_a_smooth_mode():
    # Equal halves: the third category, with y > 1, and x > 4.
    chances = jnp.array([0.5, 0.2998, 0.0002, 0.2])
    normal = ps.Parameter(dist.Normal(0.0, 1.0))
    space = ps.ParameterSpace({"kind": ps.Parameter(dist.Categorical(chances)), "x": normal, "y": normal})
    event = ps.rare.estimate(
        lambda p: jnp.where((p["kind"] == 2) & (p["y"] > 1.0), -1.0, 4.0 - p["x"]), space, jax.random.key(0)
    )
    truth = 1.0 - (1.0 - 2e-4 * stats.norm.sf(1.0)) * stats.norm.cdf(4.0)
    assert event.converged
    assert within(event, truth)


def test_nothing_but_failed_runs_is_said_so():
    event = ps.rare.estimate(lambda p: jnp.nan * p["u"][0], PLANE_2, jax.random.key(0), max_calls=300)
    assert event.bounds == (0.0, 1.0)
    assert event.warnings[-1].startswith(f"{event.failed_runs} of {event.calls + event.gradient_calls} runs")


def test_failed_runs_that_may_carry_more_than_the_interval_holds_are_said_so():
    # Beyond 3.5 there is no number: what lies there, 17 % of the failures, is counted as survivals.
    event = ps.rare.estimate(
        lambda p: jnp.where(p["u"][0] > 3.5, jnp.nan, 3.0 - p["u"][0]), PLANE_2, jax.random.key(0)
    )
    assert event.converged
    assert event.bounds[1] > event.interval()[1]
    assert "see bounds" in event.warnings[-1]
    assert event.bounds[1] == pytest.approx(stats.norm.sf(3.0), rel=4 * event.cov)


def test_a_vector_is_no_limit_state():
    with pytest.raises(ParameterError, match="scalar"):
        ps.rare.estimate(lambda p: p["u"], PLANE_2, jax.random.key(0))


def test_reserved_parameter_names():
    space = ps.ParameterSpace({"weight": ps.Parameter(dist.Normal(70.0, 10.0), "kg")})
    with pytest.raises(ParameterError, match="reserved"):
        ps.rare.estimate(lambda p: 100.0 - p["weight"], space, jax.random.key(0))

"""A guide chooses, the true limit state decides: unbiased whatever the error, cheap if it is small."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import physsynth as ps
from physsynth.core.errors import ParameterError

SPACE = ps.ParameterSpace.standard_normal(2)


def true(p):
    return 3.0 - p["u"][0]


def both_sides(p):
    return jnp.minimum(3.0 - p["u"][0], 3.2 + p["u"][0])


def shifted(p):
    return 3.4 - p["u"][0]


def in_other_units(p):
    return 10.0 * (3.1 - p["u"][0])


def turned(p):
    return 3.0 - 0.98 * p["u"][0] - np.sqrt(1 - 0.98**2) * p["u"][1]


PLANE = stats.norm.sf(3.0)


@pytest.mark.parametrize("guide", [shifted, in_other_units, turned], ids=lambda f: f.__name__)
def test_unbiased_and_covered_with_a_wrong_guide(guide):
    seeds = 25
    events = [ps.rare.estimate(true, SPACE, jax.random.key(s), guide=guide) for s in range(seeds)]
    ratio = np.array([event.probability for event in events]) / PLANE
    # each run reaches a cov of 5 %, so the mean of 25 has a standard error of 1 %
    assert abs(ratio.mean() - 1) < 4 * 0.01
    held = sum(low <= PLANE <= high for low, high in (event.interval(0.95) for event in events))
    # binomial(25, 0.95): 20 is passed with probability 0.999
    assert held >= 20
    assert all(event.converged for event in events)


def test_true_calls_are_saved_and_the_guide_is_counted():
    alone = ps.rare.estimate(true, SPACE, jax.random.key(1), differentiable=False)
    led = ps.rare.estimate(true, SPACE, jax.random.key(1), differentiable=False, guide=shifted)
    assert led.calls < 500
    assert 4 * led.calls < alone.calls
    assert led.gradient_calls == 0
    assert led.guide_calls > 4000
    assert alone.guide_calls == 0
    assert led.summary()["guide_calls"] == led.guide_calls


def test_a_mode_that_the_guide_does_not_know_is_found():
    truth = PLANE + stats.norm.sf(3.2)
    events = [ps.rare.estimate(both_sides, SPACE, jax.random.key(s), guide=true) for s in range(10)]
    ratio = np.array([event.probability for event in events]) / truth
    assert abs(ratio.mean() - 1) < 4 * 0.05 / np.sqrt(10)
    shares = np.array([event.modes["share"].values[0] for event in events])
    assert shares.mean() == pytest.approx(PLANE / truth, abs=0.05)


def test_a_small_region_that_the_guide_takes_for_safe_is_counted():
    def blind(p):
        return jnp.where((p["u"][1] > 0.2) & (p["u"][1] < 0.5), 1.0, true(p))

    seeds = 20
    events = [ps.rare.estimate(true, SPACE, jax.random.key(500 + s), guide=blind) for s in range(seeds)]
    ratio = np.array([event.probability for event in events]) / PLANE
    # The strip holds 11 % of the failures; a cov of 5 % each.
    assert abs(ratio.mean() - 1) < 4 * 0.05 / np.sqrt(seeds)


def test_what_turns_out_as_believed_is_not_paid_for():
    """Counting failures among the picks, without what was believed, would take thousands of calls."""
    event = ps.rare.estimate(true, SPACE, jax.random.key(7), guide=shifted, target_cov=0.01)
    assert event.converged
    assert event.calls < 1000
    assert abs(event.probability / PLANE - 1) < 4 * 0.01


def test_as_many_failing_scenarios_as_are_wanted():
    """The probability needs a few hundred runs; those who reweight the scenarios want more of them."""
    event = ps.rare.estimate(true, SPACE, jax.random.key(7), guide=shifted, target_cov=0.05, scenarios=1000)
    # A draw picked twice is one scenario: among thousands of draws few are.
    assert np.sum(event.scenarios["status"].values == 0) > 800
    assert abs(event.probability / PLANE - 1) < 4 * 0.05


def test_scenarios_are_true_failures_whose_weights_sum_to_the_probability():
    event = ps.rare.estimate(true, SPACE, jax.random.key(3), guide=turned)
    failing = event.scenarios.isel(scenario=event.scenarios["status"].values == 0)
    assert np.all(failing["u"].values[:, 0] >= 3.0)
    assert float(failing["weight"].sum()) == pytest.approx(event.probability, rel=1e-12)


def test_a_guide_without_failures_is_given_up():
    event = ps.rare.estimate(true, SPACE, jax.random.key(4), guide=lambda p: 1.0 + 0.0 * p["u"][0])
    assert event.converged
    assert abs(event.probability / PLANE - 1) < 4 * event.cov


GUIDES_OF_NO_USE = {
    "all fails": lambda p: -1.0 + 0.0 * p["u"][0],
    "half are no numbers": lambda p: jnp.where(p["u"][1] > 0, jnp.nan, true(p)),
    "the other way round": lambda p: -true(p),
}


@pytest.mark.parametrize("name", GUIDES_OF_NO_USE)
def test_a_guide_of_no_use_costs_little_and_spoils_nothing(name):
    events = [
        ps.rare.estimate(true, SPACE, jax.random.key(20 + s), guide=GUIDES_OF_NO_USE[name]) for s in range(10)
    ]
    assert all(event.converged for event in events)
    assert all(event.calls + 3 * event.gradient_calls < 10_000 for event in events)
    ratio = np.array([event.probability for event in events]) / PLANE
    assert abs(ratio.mean() - 1) < 4 * 0.05 / np.sqrt(10)


def test_a_guide_goes_with_the_automatic_method_only():
    with pytest.raises(ParameterError, match="guide"):
        ps.rare.estimate(true, SPACE, jax.random.key(5), guide=shifted, method="subset")


@pytest.mark.parametrize("scenarios", [-1, 2.5, np.nan])
def test_failing_scenarios_wanted_are_a_count(scenarios):
    with pytest.raises(ParameterError, match="scenarios"):
        ps.rare.estimate(true, SPACE, jax.random.key(5), guide=shifted, scenarios=scenarios)


def test_a_guide_whose_calls_run_out_is_given_up():
    event = ps.rare.estimate(true, SPACE, jax.random.key(6), guide=shifted, max_calls=150)
    assert event.calls + 3 * event.gradient_calls <= 150
    assert not event.converged

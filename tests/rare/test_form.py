"""Design points against exact ones, with gradients and by differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import physsynth as ps
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.form import search


def valley(p):
    """Papaioannou et al. (2015): a narrow parabola, nearest to the origin at distance 4."""
    u = p["u"]
    return 4 + 2.5 * (u[0] - u[1]) ** 2 - u.sum() / jnp.sqrt(2.0)


def kept_up(p):
    """Fails where u[0] >= 3, whatever the count says."""
    return 3.0 - p["u"] + 0.0 * p["count"]


@pytest.mark.parametrize("differentiable", [True, False], ids=["gradients", "differences"])
def test_narrow_valley(differentiable):
    evaluator = Evaluator(valley, ps.ParameterSpace.standard_normal(2), 10_000, differentiable)
    starts = np.random.default_rng(0).standard_normal((16, 2))
    found = search(evaluator, starts)
    assert len(found.u) >= 4
    np.testing.assert_allclose(found.u, np.sqrt(8.0), atol=0.15)
    np.testing.assert_allclose(found.reliability_index, 4.0, atol=0.1)


def test_a_slope_by_differences_costs_one_call_more_than_it_has_components():
    space = ps.ParameterSpace.standard_normal(5)
    evaluator = Evaluator(lambda p: jnp.sum(jnp.arange(1.0, 6.0) * p["u"]), space, 100, differentiable=False)
    g, slope = evaluator.slopes(np.ones((2, 5)))
    np.testing.assert_allclose(g, 15.0)
    np.testing.assert_allclose(slope, np.tile(np.arange(1.0, 6.0), (2, 1)), rtol=1e-9)
    assert evaluator.calls == 2 * evaluator.slope_cost == 2 * 6
    assert evaluator.gradient_calls == 0


def test_discrete_parameters_have_no_slope():
    space = ps.ParameterSpace(
        {
            "u": ps.Parameter(dist.Normal(0.0, 1.0), "1", "strength"),
            "count": ps.Parameter(dist.DiscreteUniform(0, 3), "1", "arrivals"),
        }
    )
    evaluator = Evaluator(kept_up, space, 100, differentiable=False)
    _, slope = evaluator.slopes(np.zeros((1, 2)))
    np.testing.assert_allclose(slope, [[-1.0, 0.0]])
    assert evaluator.slope_cost == 2


def test_failed_runs_end_a_search_and_are_counted():
    space = ps.ParameterSpace.standard_normal(2)
    evaluator = Evaluator(lambda p: jnp.where(p["u"][0] > 0.5, jnp.nan, 3 - p["u"][1]), space, 1000, False)
    found = search(evaluator, np.array([[1.0, 0.0], [-1.0, 0.0]]))
    np.testing.assert_allclose(found.u, [[0.0, 3.0]], atol=0.1)
    assert evaluator.failed_runs >= 1


def test_black_box_in_a_hundred_dimensions():
    space = ps.ParameterSpace.standard_normal(100)
    event = ps.rare.estimate(
        lambda p: 4.0 - p["u"].sum() / 10.0, space, jax.random.key(2), differentiable=False
    )
    assert event.converged
    assert event.gradient_calls == 0
    assert abs(event.probability / stats.norm.sf(4.0) - 1) < 4 * event.cov
    assert event.calls < 15_000

"""A function outside JAX: the same numbers as inside, each scenario run once, failures kept."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import physsynth as ps
from physsynth.core.errors import ParameterError

SPACE = ps.ParameterSpace.standard_normal(2)


def test_probability_of_a_function_in_python():
    calls = []

    def margin(p):
        calls.append(1)
        return 3.0 - math.hypot(max(p["u"][0], 0.0), 0.0)

    event = ps.rare.estimate(ps.external(margin), SPACE, jax.random.key(0), differentiable=False)
    assert abs(event.probability / stats.norm.sf(3.0) - 1) < 4 * event.cov
    # Batches are padded with one and the same scenario, which must not be paid for again and again.
    assert len(calls) <= 1.05 * event.calls


def test_a_run_that_raises_is_a_failed_run():
    def margin(p):
        if p["u"][1] > 2.0:
            raise RuntimeError("the solver diverged")
        return 3.0 - p["u"][0]

    with pytest.warns(RuntimeWarning, match="the solver diverged"):
        event = ps.rare.estimate(ps.external(margin), SPACE, jax.random.key(0), differentiable=False)
    truth = stats.norm.sf(3.0) * stats.norm.cdf(2.0)
    assert abs(event.probability / truth - 1) < 4 * event.cov
    assert event.failed_runs > 0
    assert event.bounds[1] > event.probability


def test_outputs_of_a_simulator():
    path = ps.external(
        lambda p: {"x": p["v"] * np.arange(3.0), "end": 2.0 * p["v"]}, {"x": np.zeros(3), "end": 0.0}
    )
    found = jax.jit(jax.vmap(path))({"v": jnp.array([1.0, 2.0])})
    np.testing.assert_array_equal(found["x"], [[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]])
    np.testing.assert_array_equal(found["end"], [2.0, 4.0])


def test_another_shape_is_a_failed_run():
    with pytest.warns(RuntimeWarning, match="wanted"):
        assert np.isnan(ps.external(lambda p: [1.0, 2.0])({"u": 0.0}))


def test_a_gradient_is_refused_with_advice():
    with pytest.raises(ParameterError, match="differentiable=False"):
        ps.rare.estimate(ps.external(lambda p: 3.0 - p["u"][0]), SPACE, jax.random.key(0))

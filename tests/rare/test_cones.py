"""Corners, where several boundaries meet: the cone behind them, its probability, and what it spares."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import physsynth as ps
from physsynth.rare.components import Cone, half_space
from physsynth.rare.cones import with_cones
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.planes import Planes, planes_through

BOUNDS = jnp.array([1.5, 1.8, 2.1, 2.4])


def all_fail(p):
    """Four components on axes of their own that all must fail."""
    return jnp.max(BOUNDS - p["u"][:4])


def test_one_plane_is_the_half_space():
    normal, u = np.array([0.6, 0.8, 0.0]), 2 * np.random.default_rng(0).standard_normal((200, 3))
    np.testing.assert_allclose(
        Cone(normal[None], np.ones(1)).log_ratio(u), half_space(normal, 1.0).log_ratio(u), rtol=1e-12
    )


@pytest.mark.parametrize("correlation", [-0.3, 0.0, 0.6])
def test_weights_add_up_to_the_orthant_probability(correlation):
    # Three planes through the origin: P = 1/8 + 3 arcsin(r) / (4 pi) (Sheppard, 1899).
    factor = np.linalg.cholesky(correlation + (1 - correlation) * np.eye(3))
    cone, n = Cone(factor @ np.eye(5)[:3], np.zeros(3)), 20_000
    weight = np.exp(-cone.log_ratio(cone.sample(np.random.default_rng(1), n)))
    exact = 1 / 8 + 3 * np.arcsin(correlation) / (4 * np.pi)
    assert weight.mean() == pytest.approx(exact, abs=4 * weight.std() / np.sqrt(n) + 1e-12)


def test_weights_in_a_far_corner_hardly_vary():
    # Tilted draws have bounded relative error; without the tilt it is 0.9 here.
    factor = np.linalg.cholesky(-0.3 + 1.3 * np.eye(3))
    cone = Cone(factor @ np.eye(5)[:3], np.array([1.5, 1.8, 2.1]))
    weight = np.exp(-cone.log_ratio(cone.sample(np.random.default_rng(2), 2000)))
    assert weight.std() / weight.mean() < 0.2


@pytest.mark.parametrize("known", [True, False])
def test_cutting_planes_find_all_sides_of_a_corner(known):
    evaluator = Evaluator(all_fail, ps.ParameterSpace.standard_normal(30), 1000)
    ray = planes_through(2.6 * np.eye(30)[:4].sum(axis=0)[None])
    planes, cones = with_cones(evaluator, ray if known else Planes.none(30), np.random.default_rng(3), 8)
    (cone,) = cones
    np.testing.assert_allclose(sorted(cone.bounds), BOUNDS, atol=1e-9)
    # The nearest failure is where all four boundaries meet.
    assert planes.bound[0] == pytest.approx(np.linalg.norm(BOUNDS), abs=1e-9)
    assert evaluator.cost < 200


def test_a_smooth_design_point_is_no_corner():
    evaluator = Evaluator(lambda p: 3.0 - p["u"][0], ps.ParameterSpace.standard_normal(4), 1000)
    planes, cones = with_cones(evaluator, planes_through(3.0 * np.eye(4)[:1]), np.random.default_rng(4), 8)
    assert not cones
    np.testing.assert_allclose(planes.bound, 3.0)


def test_components_that_all_must_fail_in_thirty_dimensions():
    exact = float(np.prod(stats.norm.sf(np.asarray(BOUNDS))))
    for seed in range(3):
        event = ps.rare.estimate(all_fail, ps.ParameterSpace.standard_normal(30), jax.random.key(seed))
        assert event.converged
        assert event.probability == pytest.approx(exact, rel=4 * event.cov)
        # The space behind one plane across the corner took 50,000 to 70,000.
        assert event.calls + 3 * event.gradient_calls < 30_000

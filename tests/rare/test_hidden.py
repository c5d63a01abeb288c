"""Modes that others hide: series systems of many components, corners, cylinders, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import physsynth as ps
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.form import corners, search
from physsynth.rare.hidden import away, with_hidden
from physsynth.rare.importance import Importance
from physsynth.rare.planes import ALIKE, Planes


def _estimate(g, d, seed=0, **options):
    return ps.rare.estimate(
        lambda p: g(p["u"]), ps.ParameterSpace.standard_normal(d), jax.random.key(seed), **options
    )


def _beyond(probability, components):
    """The bound that any of so many independent standard normals passes with the probability given."""
    return stats.norm.isf(-np.expm1(np.log1p(-probability) / components))


@pytest.mark.parametrize("differentiable", [True, False])
def test_the_largest_of_ten_normals_has_ten_equal_modes(differentiable):
    bound = _beyond(1e-5, 10)
    event = _estimate(lambda u: bound - jnp.max(u), 10, differentiable=differentiable)
    low, high = event.interval()
    assert event.converged
    # Four standard errors of the estimate; nine modes of ten would be ten per cent too few at the least.
    assert event.probability == pytest.approx(1e-5, rel=4 * event.cov)
    assert low < high < 1.3e-5
    assert len(event.modes.share) == 10
    # A share of 0.1 from an effective number of about 500 failing runs: 4 standard errors.
    np.testing.assert_allclose(event.modes.share, 0.1, atol=4 * np.sqrt(0.09 / 500))


def test_signs_double_the_modes():
    bound = _beyond(2e-5, 20)
    event = _estimate(lambda u: bound - jnp.max(jnp.abs(u)), 10, seed=1)
    assert event.probability == pytest.approx(2e-5, rel=4 * event.cov)
    assert len(event.modes.share) == 20


def test_a_component_in_other_units_is_not_hidden():
    exact = -np.expm1(2 * np.log1p(-stats.norm.sf(4.0)))
    scale = jnp.array([1.0, 50.0])
    for seed in range(4):
        event = _estimate(lambda u: jnp.min(scale * (4.0 - u[:2])), 10, seed)
        # Were one of two equal modes missed, the probability would be half.
        assert event.probability == pytest.approx(exact, rel=0.25)


@pytest.mark.parametrize("differentiable", [True, False])
def test_nor_is_it_among_fifty_variables(differentiable):
    exact = -np.expm1(2 * np.log1p(-stats.norm.sf(4.0)))
    turned = jnp.asarray(np.linalg.qr(np.random.default_rng(1).standard_normal((50, 50)))[0][:2])
    scale = jnp.array([1.0, 100.0])
    event = _estimate(lambda u: jnp.min(scale * (4.0 - turned @ u)), 50, differentiable=differentiable)
    # Were one of two equal modes missed, the probability would be half.
    assert event.converged
    assert event.probability == pytest.approx(exact, rel=4 * event.cov)
    assert len(event.modes.share) == 2


def test_rings_are_modes_as_a_whole():
    radius = np.sqrt(stats.chi2.isf(-np.expm1(np.log1p(-1e-4) / 3), 2))
    for seed in range(2):
        event = _estimate(lambda u: radius**2 - jnp.max(u[:6:2] ** 2 + u[1:6:2] ** 2), 6, seed)
        assert event.converged
        assert event.probability == pytest.approx(1e-4, rel=4 * event.cov)
        # A share of a third from an effective number of about 500 failing runs: 4 standard errors.
        assert len(event.modes.share) == 3
        np.testing.assert_allclose(event.modes.share, 1 / 3, atol=4 * np.sqrt(2 / 9 / 500))


@pytest.mark.parametrize("dimension", [10, 50])
def test_a_mode_behind_a_jump_that_no_slope_foretells_is_found(dimension):
    turned = jnp.asarray(np.linalg.qr(np.random.default_rng(2).standard_normal((dimension, 2)))[0])
    exact = -np.expm1(2 * np.log1p(-stats.norm.sf(4.0)))
    event = _estimate(
        lambda u: jnp.where(u @ turned[:, 1] > 4.0, -1.0, 4.0 - u @ turned[:, 0]), dimension, seed=3
    )
    # Were one of two equal modes missed, the probability would be half.
    assert event.converged
    assert event.probability == pytest.approx(exact, rel=4 * event.cov)
    assert len(event.modes.share) == 2


def test_a_jump_alone_among_fifty_variables_has_its_nearest_point():
    along = jnp.ones(50) / np.sqrt(50.0)
    event = _estimate(lambda u: jnp.where(u @ along > 4.0, -1.0, 1.0), 50)
    assert event.converged
    assert event.probability == pytest.approx(stats.norm.sf(4.0), rel=4 * event.cov)
    # Ten halvings of a ray's reach, tilted by a tenth, and a hundredth beyond: within a tenth.
    np.testing.assert_allclose(event.modes.design_point.values[0] @ along, 4.0, atol=0.1)


def _of(space, g, seed=0):
    return ps.rare.estimate(g, ps.ParameterSpace(space), jax.random.key(seed))


def test_two_rare_switches_that_fail_together_are_found_beside_a_smooth_mode():
    space = {
        "pump": ps.Parameter(dist.Bernoulli(2e-3)),
        "valve": ps.Parameter(dist.Bernoulli(1e-3)),
        "load": ps.Parameter(dist.Normal(0.0, 1.0)),
    }

    def g(p):
        return jnp.where((p["pump"] == 1) & (p["valve"] == 1), -1.0, 4.6 - p["load"])

    exact = 2e-6 + (1 - 2e-6) * stats.norm.sf(4.6)
    for seed in range(3):
        event = _of(space, g, seed)
        assert event.converged
        assert event.probability == pytest.approx(exact, rel=4 * event.cov)
        assert len(event.modes.share) == 2


def test_a_slope_that_leads_astray_does_not_hide_a_rare_switch():
    space = {"switch": ps.Parameter(dist.Bernoulli(1e-4)), "load": ps.Parameter(dist.Normal(0.0, 1.0))}

    def g(p):
        return jnp.where(p["switch"] == 1, 1.0 - p["load"], 10.0 - jnp.abs(p["load"]))

    event = _of(space, g)
    assert event.converged
    assert event.probability == pytest.approx(1e-4 * stats.norm.sf(1.0), rel=4 * event.cov)


def test_corners_of_parallel_components_are_design_points():
    one = np.sqrt(-np.expm1(np.log1p(-1e-4) / 3))
    bound = stats.norm.isf(one)
    event = _estimate(lambda u: jnp.min(jnp.maximum(bound - u[:6:2], bound - u[1:6:2])), 6)
    assert event.converged
    assert event.probability == pytest.approx(1e-4, rel=4 * event.cov)
    assert len(event.modes.share) == 3
    # Each at the meeting of two boundaries, at sqrt(2) times the bound from the origin.
    reach = np.linalg.norm(event.estimate.design_points, axis=1)
    assert np.sum(np.abs(reach - np.sqrt(2) * bound) < 0.05) == 3


def test_failing_points_are_pulled_to_the_nearest_corner():
    space = ps.ParameterSpace.standard_normal(3)
    evaluator = Evaluator(lambda p: jnp.max(jnp.array([1.0, 2.0, 1.5]) - p["u"]), space, 10_000)
    found = corners(evaluator, np.array([[3.0, 3.0, 3.0], [1.2, 4.0, 2.0]]))
    # Bisection leaves 1 / 128 of each pull.
    np.testing.assert_allclose(found, [[1.0, 2.0, 1.5]] * 2, atol=0.05)


def test_failing_points_without_slope_are_pulled_to_the_nearest_too():
    space = ps.ParameterSpace.standard_normal(3)
    evaluator = Evaluator(lambda p: jnp.where(jnp.all(p["u"][:2] > 2.0), -1.0, 1.0), space, 10_000)
    found = corners(evaluator, np.array([[3.0, 4.0, 1.0], [6.0, 2.5, -2.0]]))
    # Tangents found by halving err by a few hundredths, and the way along a corner is left early.
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 2 * np.sqrt(2), rtol=0.06)


def test_points_away_from_planes_keep_their_distance_and_lie_before_all():
    rng = np.random.default_rng(0)
    planes = Planes(np.eye(6)[:4], np.full(4, 3.0), np.ones(4, bool))
    u = rng.standard_normal((50, 6))
    v = away(u, planes)
    assert np.all(v[:, :4] <= 1e-12)
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), np.linalg.norm(u, axis=1), rtol=1e-9)


def test_the_far_side_of_an_island_is_no_design_point():
    middle = jnp.array([4.0, 0.0, 0.0])
    evaluator = Evaluator(
        lambda p: jnp.linalg.norm(p["u"] - middle) - 0.8, ps.ParameterSpace.standard_normal(3), 10_000
    )
    found = search(evaluator, np.array([[5.5, 0.0, 0.0], [0.1, 0.1, 0.0]]))
    # The nearest point of the sphere is 4 - 0.8 away. The first start ends at its farthest, 4.8 away, where
    # failure lies towards the origin.
    np.testing.assert_allclose(found.reliability_index, [3.2], atol=0.05)
    np.testing.assert_allclose(found.stuck, [[4.8, 0.0, 0.0]], atol=0.05)


@pytest.mark.parametrize(("d", "radius"), [(2, 0.5), (3, 0.8)])
def test_an_island_beside_a_smooth_mode_is_met(d, radius):
    middle = jnp.zeros(d).at[1].set(4.0)
    island = stats.ncx2.cdf(radius**2, d, 16.0)
    bound, exact = stats.norm.isf(island), 1 - (1 - island) ** 2
    for seed in range(6):
        event = _estimate(
            lambda u: jnp.minimum(bound - u[0], 10 * (jnp.linalg.norm(u - middle) - radius)), d, seed
        )
        # Were the island missed, the probability would be half.
        assert event.converged
        assert event.probability == pytest.approx(exact, rel=4 * event.cov)


def _outside_cylinders(radius, rings):
    """Failure outside any of so many cylinders, whose planes are turned at random, and the turn (d, d)."""
    turn = np.linalg.qr(np.random.default_rng(rings).standard_normal((2 * rings, 2 * rings)))[0]
    turned = jnp.asarray(turn)
    return lambda p: radius - jnp.max(jnp.linalg.norm((turned @ p["u"]).reshape(-1, 2), axis=1)), turn


@pytest.mark.parametrize(("rings", "seed"), [(4, 5), (8, 0)])
def test_planes_around_cylinders_leave_no_gap(rings, seed):
    g, turn = _outside_cylinders(4.6, rings)
    evaluator = Evaluator(g, ps.ParameterSpace.standard_normal(2 * rings), 20_000)
    planes = with_hidden(
        evaluator, Planes.none(2 * rings), np.random.default_rng(seed), np.empty((0, 2 * rings))
    )
    direction = planes.direction @ turn.T
    for k in range(0, 2 * rings, 2):
        around = direction[np.hypot(*direction[:, k : k + 2].T) > 0.9, k : k + 2]
        angle = np.sort(np.arctan2(around[:, 1], around[:, 0]))
        gap = np.diff(np.append(angle, angle[0] + 2 * np.pi)).max()
        # Were it wider, a plane halfway would be no near duplicate; planes lie a little aside, hence 0.1.
        assert gap < 2 * np.arccos(ALIKE) + 0.1


def test_no_few_failures_around_cylinders_hold_the_weight():
    """Else draws that miss them foresee too small a variance: a hundredth held 20 to 40 % of it."""
    radius, rings, n = 4.6, 4, 20_000
    g, turn = _outside_cylinders(radius, rings)
    space, rng = ps.ParameterSpace.standard_normal(2 * rings), np.random.default_rng(0)
    plan = Importance().prepare(Evaluator(g, space, 20_000), rng, 0.05)
    # Exact scenarios outside one cylinder: an exponential tail of the squared radius, uniform in angle.
    u, angle = rng.standard_normal((n, rings, 2)), 2 * np.pi * rng.random(n)
    out = np.sqrt(radius**2 + 2 * rng.exponential(size=n))
    u[np.arange(n), rng.integers(rings, size=n)] = (out * [np.cos(angle), np.sin(angle)]).T
    cover = np.sort(plan.cover(u.reshape(n, -1) @ turn))
    assert cover[-n // 100 :].sum() < 0.1 * cover.sum()


def test_a_plane_between_two_does_not_push_both_out_for_a_little():
    """They are 26 degrees apart: one halfway is like both, and may be nearer by bisection's error alone."""
    angle = np.array([0.0, 26.0, 13.0]) * np.pi / 180
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    known = Planes(direction[:2], np.full(2, 4.6), np.zeros(2, bool))
    assert len(known.joined(Planes(direction[2:], np.array([4.59]), np.zeros(1, bool))).bound) == 2
    nearer = known.joined(Planes(direction[2:], np.array([3.0]), np.zeros(1, bool)))
    np.testing.assert_allclose(nearer.bound, [3.0])

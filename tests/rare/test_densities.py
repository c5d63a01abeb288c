"""The building blocks of importance sampling: densities integrate to one, draws follow them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from physsynth.rare.components import Cone, HalfNormal, HalfSpaces, OutsideSphere, half_space
from physsynth.rare.mixture import Mixture, fitted

AXIS = np.array([0.6, 0.8])
COMPONENTS = {
    "half_space": half_space(AXIS, 1.0),
    "half_normal": HalfNormal(
        np.eye(2), np.array([0.5, -0.3]), np.array([[0.8, 0.0], [0.3, 0.6]]), AXIS, 0.2
    ),
    "half_spaces": HalfSpaces(np.stack([AXIS, -AXIS]), np.array([1.0, 0.5]), np.array([0.3, 0.7])),
    "sphere": OutsideSphere(2, 1.2),
    "cone": Cone(np.array([[0.6, 0.8], [0.8, -0.6]]), np.array([0.5, 0.2])),
    "narrow_cone": Cone(np.array([[1.0, 0.0], [-0.6, 0.8]]), np.array([0.5, 0.2])),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_density_integrates_to_one(name):
    edge = np.linspace(-9, 9, 1201)
    grid = np.stack(np.meshgrid(edge, edge), axis=-1).reshape(-1, 2)
    with np.errstate(divide="ignore"):
        density = np.exp(COMPONENTS[name].log_ratio(grid) + stats.norm.logpdf(grid).sum(axis=1))
    # the midpoint rule across a jump errs by its length times the step, here below 1 %
    assert density.sum() * (edge[1] - edge[0]) ** 2 == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("name", COMPONENTS)
def test_draws_follow_the_density(name):
    component, n = COMPONENTS[name], 40_000
    u = component.sample(np.random.default_rng(0), n)
    # E_q[phi(u) / q(u) h(u)] is the integral of h phi over the support of q, here with h = 1 and h = u0 > 0
    weight = np.exp(-component.log_ratio(u))
    ordinary = np.random.default_rng(1).standard_normal((400_000, 2))
    support = np.isfinite(component.log_ratio(ordinary))
    for h in (np.ones(2), None):
        inside = weight if h is not None else weight * (u[:, 0] > 0)
        truth = np.mean(support if h is not None else support & (ordinary[:, 0] > 0))
        assert inside.mean() == pytest.approx(
            truth, abs=4 * (inside.std() / np.sqrt(n) + 0.5 / np.sqrt(400_000))
        )


def test_shares_go_where_failures_are():
    u = half_space(AXIS, 2.0).sample(np.random.default_rng(2), 500)
    parts = [half_space(AXIS, 2.0), half_space(-AXIS, 2.0)]
    mixture = fitted(parts, np.array([0.0, 0.05]), u, np.full(500, 1 / 500))
    np.testing.assert_allclose(mixture.shares, [0.95, 0.05], atol=1e-3)


def test_mixture_draws_each_component_by_its_share():
    mixture = Mixture((half_space(AXIS, 2.0), half_space(-AXIS, 2.0)), np.array([0.75, 0.25]))
    u = mixture.sample(np.random.default_rng(3), 1000)
    assert np.sum(u @ AXIS > 0) == pytest.approx(750, abs=1)

"""The bridge holds where its mixture leaves out half of the failures, and where it is perfect."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import physsynth as ps
from physsynth.rare.bridge import Bridge
from physsynth.rare.components import half_space
from physsynth.rare.draws import Draws
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.mixture import Mixture

D, BETA = 30, 2.8
SPACE = ps.ParameterSpace.standard_normal(D)
FIRST = np.eye(D)[0]
ONE_SIDE = Mixture((half_space(FIRST, BETA - 0.1),), np.ones(1))


def one_sided(p):
    return BETA - p["u"][0]


def two_sided(p):
    return BETA - jnp.abs(p["u"][0])


def bridged(g, seed):
    evaluator = Evaluator(g, SPACE, 100_000, differentiable=False)
    rng = np.random.default_rng(seed)
    return Bridge().run(ONE_SIDE, Draws.of(ONE_SIDE, evaluator, rng, 31), evaluator, rng, 0.08)


@pytest.mark.parametrize(("g", "sides"), [(one_sided, 1), (two_sided, 2)], ids=["all", "half"])
def test_unbiased_whatever_the_mixture_leaves_out(g, sides):
    truth, seeds = sides * stats.norm.sf(BETA), 20
    estimates = [bridged(g, seed) for seed in range(seeds)]
    ratio = np.array([e.probability for e in estimates]) / truth
    # 8 % each, so the mean of 20 has a standard error of 1.8 %
    assert abs(ratio.mean() - 1) < 4 * 0.08 / np.sqrt(seeds)
    held = [low <= truth <= high for low, high in (e.spread.interval(0.95) for e in estimates)]
    # binomial(20, 0.95): 15 is passed with probability 0.9997
    assert sum(held) >= 15
    assert all(e.converged == (e.spread.cov <= 0.08) for e in estimates)


def test_weights_follow_the_failures_on_both_sides():
    e = bridged(two_sided, 0)
    assert np.all(np.abs(e.u[:, 0]) >= BETA)
    # half on each side; the side that only subset runs reach has about 500 correlated points
    assert e.weight[e.u[:, 0] < 0].sum() / e.probability == pytest.approx(0.5, abs=0.15)
    # the mean of |u_0| given failure is phi(b) / Phi(-b)
    mean = np.average(np.abs(e.u[:, 0]), weights=e.weight)
    assert mean == pytest.approx(stats.norm.pdf(BETA) / stats.norm.sf(BETA), rel=0.03)

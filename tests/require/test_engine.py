"""The particle engine: moments, resampling, crossings."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.require.engine import (
    Cloud,
    Evidence,
    effective_size,
    first_crossings,
    grow,
    renew,
    resample,
    reweigh,
    sizes,
    truth_and_others,
)
from physsynth.require.present import Present


def test_a_renewed_cloud_is_a_sample_of_the_posterior():
    """Prior N(0, 2^2), one observation 3 of variance 1: mean 2.4, variance 0.8, whatever the cloud before.

    The density fitted to 8,000 draws leaves its slope open by about 0.03 per unit, and so the mean by 0.8 of
    that: mean and sd within twice this; what does not vary stays still.
    """
    prior = np.column_stack([2 * np.random.default_rng(0).normal(size=8000), np.full(8000, 3.0)])
    evidence = Evidence(
        Present.of(prior), lambda cloud: cloud, lambda cloud, index: -0.5 * (cloud[0] - 3.0) ** 2
    )
    start = jnp.asarray(prior[:4096].T)
    poor = -0.3 * (start[0] - 1.0) ** 2
    cloud = Cloud(start, start, poor, jax.random.key(1), jnp.asarray(1.0), jnp.asarray(1.0))
    cloud = jax.jit(lambda cloud: renew(cloud, evidence, jnp.asarray(1)))(cloud)
    weights = jax.nn.softmax(cloud.log_weights)
    mean = float(weights @ cloud.particles[0])
    assert mean == pytest.approx(2.4, abs=0.05)
    assert float(weights @ (cloud.particles[0] - mean) ** 2) ** 0.5 == pytest.approx(0.8**0.5, abs=0.05)
    np.testing.assert_allclose(cloud.particles[1], 3.0, rtol=1e-6)
    assert cloud.fresh == pytest.approx(effective_size(cloud.log_weights))


def test_density_of_a_mean_with_an_unknown_sd():
    """Normal-inverse-chi-squared draws: the fitted log density differs from the exact one by a constant.

    Its residual over 20,000 draws is kernel noise and what a quadratic misses; a normal fit has 0.4.
    """
    rng = np.random.default_rng(0)
    log_sd = 0.5 * np.log(11 / rng.chisquare(11, 4000))
    rows = np.column_stack([np.exp(log_sd) * rng.normal(size=4000) / math.sqrt(12), log_sd])
    fitted = np.asarray(jax.jit(Present.log_density)(Present.of(rows, order=(1, 0)), jnp.asarray(rows.T)))
    mean, log_sd = rows.T
    exact = -log_sd - 6 * (mean / np.exp(log_sd)) ** 2 - 11 * log_sd - 5.5 * np.exp(-2 * log_sd)
    assert np.std(fitted - exact) < 0.12


def test_systematic_resampling_gives_each_its_share():
    """Every count is one of the two whole numbers about n w."""
    weights = jnp.array([0.1, 0.25, 0.05, 0.6])
    counts = np.bincount(resample(jax.random.key(0), weights, 30), minlength=4)
    assert np.all(np.abs(counts - 30 * np.asarray(weights)) < 1)


def test_crossing_of_the_square_root_law_is_exact():
    """Width (7 + n)^(-1/2) meets 0.2 at n = 18, whatever the grid; one that stays above never does."""
    grid = sizes(100)
    widths = np.stack(
        [(7 + np.asarray(grid, float)) ** -0.5, np.full(len(grid), 0.3), np.full(len(grid), 0.1)]
    )
    np.testing.assert_allclose(first_crossings(widths, grid, 0.2), [18.0, np.inf, 1.0])


def test_crossing_from_an_infinite_width_is_the_next_size():
    widths = np.array([[np.inf, np.inf, 0.1, np.nan]])
    assert first_crossings(widths, (1, 2, 4, 8), 0.2)[0] == pytest.approx(4.0, rel=0.01)


def test_truths_are_spread_and_never_among_the_particles():
    truths = []
    for replicate in range(7):
        key = jax.random.key(replicate)
        truth, others = truth_and_others(key, jnp.asarray(replicate), 7, 50, 20)
        assert int(truth) not in np.asarray(others)
        assert len(set(np.asarray(others).tolist())) == 20
        truths.append(int(truth))
    assert truths == [0, 7, 14, 21, 28, 35, 42]


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_future_that_no_particle_explains_never_meets_its_target(share):
    """Where the likelihood is no number for all particles no width is known; for half, the others speak."""
    rows = np.random.default_rng(0).normal(size=(400, 1))
    particles = jnp.asarray(rows.T)

    def log_likelihood(seen, index):
        return jnp.where(jnp.arange(400) < share * 400, jnp.nan, -0.5 * seen[0] ** 2)

    def width(look, cloud, weights):
        return jnp.sqrt(weights @ (cloud[0] - weights @ cloud[0]) ** 2)

    evidence = Evidence(Present.of(rows), lambda cloud: cloud, log_likelihood)
    target = jnp.asarray(0.4)
    grown = grow(jax.random.key(0), particles, evidence, width, (2, 8), target)
    kept = reweigh(
        lambda i: log_likelihood(particles, i), lambda w: width(None, particles, w), 400, (2, 8), target
    )
    for path in (grown, kept):
        # Prior N(0, 1) and n observations 0 of variance 1: sd 0.58 at 2, and 0.33 at 8.
        needed = first_crossings(np.asarray(path.widths)[None], (2, 8), 0.4)
        assert np.isinf(needed[0]) == (share == 1.0)
        assert (path.least_size == 0) == (share == 1.0)

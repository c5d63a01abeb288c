"""The particle engine: moments, resampling, crossings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.require.engine import (
    Cloud,
    effective_size,
    first_crossings,
    rejuvenate,
    resample,
    sizes,
    truth_and_others,
)


def test_rejuvenation_keeps_mean_and_covariance():
    """Of 20,000 weighted particles, within 5 standard errors (0.05); what does not vary stays still."""
    particles = jnp.stack([jax.random.normal(jax.random.key(0), (20000,)) * 2.0, jnp.full(20000, 3.0)])
    log_weights = -0.5 * (particles[0] - 1.0) ** 2
    weights = jax.nn.softmax(log_weights)
    cloud = jax.jit(rejuvenate)(Cloud(particles, log_weights, jax.random.key(1), jnp.asarray(20000.0)))
    mean = weights @ particles[0]
    assert cloud.particles[0].mean() == pytest.approx(float(mean), abs=0.05)
    spread = float(jnp.sqrt(weights @ (particles[0] - mean) ** 2))
    assert cloud.particles[0].std() == pytest.approx(spread, abs=0.05)
    np.testing.assert_allclose(cloud.particles[1], 3.0, rtol=1e-6)
    assert effective_size(cloud.log_weights) == pytest.approx(20000)


def test_systematic_resampling_gives_each_its_share():
    """Every count is one of the two whole numbers about n w."""
    weights = jnp.array([0.1, 0.25, 0.05, 0.6])
    counts = np.bincount(resample(jax.random.key(0), weights, 30), minlength=4)
    assert np.all(np.abs(counts - 30 * np.asarray(weights)) < 1)


def test_crossing_of_the_square_root_law_is_exact():
    """Width n^(-1/2) meets 0.2 at n = 25, whatever the grid; one that stays above never does."""
    grid = sizes(100)
    widths = np.stack([np.asarray(grid, float) ** -0.5, np.full(len(grid), 0.3), np.full(len(grid), 0.1)])
    np.testing.assert_allclose(first_crossings(widths, grid, 0.2), [25.0, np.inf, 1.0])


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

"""The Fisher screen against the exact normal posterior and against differentiated likelihoods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from physsynth.require.members import log_likelihood
from physsynth.require.screen import Screen, member_information
from physsynth.require.ways import compare


def measured_with_sd(sd):
    return lambda psi, key: jnp.eye(1) / sd**2


def nothing(psi, key):
    return jnp.zeros((1, 1))


def test_variance_is_the_conjugate_normal_one():
    """Prior N(0, C), each member tells of theta with information I: v(n) = g' (C^-1 + n I)^-1 g."""
    covariance, slope = np.array([[2.0, 0.3], [0.3, 0.5]]), np.array([1.0, -2.0])
    information = np.array([[1.0, 0.2], [0.2, 0.4]])
    screen = Screen(np.linalg.cholesky(covariance), slope)
    expected = float(slope @ np.linalg.inv(np.linalg.inv(covariance) + 7 * information) @ slope)
    assert screen.variance(information, 7) == pytest.approx(expected, rel=1e-12)
    assert screen.members(information, expected) == pytest.approx(7, rel=1e-9)


def test_screen_recovers_a_linear_quantity():
    theta = np.random.default_rng(0).normal(size=(300, 3)) * [1.0, 0.1, 0.0]
    screen = Screen.of(theta, theta @ [1.0, 5.0, 7.0] + 2.0)
    np.testing.assert_allclose(screen.slope[:2], [1.0, 5.0], rtol=1e-9)
    exact = np.var(theta @ [1.0, 5.0, 0.0], ddof=1)
    assert screen.variance(np.zeros((0, 0)), 0) == pytest.approx(exact, rel=1e-9)


def test_information_is_the_likelihoods_own():
    """The covariance of the score of log p(z | mu, log_spread) over 40,000 imagined z, within 5 %."""
    root = jnp.array([[1.5, 0.0], [0.7, 0.4]])
    core = jnp.array([0.3, -0.2, jnp.log(0.8), jnp.log(0.5)])

    def one(z, theta):
        return log_likelihood(root, z, theta[:, None])[0]

    marginal = jnp.eye(2) + root.T @ jnp.diag(jnp.exp(2 * core[2:])) @ root
    noise = jax.random.normal(jax.random.key(0), (40000, 2))
    z = root.T @ core[:2] + noise @ jnp.linalg.cholesky(marginal).T
    score = jax.jit(jax.vmap(jax.grad(one, argnums=1), (0, None)))(z, core)
    expected = member_information("H", lambda psi, key: root @ root.T, core[None], jax.random.key(1))
    np.testing.assert_allclose(score.T @ score / len(z), expected, atol=0.05 * expected.max())


def test_comparison_counts_members_exactly():
    """Noise variance 3 on top of spread 1: four times as many members as measured exactly."""
    draws = np.random.default_rng(0).normal(size=(500, 2)) * [0.3, 0.0]
    screen = Screen.of(draws, draws[:, 0])
    ways = {"exact": measured_with_sd(1e-6), "noisy": measured_with_sd(3**0.5), "useless": nothing}
    core, key = jnp.asarray(draws), jax.random.key(0)
    matrices = {name: member_information(name, way, core, key) for name, way in ways.items()}
    table = compare(screen, matrices, 50.0)
    assert table["condition"].values.tolist() == list(ways)
    np.testing.assert_allclose(table["equivalent"], [50.0, 200.0, np.inf], rtol=1e-6)
    np.testing.assert_allclose(table["extra"], [0.0, 150.0, np.inf], atol=1e-3)
    assert table["variance_ratio"][2] > 1
    # One member measured exactly has information 1 about a mean known within 0.3.
    np.testing.assert_allclose(table["removed"][0], 1 - 1 / (1 + 50 * 0.3**2), atol=0.02)


def test_what_members_do_not_inform_stays():
    screen = Screen(np.diag([1.0, 2.0]), np.array([1.0, 0.5]))
    assert screen.share_left(np.array([[5.0]])) == pytest.approx(1.0 / 2.0, rel=1e-9)
    np.testing.assert_allclose(screen.held(np.array([[5.0]])), [0.0, 1.0], atol=1e-9)


def test_ways_that_differ_in_arrays_alone_are_compiled_once():
    traced = []

    def measured(sd, psi, key):
        traced.append(sd)
        return jnp.eye(1) / sd**2

    core = jnp.zeros((500, 2))
    for sd in (1.0, 2.0, 3.0):
        way = Partial(measured, jnp.asarray(sd))
        matrix = member_information("way", way, core, jax.random.key(0))
        assert matrix[0, 0] == pytest.approx(1 / (1 + sd**2))
    assert len(traced) == 1

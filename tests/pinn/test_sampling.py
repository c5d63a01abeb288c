"""Residuals count for what they do: early ones more where errors grow, late ones once it is their turn."""

import jax.numpy as jnp
import numpy as np

from physsynth import pinn

PROBLEM = pinn.Problem({"t": (0.0, 1.0)}, lambda u, p: u.t - 3.0 * u, [pinn.Initial(1.0)])
TIMES = {"t": jnp.linspace(0.0, 1.0, 101)}


def _importance(sampling, residual):
    return sampling._importance(PROBLEM, TIMES, residual)


def test_an_error_that_grows_threefold_counts_ninefold():
    weight = _importance(pinn.Sampling(growth=np.log(3.0)), jnp.ones(101))
    np.testing.assert_allclose(weight[0] / weight[-1], 9.0)
    np.testing.assert_allclose(jnp.mean(weight), 1.0)


def test_a_large_early_residual_mutes_later_times():
    residual = jnp.where(TIMES["t"] < 0.2, 10.0, 0.0)
    weight = _importance(pinn.Sampling(causality=1.0), residual)
    assert np.all(np.diff(weight) <= 0)
    assert weight[-1] < 1e-6 * weight[0]


def test_without_either_all_points_count_the_same():
    np.testing.assert_array_equal(_importance(pinn.Sampling(), jnp.ones(101)), 1.0)

"""Derivatives on a grid are exact for polynomials, and read like the mathematics."""

import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.core.errors import ParameterError
from physsynth.core.grids import GridField, derivative_matrix


@pytest.mark.parametrize("order", [1, 2, 3])
def test_polynomials_up_to_the_stencil_are_differentiated_exactly(order):
    x = np.sort(np.random.default_rng(0).uniform(-1, 1, 12))
    matrix = derivative_matrix(x, order, stencil=7)
    for power in range(7):
        slope = np.prod(np.arange(power, power - order, -1.0)) * x ** max(power - order, 0)
        np.testing.assert_allclose(matrix @ x**power, slope, atol=1e-7)


def test_a_travelling_wave_satisfies_its_equation():
    t, x = np.linspace(0, 1, 41), np.linspace(0, 2, 61)
    u = GridField(jnp.sin(x - 3 * t[:, None]), {"t": t, "x": x})
    np.testing.assert_allclose(u.t + 3 * u.x, 0.0, atol=1e-7)
    np.testing.assert_allclose(u.xx + u, 0.0, atol=1e-7)
    np.testing.assert_allclose(u.tx, 3 * np.sin(x - 3 * t[:, None]), atol=1e-7)
    np.testing.assert_allclose(2 * u * u.x - u**2 / 1.0 - (-u) * (u - 1), 2 * u * u.x - u, atol=1e-12)


def test_an_unknown_coordinate():
    u = GridField(jnp.zeros(5), {"x": np.arange(5.0)})
    with pytest.raises(ParameterError, match="xy"):
        _ = u.xy

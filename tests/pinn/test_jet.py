"""Jets carry the derivatives that differentiation by hand or by JAX gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.pinn.draws import generator
from physsynth.pinn.indices import Indices
from physsynth.pinn.jet import Jet, sin_cos, tanh, taylor
from physsynth.pinn.networks import NETWORKS, build

AT = {"t": jnp.array([0.3, 0.5]), "x": jnp.array([0.7, -0.2])}
FOURTH = Indices.closure(("t", "x"), [(1, 2), (0, 4)])


def _coordinate(name):
    return taylor(lambda at: at[name], AT, FOURTH)


def test_the_closure_holds_all_lower_derivatives():
    assert set(Indices.closure(("x", "y"), [(2, 1)]).members) == {
        (0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (2, 1)
    }  # fmt: skip


def test_polynomials_are_exact():
    t, x = _coordinate("t"), _coordinate("x")
    y = t * x * x * x * x
    np.testing.assert_allclose(y.derivative((0, 4)), 24 * AT["t"], rtol=1e-14)
    np.testing.assert_allclose(y.derivative((1, 2)), 12 * AT["x"] ** 2, rtol=1e-14)


def test_functions_of_jets_have_the_derivatives_of_nested_differentiation():
    t, x = _coordinate("t"), _coordinate("x")
    sine, cosine = sin_cos(3.0 * t * x)
    found = tanh(sine + x * x - 0.5 * cosine)

    def function(at):
        z = 3.0 * at["t"] * at["x"]
        return jnp.tanh(jnp.sin(z) + at["x"] ** 2 - 0.5 * jnp.cos(z))

    wanted = taylor(function, AT, FOURTH).coefficients
    np.testing.assert_allclose(found.coefficients, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", list(NETWORKS.values()))
def test_every_network_has_exact_second_derivatives(kind, key):
    network = build(kind(width=5, depth=1), 2, 3)
    weights = network.draw(generator(key))

    def value(at, indices):
        inputs = [taylor(lambda p, name=name: p[name], at, indices).coefficients for name in ("t", "x")]
        return network.apply(weights, Jet(jnp.stack(inputs, axis=-1), indices))

    def first_output(x, t):
        return value({"t": t, "x": x}, Indices.closure(("t", "x"), [])).value[0]

    jet = jax.jit(lambda at: value(at, Indices.closure(("t", "x"), [(1, 0), (0, 2)])))(AT)
    hessian = jax.jit(jax.vmap(jax.hessian(first_output)))(AT["x"], AT["t"])
    np.testing.assert_allclose(jet.derivative((0, 2))[:, 0], hessian, rtol=1e-10)
    assert jet.value.shape == (2, 3)
    assert network.size == weights.size

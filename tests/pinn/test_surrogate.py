"""One network over a range of parameters is a simulator, and knows how wrong each of its answers is."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import physsynth as ps
from physsynth import pinn
from physsynth.core.errors import ParameterError


@pytest.fixture(scope="module")
def decay(key):
    rate = {"k": ps.Parameter(dist.Uniform(0.5, 4.0), "1/s", "rate of decay")}
    problem = pinn.Problem(
        {"t": (0.0, 1.0)}, lambda u, p: u.t + p["k"] * u, [pinn.Initial(1.0)], parameters=rate
    )
    left = ps.LimitState(
        "1", lambda p, y, limit: limit - y["u"][-1], {"limit": "1"}, "more than {limit} is left"
    )
    return pinn.surrogate(
        problem,
        key,
        budget=1500,
        units={"t": "s"},
        limit_states={"left": left},
        network=pinn.MLP(10, 2),
        sampling=pinn.Sampling(points=500),
    )


def test_it_has_the_surface_of_a_simulator(decay):
    runs = ps.simulate(decay, 20, jax.random.key(1))
    assert runs["u"].dims == ("scenario", "t")
    exact = np.exp(-runs["k"].values[:, None] * runs["t"].values)
    np.testing.assert_allclose(runs["u"], exact, atol=1e-4)
    slope = jax.grad(lambda k: decay({"k": k})["u"][-1])(1.0)
    np.testing.assert_allclose(slope, -np.exp(-1.0), rtol=1e-3)
    np.testing.assert_allclose(
        decay.limit_state("left", limit=0.5)({"k": 1.0}), 0.5 - np.exp(-1.0), atol=1e-4
    )


def test_the_error_of_a_query_is_known(decay):
    k = jnp.linspace(0.5, 4.0, 100)
    y = decay.batched({"k": k})
    exact = np.exp(-k[:, None] * np.linspace(0.0, 1.0, 33))
    error = np.linalg.norm(y["u"] - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert np.mean(error <= 3.0 * y["error"]) >= 0.95


def test_a_problem_without_ranges_has_no_surrogate(key):
    fixed = pinn.Problem({"t": (0.0, 1.0)}, lambda u, p: u.t + u, [pinn.Initial(1.0)])
    with pytest.raises(ParameterError, match="without a range"):
        pinn.surrogate(fixed, key)

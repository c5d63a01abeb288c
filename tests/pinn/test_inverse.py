"""Inverse problems through a network: its error in the noise widens an interval instead of biasing it."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from numpyro.infer.util import log_density

import physsynth as ps
from physsynth import pinn
from physsynth.calibrate import Noise
from physsynth.core import Coordinate, Equation

NOISE, TIMES, REPLICATIONS, LEVEL = 0.01, np.linspace(0.1, 1.0, 10), 300, 0.9
BINOMIAL = np.sqrt(LEVEL * (1 - LEVEL) / REPLICATIONS)

DECAY = ps.define_simulator(
    "tests/quick_decay",
    parameters={"k": ps.Parameter(dist.Uniform(0.5, 4.0), "1/s", "rate of decay")},
    outputs={"left": ps.Output("1", "amount", {"t": Coordinate("times", "s", "time")})},
    options={"times": ps.Option(jnp.asarray(TIMES), "s", "times")},
    equation=Equation(
        domain={"t": (0.0, 1.0)},
        residual=lambda u, p: u.t + p["k"] * u,
        edges={},
        start=lambda p: jnp.ones_like(p["t"]),
        read={"left": lambda u, p, times: u(p, t=times)},
    ),
)(lambda p, times: {"left": jnp.exp(-p["k"] * times)})


@pytest.fixture(scope="module")
def networks(key):
    """A network that is trained, and one that only began to be."""
    settings = {"network": pinn.MLP(8, 2), "sampling": pinn.Sampling(points=300)}
    return pinn.emulate(DECAY, key, 1500, **settings), pinn.emulate(DECAY, key, 100, **settings)


def _coverage(network, with_error):
    """Coverage and mean width of 90 % intervals on a grid, over truths from the prior."""
    draw = np.random.default_rng(5)
    truth = draw.uniform(0.5, 4.0, REPLICATIONS)
    y = np.exp(-truth[:, None] * TIMES) + NOISE * draw.standard_normal((REPLICATIONS, TIMES.size))
    grid = np.linspace(0.5, 4.0, 1401)
    runs = network.batched({"k": jnp.asarray(grid)})
    mean = np.asarray(runs["left"])
    own = np.asarray(runs["error"]) * np.sqrt(np.mean(mean**2, axis=1))
    misfit = np.sum((y[:, None] - mean) ** 2, axis=2)
    # One error that all measurements share and cannot average away, taken at the best fit.
    variance = NOISE**2 + TIMES.size * own[misfit.argmin(axis=1)] ** 2 * with_error
    logs = -0.5 * misfit / variance[:, None]
    mass = np.cumsum(np.exp(logs - logs.max(axis=1, keepdims=True)), axis=1)
    low, high = (np.array([np.interp(q * m[-1], m, grid) for m in mass]) for q in (0.05, 0.95))
    return np.mean((low <= truth) & (truth <= high)), np.mean(high - low)


def test_a_trained_network_covers_as_exact_inference_would(networks):
    for with_error in (True, False):
        assert abs(_coverage(networks[0], with_error)[0] - LEVEL) < 3 * BINOMIAL


def test_a_poor_network_widens_the_interval_instead_of_biasing_it(networks):
    covered, width = _coverage(networks[1], with_error=True)
    biased, narrow = _coverage(networks[1], with_error=False)
    assert covered > LEVEL - 3 * BINOMIAL
    assert biased < LEVEL - 6 * BINOMIAL
    assert width > 1.5 * narrow


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_the_error_of_a_network_widens_the_posterior_as_theory_says(networks, error):
    # Noise-free data about k = 2. With y' = dy/dk the posterior's variance is 1 / sum(y'^2 / sd^2), where
    # sd^2 = noise^2 + n e^2 y^2; what a Gaussian leaves out is of order sd(k) / k, a few percent.
    columns = {"t": ("s", TIMES), "left": ("1", np.exp(-2.0 * TIMES))}
    measured = xr.Dataset({n: ("observation", v, {"units": u}) for n, (u, v) in columns.items()})
    measured["run"] = ("observation", np.ones(TIMES.size))
    noise = Noise(additive=dist.LogNormal(np.log(NOISE), 0.01), simulator=error)
    model = ps.calibrate.model(
        networks[0].only("left"), measured, {"k": dist.Uniform(0.5, 4.0)}, noise, "run"
    )
    grid = jnp.linspace(1.0, 3.5, 501)
    fixed = {"additive_noise": jnp.asarray(NOISE)}
    logs = jax.jit(jax.vmap(lambda k: log_density(model, (), {}, {"k": k, **fixed})[0]))(grid)
    weight = jax.nn.softmax(logs)
    mean, spread = weight @ grid, jnp.sqrt(weight @ (grid - weight @ grid) ** 2)
    y = np.exp(-2.0 * TIMES)
    theory = np.sum((TIMES * y) ** 2 / (NOISE**2 + TIMES.size * (error * y) ** 2)) ** -0.5
    assert float(spread) == pytest.approx(theory, rel=0.1)
    assert abs(float(mean) - 2.0) < 0.5 * theory

"""Inverse problems through a network: its error in the noise widens an interval instead of biasing it."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

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
    brief = (pinn.Stage(pinn.Adam()),)
    return pinn.emulate(DECAY, key, 1500, **settings), pinn.emulate(DECAY, key, 400, stages=brief, **settings)


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


def test_the_error_of_a_network_enters_calibration(networks, key):
    columns = {"t": ("s", TIMES), "left": ("1", np.exp(-2.0 * TIMES))}
    measured = xr.Dataset({n: ("observation", v, {"units": u}) for n, (u, v) in columns.items()})
    measured["run"] = ("observation", np.ones(TIMES.size))
    spread = {}
    for error in (0.0, 0.05):
        model = ps.calibrate.model(
            networks[0].only("left"),
            measured,
            {"k": dist.Uniform(0.5, 4.0)},
            Noise(additive=dist.LogNormal(np.log(NOISE), 0.01), simulator=error),
            "run",
        )
        found = ps.calibrate.fit(model, key, draws=200, warmup=150, chains=2).draws["k"]
        assert abs(found.mean() - 2.0) < 4 * found.std()
        spread[error] = found.std()
    assert spread[0.05] > 1.5 * spread[0.0]

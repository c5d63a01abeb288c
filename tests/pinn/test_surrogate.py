"""One network over a range of parameters is a simulator, and knows how wrong each of its answers is."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import physsynth as ps
from physsynth import pinn
from physsynth.core import Coordinate, Equation
from physsynth.core.errors import ParameterError, UnknownNameError


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


def test_symmetries_are_built_in_whatever_the_parameters(key):
    nu = ps.Parameter(dist.Uniform(0.1, 1.0), "m^2/s", "viscosity")
    problem = pinn.Problem(
        {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        lambda u, p: u.t + u * u.x - p["nu"] * u.xx,
        [pinn.Initial(lambda p: -jnp.sin(jnp.pi * p["x"])), pinn.Dirichlet(0.0, {"x": (-1.0, 1.0)})],
        parameters={"nu": nu},
    )
    rough = pinn.surrogate(problem, key, 200, network=pinn.MLP(4, 2), sampling=pinn.Sampling(points=100))
    u = rough.only("u")({"nu": 0.3})["u"]
    np.testing.assert_allclose(u, -u[:, ::-1], atol=1e-12)


def _decay(p, *, times):
    """Exponential decay from a given start."""
    return {"left": p["start"] * jnp.exp(-p["k"] * times), "last": p["start"] * jnp.exp(-p["k"])}


DECAY = ps.define_simulator(
    "tests/decay",
    parameters={
        "start": ps.Parameter(dist.LogNormal(0.0, 0.5), "1", "amount at first"),
        "k": ps.Parameter(dist.Uniform(0.5, 4.0), "1/s", "rate of decay"),
    },
    outputs={
        "left": ps.Output("1", "amount", {"t": Coordinate("times", "s", "time")}),
        "last": ps.Output("1", "amount after a second"),
        "unread": ps.Output("1", "not read off the field"),
    },
    limit_states={"left": ps.LimitState("1", lambda p, y, limit: limit - y["last"], {"limit": "1"})},
    options={"times": ps.Option(jnp.linspace(0.0, 1.0, 11), "s", "times")},
    equation=Equation(
        domain={"t": (0.0, 1.0)},
        residual=lambda u, p: u.t + p["k"] * u,
        edges={},
        start=lambda p: p["start"],
        read={"left": lambda u, p, times: u(p, t=times), "last": lambda u, p, times: u(p, t=1.0)},
        proportional="start",
    ),
)(_decay)


@pytest.fixture(scope="module")
def stand_in(key):
    return pinn.emulate(DECAY, key, 1500, network=pinn.MLP(10, 2), sampling=pinn.Sampling(points=500))


def test_a_network_stands_in_for_a_simulator(stand_in):
    assert set(stand_in.outputs) == {"left", "last", "error"}
    assert stand_in.parameters == DECAY.parameters
    p = DECAY.space.sample(jax.random.key(3), 50)
    # Far outside the distribution of the start, too: the field is proportional to it.
    for values in (p, {**p, "start": 1e4 * p["start"]}):
        exact = values["start"][:, None] * jnp.exp(-values["k"][:, None] * jnp.linspace(0.0, 1.0, 11))
        np.testing.assert_allclose(stand_in.batched(values)["left"], exact, rtol=1e-3)
    assert set(stand_in.only("last")({"start": 1.0, "k": 1.0})) == {"last"}
    g = stand_in.limit_state("left", limit=0.5)
    assert float(g({"start": 2.0, "k": 1.0})) == pytest.approx(0.5 - 2.0 * np.exp(-1.0), abs=1e-3)


def test_a_network_as_guide_leaves_the_estimate_unbiased(stand_in):
    # ln(start) > ln(limit) + k, start log-normal, k uniform: a sum over k.
    k = np.linspace(0.5, 4.0, 4001)
    truth = np.mean(stats.norm.sf((np.log(2.0) + k) / 0.5))
    event = ps.rare.estimate(
        DECAY.limit_state("left", limit=2.0),
        DECAY.space,
        jax.random.key(4),
        differentiable=False,
        guide=stand_in.limit_state("left", limit=2.0),
    )
    low, high = event.interval(0.999)
    assert low <= truth <= high
    assert event.guide_calls > event.calls


def test_a_network_needs_an_equation_and_ranges_that_it_sees(key):
    with pytest.raises(ParameterError, match="declares no equation"):
        pinn.emulate(ps.simulator("driving/braking"), key)
    with pytest.raises(UnknownNameError, match=r"ranges\.start"):
        pinn.emulate(DECAY, key, ranges={"start": (0.0, 1.0)})

"""The Duffing oscillator against exact linear responses, conservation and the Fokker-Planck density."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

import physsynth as ps
from physsynth.core.errors import ParameterError

NAME = "structures/duffing"
W, Z, S, H = 2 * np.pi, 0.05, 0.25, 0.05
SIGMA = np.sqrt(2 * np.pi * S / H)


def _step_response(t):
    """Response of the linear oscillator to a unit force from time 0 on."""
    damped = W * np.sqrt(1 - Z**2)
    decay = np.exp(-Z * W * t) * (np.cos(damped * t) + Z * W / damped * np.sin(damped * t))
    return np.where(t > 0, (1 - decay) / W**2, 0.0)


def _linear_response(excitation, times):
    """Superpose the steps up and down of every increment: response (scenario, time)."""
    edges = times[:-1]
    kernel = _step_response(times[:, None] - edges) - _step_response(times[:, None] - edges - H)
    return SIGMA * excitation @ kernel.T


@pytest.fixture(scope="module")
def sim():
    return ps.simulator(NAME)


@pytest.fixture(scope="module")
def excitation(sim):
    return sim.space.sample(jax.random.key(3), 1000)


def test_without_the_cubic_term_the_response_is_the_exact_superposition(sim, excitation):
    linear = sim.configure(hardening=0.0, substeps=8)
    found = linear.batched(excitation)["displacement"]
    expected = _linear_response(np.asarray(excitation["excitation"]), np.asarray(sim.options["times"]))
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_gradient_of_the_linear_response_is_the_mirrored_impulse_response(sim):
    # The direction of the most probable excitation that ends at a given drift.
    linear = sim.configure(hardening=0.0, substeps=8)
    slope = jax.grad(lambda u: linear({"excitation": u})["displacement"][-1])(jnp.zeros(200))
    age = 10.0 - np.arange(200) * H
    np.testing.assert_allclose(
        slope, SIGMA * (_step_response(age) - _step_response(age - H)), atol=1e-6 * SIGMA / W
    )


def test_free_vibration_without_damping_keeps_its_energy(sim):
    free = sim.configure(damping_ratio=0.0, substeps=8)
    y = free({"excitation": jnp.zeros(200).at[0].set(12.0)})
    x, v = (np.asarray(y[name])[1:] for name in ("displacement", "velocity"))
    energy = v**2 / 2 + W**2 * (x**2 / 2 + x**4 / 4)
    assert np.abs(x).max() > 0.4, "the cubic term must matter"
    np.testing.assert_allclose(energy, energy[0], rtol=1e-5)


def test_stationary_variance_of_the_linear_oscillator():
    # Var x(T) is the squared length of the gradient. Steps of 0.01 s colour the noise by (ω h)²/12 = 3e-4,
    # and exp(-2 ζ ω T) = 3e-6 is missing at T = 10 s.
    linear = ps.simulator(NAME, hardening=0.0, damping_ratio=0.1, times=np.linspace(0.0, 10.0, 1001))
    slope = jax.grad(lambda u: linear({"excitation": u})["displacement"][-1])(jnp.zeros(1000))
    np.testing.assert_allclose(jnp.sum(slope**2), np.pi * S / (2 * 0.1 * W**3), rtol=1e-3)


def test_stationary_moments_are_those_of_the_fokker_planck_density():
    # ζ = 0.2: by 4 s all but exp(-2 ζ ω t) = 4e-5 of the transient is gone. E x² and E x⁴ over 4,000
    # scenarios have standard errors below 2 % and 5 %; the bounds are four of them.
    sim = ps.simulator(NAME, damping_ratio=0.2, spectral_intensity=4.0, times=np.linspace(0.0, 4.0, 201))
    x = np.asarray(sim.batched(sim.space.sample(jax.random.key(11), 4000))["displacement"][:, -1])

    def weight(x):
        return np.exp(-(2 * 0.2 * W / (np.pi * 4.0)) * W**2 * (x**2 / 2 + x**4 / 4))

    def moment(k):
        return quad(lambda x: x**k * weight(x), -5, 5)[0] / quad(weight, -5, 5)[0]

    np.testing.assert_allclose((x**2).mean(), moment(2), rtol=0.08)
    np.testing.assert_allclose((x**4).mean(), moment(4), rtol=0.2)
    assert moment(2) < 0.8 * np.pi * 4.0 / (2 * 0.2 * W**3), "the linear variance would be refused"


def test_the_integrator_is_of_fourth_order(sim, excitation):
    few = {name: value[:50] for name, value in excitation.items()}
    path = [sim.configure(substeps=n).batched(few)["displacement"] for n in (4, 8, 16)]
    coarse, fine = (float(jnp.abs(a - b).max()) for a, b in pairwise(path))
    assert 3.5 < np.log2(coarse / fine) < 4.5


def test_the_peak_is_the_limit_of_finer_times(sim, excitation):
    few = np.asarray(excitation["excitation"])[:50]
    fine = sim.configure(times=np.linspace(0.0, 10.0, 3201), substeps=1)
    # The same force, held over sixteen times as many increments of a sixteenth of the length.
    dense = fine.batched({"excitation": jnp.asarray(np.repeat(few, 16, axis=1) / 4)})
    found = sim.configure(substeps=16).batched({"excitation": jnp.asarray(few)})
    grid = jnp.abs(found["displacement"]).max(-1)
    np.testing.assert_allclose(found["peak_displacement"], dense["peak_displacement"], rtol=2e-3)
    assert jnp.abs(grid - dense["peak_displacement"]).max() > 5e-3, "the ends of the increments miss peaks"


def test_probability_of_first_passage_of_the_linear_oscillator():
    # Against an exact propagator in NumPy with its own draws. At p = 0.05 and n = 20,000 each, the
    # difference has a standard error of 0.0022; the bound is four of them.
    n, threshold = 20_000, 0.56
    linear = ps.simulator(NAME, hardening=0.0)
    g = linear.limit_state("first_passage", threshold=f"{100 * threshold} cm")
    failed = jax.jit(jax.vmap(g))(linear.space.sample(jax.random.key(2), n)) <= 0
    rng = np.random.default_rng(5)
    flow, fine = np.array([[0.0, 1.0], [-(W**2), -2 * Z * W]]), H / 4
    forward = expm(flow * fine)
    push = np.linalg.solve(flow, (forward - np.eye(2)) @ np.array([0.0, 1.0]))
    state, peak = np.zeros((n, 2)), np.zeros(n)
    for _ in range(200):
        force = SIGMA * rng.standard_normal(n)
        for _ in range(4):
            state = state @ forward.T + force[:, None] * push
            peak = np.maximum(peak, np.abs(state[:, 0]))
    expected = (peak >= threshold).mean()
    assert 0.03 < expected < 0.08
    assert abs(float(failed.mean()) - expected) < 0.0088


def test_float32_agrees(sim):
    u = np.random.default_rng(0).standard_normal(200)
    double = sim({"excitation": u})["displacement"]
    options = {name: np.asarray(value).tolist() for name, value in sim.options.items()}
    with jax.enable_x64(False):
        single = ps.simulator(NAME, **options)({"excitation": u.astype(np.float32)})["displacement"]
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, atol=1e-4)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("times", [0.0, 1.0, 1.0]),
        ("times", 3.0),
        ("frequency", -1.0),
        ("damping_ratio", [0.1, 0.2]),
        ("substeps", 0),
        ("substeps", 1.5),
    ],
)
def test_bad_options(option, value):
    with pytest.raises(ParameterError, match=option):
        ps.simulator(NAME, **{option: value})


def test_times_that_do_not_fit_the_excitation():
    sim = ps.simulator(NAME, times=np.linspace(0.0, 5.0, 101))
    with pytest.raises(ParameterError, match="201 times"):
        sim({"excitation": np.zeros(200)})

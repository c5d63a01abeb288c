"""The heated plate and Burgers' equation against exact solutions, and their equations on other grids."""

import jax.numpy as jnp
import numpy as np
import pytest
from physsynth_simulators import fields  # pyright: ignore[reportMissingImports]
from scipy.fft import dst

import physsynth as ps
from physsynth.core.errors import ParameterError

PLATE = {"power": 50.0, "conductivity": 30.0, "loss": 10.0, "source_x": 0.35, "source_y": 0.6}
FLUID = {"viscosity": 0.01 / np.pi, "amplitude": 1.0}


def _run(sim, p):
    """Run one scenario by the compiled path."""
    return {k: np.asarray(v[0]) for k, v in sim.batched({k: jnp.asarray([v]) for k, v in p.items()}).items()}


def _sine_series(p, x, y, terms=2000, points=20_001):
    """Sum the series of the plate's modes; the coefficients of the source by the midpoint rule."""
    s, m = (np.arange(points) + 0.5) / points, np.arange(1, terms + 1)

    def coefficients(centre):
        flux = np.exp(-((s - centre) ** 2) / (2 * fields.SPREAD**2))
        return np.asarray(dst(flux, type=2))[:terms] / points

    flux = p["power"] / (2 * np.pi * fields.SPREAD**2)
    modes = flux * np.outer(coefficients(p["source_x"]), coefficients(p["source_y"]))
    modes /= p["conductivity"] * fields.THICKNESS * np.pi**2 * (m[:, None] ** 2 + m**2) + p["loss"]
    return np.sin(np.pi * np.outer(x, m)) @ modes @ np.sin(np.pi * np.outer(m, y))


@pytest.mark.parametrize("change", [{}, {"loss": 1.0, "source_x": 0.7}, {"conductivity": 5.0, "loss": 50.0}])
def test_the_plate_agrees_with_its_sine_series(change):
    sim, p = ps.simulator("fields/heat"), {**PLATE, **change}
    exact = _sine_series(p, *(np.asarray(sim.options[name]) for name in ("x", "y")))
    np.testing.assert_allclose(_run(sim, p)["temperature"], exact, atol=1e-6 * exact.max())


def test_one_mode_of_the_plate_is_solved_exactly():
    x = fields.chebyshev_nodes(fields.NODES)[1:-1]
    mode = jnp.outer(jnp.sin(jnp.pi * x), jnp.sin(2 * jnp.pi * x))
    coefficients = fields.solve_plate((0.3 * 5 * jnp.pi**2 + 7.0) * mode, 0.3, 7.0)
    found = np.polynomial.chebyshev.chebgrid2d(2 * x - 1, 2 * x - 1, np.asarray(coefficients))
    np.testing.assert_allclose(found, mode, atol=1e-11)


def test_the_hot_spot_is_the_limit_of_finer_grids():
    fine = np.linspace(0.2, 0.8, 601)
    y = _run(ps.simulator("fields/heat", x=fine, y=fine), PLATE)
    # 0.5 mm from the top the temperature is lower by less than curvature * distance² / 2 = 4e-4 K.
    assert 0.0 <= float(y["hot_spot"] - y["temperature"].max()) < 1e-3


def test_heat_is_neither_made_nor_lost():
    # Source = loss to the air + flow through the edges; the flow is what the balance over the plate leaves,
    # so the integral of the Laplacian is held against the slopes at the edges, by Clenshaw and Curtis.
    x = fields.chebyshev_nodes(fields.NODES)[1:-1]
    source = fields.heat_source({**PLATE, "x": x[:, None], "y": x})
    c = np.asarray(fields.solve_plate(source, 0.3, 10.0))
    k = np.arange(fields.NODES)
    integral = np.where(k % 2 == 0, 1 / (1 - np.where(k == 1, 0, k) ** 2), 0.0)
    edge = 2 * k**2 * (1 + (-1.0) ** k)
    outflow = -0.3 * (edge @ c @ integral + integral @ c @ edge)
    grid = np.linspace(0, 1, 2001)
    flux = fields.heat_source({**PLATE, "x": grid[:, None], "y": grid})
    taken = np.trapezoid(np.trapezoid(np.asarray(flux), grid), grid)
    np.testing.assert_allclose(outflow + 10.0 * integral @ c @ integral, taken, rtol=1e-6)


def test_burgers_has_its_published_steepest_slope():
    # Basdevant et al. (1986), table 1: 152.00516 at t = 1.6037 / pi.
    y = _run(ps.simulator("fields/burgers"), FLUID)
    assert float(y["steepest_slope"]) == pytest.approx(152.00516, abs=2e-5)


@pytest.mark.parametrize("change", [{}, {"amplitude": 1.5}, {"viscosity": 0.1, "amplitude": 0.5}])
def test_burgers_agrees_with_fourier_modes(change):
    p = {**FLUID, **change}
    t = np.linspace(0.0, 1.0, 11)
    sim = ps.simulator("fields/burgers", times=t, x=np.linspace(-1, 1, 257))
    spectral = _fourier(t, 256, p["viscosity"], p["amplitude"])
    found = _run(sim, p)["velocity"][:, :-1]
    assert np.linalg.norm(found - spectral) < 1e-6 * np.linalg.norm(spectral)


def _fourier(t, count, viscosity, amplitude, size=2048, steps=400):
    """March the modes by Runge and Kutta's fourth order, with diffusion as an integrating factor."""
    k, grid = np.pi * np.arange(size // 2 + 1), -1 + 2 * np.arange(size) / size
    kept = np.arange(len(k)) < size // 3
    h = (t[1] - t[0]) / steps
    half = np.exp(-viscosity * k**2 * h / 2)

    def rate(v):
        return -0.5j * k * kept * np.fft.rfft(np.fft.irfft(v) ** 2)

    v = np.fft.rfft(-amplitude * np.sin(np.pi * grid))
    rows = [np.fft.irfft(v)]
    for _ in range(len(t) - 1):
        for _ in range(steps):
            a = rate(v)
            b = rate(half * (v + h / 2 * a))
            c = rate(half * v + h / 2 * b)
            d = rate(half**2 * v + h * half * c)
            v = half**2 * v + h / 6 * (half**2 * a + 2 * half * (b + c) + d)
        rows.append(np.fft.irfft(v))
    return np.array(rows)[:, :: size // count]


@pytest.mark.parametrize(("viscosity", "amplitude"), [(0.01 / np.pi, 1.5), (0.02, 1.0), (0.1, 0.5)])
def test_the_steepest_slope_is_the_limit_of_finer_times(viscosity, amplitude):
    p = {"viscosity": viscosity, "amplitude": amplitude}
    h = 1e-4
    sim = ps.simulator("fields/burgers", times=np.linspace(0.0, 1.0, 1001), x=[-h, h])
    y = _run(sim, p)
    slopes = -(y["velocity"][:, 1] - y["velocity"][:, 0]) / (2 * h)
    assert float(y["steepest_slope"]) == pytest.approx(float(slopes.max()), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "field", "p"), [("fields/heat", "temperature", PLATE), ("fields/burgers", "velocity", FLUID)]
)
def test_a_field_that_breaks_its_equation_is_found(name, field, p):
    sim = ps.simulator(name)
    y, law = _run(sim, p), sim.constraints[0]
    assert law.violation(sim, p, y) < law.tolerance
    assert law.violation(sim, p, {**y, field: 1.1 * y[field]}) > law.tolerance


def test_times_must_rise():
    with pytest.raises(ParameterError, match="times"):
        ps.simulator("fields/burgers", times=[0.0, 0.0, 1.0])


def test_the_profile_is_the_temperature_along_its_line():
    places = np.array([0.2, 0.35, 0.8])
    sim = ps.simulator("fields/heat", x=places, y=[0.3, 0.6], places=places, line=0.6)
    y = _run(sim, PLATE)
    np.testing.assert_allclose(y["profile"], y["temperature"][:, 1], rtol=1e-12)


@pytest.mark.parametrize(("name", "p"), [("fields/heat", PLATE), ("fields/burgers", FLUID)])
def test_outputs_read_off_the_exact_field_are_the_solvers(name, p):
    sim = ps.simulator(name)
    values = {k: jnp.asarray(v) for k, v in p.items()}
    for output, value in _run(sim, p).items():
        found = sim.equation.read[output](_exact(name), values, **sim.options)
        np.testing.assert_allclose(found, value, rtol=1e-3, atol=1e-6)


def _exact(name):
    """Return the solver's field as a function of p and coordinates."""
    if name == "fields/burgers":
        return lambda p, t, x: fields._velocity(*(z.ravel() for z in jnp.broadcast_arrays(t, x)), p).reshape(
            jnp.broadcast_shapes(jnp.shape(t), jnp.shape(x))
        )
    inner = jnp.asarray(fields.chebyshev_nodes(fields.NODES)[1:-1])

    def temperature(p, x, y):
        source = fields.heat_source({**p, "x": inner[:, None], "y": inner})
        c = fields.solve_plate(source, fields.THICKNESS * p["conductivity"], p["loss"])
        return jnp.einsum(
            "i...,ij,j...->...", fields._polynomials(x + 0 * y), c, fields._polynomials(y + 0 * x)
        )

    return temperature

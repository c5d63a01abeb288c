"""Reference solutions against published numbers, against their equations, and against their certificates."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import diags_array, kron
from scipy.sparse.linalg import spsolve

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "benchmarks"))
from pinn_references import PROBLEMS, _hopf_cole, reference
from pinn_steady import driven_cavity, poisson_l_shape

CERTIFIED = {
    "burgers": 1e-10,
    "allen_cahn": 1e-10,
    "l_shape": 1e-8,
    "kuramoto_sivashinsky": 1e-8,
    "korteweg_de_vries": 1e-9,
    "cavity": 5e-5,
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_two_solutions_agree(name):
    found = reference(name)
    assert found.certificate <= CERTIFIED.get(name, 0.0)
    sizes = {array.shape for array in (*found.points.values(), *found.values.values())}
    assert len(sizes) == 1
    assert all(np.isfinite(value).all() for value in found.values.values())


def test_burgers_has_its_published_steepest_slope():
    # Basdevant et al. (1986), Computers and Fluids 14, table 1: 152.00516 at the shock, at pi t = 1.6037.
    h = 1e-5
    ahead, behind = _hopf_cole(np.array([h, -h]), 1.6037 / np.pi, 0.01 / np.pi)
    assert abs(ahead - behind) / (2 * h) == pytest.approx(152.00516, abs=1e-3)


def test_allen_cahn_sharpens_towards_its_two_phases():
    found = reference("allen_cahn")
    late = found.values["u"][found.points["t"] == 1.0]
    # exp(-10) of the distance to -1 and 1 is left after one unit of time, times the start's own distance.
    assert np.abs(late).max() < 1.0
    assert np.sort(np.abs(late))[-100] > 0.99


def test_korteweg_de_vries_conserves_mass_and_energy():
    found = reference("korteweg_de_vries")
    u = found.values["u"].reshape(101, 257)[:, :-1]
    np.testing.assert_allclose(u.mean(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose((u**2).mean(axis=1), 0.5, rtol=1e-9)


def test_kuramoto_sivashinsky_balances_its_energy():
    # d/dt of the mean of u² / 2 is the mean of u_x² / 2 - 0.005 u_xx²; in time by centred differences.
    found = reference("kuramoto_sivashinsky")
    u = found.values["u"].reshape(101, 257)[:, :-1]
    k = np.pi * np.fft.fftfreq(256, 1 / 256)
    power = np.abs(np.fft.fft(u) / 256) ** 2
    gain = ((0.5 * k**2 - 0.005 * k**4) * power).sum(axis=1)
    rate = (power[1:].sum(axis=1) - power[:-1].sum(axis=1)) / 2 / 0.01
    np.testing.assert_allclose(rate.sum() * 0.01, np.trapezoid(gain, dx=0.01), rtol=2e-3)


def test_the_l_shape_against_finite_differences_and_its_known_integral():
    n = 64
    side = np.linspace(-1, 1, n + 1)[1:-1]
    x, y = (a.ravel() for a in np.meshgrid(side, side, indexing="ij"))
    inside = (x < -1e-12) | (y < -1e-12)
    second = diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(n - 1, n - 1)) * (n / 2) ** 2
    one = diags_array([1.0], offsets=[0], shape=(n - 1, n - 1))
    laplace = (kron(second, one) + kron(one, second)).tocsr()[inside][:, inside]
    differences = spsolve(laplace, -np.ones(int(inside.sum())))
    exact = poisson_l_shape(x[inside], y[inside], 45, 36)
    # h^(4/3) at the re-entrant corner: 64^(-4/3) = 4e-3
    assert np.linalg.norm(differences - exact) < 4e-3 * np.linalg.norm(exact)
    # The integral of u is 0.2140758, the energy that adaptive finite elements converge to. The trapezoidal
    # rule misses h² / 12 of the flux through the boundary, which is the area, 3.
    h = 2 / n
    assert exact.sum() * h**2 + 3 * h**2 / 12 == pytest.approx(0.2140758, rel=1e-4)


def test_the_cavity_has_the_published_profile():
    # Ghia, Ghia and Shin (1982), Journal of Computational Physics 48, tables I and II, Re = 100: on the
    # vertical centre line u = -0.20581 at y = 0.5, -0.21090 at 0.4531, -0.10150 at 0.1719; on the horizontal
    # one v = 0.05454 at x = 0.5, 0.17527 at 0.2344. Their lid is not slowed down at its ends.
    y = np.array([0.1719, 0.4531, 0.5])
    u, v = driven_cavity(np.array([0.2344, 0.5]), y, 32)
    np.testing.assert_allclose(u[1], [-0.10150, -0.21090, -0.20581], atol=6e-3)
    np.testing.assert_allclose(v[:, 2], [0.17527, 0.05454], atol=6e-3)


def test_kovasznay_flow_is_free_of_divergence():
    found = reference("kovasznay")
    u, v = (found.values[name].reshape(101, 101) for name in "uv")
    x, y = np.linspace(-0.5, 1, 101), np.linspace(-0.5, 1.5, 101)
    divergence = np.gradient(u, x, axis=0) + np.gradient(v, y, axis=1)
    assert np.abs(divergence[1:-1, 1:-1]).max() < 2e-2 * np.abs(np.gradient(u, x, axis=0)).max()

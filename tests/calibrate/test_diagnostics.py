"""Convergence diagnostics on chains whose properties are known."""

import numpy as np
import pytest

from physsynth.calibrate.diagnostics import bulk_ess, energy_fraction, r_hat, tail_ess


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


def _autoregressive(rng, rho, chains=4, draws=4000):
    x = np.empty((chains, draws))
    x[:, 0] = rng.normal(size=chains)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * rng.normal(size=chains)
    return x


def test_independent_draws_count_in_full(rng):
    x = rng.normal(size=(4, 2000))
    assert r_hat(x) < 1.005
    assert bulk_ess(x) == pytest.approx(8000, rel=0.15)
    assert tail_ess(x) == pytest.approx(8000, rel=0.2)


def test_autocorrelation_costs_what_theory_says(rng):
    # ESS of an AR(1) chain: n (1 - rho) / (1 + rho)
    x = _autoregressive(rng, 0.8)
    assert bulk_ess(x) == pytest.approx(16_000 / 9, rel=0.2)


def test_a_chain_in_another_mode_shows(rng):
    x = rng.normal(size=(4, 1000))
    x[3] += 3.0
    assert r_hat(x) > 1.3


def test_a_chain_of_another_width_shows_only_when_folded(rng):
    x = rng.normal(size=(4, 2000))
    x[0] *= 3.0
    assert r_hat(x) > 1.05


def test_heavy_tails_do_not_hide_divergence(rng):
    # Cauchy draws have no variance; ranks see through that (Vehtari et al. 2021, section 3)
    x = rng.standard_cauchy(size=(4, 2000))
    assert r_hat(x) < 1.01
    x[0] = x[0] * 0.1
    assert r_hat(x) > 1.05


def test_energy_fraction_of_white_noise_is_two(rng):
    # E (e_t - e_{t-1})^2 / Var e = 2 for independent energies
    assert energy_fraction(rng.normal(size=(4, 5000))) == pytest.approx(2.0, rel=0.1)

"""The density of a posterior from its draws, held against densities that are known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from physsynth.require.mixture import Mixture
from physsynth.require.present import Present

DRAWS = 4000


def gap(rows, exact):
    """The sd, over the draws, of what the fitted log density differs from the exact one by."""
    fitted = jax.jit(Present.log_density)(Present.of(rows), jnp.asarray(rows.T))
    return float(np.std(np.asarray(fitted) - exact))


def test_a_normal_is_found_to_be_one():
    """Four strongly correlated components: the error is that of 14 moments from 4,000 draws, about 0.06."""
    rng = np.random.default_rng(0)
    root = np.tril(np.ones((4, 4))) * [1.0, 0.1, 0.3, 0.2]
    unit = rng.normal(size=(DRAWS, 4))
    assert gap(unit @ root.T, -0.5 * np.sum(unit**2, axis=1)) < 0.12


def test_a_mean_with_an_unknown_sd_that_comes_first_or_last():
    """A location is described by the sd that it depends on, whichever of them the draws hold first."""
    rng = np.random.default_rng(1)
    log_sd = 0.5 * np.log(9 / rng.chisquare(9, DRAWS))
    mean = np.exp(log_sd) * rng.normal(size=DRAWS) / math.sqrt(10)
    exact = -log_sd - 5 * (mean / np.exp(log_sd)) ** 2 - 9 * log_sd - 4.5 * np.exp(-2 * log_sd)
    assert gap(np.column_stack([mean, log_sd]), exact) < 0.15
    assert gap(np.column_stack([log_sd, mean]), exact) < 0.15


def test_effects_of_an_unknown_common_spread():
    """Three effects of a log-normal spread that is not among the draws.

    Maps to independent residuals cannot hold it; the mixture has at most half of their error.
    """
    rng = np.random.default_rng(2)
    effects = 0.5 * np.exp(0.8 * rng.normal(size=(DRAWS, 1))) * rng.normal(size=(DRAWS, 3))
    spread = 0.5 * np.exp(0.8 * np.linspace(-4, 4, 161))
    weight = stats.norm.logpdf(np.linspace(-4, 4, 161))
    square = np.sum(effects**2, axis=1)[:, None]
    exact = special.logsumexp(weight - 3 * np.log(spread) - 0.5 * square / spread**2, axis=1)
    maps = Present.of(effects)
    alone = maps._replace(log_share=jnp.log(jnp.array([0.5, 0.5, 1e-30])))
    error = [np.std(np.asarray(fit.log_density(jnp.asarray(effects.T))) - exact) for fit in (maps, alone)]
    assert error[0] < 0.5 * error[1]


def test_two_modes():
    rng = np.random.default_rng(3)
    side = np.where(rng.random(DRAWS) < 0.6, 1.0, -1.0)
    rows = (side + 0.3 * rng.normal(size=DRAWS))[:, None]
    logs = [math.log(share) + stats.norm.logpdf(rows[:, 0], at, 0.3) for share, at in ((0.6, 1), (0.4, -1))]
    assert gap(rows, np.logaddexp(*logs)) < 0.2


@pytest.mark.parametrize("number", [1, 3])
def test_mixture_is_a_density_whatever_does_not_move(number):
    """It integrates to one over the component that moves."""
    rows = np.column_stack([np.random.default_rng(4).normal(size=1000), np.full(1000, 2.0)])
    fitted = Mixture.of(rows, np.array([True, False]), number)
    places = np.linspace(-8, 8, 801)
    density = np.exp(fitted.log_density(jnp.asarray([places, np.full(801, 2.0)])))
    assert np.trapezoid(density, places) == pytest.approx(1.0, rel=1e-4)

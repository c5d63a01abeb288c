"""Conjugate pilots against their closed forms, and pilots that are too small."""

import jax
import numpy as np
import pytest
from scipy import stats

from physsynth.core.errors import ParameterError
from physsynth.require import simple

# Student (1908), Biometrika 6, 20: additional hours of sleep, one drug minus the other.
SLEEP = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
KEY = jax.random.key(0)


def test_draws_of_a_mean_are_student():
    """Quantiles of 4000 draws, within 4 standard errors of a sixteenth of an sd."""
    draws = np.asarray(simple.repeated(SLEEP, KEY).draws["level"])
    exact = stats.t(len(SLEEP) - 1, SLEEP.mean(), SLEEP.std(ddof=1) / len(SLEEP) ** 0.5)
    levels = [0.1, 0.5, 0.9]
    np.testing.assert_allclose(np.quantile(draws, levels), exact.ppf(levels), atol=0.25 * exact.std())


def test_outcomes_are_a_rate():
    """Jeffreys' Beta(7.5, 16.5) after 7 of 23."""
    pilot = simple.repeated(np.repeat([1.0, 0.0], [7, 16]), KEY)
    exact = stats.beta(7.5, 16.5)
    assert pilot.name.startswith("rate")
    assert float(pilot.draws["mean"].mean()) == pytest.approx(exact.mean(), abs=4 * exact.std() / 4000**0.5)


def test_slope_of_a_line_is_student():
    x = np.arange(10.0)
    fit = stats.linregress(x, SLEEP)
    draws = np.asarray(simple.line(x, SLEEP, KEY).draws["slope"])
    exact = stats.t(8, fit.slope, fit.stderr)
    assert draws.mean() == pytest.approx(fit.slope, abs=4 * exact.std() / 4000**0.5)
    assert np.quantile(draws, 0.9) == pytest.approx(exact.ppf(0.9), abs=0.15 * exact.std())


@pytest.mark.parametrize("values", [[1.5], [2.0, 2.0, 2.0, 2.0, 2.0], [1.0, 3.5, 2.0]])
def test_small_or_constant_pilots(values):
    need = simple.repeated(values, KEY).precision(0.1, KEY)
    assert need.verdict == "NEEDS_PILOT"
    assert need.failed
    assert need.statement()["number"] == "No number can be given yet."


def test_bad_input_is_named():
    with pytest.raises(ParameterError, match="finite numbers"):
        simple.repeated([1.0, np.nan], KEY)
    with pytest.raises(ParameterError, match="differ in number"):
        simple.line([1.0, 2.0], [1.0], KEY)

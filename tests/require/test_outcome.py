"""From widths along futures to the verdict: what is a floor, and what is only far away."""

import math

import numpy as np
import pytest

from physsynth.require.engine import sizes
from physsynth.require.outcome import Aim, Futures, forecast
from physsynth.require.requirement import Question

ASKED = Question("It is known.", "it", "sd at most so much", "measurements")
GRID = sizes(200)


def answer(present, target, floor, per_measurement, grid=GRID):
    """Forecast from futures whose squared width is floor^2 + 1 / (1 / (present^2 - floor^2) + n / s^2)."""
    known = 1 / (present**2 - floor**2) + np.asarray(grid) / per_measurement**2
    widths = np.sqrt(floor**2 + 1 / known) * np.linspace(0.98, 1.02, 50)[:, None]
    futures = Futures(widths, np.full(50, 500.0), grid)
    return forecast(Aim(ASKED, "sd", present, target, 0.8), futures, 0.0, (), ())


@pytest.mark.parametrize("grid", [sizes(5), sizes(20), sizes(200)])
@pytest.mark.parametrize("target", [0.2, 1e-4])
def test_what_is_far_away_is_no_floor(grid, target):
    """A mean known within 1, measured with sd 3: any target is reached, however small the sizes looked at."""
    need = answer(1.0, target, 0.0, 3.0, grid)
    assert need.verdict == "FORECAST"
    assert need.number is None
    assert need.failed


@pytest.mark.parametrize("present", [1.0, 10.0])
def test_where_widths_level_off_is_found(present):
    need = answer(present, 0.3, 0.4, 1.5)
    assert need.verdict == "FLOOR"
    assert need.floor == pytest.approx(0.4, rel=0.03)
    assert math.isinf(need.quantiles[0.5])

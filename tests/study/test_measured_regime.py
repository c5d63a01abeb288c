"""The measured regime: only what the limit state rests on can leave it."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import physsynth as ps
from physsynth.study.regime import Regime

TIMES = np.array([0.0, 4.0, 8.0])


def problem(function):
    limit = ps.LimitState("mg/L", function, {"level": "mg/L"}, "the level is below {level} mg/L")
    sim = SimpleNamespace(
        limit_states={"low": limit}, outputs={"level": ps.Output("mg/L", "level")}, parameters=("rate",)
    )
    design = SimpleNamespace(observed=np.array([[2.7, 1.0, 0.1]]), mask=np.ones((1, 3), bool))
    return SimpleNamespace(
        sim=sim,
        settings={"level": 0.15},
        study=SimpleNamespace(tables=SimpleNamespace(rare=SimpleNamespace(limit_state="low"))),
        model=SimpleNamespace(experiment=SimpleNamespace(design=design, output="level")),
    )


@pytest.mark.parametrize(
    ("function", "outside"),
    [
        # At the last time alone: that the level at the start was never measured so high matters not.
        (lambda p, y, level: y["level"][2] - level, 0.25),
        (lambda p, y, level: y["level"].max() - level, 0.75),
        # Through a parameter: how it rests on the level is not known, so every value counts.
        (lambda p, y, level: p["rate"] - level, 1.0),
    ],
)
def test_what_the_limit_state_does_not_rest_on_is_no_extrapolation(function, outside):
    scenarios = xr.Dataset(
        {
            "level": (
                ("scenario", "time"),
                [[3.0, 1.0, 0.1], [2.0, 1.0, 3.0], [1.0, 1.0, 1.0], [3.0, 5.0, 0.1]],
            ),
            "rate": ("scenario", [1.0, 1.0, 1.0, 1.0]),
            "weight": ("scenario", [1.0, 1.0, 1.0, 1.0]),
        }
    )
    if outside == 1.0:
        scenarios["level"][2, 0] = 3.0
    assert Regime.of(problem(function), scenarios).share_outside == outside

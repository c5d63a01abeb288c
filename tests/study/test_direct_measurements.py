"""A study's direct measurements: new members where failures lie, against log-normal moments."""

import math
from dataclasses import replace

import jax
import numpy as np
import pytest
import xarray as xr
from small import EXPERIMENTS

from physsynth.core.errors import PhyssynthError
from physsynth.require import Axis, Question, Requirement
from physsynth.require import Regime as Placed
from physsynth.study.load import load_study
from physsynth.study.problem import build_problem
from physsynth.study.regime import Regime
from physsynth.study.reveal import New, revealed

SPEED, TIME, SLOWING, SPREAD, NOISE = 20 * 0.44704, 0.8, 6.0, 0.2, 1.0


@pytest.fixture(scope="module")
def problem():
    return build_problem(load_study(EXPERIMENTS / "braking.toml"))


@pytest.fixture(scope="module")
def posterior():
    values = {"reaction_time": TIME, "deceleration": SLOWING, "additive_noise": NOISE}
    spreads = {"reaction_time_spread": SPREAD, "deceleration_spread": SPREAD}
    return {name: np.full(50, value) for name, value in {**values, **spreads}.items()}


def failing(distances):
    n = len(distances)
    columns = {
        "stopping_distance": (distances, "m"),
        "weight": (np.full(n, 0.01 / n), "1"),
        "limit_state": (30.0 - distances, "m"),
    }
    return xr.Dataset({k: ("scenario", v, {"units": unit}) for k, (v, unit) in columns.items()})


def regime(scenarios, high):
    reached = scenarios["stopping_distance"].values[:, None]
    return Regime(
        "stopping_distance", "m", 2.0, high, reached, -np.ones_like(reached), scenarios["weight"].values
    )


def need():
    axes = (Axis("stopping distance", "m", (0.0, 1.0), (2.0, 3.0), 1.0),)
    asked = Question("c", "q", "t", "stops")
    return Requirement("EXTRAPOLATION", 9, asked, {}, regime=Placed(axes))


def moments():
    """Mean and variance of v t + v^2 / (2 a) over stops, and of one measurement of it."""
    mean = math.exp(SPREAD**2 / 2)
    relative = math.exp(SPREAD**2) - 1
    reaction, slowing = SPEED * TIME * mean, SPEED**2 / (2 * SLOWING) * mean
    return reaction + slowing, relative * (reaction**2 + slowing**2)


def test_new_members_scatter_as_the_population_and_the_noise(problem, posterior):
    """200 members: the standard deviation has a standard error of 5 %."""
    scenarios = failing(np.linspace(31.0, 40.0, 30))
    there = New.at(regime(scenarios, 5.0), problem, scenarios, posterior, jax.random.key(0))
    _, variance = moments()
    np.testing.assert_allclose(there.scatter, math.sqrt(variance + NOISE**2), rtol=0.15)
    np.testing.assert_allclose(there.beyond, 1.0)
    assert there.names[0] == "the conditions of the scenario"


def test_direct_measurements_where_members_go_beyond_the_data(problem, posterior):
    """Margins 1 to 10 m, evenly: a tenth of P is lost where distances are 1.9 m shorter."""
    scenarios = failing(np.linspace(31.0, 40.0, 3001))
    told = revealed(need(), regime(scenarios, 5.0), problem, scenarios, posterior, jax.random.key(0))
    assert told.regime is not None
    direct, counted = told.regime.direct, told.regime.counted
    target = math.log(2) / (2 * 1.6448536269514722)
    shift = 1.0 + 9.0 * -math.expm1(-target)
    assert direct.error == pytest.approx(3.96 * shift, rel=0.01)
    assert direct.number == pytest.approx((moments()[1] + NOISE**2) / shift**2, rel=0.4, abs=1)
    assert counted.number > 1 / (0.01 * target**2)
    assert "new stops, each measured once at the conditions" in told.statement()["reveal"]


def test_failures_are_counted_where_members_stay_within_the_data(problem, posterior):
    """The mean stop is of 14 m: hardly one goes beyond 36 m."""
    scenarios = failing(np.linspace(37.0, 40.0, 30))
    told = revealed(need(), regime(scenarios, 36.0), problem, scenarios, posterior, jax.random.key(0))
    assert told.regime is not None
    assert told.regime.direct is None
    assert "at most 0% of new stops" in told.regime.note
    assert told.statement()["reveal"].startswith("Failures counted in")


def test_a_floor_outside_the_data_has_its_direct_measurements_too(problem, posterior):
    scenarios, floor = failing(np.linspace(31.0, 40.0, 3001)), replace(need(), verdict="FLOOR", number=None)
    told = revealed(floor, regime(scenarios, 5.0), problem, scenarios, posterior, jax.random.key(0))
    assert "would reveal" in told.statement()["reveal"]


def test_inside_the_data_nothing_is_revealed(problem, posterior):
    inside = Requirement("FORECAST", 9, Question("c", "q", "t", "stops"), {}, regime=Placed(()))
    scenarios = failing(np.linspace(31.0, 40.0, 30))
    assert revealed(inside, regime(scenarios, 50.0), problem, scenarios, posterior, None) is inside


def with_costs(tmp_path, costs):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "braking.csv").write_bytes((EXPERIMENTS / "data" / "braking.csv").read_bytes())
    text = (EXPERIMENTS / "braking.toml").read_text().replace("[require]\n", f"[require]\ncosts = {costs}\n")
    path = tmp_path / "braking.toml"
    path.write_text(text)
    return load_study(path)


def test_costs_are_of_the_ways_that_check_names(problem, tmp_path, capsys):
    from physsynth.study.console import show_plan

    assert list(problem.ways)[:2] == ["as planned", "at speed 1.79 m/s"]
    study = with_costs(tmp_path, '{ "as planned" = 2.0, "at speed 8.49 m/s" = 3 }')
    built = build_problem(study)
    show_plan(built, [])
    shown = capsys.readouterr().out
    assert '"at speed 8.49 m/s" costs 3' in shown
    assert '"at speed 1.79 m/s" costs 2' in shown


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ('{ "at speed 9 m/s" = 2.0 }', "at speed 8.49 m/s"),
        ('{ "as planned" = 0.0 }', "greater than 0"),
        ('{ "as planned" = "2" }', "valid number"),
        ("3.0", "costs"),
    ],
)
def test_bad_costs_are_named(costs, said, tmp_path):
    with pytest.raises(PhyssynthError, match=said) as raised:
        build_problem(with_costs(tmp_path, costs))
    assert "require.costs" in str(raised.value)

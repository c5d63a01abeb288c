"""Declarations: what is wrong with one is said where it is written."""

from importlib.metadata import EntryPoint

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from physsynth.core import (
    Coordinate,
    LimitState,
    Option,
    Output,
    Parameter,
    define_simulator,
    find,
    registry,
)
from physsynth.core.errors import ParameterError, PhyssynthError, SimulationError

HEIGHT = {"height": Parameter(dist.Uniform(1.0, 2.0), "m", "height of the drop")}
FALL = {"duration": Output("s", "until the ground")}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parameters": {"height": dist.Uniform(1.0, 2.0)}}, "parameters.height"),
        ({"parameters": [HEIGHT["height"]]}, "no mapping"),
        ({"outputs": {"duration": "s"}}, "outputs.duration"),
        ({"outputs": {"duration": Output("s", "", {"time": "times"})}}, "outputs.duration.dims.time"),
        ({"outputs": {"duration": Output("s", "", {"time": Coordinate("times", "s")})}}, "option of"),
        ({"options": {"times": (0.0, "s")}}, "options.times"),
        ({"limit_states": {"late": lambda p, y: y["duration"]}}, "limit_states.late"),
        ({"validity": {"hight": (0.0, 1.0)}}, "height"),
        ({"lower_bounds": {"hight": lambda p: 0.0}}, "height"),
        ({"step": "dt"}, "dt"),
    ],
)
def test_a_declaration_of_the_wrong_kind(changes, says):
    with pytest.raises(PhyssynthError, match=says):
        define_simulator("mechanics/free_fall", **{"parameters": HEIGHT, "outputs": FALL, **changes})


def test_a_limit_state_may_stand_alone():
    declare = define_simulator(
        "mechanics/free_fall",
        parameters=HEIGHT,
        outputs=FALL,
        limit_states={"late": LimitState("s", lambda p, y: 1.0 - y["duration"])},
        validity={"height": (0.0, 1000.0)},
    )
    assert float(declare(lambda p: {"duration": jnp.sqrt(p["height"])})({"height": 4.0})["duration"]) == 2.0


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("raise TypeError('too few arguments')", "TypeError: too few arguments .*line 1"),
        ("fall = (", "SyntaxError"),
        ("import no_such_module", "no_such_module"),
        ("other = 1", "fall"),
        ("fall = 3.0", "no simulator"),
    ],
)
def test_a_module_that_cannot_be_imported(tmp_path, monkeypatch, module, says):
    name = f"broken_{abs(hash(module))}"
    (tmp_path / f"{name}.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mechanics/fall", f"{name}:fall", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(SimulationError, match=says):
        find("mechanics/fall")


def test_a_mistaken_declaration_keeps_its_own_words(tmp_path, monkeypatch):
    (tmp_path / "mistaken.py").write_text(
        "from physsynth.core import define_simulator\n"
        "fall = define_simulator('mechanics/fall', parameters={}, outputs={'duration': 's'})(dict)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mechanics/fall", "mistaken:fall", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(ParameterError, match=r"outputs\.duration"):
        find("mechanics/fall")


def _falls(function, limit=lambda p, y: 1.0 - y["duration"], times=(0.0, 1.0)):
    return define_simulator(
        "mechanics/fall",
        parameters=HEIGHT,
        outputs=FALL,
        options={"times": Option(list(times), "s", "when")},
        limit_states={"late": LimitState("s", limit)},
    )(function)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda p, times: {"duration": p["hight"]}, "KeyError: 'hight' .*test_simulator.py, line"),
        (lambda p, times: {"duration": np.sqrt(p["height"])}, r"ps\.external"),
        (lambda p, times: {"duration": float(p["height"])}, r"ps\.external"),
    ],
)
def test_a_simulator_that_breaks_names_its_line(function, says):
    with pytest.raises(SimulationError, match=says):
        jax.eval_shape(_falls(function), {"height": 1.0})


def test_a_limit_state_that_breaks_names_its_line():
    sim = _falls(lambda p, times: {"duration": p["height"]}, lambda p, y: y["length"])
    with pytest.raises(SimulationError, match=r"KeyError: 'length' .*test_simulator\.py, line"):
        sim.limit_state("late")({"height": 1.0})


def test_a_list_of_numbers_reaches_the_function_as_an_array():
    sim = _falls(lambda p, times: {"duration": jnp.sum(times * p["height"])})
    assert float(sim({"height": 2.0})["duration"]) == 2.0
    assert float(sim.configure(times=[1, 2])({"height": 2.0})["duration"]) == 6.0

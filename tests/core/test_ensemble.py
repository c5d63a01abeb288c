"""Ensembles: the same scenario gives the same bytes, failures are kept, memory stays bounded."""

import dataclasses
import subprocess
import sys

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import physsynth as ps
from physsynth.core import Keep, Retry, Stop, rk4
from physsynth.core.errors import OutputError, ParameterError, SimulationError, UnitError, UnknownNameError


@pytest.fixture(scope="module")
def braking():
    return ps.simulator("driving/braking")


@ps.define_simulator(
    "test/stiff_decay",
    parameters={"rate": ps.Parameter(dist.Uniform(1.0, 5.0), "1/s", "decay rate")},
    outputs={"left": ps.Output("1", "share left after 100 s")},
    options={"step": ps.Option(0.9, "s", "step of the explicit Euler scheme")},
    step="step",
)
def stiff_decay(p, *, step):
    """Explicit Euler blows up where rate * step > 2; beyond 1e30 it is a failed run."""
    left = jax.lax.fori_loop(0, 300, lambda _, y: y * (1 - p["rate"] * step), jnp.asarray(1.0))
    return {"left": jnp.where(jnp.abs(left) < 1e30, left, jnp.nan)}


def test_parameters_outputs_units_and_status(braking, key):
    runs = ps.simulate(braking, 500, key)
    d = runs["speed"] * runs["reaction_time"] + runs["speed"] ** 2 / (2 * runs["deceleration"])
    np.testing.assert_allclose(runs["stopping_distance"], d, rtol=1e-12)
    assert runs["deceleration"].attrs["units"] == "m/s^2"
    assert runs.sizes == {"scenario": 500}
    assert not runs["status"].any()


def test_a_scenario_does_not_depend_on_how_many_there_are(braking, key):
    few, many = ps.simulate(braking, 10, key), ps.simulate(braking, 5000, key)
    xr.testing.assert_identical(few, many.isel(scenario=slice(0, 10)))


def test_given_scenarios_are_used(braking, key):
    drawn = ps.simulate(braking, 7, key)
    again = ps.simulate(braking, drawn)
    np.testing.assert_array_equal(drawn["stopping_distance"], again["stopping_distance"])


GIVEN = {
    "speed": np.array([10.0, 20.0]),
    "reaction_time": np.ones(2),
    "deceleration": np.full(2, 5.0),
    "obstacle_distance": np.full(2, 30.0),
}


def test_units_of_given_scenarios_are_converted(braking):
    dataset = xr.Dataset({name: ("scenario", value) for name, value in GIVEN.items()})
    dataset["speed"] = ("scenario", [36.0, 72.0], {"units": "km/h"})
    runs = ps.simulate(braking, dataset)
    np.testing.assert_allclose(runs["stopping_distance"], [20.0, 60.0])
    assert runs["speed"].attrs["units"] == "m/s"
    dataset["speed"].attrs["units"] = "kg"
    with pytest.raises(UnitError, match="speed"):
        ps.simulate(braking, dataset)


def test_a_parameter_that_is_no_number_is_flagged_even_where_no_output_depends_on_it(braking):
    runs = ps.simulate(braking, {**GIVEN, "obstacle_distance": np.array([np.nan, 30.0])})
    assert np.isfinite(runs["stopping_distance"]).all()
    assert runs["status"].values.tolist() == [2, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"speed": np.array(["fast", "slow"])},
        {"speed": np.ones((2, 3))},
        {"speed": 10.0},
        {"speed": np.ones(3)},
    ],
    ids=["words", "two dimensions", "a number", "another length"],
)
def test_scenarios_that_do_not_fit_are_refused(braking, change):
    with pytest.raises(ParameterError):
        ps.simulate(braking, {**GIVEN, **change})


@pytest.mark.parametrize("batch", [0, -1, 2.5])
def test_batches_are_whole_numbers(braking, key, batch):
    with pytest.raises(ParameterError, match="batch"):
        ps.simulate(braking, 5, key, batch=batch)


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_counts_are_whole_numbers(braking, key, count):
    with pytest.raises(ParameterError, match="scenarios"):
        ps.simulate(braking, count, key)


def test_outside_the_validity_domain_is_flagged_not_dropped(braking):
    p = {
        "speed": [10.0, 80.0],
        "reaction_time": [1.0, 1.0],
        "deceleration": [5.0, 5.0],
        "obstacle_distance": [9.0, 9.0],
    }
    status = ps.simulate(braking, {name: np.array(value) for name, value in p.items()})["status"]
    assert status.values.tolist() == [0, 2]
    assert status.attrs["flag_meanings"].split()[1] == "outside_validity_domain"


def test_failure_policies(key):
    rates = {"rate": np.array([1.0, 2.0, 4.0])}
    kept = ps.simulate(stiff_decay, rates, on_failure=Keep())
    assert kept["status"].values.tolist() == [0, 0, 1]
    assert np.isnan(kept["left"].values[2])
    with pytest.raises(SimulationError, match="rate"):
        ps.simulate(stiff_decay, rates, on_failure=Stop())
    retried = ps.simulate(stiff_decay, rates, on_failure=Retry(factor=0.5, attempts=1))
    assert retried["status"].values.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(retried["left"].values[:2], kept["left"].values[:2])


def test_retry_needs_a_step(braking):
    with pytest.raises(ParameterError, match="no step"):
        ps.simulate(braking, 3, jax.random.key(0), on_failure=Retry())


def test_file_equals_memory_and_opens_everywhere(braking, key, tmp_path):
    path = tmp_path / "runs.nc"
    with ps.simulate(braking, 9000, key, path=path) as opened:
        xr.testing.assert_identical(opened.load(), ps.simulate(braking, 9000, key))
    with h5py.File(path) as file:
        assert file["speed"].attrs["units"] in ("m/s", b"m/s")
        assert file["speed"].shape == (9000,)
    assert [p.name for p in tmp_path.iterdir()] == ["runs.nc"]


def test_an_interrupted_file_goes_on_to_the_same_bytes(braking, key, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole.nc", tmp_path / "cut.nc"
    ps.simulate(braking, 12_000, key, path=whole).close()
    calls = []
    original = ps.core.ensemble.run_block

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr("physsynth.core.ensemble.run_block", failing)
    with pytest.raises(KeyboardInterrupt):
        ps.simulate(braking, 12_000, key, path=cut)
    assert not cut.exists()
    ps.simulate(braking, 12_000, key, path=cut).close()
    assert len(calls) == 4  # two blocks before the interruption, the interrupted one, and that one again
    assert cut.read_bytes() == whole.read_bytes()


def test_blocks_of_other_code_are_not_taken_over(braking, key, tmp_path, monkeypatch):
    """Interrupted, mended, begun again: what the first code finished must not stand beside the second's."""
    path = tmp_path / "runs.nc"

    def doubled(p):
        return {"stopping_distance": 2.0 * braking.function(p)["stopping_distance"]}

    mended = dataclasses.replace(braking, function=doubled)
    with monkeypatch.context() as patched:
        patched.setattr("physsynth.core.ensemble._join_files", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            ps.simulate(braking, 100, key, path=path)
    with ps.simulate(mended, 100, key, path=path) as opened:
        xr.testing.assert_identical(opened.load(), ps.simulate(mended, 100, key))
    assert [p.name for p in tmp_path.iterdir()] == ["runs.nc"]


def _interrupt(*_):
    raise KeyboardInterrupt


def test_memory_stays_bounded(tmp_path):
    """Ten times the scenarios cost no more memory; 10^6 are measured in experiments/benchmarks."""
    program = (
        "import sys, resource, jax, numpy as np; jax.config.update('jax_enable_x64', True)\n"
        "import physsynth as ps\n"
        "sim = ps.simulator('pharmacokinetics/oral_one_compartment', times=np.linspace(0, 24, 25))\n"
        "ps.simulate(sim, int(sys.argv[1]), jax.random.key(0), path=sys.argv[2]).close()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    peak = []
    for n in (20_000, 200_000):
        command = [sys.executable, "-c", program, str(n), str(tmp_path / f"{n}.nc")]
        peak.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    # the 200,000 scenarios take 45 MB on disk; a run that held them would show it at least twice over
    assert peak[1] < peak[0] + 60.0


@pytest.mark.parametrize(
    ("scenarios", "says"),
    [(0, "cannot be drawn"), ({"speed": np.ones(2)}, "do not fit"), ({}, "none of them")],
)
def test_refusals(braking, key, scenarios, says):
    with pytest.raises(ParameterError, match=says):
        ps.simulate(braking, scenarios, key)


def test_unwritable_path(braking, key, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        ps.simulate(braking, 10, key, path=tmp_path / "file" / "runs.nc")


def test_missing_and_misspelt_parameters(braking):
    with pytest.raises(ParameterError, match="is missing"):
        braking({"speed": 3.0})
    with pytest.raises(UnknownNameError, match='did you mean "speed"'):
        braking({"sped": 3.0})
    with pytest.raises(UnknownNameError, match='did you mean "driving/braking"'):
        ps.simulator("driving/breaking")


def test_runge_kutta_is_of_fourth_order():
    def error(substeps):
        path = rk4(lambda t, y: -y, jnp.asarray(1.0), jnp.linspace(0.0, 2.0, 3), substeps)
        return abs(float(path[-1]) - np.exp(-2.0))

    # the ratio tends to 2^4 as the step falls
    assert error(8) / error(16) == pytest.approx(16.0, rel=0.1)

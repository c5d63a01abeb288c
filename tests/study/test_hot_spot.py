"""A study through a network: trained on the equation, calibrated in the solver's place, guide to failures."""

import json
import re

import numpy as np
import pytest
import xarray as xr
from small import small_study

import physsynth as ps
from physsynth.cli import main
from physsynth.release import verify

pytestmark = pytest.mark.xdist_group("studies")
FEW = {"iterations": 1000, "width": 16, "points": 1500}


def quick(folder):
    """Return the study with a network that trains in seconds, and a limit that more plates pass."""
    study = small_study("hot_spot", folder)
    text = study.read_text().replace('limit = "42 K"', 'limit = "38 K"')
    for key, value in FEW.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    study.write_text(text)
    return study


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The small study, run: its folder, what it released, and the summaries of its stages."""
    folder = tmp_path_factory.mktemp("hot_spot")
    study = quick(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["physsynth", "run", str(study), "--out", str(folder / "out")])
        with pytest.raises(SystemExit):
            main()
    out = folder / "out"
    files = {path.stem: xr.load_dataset(path) for path in (out / "release").glob("*.nc")}
    stages = {
        path.parent.name.split("-")[0]: json.loads(path.read_text())
        for path in (out / "stages").glob("*/summary.json")
    }
    return out, files, stages


def test_it_ends_in_a_release_that_verifies(result):
    out, _, stages = result
    assert verify(out / "release").passed
    assert set(stages) == {"network", "calibrate", "rare", "require", "evaluate", "release", "report"}


def test_the_network_is_held_against_the_solver(result):
    _, _, stages = result
    found = stages["network"]
    assert found["compared"] == 256
    assert 0.0 < found["errors"]["hot_spot"]["median"] < found["error"] < 1.0


def test_failures_are_the_solvers_not_the_networks(result):
    _, files, stages = result
    rare = files["rare_scenarios"]
    assert stages["rare"]["guide_calls"] > stages["rare"]["calls"] > 0
    some = rare.isel(scenario=slice(0, 20))
    solver = ps.simulator("fields/heat")
    p = {name: some[name].values for name in solver.parameters}
    np.testing.assert_allclose(solver.batched(p)["hot_spot"], some["hot_spot"], rtol=1e-9)
    assert bool((some["hot_spot"] >= 38.0).all())


def test_the_plates_are_told_apart(result):
    # The data were made with a median conductivity of 30 W/m/K, and 12 % between plates.
    _, _, stages = result
    typical = stages["calibrate"]["typical"]["conductivity"]
    assert typical["q05"] < 30.0 < typical["q95"]
    assert {"members within the network's ranges", "network's error beside the noise"} <= {
        check["name"] for check in stages["calibrate"]["checks"]
    }


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('name = "fields/heat"', 'name = "driving/braking"', "rare.limit_state"),
        ("[network]", '[network]\nrange = { loss = ["1 W/m^2/K", "2 W/m^2/K"] }', "network.range"),
        ('conductivity = ["12 W/m/K"', 'conductivity = ["12 kg"', "network.ranges.conductivity"),
        ("ranges = { conductivity", "ranges = { height", "network.ranges.height"),
        ("ranges = { conductivity", 'ranges = { power = ["1 W", "2 W"], conductivity', "ranges.power"),
        ('limit_state = "overheating"', 'limit_state = "overheating"\nmethod = "subset"', "rare.method"),
    ],
)
def test_what_a_network_cannot_do_is_said_before_it_is_trained(command, tmp_path, old, new, key):
    study = quick(tmp_path)
    text = study.read_text()
    assert old in text
    study.write_text(text.replace(old, new))
    code, _, words = command("check", study)
    assert code == 2
    assert key in words

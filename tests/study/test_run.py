"""Whole studies: every stage, the same bytes however they are run, and nothing stale."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from small import small_study

from physsynth.release import verify

pytestmark = pytest.mark.xdist_group("studies")
PROGRAM = Path(sys.executable).with_name("physsynth")


def _run(study, out, *arguments, check=True):
    command = [PROGRAM, "run", study, "--out", out, *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert not check or done.returncode in (0, 1), done.stderr
    return done


def _digests(out: Path) -> dict[str, str]:
    """Digest of every released array, and of the report."""
    files = [*sorted((out / "release").glob("*.nc")), out / "report.html"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _stages(done) -> dict[str, str]:
    """From a stage's closing line: its name, and "reused" or the time it took."""
    rows = [
        line.split()
        for line in done.stdout.splitlines()
        if "checks passed" in line or line.startswith("report")
    ]
    return {row[0]: row[1] for row in rows if row[1] == "reused" or row[2] == "s"}


@pytest.fixture(scope="module")
def braking(tmp_path_factory):
    """The small braking study, and its results."""
    folder = tmp_path_factory.mktemp("braking")
    study = small_study("braking", folder)
    done = _run(study, folder / "out")
    return study, folder / "out", done


@pytest.fixture(scope="module")
def theophylline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theophylline")
    study = small_study("theophylline", folder)
    return study, folder / "out", _run(study, folder / "out")


@pytest.fixture(params=["braking", "theophylline"])
def result(request):
    return request.getfixturevalue(request.param)


def test_every_stage_runs_and_the_summary_names_the_files(result):
    _, out, done = result
    assert list(_stages(done)) == ["calibrate", "rare", "evaluate", "require", "release", "report"]
    for name in ("release", "report.html", "report.json"):
        assert (out / name).exists()
        assert str(out / name) in done.stdout


def test_the_weights_add_up_to_the_probability(result):
    _, out, _ = result
    summary = json.loads(next((out / "stages").glob("rare-*/summary.json")).read_text())
    scenarios = xr.load_dataset(out / "release" / "rare_scenarios.nc")
    assert float(scenarios["weight"].sum()) == pytest.approx(summary["probability"], rel=1e-9)
    assert (scenarios["limit_state"] <= 0).all()
    assert scenarios["plausibility"].min() >= 0
    assert scenarios["plausibility"].max() <= 100
    low, high = summary["monte_carlo_interval_95"]
    assert low <= summary["probability"] <= high


def test_every_scenario_obeys_the_laws(result):
    _, out, _ = result
    for name in ("rare_scenarios", "ordinary_scenarios"):
        assert (xr.load_dataset(out / "release" / f"{name}.nc")["constraint_violation"] <= 1.0).all()


def test_residuals_are_looked_at_within_members_or_from_member_to_member(result):
    """Theophylline is measured eleven times in a subject, a stop once; both have an order."""
    _, out, _ = result
    folder = next((out / "stages").glob("evaluate-*"))
    summary = json.loads((folder / "summary.json").read_text())
    checks, noise = summary["checks"], summary["noise"]
    ((file, members),) = [
        (path.stem, np.unique(xr.load_dataset(path)["member"]).size) for path in folder.glob("residuals_*.nc")
    ]
    assert (file, members) in {("residuals_time", 12), ("residuals_speed", 1)}
    found = [row for row in checks if row["name"].endswith(file.replace("residuals_", "(in order of ") + ")")]
    # neighbours, and where there are several members also what they share at one place
    assert len(found) == 1 + (members > 1)
    assert all(row["passed"] for row in found)
    # The size of errors is looked at where members are told apart; what is found stands on the statement.
    assert len(noise) == (2 if members > 1 else 0)
    told = (next((out / "stages").glob("require-*")) / "summary.json").read_text()
    for row in noise:
        assert (row["name"] in told) == (not row["passed"])


def test_the_release_verifies_and_h5py_reads_it(result):
    _, out, _ = result
    assert verify(out / "release").passed
    with h5py.File(out / "release" / "rare_scenarios.nc") as file:
        assert len(file["weight"]) == len(file["mode"])
        assert "units" in file["weight"].attrs


def test_the_contract_promises_failures_that_count(result):
    _, out, _ = result
    contract = json.loads((out / "release" / "contract.json").read_text())
    promised = contract["datasets"]["rare_scenarios"]["variables"]
    assert promised["limit_state"]["upper"] == 0.0
    assert promised["weight"]["lower"] == 0.0


def test_no_measured_member_is_in_the_release(result):
    _, out, _ = result
    population = xr.load_dataset(out / "release" / "population.nc")
    assert set(population.dims) == {"draw"}


def test_the_overdose_scenarios_are_overdoses(theophylline):
    _, out, _ = theophylline
    scenarios = xr.load_dataset(out / "release" / "rare_scenarios.nc")
    assert (scenarios["peak_concentration"] >= 20.0).all()
    assert scenarios["concentration"].dims == ("scenario", "time")
    # the parameters that were simulated are those of the member: CL = weight * CL per kg
    clearance = scenarios["clearance_per_body_weight"] * scenarios["body_weight"]
    np.testing.assert_allclose(scenarios["clearance"], clearance, rtol=1e-12)
    assert set(np.unique(scenarios["dose_factor"])) <= {0, 1, 2}


def test_the_population_lies_where_published_fits_lie(theophylline):
    """nlme's fit of the same data (Pinheiro and Bates, 2000): ka 1.6 /h, CL 0.040 L/h/kg, ke 0.088 /h.

    Theirs absorbs in one step, ours in two of one rate: what compares is the mean time of absorption, 0.62 h.
    """
    _, out, _ = theophylline
    found = json.loads(next((out / "stages").glob("calibrate-*/summary.json")).read_text())
    clearance, volume = (
        found["parameters"][f"{name}_per_body_weight"]["q50"] for name in ("clearance", "volume")
    )
    # within about two posterior standard deviations, on 300 draws
    assert 1 / 2.2 < 2 / found["typical"]["absorption_rate"]["q50"] < 1 / 1.0
    assert 0.033 < clearance < 0.047
    assert 0.078 < clearance / volume < 0.098


def test_a_second_run_reuses_every_stage(braking):
    study, out, _ = braking
    before = _digests(out)
    assert set(_stages(_run(study, out)).values()) == {"reused"}
    assert _digests(out) == before


def test_another_folder_and_two_workers_give_the_same_bytes(braking, tmp_path):
    study, out, _ = braking
    _run(study, tmp_path / "out", "--workers", "2")
    theirs, ours = _digests(tmp_path / "out"), _digests(out)
    assert {k: v for k, v in theirs.items() if k.endswith(".nc")} == {
        k: v for k, v in ours.items() if k.endswith(".nc")
    }


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(braking, tmp_path):
    """Killed in the first stage, between two shards, and later; shards that were done are not done again."""
    study, out, _ = braking
    new = tmp_path / "out"
    stages = new / "stages"
    moments = [
        lambda: any(stages.glob(".calibrate-*.work")),
        lambda: any(stages.glob(".rare-*.work/replicate-000.nc")),
        lambda: any(stages.glob(".evaluate-*.work")),
    ]
    shard = None
    for reached in moments:
        _kill_when(reached, [PROGRAM, "run", study, "--out", new])
        found = list(stages.glob("*rare-*/replicate-000.nc"))
        if found and shard is not None:
            assert found[0].stat().st_mtime_ns == shard
        shard = found[0].stat().st_mtime_ns if found else None
        assert not (new / "report.html").exists()
    done = _run(study, new)
    assert _stages(done)["calibrate"] == "reused"
    assert _stages(done)["rare"] == "reused"
    ours = _digests(out)
    assert {name: d for name, d in _digests(new).items() if name.endswith(".nc")} == {
        name: d for name, d in ours.items() if name.endswith(".nc")
    }


def _kill_when(reached, command):
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while process.poll() is None and not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_changed_limit_spares_the_calibration_and_changed_data_spare_nothing(braking, tmp_path, command):
    study, out, _ = braking
    changed = small_study("braking", tmp_path)
    changed.write_text(study.read_text().replace('"110 ft"', '"100 ft"'))
    _, plan, _ = command("check", changed, "--out", out)
    assert _planned(plan)["calibrate"] == "reused"
    assert _planned(plan)["rare"] == "to"
    data = tmp_path / "data" / "braking.csv"
    data.write_text(data.read_text().replace("\n50,25,85", "\n50,25,86"))
    lines = [line for line in study.read_text().splitlines() if not line.startswith("sha256")]
    changed.write_text("\n".join(lines))
    _, plan, _ = command("check", changed, "--out", out)
    assert set(_planned(plan).values()) == {"to"}


def _planned(text):
    names = ("calibrate", "rare", "evaluate", "require", "release", "report")
    return {
        line.split()[0]: line.split()[1]
        for line in text.splitlines()
        if line.split()[:1] and line.split()[0] in names
    }


def test_a_damaged_stage_is_computed_again(braking, command):
    study, out, _ = braking
    file = next((out / "stages").glob("require-*/forecast.nc"))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    _, plan, _ = command("check", study, "--out", out)
    assert _planned(plan)["require"] == "to"
    file.write_bytes(content)


def test_bad_input_leaves_earlier_results_whole(braking, command):
    study, out, _ = braking
    before = _digests(out)
    broken = study.with_name("broken.toml")
    broken.write_text(study.read_text().replace("factor = 2", "factor = -2"))
    code, _, _ = command("run", broken, "--out", out)
    assert code == 2
    assert _digests(out) == before


def test_two_runs_in_one_folder_are_refused(braking, command):
    from physsynth.study.store import locked

    study, out, _ = braking
    with locked(out):
        code, _, err = command("run", study, "--out", out)
    assert code == 2
    assert "another run is at work" in err


def test_verify_on_the_command_line(braking, command, tmp_path):
    _, out, _ = braking
    code, text, _ = command("verify", out / "release")
    assert code == 0
    assert "verified" in text


THIRD_PARTY = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "thirdparty-cranes"
version = "1.0"
[project.entry-points."physsynth.simulators"]
"lifting/crane" = "thirdparty_cranes:crane"
[tool.setuptools]
py-modules = ["thirdparty_cranes"]
""",
    "thirdparty_cranes.py": '''
"""A crane's rope: strength against load."""
import numpyro.distributions as dist
import physsynth as ps

@ps.define_simulator(
    "lifting/crane",
    parameters={
        "strength": ps.Parameter(dist.Normal(6.0, 1.0), "kN", "strength of the rope"),
        "load": ps.Parameter(dist.Normal(3.0, 1.0), "kN", "largest load of a lift"),
    },
    outputs={"margin": ps.Output("kN", "strength less load")},
    limit_states={"break": ps.LimitState("kN", lambda p, y: y["margin"], description="the rope breaks")},
)
def crane(p):
    """Margin of a crane's rope."""
    return {"margin": p["strength"] - p["load"]}
''',
}
STUDY = """
[study]
question = "How likely does the rope break?"
[simulator]
name = "lifting/crane"
[rare]
limit_state = "break"
target_cov = 0.05
scenarios = 100
replicates = 4
"""


def test_a_simulator_of_another_package_runs_in_a_study(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name, text in THIRD_PARTY.items():
        (source / name).write_text(text)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        site,
    ]
    subprocess.run([str(part) for part in [*pip, source]], check=True, capture_output=True)
    study = tmp_path / "crane.toml"
    study.write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    listed = subprocess.run(
        [PROGRAM, "simulators"], env=environment, capture_output=True, text=True, check=True
    )
    assert "lifting/crane" in listed.stdout.split()
    command = [PROGRAM, "run", study, "--out", tmp_path / "out"]
    done = subprocess.run(
        [str(c) for c in command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(next((tmp_path / "out" / "stages").glob("rare-*/summary.json")).read_text())
    # strength - load ~ N(3, 2), so that P = Phi(-3 / sqrt(2)) = 0.016947; four standard errors of 5 % at most
    assert summary["probability"] == pytest.approx(0.016947, rel=0.2)

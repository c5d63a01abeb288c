"""Bad input: one block that names the place, what was wanted and got, and what to do; exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small import small_study

from physsynth.core import files
from physsynth.core.errors import PhyssynthError


def _edit(old, new):
    def change(study: Path):
        text = study.read_text()
        assert old in text
        study.write_text(text.replace(old, new, 1))

    return change


def _data(change):
    def apply(study: Path):
        path = study.parent / "data" / "braking.csv"
        path.write_bytes(change(path.read_bytes()))
        text = study.read_text()
        study.write_text("\n".join(line for line in text.splitlines() if not line.startswith("sha256")))

    return apply


def _drop(pattern):
    def change(study: Path):
        study.write_text("\n".join(line for line in study.read_text().splitlines() if pattern not in line))

    return change


# What is broken, and what the block must name: the key, then what was got or what to do.
CASES = {
    "unknown key": (_edit("limit_state =", "limit_stat ="), ["rare.limit_state", "wanted"]),
    "misspelt key": (_edit("groups =", "gruops ="), ["measurements.gruops", 'did you mean "groups"?']),
    "unknown table": (_edit("[release]", "[relaese]"), ["relaese", 'did you mean "release"?']),
    "missing table": (_edit('[simulator]\nname = "driving/braking"', ""), ["simulator", "missing"]),
    "missing key": (_drop("question ="), ["study.question", "missing"]),
    "empty question": (_edit('question = "', 'question = ""\n# "'), ["study.question"]),
    "not TOML": (_edit("[study]", "[study"), ["not a TOML file", "line"]),
    "wrong type": (_edit("seed = 7", 'seed = "seven"'), ["study.seed", "'seven'"]),
    "negative seed": (_edit("seed = 7", "seed = -7"), ["study.seed", "-7"]),
    "fraction out of range": (_edit("assurance = 0.8", "assurance = 1.8"), ["require.assurance", "1.8"]),
    "factor below one": (_edit("factor = 2", "factor = 0.5"), ["require.factor", "0.5"]),
    "factor without end": (_edit("factor = 2", "factor = inf"), ["require.factor", "finite"]),
    "a table that is none": (_edit("[release]", "[[release]]"), ["release", "a table"]),
    "prior of negative values": (
        _edit('median = { distribution = "LogNormal"', 'median = { distribution = "Normal"'),
        ["calibrate.parameters.reaction_time.median", "positive"],
    ),
    "output in the wrong unit": (
        _edit('stopping_distance = "ft"', 'stopping_distance = "s"'),
        ["measurements.units.stopping_distance", "[length]"],
    ),
    "unknown simulator": (_edit("driving/braking", "driving/breaking"), ['did you mean "driving/braking"?']),
    "unknown limit state": (
        _edit('"collision"', '"colision"'),
        ["rare.limit_state", 'did you mean "collision"?'],
    ),
    "unknown setting": (_edit("[rare]", "[rare]\nthreshold = 3"), ["rare.threshold"]),
    "misspelt key beside settings": (
        _edit("target_cov", "target_covv"),
        ["rare.target_covv", 'did you mean "target_cov"?'],
    ),
    "column without a unit": (_edit('speed = "mile/hour", ', ""), ["measurements.units.speed"]),
    "unknown policy": (
        _edit("[measurements]", "[simulator.x]\n[measurements]"),
        ["simulator.x", "unknown key"],
    ),
    "retry without a step": (
        _edit('"driving/braking"', '"driving/braking"\non_failure = "retry"'),
        ["simulator.on_failure", "no step"],
    ),
    "unknown option": (
        _edit("[measurements]", "[simulator.options]\ndriver = 1\n[measurements]"),
        ["driver", "option of driving/braking"],
    ),
    "missing file": (
        _edit("data/braking.csv", "data/brakin.csv"),
        ["measurements.file", 'did you mean "braking.csv"?'],
    ),
    "changed file": (
        lambda study: (study.parent / "data" / "braking.csv").write_text("speed,stopping_distance\n1,2\n"),
        ["measurements.sha256", "restore the file"],
    ),
    "empty file": (_data(lambda b: b""), ["braking.csv", "no table"]),
    "no rows": (_data(lambda b: b"stop,speed,stopping_distance\n"), ["braking.csv", "empty"]),
    "not a number": (_data(lambda b: b.replace(b"\n1,4,2", b"\n1,four,2")), ["speed, row 1", "four"]),
    "infinite": (_data(lambda b: b.replace(b"\n1,4,2", b"\n1,4,inf")), ["stopping_distance, row 1", "inf"]),
    "not finite": (_data(lambda b: b.replace(b"\n1,4,2", b"\n1,4,")), ["stopping_distance, row 1", "nan"]),
    "binary file": (_data(lambda b: b"\x00\xff\xfe" * 50), ["braking.csv", "no table"]),
    "missing column": (
        _data(lambda b: b.replace(b"stopping_distance\n", b"distance\n")),
        ["a column is missing"],
    ),
    "unknown unit": (
        _edit('speed = "mile/hour"', 'speed = "mph/blink"'),
        ["measurements.units.speed", "mph/blink"],
    ),
    "wrong unit": (_edit('speed = "mile/hour"', 'speed = "kg"'), ["measurements.units.speed", "m/s", "kg"]),
    "unknown group": (
        _edit('groups = "stop"', 'groups = "stops"'),
        ["measurements.groups", 'did you mean "stop"?'],
    ),
    "unknown distribution": (
        _edit('"LogNormal"', '"LogNornal"'),
        ['did you mean "LogNormal"?', "median.distribution"],
    ),
    "negative scale": (_edit("scale = 0.3", "scale = -0.5"), ["reaction_time.median.scale", "-0.5"]),
    "unknown argument": (_edit("scale = 0.3", "scael = 0.3"), ["median.scael", 'did you mean "scale"?']),
    "argument of the wrong type": (_edit("scale = 0.3", 'scale = "wide"'), ["median.scale", "'wide'"]),
    "unknown parameter": (_edit("deceleration = {", "decceleration = {"), ['did you mean "deceleration"?']),
    "pooled parameter": (
        _edit(
            'deceleration = { median = { distribution = "LogNormal", loc = 1.5, scale = 0.3 }',
            'deceleration = { distribution = "LogNormal", loc = 1.5, scale = 0.3 }\n#',
        ),
        ["calibrate.parameters.deceleration", "give it a spread"],
    ),
    "quantity in the wrong unit": (_edit('"110 ft"', '"110 kg"'), ["scenario.fixed.obstacle_distance", "kg"]),
    "quantity without a number": (_edit('"110 ft"', '"far"'), ["scenario.fixed.obstacle_distance", "far"]),
    "parameter left open": (
        _edit(', obstacle_distance = "110 ft"', ""),
        ["scenario.parameters.obstacle_distance", "none"],
    ),
    "parameter stated twice": (
        _edit("fixed = { speed", 'fixed = { reaction_time = "1 s", speed'),
        ["scenario.parameters.reaction_time", "calibrate, fixed", "keep one"],
    ),
    "input without effect": (
        _edit("fixed = { speed", 'fixed = { wind = "1 m/s", speed'),
        ["wind", "no effect"],
    ),
    "unknown method": (_edit('"montecarlo"', '"monte_carlo"'), ["rare.method", 'did you mean "montecarlo"?']),
    "a value too many in a row": (
        _data(lambda b: b.replace(b"\n1,4,2", b"\n1,4,2,9")),
        ["braking.csv", "no table"],
    ),
    "a folder for a file": (_edit("data/braking.csv", "data"), ["measurements.file", "check the path"]),
    "an empty licence": (_edit('"CC-BY-4.0"', '""'), ["release.license"]),
    "more draws than a machine holds": (_edit("draws = 150", "draws = 100000000000"), ["calibrate.draws"]),
    "bounds the wrong way round": (
        _edit(
            "[scenario]",
            '[scenario.parameters]\nwind = { distribution = "Uniform", low = 2.0, high = 1.0 }\n[scenario]',
        ),
        ["scenario.parameters.wind", "lower bound"],
    ),
    "reserved name": (_edit("fixed = { speed", 'fixed = { weight = "1 kg", speed'), ["weight", "reserved"]),
}


@pytest.fixture
def study(tmp_path):
    return small_study("braking", tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_bad_study(name, study, command):
    change, says = CASES[name]
    change(study)
    code, _, err = command("check", study, "--out", study.parent / "out")
    assert code == 2, err
    _assert_one_block(err, says)
    assert not (study.parent / "out").exists()


def test_a_file_saved_with_a_byte_order_mark_is_read(study, command):
    _data(lambda b: b"\xef\xbb\xbf" + b)(study)
    code, _, err = command("check", study, "--out", study.parent / "out")
    assert code == 0, err


def _assert_one_block(err, says):
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert "\n\n" not in err
    for words in says:
        assert words in err, err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "nowhere/braking.toml"], ["nowhere/braking.toml", "No such file"]),
        (["run", "{study}", "--stage", "calibrte"], ["--stage", 'did you mean "calibrate"?']),
        (["simulators", "pharmacokinetics/oral"], ["pharmacokinetics/oral_one_compartment"]),
        (["simulate", "driving/brake", "-n", "3", "-o", "x.nc"], ["driving/braking"]),
        (["verify", "{folder}"], ["manifest"]),
        (["require", "demonstration", "--rate", "2", "--confidence", "0.9"], ["rate"]),
        (["require", "demonstration", "--rate", "0.1", "--confidence", "1.5"], ["confidence"]),
    ],
)
def test_bad_arguments(arguments, says, study, command):
    filled = [part.format(study=study, folder=study.parent) for part in arguments]
    code, _, err = command(*filled)
    assert code == 2, err
    _assert_one_block(err, says)


def test_a_file_where_the_output_folder_should_be(study, command):
    (study.parent / "out").write_text("")
    code, _, err = command("run", study, "--out", study.parent / "out")
    assert code == 2
    _assert_one_block(err, ["cannot write", "--out"])


def test_a_read_only_output_folder(study, command):
    code, _, err = command("run", study, "--out", "/proc/physsynth")
    assert code == 2
    _assert_one_block(err, ["cannot write", "/proc/physsynth"])


def _full_device(handle, mode):
    os.close(handle)
    return open("/dev/full", mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_the_earlier_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    files.write_bytes(path, b"earlier")
    monkeypatch.setattr(files.os, "fdopen", _full_device)
    with pytest.raises(PhyssynthError, match="No space left"):
        files.write_bytes(path, b"x" * 100_000)
    assert path.read_bytes() == b"earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_the_installed_command_prints_the_same(study):
    study.write_text(study.read_text().replace("seed = 7", "seed = -7"))
    program = Path(sys.executable).with_name("physsynth")
    done = subprocess.run([program, "check", study], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    _assert_one_block(done.stderr, ["study.seed"])

"""What the terminal says of checks that failed: values that people can read, and keys that a study has."""

from pathlib import Path

import pytest
from small import EXPERIMENTS

from physsynth.cli import _command
from physsynth.core.checks import BEYOND, Check
from physsynth.core.errors import OutputError
from physsynth.core.files import writing
from physsynth.require.outcome import reach_check
from physsynth.study import page
from physsynth.study.console import Display
from physsynth.study.load import load_study
from physsynth.study.problem import build_problem
from physsynth.study.schema import CalibrateTable, RequireTable
from physsynth.study.stage import SUMMARY, Job, for_a_study
from physsynth.study.stages import calibrate, require
from physsynth.study.store import write_json


def test_infinity_is_no_number_of_300_digits(capsys):
    row = Check("number at assurance 0.8", BEYOND, "<= 500", False, "raise require.max_n")
    Display().end("require", 1.0, [row])
    assert (
        "number at assurance 0.8: beyond all bounds, wanted <= 500. raise require.max_n"
        in capsys.readouterr().out
    )


def test_advice_names_keys_of_a_study():
    check = reach_check(float("inf"), 0.8, 500)
    assert "raise require.max_n" in for_a_study(check, require.KEYS)["advice"]
    lines = [*require.KEYS.values(), *calibrate.KEYS.values()]
    keys = [word for line in lines for word in line.split() if "." in word]
    known = {"require": RequireTable, "calibrate": CalibrateTable}
    assert keys
    for table, key in (word.split(".") for word in keys):
        assert key in known[table].model_fields


def test_a_place_that_cannot_be_written_to_names_no_option_of_one_command(tmp_path):
    with pytest.raises(OutputError) as caught, writing(tmp_path / "runs.nc"):
        raise OSError(28, "No space left on device")
    assert "--out" not in caught.value.block()


def test_the_command_of_a_study_can_be_pasted():
    assert _command(Path("new plates/été.toml"), 3) == "physsynth run 'new plates/été.toml' --seed 3"


def test_a_number_that_may_never_suffice_says_so_on_the_page():
    need = {"number": 333, "counted": "trees", "quantiles": {"0.05": 47, "0.95": None}}
    rare = {"probability": 0.1, "monte_carlo_interval_95": [0.09, 0.11], "posterior": None}
    assert page._key_numbers(rare, need)[-1].value.text() == "333 (47 to never)"


def test_what_the_evaluation_refutes_is_said_on_the_statement(tmp_path):
    rows = [
        Check("coverage", 0.9, "> 0.8", True),
        Check("chance of residuals so alike", 1e-4, "> 0.005", False, "another curve"),
    ]
    write_json(tmp_path / SUMMARY, {"checks": [row.summary() for row in rows]})
    problem = build_problem(load_study(EXPERIMENTS / "braking.toml"))
    job = Job(problem, "require", tmp_path, {"evaluate": tmp_path})
    assert require.refuted(job) == (rows[1],)

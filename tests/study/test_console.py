"""What the terminal says of checks that failed: values that people can read, and keys that a study has."""

import pytest

from physsynth.core.checks import BEYOND, Check
from physsynth.core.errors import OutputError
from physsynth.core.files import writing
from physsynth.require.outcome import reach_check
from physsynth.study.console import Display
from physsynth.study.schema import CalibrateTable, RequireTable
from physsynth.study.stages.require import KEYS, _advice


def test_a_number_never_reached_is_said_to_be_so(capsys):
    row = Check("number at assurance 0.8", BEYOND, "<= 500", False, "raise require.max_n")
    Display().end("require", 1.0, [row])
    assert (
        "number at assurance 0.8: never reached, wanted <= 500. raise require.max_n"
        in capsys.readouterr().out
    )


def test_advice_names_keys_of_a_study():
    check = reach_check(float("inf"), 0.8, 500)
    assert "raise require.max_n" in _advice(check)
    keys = [word for line in KEYS.values() for word in line.split() if "." in word]
    known = {"require": RequireTable, "calibrate": CalibrateTable}
    assert keys
    for table, key in (word.split(".") for word in keys):
        assert key in known[table].model_fields


def test_a_place_that_cannot_be_written_to_names_no_option_of_one_command(tmp_path):
    with pytest.raises(OutputError) as caught, writing(tmp_path / "runs.nc"):
        raise OSError(28, "No space left on device")
    assert "--out" not in caught.value.block()

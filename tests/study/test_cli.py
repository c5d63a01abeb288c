"""What the commands print for people."""

import pytest
import xarray as xr


def test_check_prints_stages_cost_and_digest(command, tmp_path):
    from small import small_study

    study = small_study("theophylline", tmp_path)
    code, text, _ = command("check", study, "--out", tmp_path / "out")
    assert code == 0
    for words in (
        "valid",
        "132 rows, sha256",
        "threshold = 20",
        "at most 10,000 simulator calls",
        "to compute",
    ):
        assert words in text
    assert not (tmp_path / "out").exists()


def test_an_interruption_says_what_to_do(command, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("physsynth.study.load.load_study", interrupted)
    code, out, err = command("check", tmp_path / "study.toml")
    assert code == 130
    assert out == ""
    assert err.strip() == "interrupted; the same command goes on where this one stopped"


def test_simulators_list_and_show(command):
    code, text, _ = command("simulators")
    assert code == 0
    assert text.split() == sorted(text.split())
    _, text, _ = command("simulators", "pharmacokinetics/oral_one_compartment")
    for words in ("clearance", "[L/h]", "doses", "times h, amounts mg", "concentration", "over time (h)"):
        assert words in text
    for words in ("peak_above", 'threshold = "... mg/L"', "mass balance", "Gibaldi"):
        assert words in text


def test_simulate_writes_a_file(command, tmp_path):
    code, text, _ = command("simulate", "driving/braking", "-n", "5000", "-o", tmp_path / "runs.nc")
    assert code == 0
    assert "5000 scenarios" in text
    assert xr.load_dataset(tmp_path / "runs.nc").sizes["scenario"] == 5000


def test_init_writes_a_study_that_is_valid(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("init", "stopping")[0] == 0
    code, text, _ = command("check", "stopping.toml")
    assert code == 0
    assert "valid" in text
    code, _, err = command("init", "stopping")
    assert code == 2
    assert "already there" in err


@pytest.mark.parametrize(
    ("arguments", "number"),
    # success-run theorem: n = ln(1 - C) / ln(1 - rate), rounded up
    [(["--rate", "0.01", "--confidence", "0.95"], "299"), (["--rate", "0.1", "--confidence", "0.9"], "22")],
)
def test_require_demonstration(command, arguments, number):
    code, text, _ = command("require", "demonstration", *arguments)
    assert code == 0
    assert number in text

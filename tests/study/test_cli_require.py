"""The commands for people without a study, each fed with a table from the literature."""

import json

import numpy as np
import pytest

# Student (1908), Biometrika 6, 20: additional hours of sleep, one drug minus the other.
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]

# Dalal, Fowlkes and Hoadley (1989), J. Am. Stat. Assoc. 84, 945: flights with thermal distress of an O-ring.
O_RINGS = [0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1]

# Michelson's measurements of the speed of light, km/s less 299,000: 1882, and the first 60 of 1879.
# Source: Stigler (1977), Ann. Stat. 5, 1055, tables 6 and 7.
LIGHT_1882 = "883 816 778 796 682 711 611 599 1051 781 578 796 774 820 772 696 573 748 748 797 851 809 723"
LIGHT_1879 = (
    "850 740 900 1070 930 850 950 980 980 880 1000 980 930 650 760 810 1000 1000 960 960 "
    "960 940 960 940 880 800 850 880 900 840 830 790 810 880 880 830 800 790 760 800 "
    "880 880 880 860 720 720 620 860 970 950 880 910 850 870 840 840 850 840 840 840"
)


def write(path, **columns):
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def statement(command, tmp_path):
    """Return a function that runs a command and reads the statement that it wrote."""

    def call(*arguments):
        code, text, err = command("require", *arguments, "-o", tmp_path / "out")
        assert code == 0, err
        assert "<!DOCTYPE html>" in (tmp_path / "out" / "report.html").read_text()
        return text, json.loads((tmp_path / "out" / "report.json").read_text())

    return call


def test_demonstration_of_driving_to_safety(statement):
    """Kalra and Paddock (2016), table 1: 275 million miles without a fatality."""
    text, page = statement(
        *(
            "demonstration",
            "--rate",
            "1.09e-8",
            "--confidence",
            "0.95",
            "--model",
            "poisson",
            "--unit",
            "miles",
        )
    )
    assert "274,837,823 more miles" in text
    assert page["verdict"]["headline"] == "274,837,823 more miles."


def test_demonstration_reads_outcomes(statement, tmp_path):
    """Seven of 23 flights: 10 % takes 129 trials with as many failures."""
    table = write(tmp_path / "flights.csv", failed=O_RINGS)
    text, _ = statement("demonstration", "--rate", "0.1", "--confidence", "0.95", "--outcomes", table)
    assert "106 more trials" in text
    assert "23 rows" in text


def test_demonstration_with_pairs(statement, tmp_path):
    real, simulated = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [18, 2, 4, 976], axis=0).T
    table = write(tmp_path / "pairs.csv", real=real, simulated=simulated)
    text, page = statement(
        *("demonstration", "--rate", "0.03", "--confidence", "0.95", "--pairs", table),
        *("--simulated-failures", "2200", "--simulated-trials", "100000"),
    )
    assert "Bound today without simulation: 0.0289; with it: 0.0252" in text
    assert any(block["kind"] == "figure" for part in page["sections"] for block in part["blocks"])


def test_monitor_reads_outcomes(statement, tmp_path):
    """A bound that holds at every look asks for more than one look planned in advance (106)."""
    table = write(tmp_path / "flights.csv", failed=O_RINGS)
    text, _ = statement("monitor", "--rate", "0.1", "--confidence", "0.95", "--outcomes", table)
    number = int(text.split(" more trials")[0].split()[-1])
    assert 106 < number < 160


def test_context_and_record_are_in_the_statement(statement, tmp_path):
    record = write(
        tmp_path / "record.csv", number=[120, 150], low=[60, 130], high=["never", 400], actual=[140, ""]
    )
    text, page = statement(
        *("monitor", "--rate", "0.1", "--confidence", "0.95", "--failures", "7", "--exposure", "23"),
        *("--context", "Model influence: none", "--record", record),
    )
    assert "model influence: none" in text
    assert "3: 2 on record, and this one" in text
    assert "7 failures in 23" in text
    assert "round 2" in str(page["sections"])


def test_a_record_without_its_columns_is_refused(command, tmp_path):
    record = write(tmp_path / "record.csv", number=[1])
    asked = ("require", "demonstration", "--rate", "0.1", "--confidence", "0.9", "--record", record)
    code, _, err = command(*asked)
    assert code != 0
    assert "--record" in err
    assert "actual" in err


def test_precision_of_a_mean(statement, tmp_path):
    """Mean sleep within 0.2 hours: at the sample sd of 1.23, 28 more; to be assured of it, more."""
    table = write(tmp_path / "sleep.csv", difference=SLEEP)
    text, page = statement("precision", table, "--column", "difference", "--target", "0.2")
    number = int(text.split(" more measurements")[0].split()[-1])
    assert 35 < number < 80
    assert any(block["kind"] == "figure" for part in page["sections"] for block in part["blocks"])


def test_precision_of_a_line_beyond_its_data(statement):
    """Stopping distances (Ezekiel 1930) end at 25 mph; at 40 the line is an extrapolation."""
    text, _ = statement(
        *("precision", "experiments/data/braking.csv", "--column", "stopping_distance"),
        *("--against", "speed", "--at", "40", "--target", "8"),
    )
    assert "EXTRAPOLATION" in text
    assert "measured from 4 to 25, asked 40" in text


def test_worth_of_other_measurements_of_light(statement, tmp_path):
    """The mean of 1879 is 96 km/s off that of 1882, whose sd is 107: such data are worth about one or two."""
    real = write(tmp_path / "real.csv", speed=LIGHT_1882.split())
    other = write(tmp_path / "other.csv", speed=LIGHT_1879.split())
    text, _ = statement("worth", real, other, "--column", "speed")
    assert "Bias of the simulator (mean from synthetic minus from real data): " in text
    assert "(90 % interval " in text
    assert "never suffice" not in text
    bias = float(text.split("minus from real data): ")[1].split()[0].rstrip("."))
    assert bias == pytest.approx(np.mean([int(v) for v in LIGHT_1879.split()]) - 756.2, abs=0.5)


def test_learning_curve_of_a_published_law(statement, tmp_path):
    """Kaplan et al. (2020), eq. 1.2: L(D) = (5.4e13 / D)^0.095; a loss of 3 takes 5.1e8 tokens."""
    sizes = np.tile(np.geomspace(2e6, 6.4e7, 6), 5)
    scatter = 1 + 0.001 * np.random.default_rng(0).normal(size=30)
    table = write(
        tmp_path / "losses.csv",
        replicate=np.repeat(np.arange(5), 6),
        size=sizes,
        score=(5.4e13 / sizes) ** 0.095 * scatter,
    )
    text, _ = statement("learning-curve", table, "--target", "3")
    low, high = (
        float(part.replace(",", ""))
        for part in text.split("interval ")[1].split(";")[0].rstrip(")").split(" to ")
    )
    assert low < 5.4e13 / 3 ** (1 / 0.095) < high


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demonstration", "--rate", "2", "--confidence", "0.95"], ["rate", "below 1"]),
        (["demonstration", "--rate", "0.1", "--confidence", "95"], ["confidence", "95"]),
        (
            ["monitor", "--rate", "0.1", "--confidence", "0.95", "--model", "poison"],
            ['did you mean "poisson"?'],
        ),
        (["precision", "{table}", "--column", "hours", "--target", "0.2"], ["hours", "columns difference"]),
        (["precision", "none.csv", "--column", "hours", "--target", "0.2"], ["none.csv"]),
        (["precision", "{table}", "--column", "difference", "--target", "-1"], ["target", "-1"]),
        (["worth", "{table}", "{table}", "--column", "difference", "--statistic", "men"], ['"mean"']),
        (["learning-curve", "{table}", "--target", "3"], ["replicate", "missing"]),
        (
            ["demonstration", "--rate", "0.1", "--confidence", "95"],
            ["confidence", "for 95 % write 0.95"],
        ),
        (
            ["monitor", "--rate", "0.1", "--confidence", "0.9", "--outcomes", "{two}"],
            ["failed", "0 (passed) and 1 (failed)"],
        ),
        (["precision", "{semicolons}", "--column", "a", "--target", "1"], ["semicolons", "write commas"]),
        (["precision", "{percent}", "--column", "a", "--target", "1"], ["0.05 for 5 %"]),
        (["learning-curve", "{hole}", "--target", "1"], ["0 of replicate 2 at size 20"]),
        (["precision", "{twice}", "--column", "a", "--target", "1"], ["columns of one name", "a,a"]),
        (["precision", "{table}", "--column", "d", "--against", "d", "--target", "1"], ["against itself"]),
        (["worth", "{huge}", "{huge}", "--column", "a"], ["real", "another unit"]),
    ],
)
def test_bad_input_is_one_block(command, tmp_path, arguments, says):
    files = {"table": write(tmp_path / "sleep.csv", difference=SLEEP)}
    for name, text in {
        "two": "failed\n0\n2\n",
        "semicolons": "# by hand\na;b\n1,5;2\n",
        "percent": "a\n3%\n4%\n",
        "twice": "a,a\n1,2\n2,3\n",
        "huge": "a\n" + "1e300\n-1e300\n" * 10,
        "hole": "replicate,size,score\n1,10,0.5\n1,20,0.4\n2,10,0.5\n",
    }.items():
        (tmp_path / f"{name}.csv").write_text(text)
        files[name] = str(tmp_path / f"{name}.csv")
    code, _, err = command("require", *(part.format(**files) for part in arguments))
    assert code == 2
    assert err.startswith("error: ")
    for words in says:
        assert words in err

"""A study without measurements: a vector-valued input, ways to fail, equal-weight failing records."""

import numpy as np
import pytest
from small import run_here, small_study

import physsynth as ps
from physsynth.release import verify

pytestmark = pytest.mark.xdist_group("studies")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The small study, run."""
    folder = tmp_path_factory.mktemp("first_passage")
    study = small_study("first_passage", folder)
    study.write_text(
        study.read_text().replace('"75 cm"', '"60 cm"').replace("max_calls = 5000", "max_calls = 20_000")
    )
    return run_here(study)


def test_it_ends_in_a_release_that_verifies(result):
    assert verify(result.out / "release").passed
    assert set(result.files) == {
        "rare_scenarios",
        "ordinary_scenarios",
        "probability",
        "failing_records",
        "design_points",
    }


def test_the_two_sides_share_the_probability(result):
    # The oscillator is symmetric. Ten independent clusters of scenarios would leave a standard error of 0.16.
    rare = result.files["rare_scenarios"]
    assert "drift_to_the_positive_side" in rare["mode"].attrs["flag_meanings"]
    share = float(rare["weight"][rare["mode"] == 0].sum() / rare["weight"].sum())
    assert 0.2 < share < 0.8


def test_failing_records_have_equal_weights_and_fail(result):
    records, rare = result.files["failing_records"], result.files["rare_scenarios"]
    assert records.sizes["scenario"] == 1000
    assert (records["peak_displacement"] >= 0.6).all()
    np.testing.assert_allclose(records["weight"], 1e-3)
    origin = rare.isel(scenario=records["drawn_from"].values)
    np.testing.assert_array_equal(records["excitation"], origin["excitation"])
    # Systematic resampling: a scenario of weight w comes floor or ceiling of 1000 w / p times.
    times = np.bincount(records["drawn_from"], minlength=rare.sizes["scenario"])
    expected = 1000 * (rare["weight"] / rare["weight"].sum()).values
    assert np.abs(times - expected).max() < 1.0 + 1e-9


def test_the_picture_shows_the_design_point_and_its_response(result):
    figures = [
        block for part in result.page["sections"] for block in part["blocks"] if block["kind"] == "figure"
    ]
    figure = next(figure for figure in figures if figure["id"] == "most-probable")
    above = [trace for trace in figure["spec"]["data"] if trace["yaxis"] == "y2"]
    below = [trace for trace in figure["spec"]["data"] if trace["yaxis"] == "y"]
    assert len(above) == len(below) >= 1
    sim = ps.simulator("structures/duffing")
    for cause, response in zip(above, below, strict=True):
        path = sim({"excitation": np.array(cause["y"][:-1])})
        np.testing.assert_allclose(path["displacement"], response["y"], atol=1e-4)
        # On the limit, up to the six digits of the picture.
        assert float(path["peak_displacement"]) == pytest.approx(0.6, abs=1e-4)

"""The answer's own behaviour: JSON without infinities, quantiles, statement."""

import json
import math

import numpy as np
import pytest
import xarray as xr

from physsynth.core.errors import ParameterError
from physsynth.report import render, statement_page
from physsynth.require import Check, Question, Requirement, Round
from physsynth.require.requirement import quantiles_of

ASKED = Question("p is known", "p", "factor 3", "patients")


def unreachable():
    where = xr.Dataset({"equivalent": ("condition", [1.0, np.inf])}, {"condition": ["early", "late"]})
    return Requirement(
        "FLOOR",
        None,
        ASKED,
        {0.05: 40.0, 0.95: math.inf},
        probability_never=0.4,
        floor=3.5,
        where=where,
        checks=(Check("draws", 10.0, ">= 100", False, "draw more"),),
    )


def test_summary_is_json_and_names_what_is_never_reached():
    summary = json.loads(json.dumps(unreachable().summary(), allow_nan=False))
    assert summary["quantiles"] == {"0.05": 40.0, "0.95": None}
    assert summary["never_reached"] == ["0.95"]
    assert summary["number"] is None
    assert summary["where"] == [
        {"condition": "early", "equivalent": 1.0},
        {"condition": "late", "equivalent": None},
    ]


def test_statement_says_floor_and_failed_checks():
    statement = unreachable().statement({"model influence": "high"})
    assert statement["verdict"].startswith("FLOOR: no amount")
    assert "40 to never; probability that they never suffice 40%" in statement["number"]
    assert "3.5" in statement["floor"]
    assert statement["failed_checks"] == ["draws: 10, wanted >= 100. draw more"]
    assert statement["context_of_use"]["model influence"] == "high"


def test_quantiles_of_a_known_sample():
    needed = np.arange(1.0, 101.0)
    assert quantiles_of(needed) == {0.05: 5.0, 0.5: 50.0, 0.8: 80.0, 0.95: 95.0}


def test_unknown_verdict():
    with pytest.raises(ParameterError, match="FORECAST or MET"):
        Requirement("MAYBE", None, ASKED, {})


def test_statement_says_where_to_measure():
    assert unreachable().statement()["measure"] == "Not assessed."
    where = unreachable().where.assign(count=("condition", [12.0, 0.0]))
    counted = Requirement("FORECAST", 12, ASKED, {}, where=where)
    assert counted.statement()["measure"] == "12 at early."
    alone = Requirement("FORECAST", 12, ASKED, {}, where=where.isel(condition=[0]))
    assert alone.statement()["measure"] == "All under the one condition that there is."


@pytest.mark.parametrize(
    ("count", "cost", "said"),
    [
        (
            [10.0, 20.0],
            [10.0, 20.0],
            "10 as planned, 20 late: these patients do as much as 50 as planned.",
        ),
        (
            [0.0, 60.0],
            [0.0, 30.0],
            "60 late: these patients do as much as 50 as planned, at a cost of 30 instead of 50.",
        ),
        (
            [50.0, 0.0],
            [50.0, 0.0],
            "As planned: no other way that was compared, and no mixture of them, costs less.",
        ),
    ],
)
def test_statement_says_which_ways_are_cheapest(count, cost, said):
    columns = {"count": ("condition", count), "cost": ("condition", cost)}
    ways = xr.Dataset(
        columns, {"condition": ["as planned", "late"]}, {"compared_at": 50.0, "planned_cost": 50.0}
    )
    assert Requirement("FORECAST", 50, ASKED, {}, where=ways).statement()["measure"] == said


def test_record_and_fan_are_in_the_statement():
    forecast = xr.Dataset(
        {"width": (("replicate", "n"), [[2.0, 1.0], [1.0, np.nan]], {"long_name": "sd; NaN once met"})},
        {"n": [1, 2]},
        {"target": 1.0, "present": 3.0, "scale": "linear"},
    )
    need = Requirement("FORECAST", 2, ASKED, {0.05: 1.0, 0.95: 2.0}, forecast=forecast, floor=0.5)
    record = [Round.of("first", need, 2.0), Round.of("second", need)]
    statement = json.loads(json.dumps(need.statement(earlier=record), allow_nan=False))
    assert [row["inside"] for row in statement["earlier_forecasts"]] == [True, None]
    fan = statement["figures"]["fan"]
    assert (fan["n"], fan["quantiles"]["0.95"], fan["width"]) == ([1, 2], [2.0, 1.0], "sd")
    assert len(statement["figures"]["forecast_against_actual"]) == 1
    assert statement["looks_used"].startswith("3:")
    page = statement_page(statement)
    assert [figure.id for figure in page.figures] == ["fan", "record"]
    assert "stated" in render(page)


def test_a_record_without_an_end_has_no_figure():
    """A forecast of "40 to never" is in the table, and no interval that could be drawn."""
    record = [Round.of("first", unreachable(), 60.0)]
    page = statement_page(unreachable().statement(earlier=record))
    assert [figure.id for figure in page.figures] == []
    assert "first" in render(page)

"""The real-data requirement statement as a page: one document from the plain sections of a `Requirement`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from physsynth.report import figures
from physsynth.report.document import Block, Document, Fact, Facts, Figure, Section, Table, Text, Verdict
from physsynth.report.numbers import significant

LEADING = ("claim", "quantity", "target", "number", "measure", "floor", "stopping_rule", "looks_used")


def statement_page(statement: Mapping[str, Any], meta: Mapping[str, Any] | None = None) -> Document:
    """Return the page of a statement, as `Requirement.statement` gives it.

    Parameters
    ----------
    statement : mapping
    meta : mapping of str to str, optional
        Shown at the foot: command, versions.
    """
    status, _, meaning = statement["verdict"].partition(": ")
    sentences = [meaning.capitalize(), *statement["failed_checks"]]
    return Document(
        title="Real-data requirement statement",
        question=statement["claim"],
        verdict=Verdict(status, statement["number"], sentences),
        sections=[
            Section("Claim", "What shall be supported, and by which data.", _claim(statement)),
            *statement_sections(statement),
        ],
        meta=dict(meta or {}),
    )


def statement_sections(statement: Mapping[str, Any]) -> list[Section]:
    """Return the sections that say where to measure, what simulation is worth, and what it rests on."""
    return [section for section in _sections(statement) if section.blocks]


def _sections(statement):
    drawn = statement["figures"]
    where = _table(statement["where"], "Each candidate condition.")
    worth = _table(statement["worth"], "Most of the quantity's variance that knowing each could remove.")
    yield Section("How the number comes about", "The quantity's width as data come in.", _fan(drawn))
    yield Section("Where to measure", "", [*where, *worth])
    in_hand = _table(statement.get("in_hand", ()), "Without each of them, or a group.")
    yield Section("Measurements in hand", "Which of them matter.", in_hand)
    yield Section(
        "Simulation", "Without and with it, side by side.", [Text(statement["credit"]), *_tipping(drawn)]
    )
    regime = [*statement["regime"], statement["reveal"]]
    yield Section("Regime", "Where the quantity lies beside the data.", [Text(regime)])
    yield Section(
        "Record", "Earlier forecasts, and what happened.", _record(statement["earlier_forecasts"], drawn)
    )
    yield Section("What it rests on", "Assumptions.", [Text(statement["assumptions"])])


def _claim(statement) -> list[Block]:
    rows = [Fact(name.replace("_", " "), statement[name]) for name in LEADING]
    rows += [Fact(name, text) for name, text in statement["context_of_use"].items()]
    rows += [Fact(f"data in hand: {name}", text) for name, text in statement["data_in_hand"].items()]
    return [Facts(rows)]


def _table(rows: Sequence[Mapping[str, Any]], caption: str) -> list[Block]:
    if not rows:
        return []
    columns = list(rows[0])
    cells = [[row[column] for column in columns] for row in rows]
    return [Table([column.replace("_", " ") for column in columns], cells, caption)]


def _fan(drawn) -> list[Block]:
    if "fan" not in drawn:
        return []
    fan = drawn["fan"]
    quantiles = {
        float(level): [float("nan") if v is None else v for v in line]
        for level, line in fan["quantiles"].items()
    }
    spec = figures.fan(
        fan["n"], quantiles, target=fan["target"], planned=fan["planned"], x=fan["counted"], y=fan["width"]
    )
    if fan["floor"]:
        spec = figures.with_line(spec, fan["floor"], f"floor {significant(fan['floor'])}")
    caption = f"{fan['width'].capitalize()} against {fan['counted']}: 5, 50, 80 and 95 % of imagined futures."
    return [Figure("fan", caption, spec, caption)]


def _tipping(drawn) -> list[Block]:
    if "tipping" not in drawn:
        return []
    curve, tipping = drawn["tipping"]["curve"], drawn["tipping"]["tipping"]
    spec = figures.curve(
        [row["bias"] for row in curve],
        [row["bound"] for row in curve],
        marked=None if tipping is None else (tipping, f"tips at {significant(tipping)}"),
        x="bias of the simulator",
        y="bound of the claim",
    )
    caption = "What the claim would come to, were the simulator's bias another."
    return [Figure("tipping", caption, spec, caption)]


def _record(rows, drawn) -> list[Block]:
    table = _table(rows, "Number to plan with, its 90 % interval, and what it took.")
    if "forecast_against_actual" not in drawn:
        return table
    ended = [
        row
        for row in drawn["forecast_against_actual"]
        if None not in (row["number"], row["low"], row["high"], row["actual"])
    ]
    if not ended:
        return table
    spec = figures.interval_rows(
        [
            figures.Row(row["label"], row["number"], row["low"], row["high"], f"it took {row['actual']:g}")
            for row in ended
        ],
        x="number",
        target=(ended[-1]["actual"], "actual"),
    )
    caption = "Earlier forecasts against what happened."
    return [Figure("record", caption, spec, caption), *table]

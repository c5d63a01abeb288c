"""The commands of `physsynth require`, for people without a study: numbers or CSV in, a statement out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    import xarray as xr

    from physsynth.require import Requirement, Round

require_app = typer.Typer(no_args_is_help=True, help="How much more real data a claim needs.")

Rate = Annotated[float, typer.Option("--rate", help="Largest acceptable failure rate.")]
Confidence = Annotated[float, typer.Option("--confidence", help="Confidence, for example 0.95.")]
Failures = Annotated[int, typer.Option("--failures", min=0, help="Failures seen so far.")]
Exposure = Annotated[float, typer.Option("--exposure", min=0, help="Trials or miles so far.")]
Model = Annotated[str, typer.Option("--model", help="binomial (per trial) or poisson (per mile, hour).")]
Unit = Annotated[str | None, typer.Option("--unit", help='What is counted, in the plural: "miles".')]
Outcomes = Annotated[
    Path | None, typer.Option("--outcomes", help="CSV with a column of 0 and 1 (failed), one row a trial.")
]
Column = Annotated[str, typer.Option("--column", help="The column with the values.")]
Folder = Annotated[Path | None, typer.Option("-o", help="Folder for the statement, as HTML and JSON.")]
Context = Annotated[
    list[str] | None,
    typer.Option("--context", help='Context of use, "model influence: low"; may be given several times.'),
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record", help="CSV of earlier forecasts: number, low, high, and actual (empty: not known)."
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the imagined futures.")]
Assurance = Annotated[float, typer.Option("--assurance", help="Wanted probability that it suffices.")]

RECORDED = ("number", "low", "high", "actual")


class Written(NamedTuple):
    """What goes into a statement besides the answer, and where it goes."""

    context: list[str] | None
    record: Path | None
    folder: Path | None


@require_app.command()
def demonstration(
    rate: Rate,
    confidence: Confidence,
    failures: Failures = 0,
    exposure: Exposure = 0,
    model: Model = "binomial",
    unit: Unit = None,
    outcomes: Outcomes = None,
    column: Column = "failed",
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", help='CSV with columns "real" and "simulated" of 0 and 1, one row a test.'),
    ] = None,
    simulated_failures: Annotated[int, typer.Option("--simulated-failures", min=0)] = 0,
    simulated_trials: Annotated[int, typer.Option("--simulated-trials", min=0)] = 0,
    credit: Annotated[
        str, typer.Option("--credit", help="control_variate, prediction_powered or power_prior.")
    ] = "control_variate",
    context: Context = None,
    record: Record = None,
    output: Folder = None,
) -> None:
    """How many more trials without failure demonstrate a failure rate; with simulation where it has twins."""
    from physsynth.require import demonstration as demonstrate

    data, borrowed = _stated_counts(failures, exposure), {}
    if outcomes is not None:
        table = _read(outcomes, column)
        _once("--outcomes", "--failures and --exposure", failures or exposure)
        data, (failures, exposure) = _in_hand(table, outcomes), _counted(column, table[column].values)
    if pairs is not None:
        table = _read(pairs, "real", "simulated")
        data = _in_hand(table, pairs)
        borrowed["paired"] = table[["real", "simulated"]].to_dataarray().values.T
    if simulated_failures or simulated_trials:
        borrowed["simulated"] = (simulated_failures, simulated_trials)
    _answer(
        demonstrate(
            rate,
            confidence,
            failures=failures,
            exposure=exposure,
            model=model,
            unit=unit,
            credit=credit,
            **borrowed,
        ),
        data,
        Written(context, record, output),
    )


@require_app.command()
def monitor(
    rate: Rate,
    confidence: Confidence,
    failures: Failures = 0,
    exposure: Exposure = 0,
    model: Model = "binomial",
    unit: Unit = None,
    outcomes: Outcomes = None,
    column: Column = "failed",
    context: Context = None,
    record: Record = None,
    output: Folder = None,
) -> None:
    """The same, with a bound that holds at every look."""
    from physsynth.require import monitor as watch

    data = _stated_counts(failures, exposure)
    if outcomes is not None:
        table = _read(outcomes, column)
        _once("--outcomes", "--failures and --exposure", failures or exposure)
        data, (failures, exposure) = _in_hand(table, outcomes), _counted(column, table[column].values)
    need = watch(rate, confidence, failures=failures, exposure=exposure, model=model, unit=unit)
    _answer(need, data, Written(context, record, output))


@require_app.command()
def precision(
    measurements: Annotated[Path, typer.Argument(metavar="MEASUREMENTS.csv", help="The pilot.")],
    column: Column,
    target: Annotated[float, typer.Option("--target", help="Wanted posterior standard deviation.")],
    against: Annotated[
        str | None, typer.Option("--against", help="Column of the condition: fit a straight line on it.")
    ] = None,
    at: Annotated[
        float | None, typer.Option("--at", help="The line's value there is wanted; its slope unless given.")
    ] = None,
    assurance: Assurance = 0.8,
    max_n: Annotated[int, typer.Option("--max-n", min=1, help="Largest number to look at.")] = 1000,
    seed: Seed = 0,
    context: Context = None,
    record: Record = None,
    output: Folder = None,
) -> None:
    """How many more measurements of a mean, a rate (0 and 1) or a straight line, and at which conditions."""
    import jax

    from physsynth.core.errors import ParameterError
    from physsynth.require import simple
    from physsynth.study.precision import use_precision

    use_precision("float64")
    if against == column:
        raise ParameterError(
            "a line of a column against itself", key="--against", wanted="another column", got=column
        )
    table = _read(measurements, column, *([against] if against else []))
    key, values = jax.random.key(seed), table[column].values
    if against is None and at is not None:
        raise ParameterError(
            "a place on no line", key="--at", wanted="--against COLUMN beside it", got=f"{at:g}"
        )
    if against is None:
        pilot = simple.repeated(values, key, name=column)
    else:
        pilot = simple.line(table[against].values, values, key, at=at, name=column)
    need = pilot.precision(target, jax.random.fold_in(key, 1), assurance=assurance, max_n=max_n)
    _answer(need, _in_hand(table, measurements), Written(context, record, output))


@require_app.command()
def worth(
    real: Annotated[Path, typer.Argument(metavar="REAL.csv", help="Real measurements.")],
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC.csv", help="Synthetic ones.")],
    column: Column,
    statistic: Annotated[
        str, typer.Option("--statistic", help="mean, variance or standard_deviation.")
    ] = "mean",
    context: Context = None,
    record: Record = None,
    output: Folder = None,
) -> None:
    """How many real measurements a synthetic set is worth, and the most that more of it could be."""
    from physsynth.require import worth as weigh

    tables = [_read(path, column) for path in (real, synthetic)]
    need = weigh(tables[0][column].values, tables[1][column].values, statistic)
    data = _in_hand(tables[0], real) | {
        f"synthetic {name}": text for name, text in _in_hand(tables[1], synthetic).items()
    }
    _answer(need, data, Written(context, record, output))


@require_app.command("learning-curve")
def learning_curve(
    scores: Annotated[Path, typer.Argument(metavar="SCORES.csv", help="Columns replicate, size, score.")],
    target: Annotated[float, typer.Option("--target", help="The score that is wanted.")],
    best: Annotated[
        float, typer.Option("--best", help="Score of perfection: 0 for errors, 1 for accuracies.")
    ] = 0,
    pilot: Annotated[
        int | None, typer.Option("--pilot", help="Size of the one pilot all training sets were drawn from.")
    ] = None,
    assurance: Assurance = 0.8,
    context: Context = None,
    record: Record = None,
    output: Folder = None,
) -> None:
    """At which size of the data a score meets a target, from scores at smaller sizes."""
    from physsynth.require import learning_curve as forecast
    from physsynth.require.learning_curve import by_replicate

    table = _read(scores, "replicate", "size", "score")
    sizes, rows = by_replicate(*(table[name].values for name in ("replicate", "size", "score")))
    need = forecast(sizes, rows, target, pilot=pilot, best=best, assurance=assurance)
    _answer(need, _in_hand(table, scores), Written(context, record, output))


def _read(path: Path, *columns: str) -> xr.Dataset:
    from physsynth.core.measurements import read_measurements

    return read_measurements(path, dict.fromkeys(columns, "1"))


def _in_hand(table, path: Path) -> dict[str, str]:
    size = f"{table.sizes['observation']} rows"
    return {"source": table.attrs["notes"] or path.name, "size": size, "sha256": table.attrs["sha256"]}


def _stated_counts(failures: int, exposure: float) -> dict[str, str]:
    """Return data in hand that are two numbers; nothing where there are none."""
    if not exposure:
        return {}
    return {"source": "stated on the command line", "size": f"{failures:,} failures in {exposure:,g}"}


def _once(option: str, others: str, given: object) -> None:
    """Refuse what is stated twice."""
    from physsynth.core.errors import ParameterError

    if given:
        raise ParameterError("the same stated twice", key=option, wanted=f"either {option} or {others}")


def _counted(column: str, values) -> tuple[int, int]:
    """Return failures and trials."""
    from physsynth.require.pairs import outcomes

    failed = outcomes(column, values)
    return int(failed.sum()), len(failed)


def _stated(lines: list[str]) -> dict[str, str]:
    """Return terms of the context of use, each stated as "term: text"."""
    from physsynth.core.errors import ParameterError

    parts = [line.partition(":") for line in lines]
    for line, (term, _, text) in zip(lines, parts, strict=True):
        if not term.strip() or not text.strip():
            raise ParameterError("no term with a text", key="--context", wanted='"term: text"', got=line)
    return {term.strip().lower(): text.strip() for term, _, text in parts}


def _earlier(path: Path | None) -> list[Round]:
    """Return the forecasts on record, one a row; what is not known yet is left empty."""
    from physsynth.require import Round

    if path is None:
        return []
    table = _read(path)
    numbers = [[_recorded(text) for text in _column(table, name)] for name in RECORDED]
    if any(math.isnan(value) for column in numbers[:3] for value in column):
        raise _no_record("a number in each row", "an empty one")
    rows = enumerate(zip(*numbers, strict=True), 1)
    return [
        Round(f"round {i}", number, low, high, None if math.isnan(actual) else actual)
        for i, (number, low, high, actual) in rows
    ]


def _column(table, name):
    if name not in table:
        raise _no_record(f"columns {', '.join(RECORDED)}", ", ".join(map(str, table)))
    return table[name].values


def _recorded(text) -> float:
    """Return a number; "never" is infinite, and what is empty is no number."""
    if str(text).strip() == "never":
        return math.inf
    try:
        return float(text)
    except ValueError as reason:
        raise _no_record('numbers, or "never"', repr(text)) from reason


def _no_record(wanted, got):
    from physsynth.core.errors import ParameterError

    return ParameterError("no record of earlier forecasts", key="--record", wanted=wanted, got=got)


def _answer(need: Requirement, data: dict[str, str], written: Written) -> None:
    """Print the statement, and write it where a folder is given."""
    from physsynth.study.console import show_statement

    statement = need.statement(_stated(written.context or []), data, _earlier(written.record))
    show_statement(statement)
    if written.folder is None:
        return
    from physsynth.report import statement_page, write

    for path in write(statement_page(statement), written.folder):
        print(path)

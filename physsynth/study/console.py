"""What people see in the terminal: progress while a study runs, and its plan, results and errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from physsynth.core.checks import BEYOND, Check
from physsynth.core.simulator import Simulator

console = Console(highlight=False, soft_wrap=True)


class Display:
    """Shows a run: a line for each finished stage, and below them how far the present one is."""

    def __init__(self):
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        left = (TextColumn("left"), TimeRemainingColumn())
        self._progress = Progress(*columns, *left, console=console, transient=True)
        self._task = None

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *exception):
        self._progress.stop()

    def begin(self, stage: str):
        """Show a stage that begins; return what is told lines about it."""
        self._clear()
        self._task = task = self._progress.add_task(stage, total=None)
        last = {"line": ""}

        def progress(line: str, done: int | None = None, total: int | None = None) -> None:
            self._progress.update(task, description=f"{stage}: {line}", completed=done, total=total)
            if not console.is_terminal and line != last["line"]:
                console.print(f"{stage:<10} {line}")
            last["line"] = line

        return progress

    def end(self, stage: str, seconds: float | None, checks: list[Check]) -> None:
        """Leave a line for a finished stage, and one for each check that failed."""
        self._clear()
        took = "reused" if seconds is None else f"{seconds:.1f} s"
        failed = [check for check in checks if not check.passed]
        state = f"{len(checks) - len(failed)} of {len(checks)} checks passed" if checks else ""
        console.print(f"{stage:<10} {took:>8}  {state}")
        for check in failed:
            console.print(
                f"  failed: {check.name}: {_found(check)}, wanted {check.threshold}. {check.advice}"
            )

    def close_with(self, outcome) -> None:
        """Print the closing summary: what was found, whether the checks passed, which files were written."""
        console.print()
        for line in headlines(outcome.summaries):
            console.print(line)
        failed = sum(not check.passed for check in outcome.checks)
        console.print(
            "All checks passed." if not failed else f"{failed} of {len(outcome.checks)} checks failed."
        )
        console.print("Wrote")
        for path in outcome.files:
            console.print(f"  {path}")
        console.print(
            f"  {outcome.folder / 'stages'}  (kept so that the next run need not compute them again)"
        )

    def _clear(self):
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


def headlines(summaries: Mapping[str, dict]) -> list[str]:
    """Return the main results in a few lines of plain words."""
    lines = []
    rare = summaries.get("rare")
    if rare:
        low, high = rare["monte_carlo_interval_95"]
        lines.append(
            f"Failure probability {rare['probability']:.3g} (Monte Carlo 95 %: {low:.3g} to {high:.3g})"
        )
        if rare["posterior"]:
            span = rare["posterior"]["with_monte_carlo_error"]
            lines.append(f"  over the posterior, 5 to 95 %: {span['q05']:.3g} to {span['q95']:.3g}")
        shares = ", ".join(f"{mode['name']} {mode['share']:.0%}" for mode in rare["modes"])
        lines.append(f"  {rare['scenarios']} weighted scenarios; {_plural(rare['mode_meaning'])}: {shares}")
    require = summaries.get("require")
    if require:
        lines.append(require["headline"])
    return lines


def _found(check: Check) -> str:
    """Write a check's value; infinity stands in a summary as the largest number of all."""
    return "beyond all bounds" if check.value >= BEYOND else f"{check.value:.4g}"


def _plural(meaning):
    return {"main cause": "main causes", "way to fail": "ways to fail"}[meaning]


def show_plan(problem, steps) -> None:
    """Print a study's stages, their cost, and what an earlier run spares."""
    study = problem.study
    console.print(f"{study.path}: valid")
    console.print(f"  simulator     {problem.sim.name}")
    if problem.measurements is not None:
        data = problem.measurements
        console.print(f"  measurements  {data.sizes['observation']} rows, sha256 {data.attrs['sha256']}")
    settings = ", ".join(f"{name} = {value:g}" for name, value in problem.settings.items())
    console.print(
        f"  limit state   {study.tables.rare.limit_state} ({settings})"
        if settings
        else f"  limit state   {study.tables.rare.limit_state}"
    )
    if study.tables.require is not None:
        costs, (planned, *others) = study.tables.require.costs, problem.ways
        console.print("  new members   of the ways to measure one, the cheapest mixture is sought:")
        for name in (planned, *others):
            console.print(f'    "{escape(name)}" costs {costs.get(name, costs.get(planned, 1.0)):g}')
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("stage", "earlier run", "cost"):
        table.add_column(title)
    for step in steps:
        table.add_row(step.stage.name, "reused" if step.finished else "to compute", step.stage.cost(study))
    console.print(table)


def show_simulator(sim: Simulator) -> None:
    """Print all that a user needs to write a study with a simulator."""
    console.print(f"[bold]{sim.name}[/bold]  {sim.description}")
    _rows("parameters", ((n, p.unit, _law(p.distribution), p.description) for n, p in sim.parameters.items()))
    _rows("options", ((n, _unit(o.unit), "", o.description) for n, o in sim.option_specs.items()))
    _rows("outputs", ((n, o.unit, _dims(o.dims), o.description) for n, o in sim.outputs.items()))
    _rows(
        "limit states",
        ((n, s.unit, _settings(s.settings), s.description) for n, s in sim.limit_states.items()),
    )
    _rows("constraints", ((c.name, c.unit, f"tolerance {c.tolerance:g}", "") for c in sim.constraints))
    _rows(
        "validity",
        (
            (n, sim.parameters[n].unit if n in sim.parameters else "", f"{lo:g} to {hi:g}", "")
            for n, (lo, hi) in sim.validity.items()
        ),
    )
    _rows("references", ((text, "", "", "") for text in sim.references))


def _rows(title, rows) -> None:
    rows = list(rows)
    if not rows:
        return
    console.print(f"\n[bold]{title}[/bold]")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row("  " + row[0], f"\\[{row[1]}]" if row[1] else "", row[2], row[3])
    console.print(table)


def _law(law) -> str:
    arguments = ", ".join(
        f"{name}={getattr(law, name)}" for name in law.arg_constraints if hasattr(law, name)
    )
    return f"{type(law).__name__}({arguments})"


def _unit(unit) -> str:
    return unit if isinstance(unit, str) else ", ".join(f"{part} {of}" for part, of in unit.items())


def _dims(dims) -> str:
    return "over " + ", ".join(f"{dim} ({place.unit})" for dim, place in dims.items()) if dims else ""


def _settings(settings) -> str:
    return ", ".join(f'{name} = "... {unit}"' for name, unit in settings.items())


def show_verification(release: Path, verification) -> None:
    """Print each row of a verification, and the verdict."""
    for row in verification.rows:
        console.print(f"{'ok    ' if row.passed else 'FAILED'} {row.name}")
        if not row.passed:
            console.print(f"         wanted {row.wanted}\n         got    {row.got}")
    console.print(f"{release}: {'verified' if verification.passed else 'NOT verified'}")


def show_statement(statement) -> None:
    """Print a requirement's statement, section by section; the data of its figures are left to the page."""
    for section, content in statement.items():
        if section != "figures" and content:
            console.print(f"[bold]{section.replace('_', ' ')}[/bold]")
            for line in _lines(content):
                console.print(f"  {escape(line)}")


def _lines(content) -> list[str]:
    if isinstance(content, dict):
        return [f"{name}: {value}" for name, value in content.items()]
    if not isinstance(content, list | tuple):
        return [str(content)]
    return [", ".join(_pairs(row)) if isinstance(row, dict) else str(row) for row in content]


def _pairs(row) -> list[str]:
    shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()}
    return [f"{name.replace('_', ' ')} {value}" for name, value in shown.items()]

"""The command line. Help and listings import no JAX; the work is imported when it begins."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from physsynth.cli_require import require_app
from physsynth.core.errors import PhyssynthError

INTERRUPTED = 130
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From a few real measurements to rare scenarios, and to the number of measurements still needed.",
)
app.add_typer(require_app, name="require")

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the results; else results/<study>.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Takes the place of the study's seed.")]


@app.command()
def run(
    study: StudyPath,
    out: Out = None,
    seed: Seed = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Stop after this stage.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute everything anew.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Worker processes.")] = 1,
) -> None:
    """Run a study. Exit code 0: all checks passed; 1: a check failed; 2: bad input."""
    from physsynth.study.console import Display
    from physsynth.study.execute import run as execute

    loaded = _load(study, seed)
    with Display() as display:
        outcome = execute(
            loaded,
            out or Path("results") / loaded.name,
            display,
            workers=workers,
            last=stage,
            fresh=fresh,
            command=_command(study, loaded.tables.study.seed),
        )
    display.close_with(outcome)
    raise typer.Exit(0 if outcome.passed else 1)


@app.command()
def check(study: StudyPath, out: Out = None, seed: Seed = None) -> None:
    """Validate a study, and print its stages, their cost, and what an earlier run spares."""
    from physsynth.study.console import show_plan
    from physsynth.study.execute import plan
    from physsynth.study.problem import build_problem

    loaded = _load(study, seed)
    problem = build_problem(loaded)
    show_plan(problem, plan(loaded, out or Path("results") / loaded.name))


@app.command()
def simulators(name: Annotated[str | None, typer.Argument(help="Show this one.")] = None) -> None:
    """List the simulators, or show one: parameters, units, outputs, limit states, references."""
    from physsynth.core.registry import find, names

    if name is None:
        for known in names():
            print(known)
        return
    from physsynth.study.console import show_simulator

    show_simulator(find(name))


@app.command()
def simulate(
    name: Annotated[str, typer.Argument(help="The simulator.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many scenarios.")],
    output: Annotated[Path, typer.Option("-o", help="HDF5 file to write.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed.")] = 0,
) -> None:
    """Draw scenarios from a simulator's declared distributions and run them, to an HDF5 file."""
    import jax

    from physsynth.core import find
    from physsynth.core import simulate as run_simulator
    from physsynth.study.precision import use_precision

    use_precision("float64")
    runs = run_simulator(find(name), n, jax.random.key(seed), progress=sys.stderr.isatty(), path=output)
    flagged = int((runs["status"] != 0).sum())
    print(f"{output}: {n} scenarios of {name}, {flagged} flagged (non-finite or outside the validity domain)")


@app.command()
def verify(release: Annotated[Path, typer.Argument(help="Folder of the release.")]) -> None:
    """Recompute every digest of a release and check its contract; offline. Exit code 1 if one fails."""
    from physsynth.release import verify as verify_release
    from physsynth.study.console import show_verification

    verification = verify_release(release)
    show_verification(release, verification)
    raise typer.Exit(0 if verification.passed else 1)


@app.command()
def init(name: Annotated[str, typer.Argument(help="Name of the new study.")]) -> None:
    """Write a new study file from a template, ready to run."""
    from physsynth.study.template import write_template

    path = write_template(name, Path.cwd())
    print(f"{path}\nrun it with: physsynth run {path.name}")


def _load(path: Path, seed: int | None):
    """Read a study and set its precision before any arithmetic is done."""
    from physsynth.study.load import load_study
    from physsynth.study.precision import use_precision

    study = load_study(path, seed)
    use_precision(study.tables.study.precision)
    return study


def _command(study: Path, seed: int) -> str:
    return shlex.join(["physsynth", "run", str(study), "--seed", str(seed)])


def main() -> None:
    """Run the command line; what a user can mend is printed as one block, with exit code 2."""
    try:
        app()
    except PhyssynthError as error:
        print(f"error: {error.block()}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as ending:  # Typer makes one of a keyboard interrupt
        if ending.code == INTERRUPTED:
            print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        raise

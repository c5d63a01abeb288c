"""Run a study: plan its stages, reuse what is finished, compute the rest, publish the results."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import physsynth
from physsynth.core.checks import Check
from physsynth.core.errors import unknown_name
from physsynth.core.files import write_bytes, writing
from physsynth.core.registry import find
from physsynth.study.load import Study
from physsynth.study.problem import build_problem
from physsynth.study.stage import SUMMARY, Job, Stage, checks_of
from physsynth.study.stages import STAGES
from physsynth.study.store import ELSEWHERE, Store, digest, locked, read_json

_NUMERICS = ("jax", "jaxlib", "numpyro", "numpy", "scipy")


@dataclass(frozen=True)
class Step:
    """A stage of a plan: its digest, and whether an earlier run finished it."""

    stage: Stage
    key: str
    finished: bool


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes
    ----------
    folder : Path
    files : tuple of Path
        What it published.
    checks : tuple of Check
    summaries : dict
        Summary of each stage by its name.
    """

    folder: Path
    files: tuple[Path, ...]
    checks: tuple[Check, ...]
    summaries: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


class Watcher(Protocol):
    """Is told how a run goes."""

    def begin(self, stage: str) -> Callable[..., None]:
        """Return what is told lines about the stage that begins."""
        ...

    def end(self, stage: str, seconds: float | None, checks: list[Check]) -> None:
        """Hear that a stage is done; `seconds` is None if it was reused."""
        ...


def plan(study: Study, out: Path, last: str | None = None) -> list[Step]:
    """Return the stages that a study asks for, up to `last`, and which of them are finished in `out`.

    Raises
    ------
    UnknownNameError
        If there is no stage of the name `last`.
    """
    wanted = [stage for stage in STAGES if stage.wanted(study)]
    names = [stage.name for stage in wanted]
    if last is not None and last not in names:
        raise unknown_name("stage", last, names, file=study.path, key="--stage")
    store = Store(out / "stages")
    keys: dict[str, str] = {}
    steps = []
    for stage in wanted[: names.index(last) + 1 if last else None]:
        keys[stage.name] = _key(study, stage, keys)
        steps.append(Step(stage, keys[stage.name], store.finished(stage.name, keys[stage.name])))
    return steps


def run(
    study: Study,
    out: Path,
    watcher: Watcher,
    *,
    workers: int = 1,
    last: str | None = None,
    fresh: bool = False,
    command: str = "",
) -> Outcome:
    """Run a study.

    Parameters
    ----------
    study : Study
    out : Path
        Folder of the results; finished stages are kept under ``stages``.
    watcher : Watcher
    workers : int
        Worker processes for stages that come in shards; the results do not depend on it.
    last : str, optional
        Stop after this stage.
    fresh : bool
        Compute everything anew.
    command : str
        The command that reproduces the run, for the lineage.

    Raises
    ------
    PhyssynthError
        For whatever the user can mend. Earlier results stay whole.
    """
    problem = build_problem(study)
    with locked(out):
        store = Store(out / "stages")
        if fresh:
            store.clear()
        folders: dict[str, Path] = {}
        for step in plan(study, out, last):
            folders[step.stage.name] = _do(problem, store, step, folders, watcher, workers, command)
        files = _publish(folders, out)
    summaries = {name: read_json(folder / SUMMARY) for name, folder in folders.items()}
    checks = tuple(check for summary in summaries.values() for check in checks_of(summary))
    return Outcome(out, files, checks, summaries)


def _do(problem, store, step, folders, watcher, workers, command) -> Path:
    name = step.stage.name
    if step.finished:
        folder = store.folder(name, step.key)
        watcher.end(name, None, checks_of(read_json(folder / SUMMARY)))
        return folder
    started = time.monotonic()
    inputs = {needed: folders[needed] for needed in step.stage.needs if needed in folders}
    work = store.begin(name, step.key)
    step.stage.run(Job(problem, name, work, inputs, workers, command, watcher.begin(name)))
    folder = store.finish(name, step.key)
    watcher.end(name, time.monotonic() - started, checks_of(read_json(folder / SUMMARY)))
    return folder


def _publish(folders: dict[str, Path], out: Path) -> tuple[Path, ...]:
    """Put what the stages marked for publication into the output folder, each by one rename."""
    published = []
    for folder in folders.values():
        for item in sorted((folder / "publish").glob("*")):
            target = out / item.name
            if item.is_dir():
                _swap_folder(item, target)
            else:
                write_bytes(target, item.read_bytes())
            published.append(target)
    return tuple(published)


def _swap_folder(source: Path, target: Path) -> None:
    fresh, old = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    with writing(target, ELSEWHERE):
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.copytree(source, fresh)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _key(study: Study, stage: Stage, keys: dict[str, str]) -> str:
    """Digest of everything that a stage's result depends on."""
    tables = study.tables.model_dump()
    content = {
        "stage": stage.name,
        "tables": {name: tables[name] for name in stage.tables},
        "seed": tables["study"]["seed"],
        "precision": tables["study"]["precision"],
        "upstream": {name: keys[name] for name in stage.needs if name in keys},
        "measurements": _measurements_digest(study),
        "sources": sources_digest(study.tables.simulator.name),
        "versions": {package: version(package) for package in _NUMERICS},
    }
    return digest(content)


def _measurements_digest(study: Study) -> str | None:
    path = study.measurements_path
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def sources_digest(simulator: str) -> str:
    """Digest of the package's code and of the simulator's: changed code leaves no stale result."""
    package = Path(physsynth.__file__).parent
    files = sorted(package.rglob("*.py")) + sorted(package.rglob("*.j2")) + sorted(package.rglob("*.css"))
    files += _sources_of(find(simulator).function)
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.name.encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def _sources_of(function: Callable) -> list[Path]:
    """Files of the module that defines a function, and of those beside it, which it may use."""
    while isinstance(function, partial):
        function = function.func
    spec = importlib.util.find_spec(function.__module__)
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    return sorted(origin.parent.rglob("*.py")) if spec.parent else [origin]

"""What a stage of a study is, and what it is given to work with."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import jax

from physsynth import pinn
from physsynth.core.checks import Check
from physsynth.core.files import read, read_tree
from physsynth.study.load import Study
from physsynth.study.problem import Problem
from physsynth.study.store import read_json

SUMMARY = "summary.json"
NETWORK = "network.nc"


@dataclass(frozen=True)
class Job:
    """One stage at work.

    Attributes
    ----------
    problem : Problem
        The study, put together.
    stage : str
    folder : Path
        Where the stage writes.
    inputs : dict of str to Path
        Folders of the finished stages that it needs.
    workers : int
    progress : callable
        Told a line about how far the work is and, where it is known, how many parts of how many are done.
    command : str
        The command that reproduces the run.
    """

    problem: Problem
    stage: str
    folder: Path
    inputs: Mapping[str, Path]
    workers: int = 1
    command: str = ""
    progress: Callable[..., None] = field(default=lambda *told: None)

    @property
    def study(self) -> Study:
        """The study file."""
        return self.problem.study

    @property
    def key(self) -> jax.Array:
        """The stage's own random key."""
        return jax.random.fold_in(
            jax.random.key(self.study.tables.study.seed), zlib.crc32(self.stage.encode())
        )

    def summary(self, stage: str) -> dict[str, Any]:
        """Return the summary of an earlier stage."""
        return read_json(self.inputs[stage] / SUMMARY)

    def dataset(self, stage: str, name: str):
        """Return a dataset of an earlier stage."""
        return read(self.inputs[stage] / f"{name}.nc")

    @cached_property
    def posterior(self):
        """The calibration's posterior draws by name, chains laid end to end; None without a calibration."""
        if "calibrate" not in self.inputs:
            return None
        posterior = read_tree(self.inputs["calibrate"] / "calibration.nc")["posterior"].to_dataset()
        stacked = posterior.stack(sample=("chain", "draw")).transpose("sample", ...)
        return {str(name): values.values for name, values in stacked.data_vars.items()}

    @cached_property
    def network(self) -> pinn.Surrogate | None:
        """The trained network that stands in for the simulator; None for a study without one."""
        if "network" not in self.inputs:
            return None
        return pinn.load_emulator(self.inputs["network"] / NETWORK, self.problem.sim, self.problem.ranges)


class Stage(Protocol):
    """One step of the chain. A new one is a file beside the others and a line in `STAGES`."""

    @property
    def name(self) -> str:
        """Its name in folders and on the command line."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """The stages whose results it reads, where the study has them."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of the study file that its result depends on."""
        ...

    def wanted(self, study: Study) -> bool:
        """Return whether the study asks for this stage."""
        ...

    def cost(self, study: Study) -> str:
        """Say what it will cost, in simulator calls where there are any."""
        ...

    def run(self, job: Job) -> None:
        """Do the work: write files and ``summary.json`` into the job's folder."""
        ...


def for_a_study(check: Check, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return a check's summary, with what it advises a caller in Python said in the keys of a study file."""
    advice = check.advice
    for words, key in keys.items():
        advice = advice.replace(words, key)
    return {**check.summary(), "advice": advice}


def checks_of(summary: Mapping[str, Any]) -> list[Check]:
    """Return the checks that a stage's summary holds."""
    return [Check(**row) for row in summary.get("checks", [])]

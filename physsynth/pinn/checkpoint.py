"""A training state on disk, so that an interrupted run goes on to the same bytes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth.core import files
from physsynth.core.errors import ParameterError
from physsynth.pinn.conditions import Symmetry
from physsynth.pinn.networks import as_data
from physsynth.pinn.solution import same_problem, signature
from physsynth.pinn.training import State, Training

_EVERY_SECONDS = 30.0


class Checkpoint:
    """Where the state of a training is kept; nowhere if there is no path."""

    def __init__(self, path: Path | str | None, training: Training, key: jax.Array):
        self.path = None if path is None else Path(path)
        self.training, self.key = training, key
        self._written = time.monotonic()

    def keep(self, state: State) -> None:
        """Write the state if the last one is older than half a minute."""
        if time.monotonic() - self._written > _EVERY_SECONDS:
            self.write(state)

    def write(self, state: State) -> None:
        """Write the state so that the file appears whole or not at all."""
        if self.path is None:
            return
        leaves = jax.tree.leaves((np.stack(state.trail), state.memory))
        arrays = {
            f"part_{i}": ([f"d{i}_{axis}" for axis in range(np.ndim(leaf))], np.asarray(leaf))
            for i, leaf in enumerate(leaves)
        }
        kept = {
            "run": self._run(),
            "stage": state.stage,
            "age": state.age,
            "history": state.history,
            "scales": state.scales,
        }
        # As bytes: an attribute of an HDF5 file ends at 64 KiB.
        arrays["state"] = (["byte"], np.frombuffer(json.dumps(kept).encode(), np.uint8))
        files.write(self.path, xr.Dataset(arrays))
        self._written = time.monotonic()

    def restore(self) -> State:
        """Return the state on disk, or the one before the first round.

        Raises
        ------
        ParameterError
            If the file was written by another run.
        """
        state = self.training.start(self.key)
        if self.path is None or not self.path.exists():
            return state
        data = files.read(self.path)
        kept = json.loads(data["state"].values.tobytes())
        if not self._is_mine(kept["run"]):
            raise ParameterError(
                "a checkpoint of another run",
                file=self.path,
                wanted="the same problem, key, network, stages and sampling",
                advice="remove the file, or give another path",
            )
        memory = self.training.stages[kept["stage"]].optimiser.start(state.weights)
        shape = jax.tree.structure((state.weights, memory))
        leaves = [jnp.asarray(data[f"part_{i}"].values) for i in range(shape.num_leaves)]
        trail, memory = jax.tree.unflatten(shape, leaves)
        place = (kept["stage"], kept["age"], kept["history"])
        return State(trail[-1], memory, kept["scales"], *place, tuple(trail), state.key)

    def _is_mine(self, stored):
        theirs, mine = dict(stored), self._run()
        mine.pop("problem")
        return same_problem(theirs.pop("problem"), self.training.objective.trial.problem) and theirs == mine

    def _run(self):
        trial = self.training.objective.trial
        return {
            "problem": signature(trial.problem),
            "symmetries": [repr(c) for c in trial.problem.conditions if isinstance(c, Symmetry)],
            "network": as_data(trial.architecture),
            "stages": [repr(stage) for stage in self.training.stages],
            "sampling": repr(self.training.sampling),
            "origin": None if self.training.origin is None else np.asarray(self.training.origin).tolist(),
            "key": np.asarray(jax.random.key_data(self.key)).tolist(),
        }

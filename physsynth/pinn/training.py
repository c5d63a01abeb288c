"""Training in rounds: draw points, take an optimiser's steps on them, report.

A round is a pure function of the state before it, so that a run that was interrupted between two
rounds goes on to the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.budget import Budget
from physsynth.pinn.objective import Objective
from physsynth.pinn.optimisers import FirstOrder, Optimiser
from physsynth.pinn.sampling import Sampling, balance


@dataclass(frozen=True)
class Stage:
    """An optimiser and for how many rounds it runs; None is until the budget is spent."""

    optimiser: Optimiser
    rounds: int | None = None


class State(NamedTuple):
    """All that the next round depends on.

    Attributes
    ----------
    weights : array (weight,)
    memory : tree of arrays
        The optimiser's.
    scales : dict of array ()
        Of each term in the loss.
    stage, age : int
        Which stage runs, and how many rounds of it are done.
    history : dict of list
        One entry a round: iterations so far, loss, mean square of each term.
    trail : tuple of array (weight,)
        The weights before the first round and after each.
    """

    weights: jax.Array
    memory: Any
    scales: dict[str, jax.Array]
    stage: int
    age: int
    history: dict[str, list[float]]
    trail: tuple[jax.Array, ...]

    @property
    def iterations(self) -> int:
        """Iterations so far."""
        return int(self.history["iterations"][-1]) if self.history["iterations"] else 0

    @property
    def loss(self) -> float:
        """The last loss."""
        return self.history["loss"][-1] if self.history["loss"] else np.inf


@dataclass(frozen=True, eq=False)
class Training:
    """The rounds of a problem's training."""

    objective: Objective
    stages: tuple[Stage, ...]
    sampling: Sampling
    key: jax.Array

    def start(self) -> State:
        """Return the state before the first round."""
        network, _ = jax.random.split(self.key)
        weights = self.objective.trial.network(network).weights
        scales = {term.name: jnp.ones((), weights.dtype) for term in self.objective.terms}
        names = ("iterations", "loss", *scales)
        return State(
            weights, self.stages[0].optimiser.start(weights), scales, 0, 0, {n: [] for n in names}, (weights,)
        )

    def run(self, state: State, budget: Budget, observe: Callable[[State], None]) -> State:
        """Run rounds until the budget is spent; `observe` sees the state after each."""
        began = time.process_time()
        while not budget.spent(state.iterations, time.process_time() - began, state.loss):
            state = self.advance(state)
            observe(state)
        return state

    def advance(self, state: State) -> State:
        """Run one round, and change to the next stage when this one is over."""
        _, draws = jax.random.split(self.key)
        done = len(state.history["loss"])
        weights, memory, scales, losses, parts = self._rounds[state.stage](
            state.weights, state.memory, state.scales, jax.random.fold_in(draws, done)
        )
        history = _extended(state.history, self.stages[state.stage].optimiser.steps, losses, parts)
        stage, age = state.stage, state.age + 1
        if age == self.stages[stage].rounds and stage + 1 < len(self.stages):
            stage, age = stage + 1, 0
            memory = self.stages[stage].optimiser.start(weights)
        return State(weights, memory, scales, stage, age, history, (*state.trail, weights))

    @cached_property
    def _rounds(self):
        return [jax.jit(self._round(stage.optimiser)) for stage in self.stages]

    def _round(self, optimiser):
        """Return one round; first-order optimisers rebalance the terms, the others keep their metric."""

        def run(weights, memory, scales, key):
            data = self.sampling.draw(self.objective, weights, scales, key)
            if isinstance(optimiser, FirstOrder) and len(self.objective.terms) > 1:
                scales = balance(self.objective, weights, data)
                data = {name: _scaled(batch, scales[name]) for name, batch in data.items()}
            weights, memory, losses = optimiser.run(self.objective, weights, memory, data)
            return weights, memory, scales, losses, self.objective.mean_squares(weights, data)

        return run


def _scaled(batch, scale):
    return type(batch)(batch.frames, batch.weights, scale)


def _extended(history, steps, losses, parts):
    before = history["iterations"][-1] if history["iterations"] else 0
    new = {"iterations": before + steps, "loss": float(losses[-1]), **{k: float(v) for k, v in parts.items()}}
    return {name: [*values, new[name]] for name, values in history.items()}

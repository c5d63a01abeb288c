"""Training in rounds: draw points, take an optimiser's steps on them, report.

A round is a pure function of the state before it, so that a run that was interrupted between two
rounds goes on to the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
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
    key : array
        The points of each round are drawn from it.
    """

    weights: jax.Array
    memory: Any
    scales: dict[str, jax.Array]
    stage: int
    age: int
    history: dict[str, list[float]]
    trail: tuple[jax.Array, ...]
    key: jax.Array

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
    """The rounds of a problem's training; compiled once for all keys.

    Attributes
    ----------
    objective : Objective
    stages : tuple of Stage
    sampling : Sampling
    origin : array (weight,), optional
        Where to start from, instead of weights that are drawn.
    minimisers : tuple of callable
        The optimisers compiled, if another training on an objective of the same shape has done so.
    """

    objective: Objective
    stages: tuple[Stage, ...]
    sampling: Sampling
    origin: jax.Array | None = None
    minimisers: tuple[Callable, ...] = ()

    def start(self, key: jax.Array) -> State:
        """Return the state before the first round."""
        network, draws = jax.random.split(key)
        weights = self.objective.trial.network.draw(network) if self.origin is None else self.origin
        scales = {term.name: jnp.ones((), weights.dtype) for term in self.objective.terms}
        history = {name: [] for name in ("iterations", "loss", *scales)}
        memory = self.stages[0].optimiser.start(weights)
        return State(weights, memory, scales, 0, 0, history, (weights,), draws)

    def run(self, state: State, budget: Budget, observe: Callable[[State], None]) -> State:
        """Run rounds until the budget is spent; `observe` sees the state after each."""
        began = time.process_time()
        while not budget.spent(state.iterations, time.process_time() - began, state.loss):
            state = self.advance(state)
            observe(state)
        return state

    def advance(self, state: State) -> State:
        """Run one round, and change to the next stage when this one is over."""
        optimiser = self.stages[state.stage].optimiser
        key = jax.random.fold_in(state.key, len(state.trail))
        data = self._draw(state.weights, state.scales, key)
        scales = state.scales
        # The other optimisers have learned the metric of their terms, which must then not change.
        if isinstance(optimiser, FirstOrder) and len(scales) > 1:
            scales = self._balance(state.weights, data)
            data = {name: replace(batch, scale=scales[name]) for name, batch in data.items()}
        weights, memory, losses = self._minimise[state.stage](state.weights, state.memory, data)
        parts = self._measure(weights, data) if len(scales) > 1 else dict.fromkeys(scales, losses[-1])
        history = _extended(state.history, optimiser.steps, losses, parts)
        stage, age = state.stage, state.age + 1
        if age == self.stages[stage].rounds and stage + 1 < len(self.stages):
            stage, age = stage + 1, 0
            memory = self.stages[stage].optimiser.start(weights)
        return State(weights, memory, scales, stage, age, history, (*state.trail, weights), state.key)

    @cached_property
    def _draw(self):
        return jax.jit(partial(self.sampling.draw, self.objective))

    @cached_property
    def _balance(self):
        return jax.jit(partial(balance, self.objective))

    @cached_property
    def _minimise(self):
        if self.minimisers:
            return self.minimisers
        return tuple(jax.jit(partial(stage.optimiser.run, self.objective)) for stage in self.stages)

    @cached_property
    def _measure(self):
        return jax.jit(self.objective.mean_squares)


def _extended(history, steps, losses, parts):
    before = history["iterations"][-1] if history["iterations"] else 0
    new = {"iterations": before + steps, "loss": float(losses[-1]), **{k: float(v) for k, v in parts.items()}}
    return {name: [*values, new[name]] for name, values in history.items()}

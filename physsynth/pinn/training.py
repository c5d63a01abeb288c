"""Training in rounds: draw points, take an optimiser's steps on them, report.

A round is a pure function of the state before it, so that a run that was interrupted between two
rounds goes on to the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.budget import Budget
from physsynth.pinn.draws import generator
from physsynth.pinn.objective import Objective
from physsynth.pinn.optimisers import FirstOrder, Optimiser
from physsynth.pinn.sampling import Sampling, balance


@dataclass(frozen=True)
class Stage:
    """An optimiser and for how many rounds it runs; None is until the budget is spent.

    One of the same kind as that before it goes on with what that has learned.
    """

    optimiser: Optimiser
    rounds: int | None = None


class State(NamedTuple):
    """All that the next round depends on.

    Attributes
    ----------
    weights : array (weight,)
    memory : tree of arrays
        The optimiser's.
    scales : dict of float
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
    scales: dict[str, float]
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
    """

    objective: Objective
    stages: tuple[Stage, ...]
    sampling: Sampling
    origin: jax.Array | None = None

    def start(self, key: jax.Array) -> State:
        """Return the state before the first round."""
        network = self.objective.trial.network
        weights = network.draw(generator(key, 0)) if self.origin is None else self.origin
        scales = dict.fromkeys((term.name for term in self.objective.terms), 1.0)
        history = {name: [] for name in ("iterations", "loss", *scales)}
        memory = self.stages[0].optimiser.start(weights)
        return State(weights, memory, scales, 0, 0, history, (weights,), key)

    def run(
        self,
        state: State,
        budget: Budget,
        observe: Callable[[State], None],
        enough: Callable[[State], bool] = lambda state: False,
    ) -> State:
        """Run rounds until the budget is spent or it is enough; `observe` sees the state after each."""
        began = time.process_time()
        while not (budget.spent(state.iterations, time.process_time() - began, state.loss) or enough(state)):
            state = self.advance(state)
            observe(state)
        return state

    def advance(self, state: State) -> State:
        """Run one round, and change to the next stage when this one is over."""
        optimiser, rounds = self.stages[state.stage].optimiser, len(state.trail)
        data = self.sampling.draw(
            self.objective, state.weights, state.scales, generator(state.key, rounds), rounds - 1
        )
        scales = state.scales
        # The other optimisers have learned the metric of their terms, which must then not change.
        if isinstance(optimiser, FirstOrder) and len(scales) > 1:
            scales = balance(self.objective, state.weights, data)
            data = {name: replace(batch, scale=scales[name]) for name, batch in data.items()}
        weights, memory, losses = optimiser.run(self.objective, state.weights, state.memory, data)
        weights = jnp.asarray(weights)
        parts = dict.fromkeys(scales, losses[-1])
        if len(scales) > 1:
            parts = {name: value for name, (value, _) in self.objective.gradients(weights, data).items()}
        history = _extended(state.history, optimiser.steps, losses, parts)
        stage, age = state.stage, state.age + 1
        if age == self.stages[stage].rounds and stage + 1 < len(self.stages):
            stage, age, following = stage + 1, 0, self.stages[stage + 1].optimiser
            memory = memory if type(following) is type(optimiser) else following.start(weights)
        return State(weights, memory, scales, stage, age, history, (*state.trail, weights), state.key)


def _extended(history, steps, losses, parts):
    before = history["iterations"][-1] if history["iterations"] else 0
    new = {"iterations": before + steps, "loss": float(losses[-1]), **{k: float(v) for k, v in parts.items()}}
    return {name: [*values, new[name]] for name, values in history.items()}

"""Training towards an error; a network that would not get there within the budget grows on the way.

The loss falls as a power of the iterations, and so does the error. Where the power says that the budget is
spent first, the network is widened. It is the same function to begin with: its new units are drawn as ever,
but nothing reads them yet (Chen, Goodfellow, Shlens 2016, ICLR, for growth that preserves the function), and
what is known of the curvature is kept.

Before that, the wider network serves the estimate: the function is the same, but the linearised equation has
more directions in which to explain the residual, so that less of it is left to be charged with a bound.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.budget import Budget
from physsynth.pinn.checkpoint import Checkpoint
from physsynth.pinn.draws import ERROR, generator
from physsynth.pinn.estimate import ErrorEstimate, estimate
from physsynth.pinn.linearised import corrected, error_of
from physsynth.pinn.networks import Architecture, Network
from physsynth.pinn.objective import Objective
from physsynth.pinn.sampling import Sampling
from physsynth.pinn.training import State, Training
from physsynth.pinn.trial import Trial

# Rounds between two looks at the error, and those after which the loss falls as a power.
_LOOK = 5
_SETTLED = 40
# The quick estimate is up to so many times the error; where it is no more than that above the error wanted,
# the linearised equation decides: at every look until so many rounds, then at ever fewer, as it costs more.
_NEAR = 4.0
_OFTEN = 50
_NEW_UNITS = (0, 2)


@dataclass(frozen=True, eq=False)
class Grown(Training):
    """A training that goes on from where another, of a smaller network, has come to."""

    before: State | None = None

    def start(self, key: jax.Array) -> State:
        """Return the state of the smaller network, as one of the larger."""
        assert self.before is not None
        return self.before


@dataclass(frozen=True)
class Growth:
    """What a network becomes, and the points that it is then trained on.

    Attributes
    ----------
    network : Architecture
        Like the one that it takes over from, but wider.
    sampling : Sampling
    """

    network: Architecture
    sampling: Sampling

    def of(self, training: Training, state: State) -> Grown:
        """Return the training that goes on from a state."""
        objective = self.objective(training.objective)
        network = objective.trial.network
        places = _Places(training.objective.trial.network, network)
        fresh = self.fresh(network, state.key)
        trail = tuple(places.widened(weights, fresh) for weights in state.trail)
        memory = state.memory.widened(places.kept, network.size)
        before = state._replace(weights=trail[-1], memory=memory, stage=0, age=0, trail=trail)
        return Grown(objective, training.stages[-1:], self.sampling, trail[-1], before)

    def objective(self, smaller: Objective) -> Objective:
        """Return the loss of the wider network."""
        return Objective(Trial(smaller.trial.problem, self.network))

    def fresh(self, network: Network, key: jax.Array) -> jax.Array:
        """Return the weights of which those of the new units are taken."""
        return network.draw(generator(key, *_NEW_UNITS))


@dataclass(frozen=True)
class Wider:
    """The error of a network by the linearised equation of the wider one that it may become."""

    growth: Growth
    smaller: Objective

    @cached_property
    def objective(self) -> Objective:
        """The loss of the wider network."""
        return self.growth.objective(self.smaller)

    @cached_property
    def places(self) -> _Places:
        """Where the weights stand."""
        return _Places(self.smaller.trial.network, self.objective.trial.network)

    def error_of(self, quick: ErrorEstimate, state: State, key: jax.Array) -> ErrorEstimate:
        """Return what is known of the error; all else that it needs is as for the network itself."""
        fresh = self.growth.fresh(self.objective.trial.network, state.key)
        weights = self.places.widened(state.weights, fresh)
        rng = generator(key, *ERROR, 0)
        return corrected(quick, self.objective, weights, state.scales, rng, columns=self.places.moving)


class _Places:
    """Where the weights of a network stand among those of a wider one."""

    def __init__(self, small: Network, large: Network):
        ends = np.cumsum([rows * columns for rows, columns in large.shapes])
        numbers = [
            np.arange(end - rows * columns, end).reshape(rows, columns)
            for end, (rows, columns) in zip(ends, large.shapes, strict=True)
        ]
        parts = list(zip(numbers, small.shapes, strict=True))
        self.kept = np.concatenate([n[:rows, :columns].ravel() for n, (rows, columns) in parts])
        self.unread = np.concatenate([n[rows:, :columns].ravel() for n, (rows, columns) in parts])

    @property
    def moving(self) -> np.ndarray:
        """The weights on which the function depends: what feeds the new units does not change it yet."""
        return np.sort(np.concatenate([self.kept, self.unread]))

    def widened(self, weights: jax.Array, fresh: jax.Array) -> jax.Array:
        """Return the weights of the wider network that is the same function."""
        return jnp.asarray(fresh).at[self.unread].set(0.0).at[self.kept].set(weights)


Known = dict[tuple[int, int], ErrorEstimate]


@dataclass(frozen=True)
class Prospect:
    """Judges, now and then, whether a training is there, or will not get there.

    Attributes
    ----------
    objective : Objective
    budget : Budget
    key : array
        Of the points at which the error is estimated.
    grows : bool
        Whether to end where the budget would not suffice.
    known : dict
        What was found by the linearised equation, for so many weights after so many iterations.
    wider : Wider, optional
        Asked where the error is small enough but for what the network itself cannot explain.
    """

    objective: Objective
    budget: Budget
    key: jax.Array
    grows: bool = False
    known: Known = field(default_factory=dict)
    wider: Wider | None = None

    def __call__(self, state: State) -> bool:
        """Whether to end."""
        rounds = len(state.trail) - 1
        if not self.budget.error or rounds == 0 or rounds % _LOOK:
            return False
        quick = self.estimate(state).largest
        if self._near(quick) and rounds // _LOOK % max(1, rounds // _OFTEN) == 0 and self._there(state):
            return True
        grows = self.grows and rounds >= _SETTLED
        return grows and self._hopeless(state, quick) and self._hopeless(state, self.checked(state).largest)

    def reached(self, state: State) -> bool:
        """Whether the error is small enough."""
        return self.budget.error > 0.0 and self._near(self.estimate(state).largest) and self._there(state)

    def _near(self, error):
        return error <= _NEAR * self.budget.error

    def _there(self, state):
        return self._small(self.checked(state))

    def _small(self, found):
        return found.largest <= self.budget.error

    def _hopeless(self, state, error):
        return self.needed(state, error) > self.budget.iterations

    def estimate(self, state: State) -> ErrorEstimate:
        """Estimate the error of a state by what training has shown, which is quick."""
        return estimate(self.objective, state.trail, state.scales, generator(self.key, *ERROR))

    def checked(self, state: State) -> ErrorEstimate:
        """Estimate the error of a state with the linearised equation too; once for each."""
        place = (state.weights.size, state.iterations)
        if place not in self.known:
            self.known[place] = self._checked(state)
        return self.known[place]

    def _checked(self, state):
        quick = self.estimate(state)
        rng = generator(self.key, *ERROR, 0)
        found = corrected(quick, self.objective, state.weights, state.scales, rng)
        if self.wider is None or self._small(found) or found.explained > self.budget.error:
            return found
        return min(found, self.wider.error_of(quick, state, self.key), key=lambda found: found.largest)

    def needed(self, state: State, error: float) -> float:
        """Return the iterations after which the error is small enough, if it goes on falling as it does.

        With a loss that falls as N^-p the error falls as N^(-p/2); p is fitted to all but the first quarter.
        """
        losses = np.asarray(state.history["loss"])
        later = np.arange(losses.size // 4, losses.size)
        power = -np.polyfit(np.log(later + 1.0), np.log(losses[later]), 1)[0]
        if power <= 0.0:
            return math.inf
        return state.iterations * math.exp(min(2.0 / power * math.log(error / self.budget.error), 100.0))


def trained(
    training: Training,
    state: State,
    budget: Budget,
    store: Checkpoint,
    growth: Growth | None,
    observe: Callable[[State, Checkpoint], None],
    known: Known | None = None,
) -> tuple[Training, State]:
    """Train until the error is small enough or the budget spent; return what was trained last, and its state.

    `observe` sees each state, and where it is kept: a network that has grown has a file of its own. Where
    `known` is given, the errors that were found are left in it.
    """
    began, known = time.process_time(), {} if known is None else known
    wider = None if growth is None else Wider(growth, training.objective)
    prospect = Prospect(training.objective, budget, store.key, growth is not None, known, wider)
    state = training.run(state, budget, lambda state: observe(state, store), prospect)
    store.write(state)
    seconds = time.process_time() - began
    if growth is None or budget.spent(state.iterations, seconds, state.loss) or prospect.reached(state):
        return training, state
    grown, left = growth.of(training, state), replace(budget, seconds=budget.seconds - seconds)
    beside = Checkpoint(_beside(store.path), grown, store.key)
    return trained(grown, beside.restore(), left, beside, None, observe, known)


def judged(training: Training, state: State, key: jax.Array, known: Known) -> ErrorEstimate:
    """Return what is known of the error of a state; found out now if it was not before."""
    found = known.get((state.weights.size, state.iterations))
    return found or error_of(training.objective, state.trail, state.scales, key)


def _beside(path: Path | None) -> Path | None:
    return None if path is None else path.with_name(f"{path.stem}.grown{path.suffix}")

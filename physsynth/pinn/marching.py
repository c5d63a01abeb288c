"""Marching: time in windows, one network after another, where a single one does not learn all of it.

Each window starts exactly from the state in which the one before ends, its network from the weights of
that one. Windows are as adaptive as the steps of an integrator: the first is as long as the initial rate of
change suggests, mostly all of the time; one whose network does not begin to converge is halved.

Source: Wight, Zhao (2021), Commun. Comput. Phys. 29, 930-954; Krishnapriyan et al. (2021), NeurIPS.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import jax

from physsynth.pinn.budget import Budget
from physsynth.pinn.checkpoint import Checkpoint
from physsynth.pinn.domain import Interval
from physsynth.pinn.draws import ERROR, generator
from physsynth.pinn.estimate import ErrorEstimate, estimate, handed_on
from physsynth.pinn.evolution import initial_rate
from physsynth.pinn.growth import Growth, Known, judged, trained
from physsynth.pinn.networks import Architecture
from physsynth.pinn.objective import Objective
from physsynth.pinn.problem import Problem
from physsynth.pinn.sampling import Sampling
from physsynth.pinn.solution import Solution
from physsynth.pinn.training import Stage, State, Training
from physsynth.pinn.trial import Trial
from physsynth.pinn.windows import window


@dataclass(frozen=True)
class March:
    """How time is cut into windows.

    Attributes
    ----------
    turnovers : float
        How often, in radians, the fields may turn over in one window at their initial rate of change.
    probe : int
        Iterations after which a window is kept or halved; budgets below three probes cut nothing.
    accept : float
        Estimated relative error at which it is kept.
    shortest : float
        Share of all time that a window has at least: each carries all those before it, so that they are
        compiled in quadratic time.
    cold : float
        How many times its share of the iterations the first window gets, whose network starts from nothing.
    """

    turnovers: float = 8.0
    probe: int = 1000
    accept: float = 0.02
    shortest: float = 1 / 16
    cold: float = 2.0

    def first(self, problem: Problem, time: str) -> float:
        """Return the length of the first window."""
        low, high = problem.domain.intervals[time]
        count = math.ceil(initial_rate(problem, time) * (high - low) / self.turnovers)
        return (high - low) / min(max(count, 1), math.ceil(1.0 / self.shortest))

    def affords(self, iterations: int) -> bool:
        """Whether so many iterations are enough for a window that may be given up."""
        return iterations >= 3 * self.probe


class Recipe(NamedTuple):
    """What trains a window; the growth is that of a network that serves all of time."""

    network: Architecture
    stages: tuple[Stage, ...]
    sampling: Sampling
    growth: Growth | None = None


class _Attempt(NamedTuple):
    """The training of one window, where its state is kept, and the key of its error's points."""

    interval: Interval
    training: Training
    store: Checkpoint
    key: jax.Array


@dataclass
class Walk:
    """A march under way.

    Attributes
    ----------
    whole : Training
        Of the first window, should that be all of time.
    time : str
        The coordinate that is cut.
    recipe : Recipe
        For all windows that are not.
    checkpoint : path or None
        Of the first attempt; the others are kept beside it.
    observe : callable
        Called with the iterations of earlier windows and the state, after every round.
    """

    whole: Training
    time: str
    key: jax.Array
    budget: Budget
    march: March
    recipe: Recipe
    checkpoint: Path | str | None
    observe: Callable[[int, State], None]
    solution: Solution | None = None
    parts: list[tuple[float, ErrorEstimate]] = field(default_factory=list)
    used: int = 0
    attempts: int = 0
    known: Known = field(default_factory=dict)

    @property
    def compiled(self) -> dict:
        """What is compiled for all windows: what depends on the window reaches it as data."""
        return self.whole.objective.cache

    def run(self) -> Solution:
        """Go through all of time."""
        self.began = clock.process_time()
        low, high = self._interval
        length = self.march.first(self._problem, self.time)
        while self.solution is None or self.solution.end < high:
            start = low if self.solution is None else self.solution.end
            at_once = high - start <= 1.5 * length or self._exhausted
            end = high if at_once else start + length
            length = (end - start) * (1.0 if self._passed((start, end)) else 0.5)
        return self.solution

    def _passed(self, interval) -> bool:
        """Train on a window; whether it was kept."""
        attempt = self._attempt(interval)
        share, state = self._share(interval), attempt.store.restore()
        if self._may_halve(interval):
            state = self._train(attempt, state, min(self.march.probe, share))
            if not self._begins_to_converge(attempt, state):
                self.used += state.iterations
                return False
        self._keep(*self._completed(attempt, state, share))
        return True

    def _attempt(self, interval) -> _Attempt:
        number, self.attempts = self.attempts, self.attempts + 1
        key = self.key if number == 0 else jax.random.fold_in(self.key, number)
        training = self.whole if interval == self._interval else self._training(interval)
        return _Attempt(interval, training, Checkpoint(self._path(number), training, key), key)

    def _training(self, interval) -> Training:
        """Return the training of a window; after the first only its last stage, from known weights."""
        part = window(self._problem, self.time, interval, self.solution)
        objective = Objective(Trial(part, self.recipe.network), self.compiled)
        if self.solution is None:
            return Training(objective, self.recipe.stages, self.recipe.sampling)
        # The network is near from the beginning, whatever the first window was given.
        sampling = replace(self.recipe.sampling, early=())
        return Training(objective, self.recipe.stages[-1:], sampling, self.solution.weights)

    def _path(self, number):
        if self.checkpoint is None or number == 0:
            return self.checkpoint
        path = Path(self.checkpoint)
        return path.with_name(f"{path.stem}.{number}{path.suffix}")

    def _share(self, interval) -> int:
        low, high = interval
        own = (high - low) * (self.march.cold if self.solution is None else 1.0)
        return math.ceil(self._left.iterations * own / (own + self._interval[1] - high))

    def _may_halve(self, interval) -> bool:
        low, high = self._interval
        long = (interval[1] - interval[0]) / (high - low) >= 2.0 * self.march.shortest
        return long and not self._exhausted and self.march.affords(self._left.iterations)

    def _train(self, attempt, state, iterations) -> State:
        budget = replace(self._left, iterations=iterations)
        state = attempt.training.run(state, budget, lambda state: self._after(state, attempt.store))
        attempt.store.write(state)
        return state

    def _completed(self, attempt, state, iterations) -> tuple[_Attempt, State]:
        """Train to the end: each window to its share of the error."""
        low, high = attempt.interval
        share = (high - low) / (self._interval[1] - self._interval[0])
        budget = replace(self._left, iterations=iterations, error=share * self.budget.error)
        growth = self.recipe.growth if attempt.interval == self._interval else None
        self.known = {}
        after = self._after
        training, state = trained(attempt.training, state, budget, attempt.store, growth, after, self.known)
        # A solution needs a round, even one that nothing is left for.
        state = state if state.history["iterations"] else training.advance(state)
        return attempt._replace(training=training), state

    def _after(self, state, store):
        store.keep(state)
        self.observe(self.used, state)

    def _begins_to_converge(self, attempt, state) -> bool:
        """Judge by the rounds of the probe alone, so that a run that is resumed later decides the same."""
        rounds = sum(done < self.march.probe for done in state.history["iterations"]) + 1
        trail = state.trail[: rounds + 1]
        return self._estimate(attempt, trail, state).largest <= self.march.accept

    def _estimate(self, attempt, trail, state):
        return estimate(attempt.training.objective, trail, state.scales, generator(attempt.key, *ERROR))

    def _keep(self, attempt, state):
        low, high = attempt.interval
        found = judged(attempt.training, state, attempt.key, self.known)
        self.parts.append((high - low, found))
        orders = {name: self._problem.orders(name)[self.time] for name in self._problem.fields}
        found = handed_on(self.parts, orders)
        earlier = self.solution.history if self.solution else {}
        history = {
            name: [*earlier.get(name, ()), *(v + self.used * (name == "iterations") for v in values)]
            for name, values in state.history.items()
        }
        self.solution = Solution(attempt.training.objective, state.weights, history, found, self.solution)
        self.used += state.iterations

    @property
    def _problem(self) -> Problem:
        return self.whole.objective.trial.problem

    @property
    def _interval(self) -> Interval:
        return self._problem.domain.intervals[self.time]

    @property
    def _left(self) -> Budget:
        """What is left of the budget: at least something, as it must be."""
        iterations = max(self.budget.iterations - self.used, 1)
        return replace(self.budget, iterations=iterations, seconds=max(self._seconds, 1e-9))

    @property
    def _seconds(self):
        return self.budget.seconds - (clock.process_time() - self.began)

    @property
    def _exhausted(self):
        return self.used >= self.budget.iterations or self._seconds <= 0.0

"""Solve a problem: choose a network and optimisers by its size, train, and estimate the error."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from physsynth.core.errors import ParameterError
from physsynth.pinn.ansatz import Ansatz
from physsynth.pinn.budget import Budget
from physsynth.pinn.checkpoint import Checkpoint
from physsynth.pinn.conditions import Symmetry
from physsynth.pinn.evolution import time_of
from physsynth.pinn.given import check_key, check_kind
from physsynth.pinn.growth import Growth, Known, judged, trained
from physsynth.pinn.marching import March, Recipe, Walk
from physsynth.pinn.networks import MLP, Architecture
from physsynth.pinn.objective import Objective
from physsynth.pinn.optimisers import Adam, Broyden
from physsynth.pinn.problem import Problem
from physsynth.pinn.progress import observer
from physsynth.pinn.sampling import Sampling
from physsynth.pinn.smooth import check_smooth
from physsynth.pinn.solution import Solution
from physsynth.pinn.symmetry import symmetric
from physsynth.pinn.training import Stage, State, Training
from physsynth.pinn.trial import Trial

_LARGEST_DENSE = 5000
_POINTS = 4000
# Iterations from which on a larger network, on twice the points, ends closer than the usual one.
_PATIENT = 12_000
_WIDE = 30
# Of the points, in the first rounds of one network over the coordinates alone; windows and surrogates, whose
# training is long, use all of them from the start.
_EARLY = (0.25, 0.25, 0.5, 0.5)
_SIX_DIGITS = Budget(iterations=20_000, error=1e-6)
_MARCH = March()
# What Burgers' equation ends at in single precision is above.
_SINGLE = 1e-5


def solve(
    problem: Problem,
    key: jax.Array,
    budget: Budget | int = _SIX_DIGITS,
    *,
    network: Architecture | None = None,
    stages: Sequence[Stage] | None = None,
    sampling: Sampling | None = None,
    symmetries: Sequence[Symmetry] | None = None,
    march: March | None = _MARCH,
    checkpoint: Path | str | None = None,
    progress: bool = False,
    observe: Callable[[State], None] | None = None,
) -> Solution:
    """Train a network until it solves a problem.

    Parameters
    ----------
    problem : Problem
        All of its parameters fixed; `surrogate` covers ranges.
    key : array
        JAX key; the same key and iterations give the same bytes.
    budget : Budget or int
        Unless given, training ends once the estimated error is 1e-6, at the latest after 20,000 iterations.
        A number is iterations, all of which are made.
    network, stages, sampling : optional
        Instead of those chosen by size: an MLP; a start by Adam, then self-scaled Broyden as long as its
        dense matrix is small enough to keep; 4,000 points, mirror images included. A wider network and
        twice the points for 12,000 iterations and more, or, where the budget names an error, once that would
        not be reached at the rate at which the loss falls.
    symmetries : sequence of Symmetry, optional
        To be built in besides those of the problem; unless given, those that the solution must have (see
        `physsynth.pinn.symmetry`). None are built in if it is empty.
    march : March or None
        How the time of an evolution problem is cut into windows where one network does not begin to
        converge; None cuts nothing, nor does a budget below 3,000 iterations.
    checkpoint : path, optional
        Written as training goes; a run that finds it goes on from there, to the same bytes. Later windows
        have files of their own beside it, and go on with the same budget only.
    progress : bool
        Whether to show a line with the loss and the time left.
    observe : callable, optional
        Called with the state after every round.

    Raises
    ------
    ParameterError
        If a parameter has no value, the key is none, a setting is of the wrong kind, the checkpoint is of
        another run, or a value that is built in has a jump or kink that the residual would not see.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from physsynth.pinn import Dirichlet
    >>> rod = Problem({"x": (0.0, 1.0)}, lambda u, p: u.xx + 2.0, [Dirichlet(0.0, {"x": (0.0, 1.0)})])
    >>> solution = solve(rod, jax.random.key(0), budget=300)
    >>> bool(jnp.abs(solution(x=0.5) - 0.25) < 1e-4), solution.converged
    (True, True)
    """
    check_kind("problem", problem, Problem, "a Problem")
    check_key(key)
    check_settings(
        network=network,
        stages=stages,
        sampling=sampling,
        symmetries=symmetries,
        march=march,
        checkpoint=checkpoint,
        observe=observe,
    )
    if problem.ranges:
        raise ParameterError(
            "a parameter without a value",
            key=next(iter(problem.ranges)),
            wanted="a number: problem.at(" + ", ".join(f"{name}=..." for name in problem.ranges) + ")",
            advice="ps.pinn.surrogate covers the whole range",
        )
    whole = posed(problem, None if symmetries is None else tuple(symmetries))
    budget = Budget.of(budget)
    _check_precision(budget)
    growth = None if network or stages or sampling else default_growth(whole, budget)
    network = network or default_network(problem, budget)
    time = time_of(whole)
    if time is None or march is None or not march.affords(budget.iterations):
        sampling = sampling or default_sampling(whole, budget)
        return train(whole, key, budget, network, stages, sampling, checkpoint, progress, observe, growth)
    given = tuple(stages or ())
    training = _training(whole, network, given, sampling or default_sampling(whole, budget))
    sampling = sampling or default_sampling(whole, budget, share=0.5)
    recipe = Recipe(network, given or default_stages(training.objective, sampling), sampling, growth)
    with observer(budget, progress) as show:
        walk = Walk(training, time, key, budget, march, recipe, checkpoint, partial(_seen, show, observe))
        return walk.run()


def train(
    problem, key, budget, network, stages, sampling, checkpoint, progress, observe, growth=None
) -> Solution:
    """Train over coordinates and parameter ranges; `solve` and `surrogate` both come here."""
    training = _training(problem, network, tuple(stages or ()), sampling)
    store = Checkpoint(checkpoint, training, key)
    with observer(budget, progress) as show:
        after = partial(_after, show, observe)
        known: Known = {}
        training, state = trained(training, store.restore(), budget, store, growth, after, known)
    found = judged(training, state, key, known)
    return Solution(training.objective, state.weights, state.history, found)


def _check_precision(budget):
    double = jnp.asarray(0.0).dtype == jnp.float64
    if 0.0 < budget.error < _SINGLE and not double:
        warnings.warn(
            f"an error of {budget.error:g} is out of reach in single precision, so that all "
            f'{budget.iterations:,} iterations will be made: jax.config.update("jax_enable_x64", True), '
            "before anything else",
            stacklevel=3,
        )


_KINDS: dict[str, tuple[Any, str]] = {
    "network": (Architecture, "a specification: pinn.MLP(width=20)"),
    "stages": (Sequence, "a list of stages: [pinn.Stage(pinn.Adam(), rounds=1)]"),
    "sampling": (Sampling, "pinn.Sampling(points=4000)"),
    "symmetries": (Sequence, 'a list of symmetries: [pinn.Symmetry("x")]'),
    "march": (March, "pinn.March(), or None"),
    "checkpoint": ((str, Path), "the path of a file"),
    "observe": (Callable, "a function of the state"),
}


def check_settings(**settings: Any) -> None:
    """Raise unless each setting that is given is of its kind."""
    for name, value in settings.items():
        check_kind(name, value, *_KINDS[name])
    for stage in settings["stages"] or ():
        check_kind("stages", stage, Stage, "stages: pinn.Stage(pinn.Broyden())")
    for symmetry in settings["symmetries"] or ():
        check_kind("symmetries", symmetry, Symmetry, 'symmetries: pinn.Symmetry("x")')


@lru_cache(maxsize=8)
def posed(problem, symmetries) -> Problem:
    """Return the problem with its symmetries; kept, as trainings are kept by their problem."""
    check_smooth(problem)
    if symmetries is None:
        return symmetric(problem)
    return replace(problem, conditions=(*problem.conditions, *symmetries)) if symmetries else problem


@lru_cache(maxsize=8)
def _training(problem, network, stages, sampling) -> Training:
    """Return the training of a problem; kept, so that another key or budget compiles nothing anew."""
    objective = Objective(Trial(problem, network))
    return Training(objective, stages or default_stages(objective, sampling), sampling)


def default_network(problem: Problem, budget: Budget) -> Architecture:
    """Return an MLP whose dense curvature matrix stays in a processor's cache; wider for several fields.

    Wider, too, where there is time to train it.
    """
    usual = 20 if len(problem.fields) == 1 else 24
    return MLP(width=_WIDE if _patient(budget) else usual)


def default_sampling(problem: Problem, budget: Budget, share: float = 1.0) -> Sampling:
    """Return as many points as, with their mirror images, make 4,000, or a share of them for a window."""
    early = _EARLY if share == 1.0 else ()
    return _sampling(problem, share * (2 * _POINTS if _patient(budget) else _POINTS), early)


def default_growth(problem: Problem, budget: Budget) -> Growth | None:
    """Return what a network becomes that an error is wanted of, which it would not reach."""
    return Growth(MLP(width=_WIDE), _sampling(problem, 2 * _POINTS)) if budget.error else None


def _patient(budget):
    return budget.iterations >= _PATIENT and not budget.error


def _sampling(problem, count, early=()):
    return Sampling(points=int(count) // (1 + len(Ansatz(problem).mirrors)), early=early)


def default_stages(objective: Objective, sampling: Sampling) -> tuple[Stage, ...]:
    """Return Adam, then self-scaled Broyden where its matrix fits; Adam alone for large networks."""
    size = objective.trial.network.size
    if size > _LARGEST_DENSE:
        return (Stage(Adam(rate=2e-3, decay=10_000)),)
    start, end = Stage(Adam(steps=100), rounds=1), Stage(Broyden())
    if not sampling.early:
        return (start, end)
    # Few points are to be drawn anew soon.
    return (start, Stage(Broyden(steps=50, predicted=True), rounds=len(sampling.early)), end)


def _after(show, observe, state, store):
    store.keep(state)
    _seen(show, observe, 0, state)


def _seen(show, observe, before, state):
    show(state, before)
    if observe is not None:
        observe(state)

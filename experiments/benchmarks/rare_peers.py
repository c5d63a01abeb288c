"""The same problems with OpenTURNS, each method at several sample sizes, the best of which counts.

Install it with ``pip install openturns``. A size is what a user would tune; choosing the best one per
problem with hindsight favours the peer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import openturns as ot  # pyright: ignore[reportMissingImports]

from physsynth.core.space import ParameterSpace
from physsynth.rare.evaluator import Evaluator

SIZES = {"subset": (1000, 4000), "nais": (500, 2000), "cross entropy": (1000, 4000), "form": (500, 2000)}
LOW_DIMENSION = 20
ot.Log.Show(ot.Log.NONE)
ENOUGH = 10**9
PATIENCE = 200_000


@dataclass(frozen=True)
class Answer:
    """Probability, 95 % interval and calls of one run."""

    probability: float
    low: float
    high: float
    cost: int


def peers(g: Callable, dimension: int, probability: float, seeds: int) -> dict[str, dict]:
    """Return for each method its best row: size, N_eq, bias, coverage."""
    methods = dict(METHODS) if dimension <= LOW_DIMENSION else {k: METHODS[k] for k in ("subset", "form")}
    return {name: _best(name, method, g, dimension, probability, seeds) for name, method in methods.items()}


def _best(name, method, g, dimension, probability, seeds):
    rows = [_row(size, method, g, dimension, probability, seeds) for size in SIZES[name]]
    return min(rows, key=lambda row: row["n_eq"])


def _row(size, method, g, dimension, probability, seeds):
    answers = [_run(method, g, dimension, size, seed) for seed in range(seeds)]
    ratio = np.array([answer.probability for answer in answers]) / probability
    rmse, cost = (
        float(np.sqrt(np.mean((ratio - 1) ** 2))),
        float(np.mean([answer.cost for answer in answers])),
    )
    return {
        "size": size,
        "cost": cost,
        "bias": float(ratio.mean() - 1),
        "rmse": rmse,
        "coverage": float(np.mean([answer.low <= probability <= answer.high for answer in answers])),
        "n_eq": cost * (rmse / 0.05) ** 2,
    }


def _run(method, g, dimension, size, seed):
    ot.RandomGenerator.SetSeed(seed)
    evaluator = Evaluator(g, ParameterSpace.standard_normal(dimension), ENOUGH)
    try:
        probability, half = method(_event(evaluator), evaluator, size)
    except (RuntimeError, TypeError):
        return Answer(0.0, 0.0, 0.0, max(evaluator.cost, size))
    if evaluator.cost > PATIENCE:
        return Answer(0.0, 0.0, 0.0, evaluator.cost)
    return Answer(probability, probability - half, probability + half, evaluator.cost)


def _event(evaluator):
    d = evaluator.dimension
    function = ot.PythonFunction(
        d,
        1,
        func=lambda u: _values(evaluator, np.array(u)[None])[0],
        func_sample=lambda u: _values(evaluator, np.array(u)),
        gradient=lambda u: _slope(evaluator, u),
    )
    inputs = ot.RandomVector(ot.Normal(d))
    return ot.ThresholdEvent(ot.CompositeRandomVector(function, inputs), ot.LessOrEqual(), 0.0)


def _values(evaluator, u):
    """Return g (n, 1); a run that goes on for ever is shown failures everywhere, so that it ends."""
    if evaluator.cost > PATIENCE:
        return np.full((len(u), 1), -1.0)
    return evaluator.values(u)[:, None]


def _slope(evaluator, u):
    return evaluator.slopes(np.array(u)[None])[1].T


def _result(algorithm):
    algorithm.run()
    result = algorithm.getResult()
    return result.getProbabilityEstimate(), result.getConfidenceLength(0.95) / 2


def subset(event, evaluator, size):
    """Subset simulation in blocks of 100."""
    algorithm = ot.SubsetSampling(event)
    algorithm.setBlockSize(100)
    algorithm.setMaximumOuterSampling(size // 100)
    algorithm.setMaximumCoefficientOfVariation(-1.0)
    return _result(algorithm)


def nais(event, evaluator, size):
    """Non-parametric adaptive importance sampling."""
    algorithm = ot.NAIS(event, 0.1)
    algorithm.setBlockSize(100)
    algorithm.setMaximumOuterSampling(size // 100)
    return _result(algorithm)


def cross_entropy(event, evaluator, size):
    """Cross-entropy importance sampling in standard normal space."""
    algorithm = ot.StandardSpaceCrossEntropyImportanceSampling(event, 0.1)
    algorithm.setBlockSize(100)
    algorithm.setMaximumOuterSampling(size // 100)
    return _result(algorithm)


def form(event, evaluator, size):
    """Importance sampling around the nearest design point that three starts of FORM find."""
    d = evaluator.dimension
    starts = [np.full(d, 0.01), *np.random.default_rng(size).standard_normal((2, d))]
    found = []
    for start in starts:
        solver = ot.AbdoRackwitz()
        solver.setStartingPoint(start)
        solver.setMaximumIterationNumber(100)
        search = ot.FORM(solver, event)
        search.run()
        found.append(np.array(search.getResult().getStandardSpaceDesignPoint()))
    nearest = min(found, key=np.linalg.norm)
    experiment = ot.ImportanceSamplingExperiment(ot.Normal(nearest, np.ones(d), ot.CorrelationMatrix(d)))
    algorithm = ot.ProbabilitySimulationAlgorithm(event, experiment)
    algorithm.setBlockSize(100)
    algorithm.setMaximumOuterSampling(size // 100)
    algorithm.setMaximumCoefficientOfVariation(-1.0)
    return _result(algorithm)


METHODS = {"subset": subset, "nais": nais, "cross entropy": cross_entropy, "form": form}

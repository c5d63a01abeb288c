"""A network as guide of a rare-event estimate: how many runs of the true solver does it spare?

    taskset -c 0 python experiments/benchmarks/pinn_guide.py [--seeds 20] [--only heat] [--targets 0.05]

On the heated plate (the hot spot exceeds a limit) and on Burgers' equation (the front becomes steeper than
a limit), at target coefficients of variation: the estimate with the network as guide, without a guide
and without gradients, and without a guide but with gradients, which cost three calls. N_eq is the calls that
the target as root mean square error takes, cost * (relative RMSE / target)². The reference is an importance
sample of the true solver to 0.25 %, and plain Monte Carlo beside it; they share no seed with the estimates.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpyro.distributions as dist  # noqa: E402

import physsynth as ps  # noqa: E402
from physsynth import pinn  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "pinn_guide.json"
TARGETS = (0.05, 0.01)
REFERENCE_COV = 0.0025
REFERENCE_SEED = 10_000
BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Case:
    """A simulator, how its scenarios are distributed, and where it fails.

    Attributes
    ----------
    distributions : mapping of str to Distribution
        Where they are not the simulator's own.
    ranges : mapping of str to (low, high)
        Over which the network is trained, where they are not those of the simulator's distributions.
    """

    simulator: str
    limit_state: str
    limit: float
    distributions: dict
    ranges: dict
    network: pinn.MLP
    points: int
    iterations: int

    @cached_property
    def sim(self) -> ps.Simulator:
        """The true solver."""
        return ps.simulator(self.simulator)

    @cached_property
    def space(self) -> ps.ParameterSpace:
        """The scenarios."""
        given = self.sim.parameters
        own = {n: ps.Parameter(d, given[n].unit, given[n].description) for n, d in self.distributions.items()}
        return ps.ParameterSpace({**given, **own})

    def train(self) -> pinn.Surrogate:
        """Train the network."""
        settings = {"network": self.network, "sampling": pinn.Sampling(points=self.points)}
        return pinn.emulate(self.sim, jax.random.key(0), self.iterations, ranges=self.ranges, **settings)


CASES = {
    "heat": Case("fields/heat", "overheating", 60.0, {}, {}, pinn.MLP(24), 4000, 2500),
    "burgers": Case(
        "fields/burgers",
        "front_steeper",
        80.0,
        {"viscosity": dist.LogNormal(np.log(0.02), 0.3), "amplitude": dist.LogNormal(np.log(0.9), 0.12)},
        {"viscosity": (0.004, 0.08), "amplitude": (0.5, 1.5)},
        pinn.MLP(24),
        4000,
        2500,
    ),
}


def main() -> None:
    """Measure each case, and write the results as JSON."""
    options = arguments()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.only:
        found[name] = measure(CASES[name], options.seeds, options.targets)
        print(name, json.dumps(found[name], indent=1), flush=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def measure(case: Case, seeds: int, targets: list[float]) -> dict:
    """Return what one case shows."""
    began = time.process_time()
    network = case.train()
    trained = time.process_time() - began
    true, guide = (s.limit_state(case.limit_state, limit=case.limit) for s in (case.sim, network))
    reference, alone = (
        estimate(case, g, REFERENCE_SEED, REFERENCE_COV, max_calls=1_000_000) for g in (true, guide)
    )
    truth = reference.probability
    return {
        "limit": case.limit,
        "reference": {"probability": truth, "cov": reference.cov, "cost": cost(reference)},
        "monte carlo": monte_carlo(case, true),
        "network alone": alone.probability,
        "training CPU seconds": trained,
        "network's estimate of its error": network.solution.error,
        "weights": int(network.solution.weights.size),
        "targets": {f"{target:g}": compare(case, true, guide, truth, seeds, target) for target in targets},
        "processor": platform.processor() or platform.machine(),
    }


def compare(case: Case, true: Callable, guide: Callable, truth: float, seeds: int, target: float) -> dict:
    """Return each way's row at one target, and how many times fewer true calls the guide takes."""
    ways = {
        "network as guide": {"guide": guide, "differentiable": False},
        "no guide, black box": {"differentiable": False},
        "no guide, gradients": {},
    }
    rows = {way: repeated(case, true, truth, seeds, target, **settings) for way, settings in ways.items()}
    led = rows["network as guide"]
    spared = {
        way: {"calls": row["cost"] / led["cost"], "N_eq": row["N_eq"] / led["N_eq"]}
        for way, row in rows.items()
        if row is not led
    }
    return {**rows, "times fewer true calls than": spared}


def estimate(case: Case, limit_state: Callable, seed: int, target: float, **settings):
    """Return one event."""
    return ps.rare.estimate(limit_state, case.space, jax.random.key(seed), target_cov=target, **settings)


def repeated(case: Case, true: Callable, truth: float, seeds: int, target: float, **settings) -> dict:
    """Return the cost, error and coverage of an estimate over seeds."""
    began = time.process_time()
    events = [estimate(case, true, 1 + seed, target, **settings) for seed in range(seeds)]
    ratio = np.array([event.probability for event in events]) / truth
    rmse = float(np.sqrt(np.mean((ratio - 1) ** 2)))
    spent = float(np.mean([cost(event) for event in events]))
    held = [low <= truth <= high for low, high in (event.interval(0.95) for event in events)]
    return {
        "cost": spent,
        "network calls": float(np.mean([event.guide_calls for event in events])),
        "stated cov": float(np.mean([event.cov for event in events])),
        "relative RMSE": rmse,
        "mean over reference": float(ratio.mean()),
        "its standard error": float(ratio.std(ddof=1) / np.sqrt(seeds)),
        "N_eq": spent * (rmse / target) ** 2,
        "coverage of 95 % intervals": float(np.mean(held)),
        "converged": int(sum(event.converged for event in events)),
        "seeds": seeds,
        "CPU seconds an estimate": (time.process_time() - began) / seeds,
    }


def cost(event) -> int:
    """Return true calls, a gradient counted as three."""
    return event.calls + 3 * event.gradient_calls


def monte_carlo(case: Case, true: Callable, runs: int = 1_000_000) -> dict:
    """Return the share of failures in plain runs, with its standard error."""
    blocks = -(-runs // BLOCK)

    @jax.jit
    def failures(key):
        return jnp.sum(jax.vmap(true)(case.space.sample(key, BLOCK)) <= 0)

    count = sum(int(failures(jax.random.fold_in(jax.random.key(1), i))) for i in range(blocks))
    p = count / (blocks * BLOCK)
    return {"probability": p, "standard error": float(np.sqrt(p / (blocks * BLOCK))), "failures": count}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--targets", type=float, nargs="+", default=list(TARGETS))
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    return parser.parse_args()


if __name__ == "__main__":
    main()

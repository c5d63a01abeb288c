"""Stage 0: a network trained on the simulator's equation, and held against the simulator."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from physsynth import pinn
from physsynth.core.checks import Check
from physsynth.study.load import Study
from physsynth.study.stage import NETWORK, SUMMARY, Job
from physsynth.study.store import write_json

COMPARED = 256
WITHIN = 3.0
ENOUGH = 0.95


class Network:
    """Train the network, estimate its error over its ranges, and compare it with the simulator there."""

    name = "network"
    needs = ()
    tables = ("simulator", "network")

    def wanted(self, study: Study) -> bool:
        """Return whether the study asks for a network."""
        return study.tables.network is not None

    def cost(self, study: Study) -> str:
        """Say how long it is trained."""
        table = study.tables.network
        assert table is not None
        return f"{table.iterations:,} iterations at {table.points:,} points; {COMPARED} simulator calls"

    def run(self, job: Job) -> None:
        """Train, going on where an interrupted run stopped."""
        table = job.study.tables.network
        assert table is not None
        job.progress(self.cost(job.study))
        progress = job.folder / "training.nc"
        network = pinn.emulate(
            job.problem.sim,
            job.key,
            table.iterations,
            ranges=job.problem.ranges,
            network=pinn.MLP(table.width, table.depth),
            sampling=pinn.Sampling(points=table.points),
            checkpoint=progress,
        )
        network.solution.save(job.folder / NETWORK)
        progress.unlink()
        write_json(job.folder / SUMMARY, _summary(job, network))


def _summary(job, network):
    """How wrong the network is: what it says itself over its ranges, and what the simulator says."""
    p = _places(network, jax.random.fold_in(job.key, 1))
    found, true = network.batched(p), job.problem.sim.batched(p)
    estimate = np.asarray(found["error"])
    errors = {name: _relative(found[name], true[name]) for name in network.outputs if name in true}
    actual = np.max(np.stack(list(errors.values())), axis=0)
    held = float(np.mean(actual <= WITHIN * estimate))
    solution = network.solution
    rows = [
        Check(
            "network's estimated error",
            solution.error,
            "<= 0.05",
            solution.converged,
            "raise network.iterations",
        ),
        Check(
            f"simulator within {WITHIN:g} estimates of the network",
            held,
            f">= {ENOUGH:g}",
            held >= ENOUGH,
            "raise network.iterations or network.points",
        ),
    ]
    return {
        "error": float(np.quantile(estimate, 0.95)),
        "errors": {
            name: {"median": float(np.median(e)), "largest": float(e.max())} for name, e in errors.items()
        },
        "compared": COMPARED,
        "training": solution.summary(),
        "checks": [row.summary() for row in rows],
    }


def _places(network, key):
    """Draw parameters uniformly from the network's ranges, others from their distributions."""
    places = dict(network.space.sample(key, COMPARED))
    for i, (name, (low, high)) in enumerate(network.solution.problem.ranges.items()):
        unit = jax.random.uniform(jax.random.fold_in(key, i), (COMPARED,))
        places[name] = low + (high - low) * unit
    return places


def _relative(found, true):
    found, true = (jnp.reshape(jnp.asarray(array), (COMPARED, -1)) for array in (found, true))
    return np.asarray(jnp.linalg.norm(found - true, axis=1) / jnp.linalg.norm(true, axis=1))

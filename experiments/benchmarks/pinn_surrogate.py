"""One network for Burgers' equation over all viscosities in [0.01/π, 0.1], against the exact solution.

    taskset -c 0 python experiments/benchmarks/pinn_surrogate.py --iterations 6000

Prints the worst and the median relative L2 error over 100 viscosities, how often the true error is at most
3 times the estimate that comes with each query, and the CPU time of a query beside the exact formula's.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpyro.distributions as dist  # noqa: E402

import physsynth as ps  # noqa: E402
from physsynth import pinn  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "pinn_surrogate.json"
LOW, HIGH = 0.01 / np.pi, 0.1


def main() -> None:
    """Train, measure, and write the result as JSON."""
    options = arguments()
    began = time.process_time()
    quick = surrogate(options)
    trained = time.process_time() - began
    exact = ps.simulator("fields/burgers").configure(times=TIMES, x=PLACES)
    nu = jnp.geomspace(LOW, HIGH, 100)
    found, seconds = timed(quick.batched, {"viscosity": nu})
    wanted, solver_seconds = timed(exact.batched, {"viscosity": nu, "amplitude": jnp.ones(100)})
    error = relative(found["u"], wanted["velocity"])
    result = {
        "worst error": float(error.max()),
        "median error": float(np.median(error)),
        "largest estimate": float(found["error"].max()),
        "share of errors within 3 estimates": float(np.mean(error <= 3 * np.asarray(found["error"]))),
        "training CPU seconds": trained,
        "CPU seconds a query": seconds / 100,
        "CPU seconds of the exact formula": solver_seconds / 100,
        "iterations": options.iterations,
        "weights": int(quick.solution.weights.size),
    }
    print(json.dumps(result, indent=1))
    Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


TIMES, PLACES = np.linspace(0.0, 1.0, 26), np.linspace(-1.0, 1.0, 201)


def surrogate(options: argparse.Namespace) -> pinn.Surrogate:
    """Train one network over coordinates and viscosity."""
    viscosity = ps.Parameter(dist.LogUniform(LOW, HIGH), "m^2/s", "viscosity")
    problem = pinn.Problem(
        {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        lambda u, p: u.t + u * u.x - p["viscosity"] * u.xx,
        [pinn.Initial(lambda p: -jnp.sin(jnp.pi * p["x"])), pinn.Dirichlet(0.0, {"x": (-1.0, 1.0)})],
        parameters={"viscosity": viscosity},
    )
    trained = pinn.surrogate(problem, jax.random.key(options.seed), options.iterations)
    return trained.configure(t=TIMES, x=PLACES)  # type: ignore[return-value]


def timed(function, arguments):
    """Return the outcome of a second call, and its CPU seconds."""
    jax.block_until_ready(function(arguments))
    began = time.process_time()
    found = jax.block_until_ready(function(arguments))
    return found, time.process_time() - began


def relative(found, wanted) -> np.ndarray:
    """Return the relative L2 error of each scenario."""
    found, wanted = (np.asarray(array).reshape(100, -1) for array in (found, wanted))
    return np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=str(RESULTS))
    return parser.parse_args()


if __name__ == "__main__":
    main()

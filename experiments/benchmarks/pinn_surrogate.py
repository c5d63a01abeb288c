"""One network for Burgers' equation over all viscosities in [0.01/π, 0.1], against the exact solution.

    taskset -c 0 python experiments/benchmarks/pinn_surrogate.py --seed 1

Prints the worst and the median relative L2 error over 100 viscosities, how often the true error is at most
3 times the estimate that comes with each query, and the CPU time of a query: the whole field with its error
estimate, the field alone, and one value. Beside them: a Fourier solver with exponential Runge-Kutta steps,
as coarse as the network's own error at that viscosity allows, which must compute the field up to the
time of the value; and the closed formula.
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
from numpy import fft  # noqa: E402
from spectral import closed, etdrk4, resample, wavenumbers  # noqa: E402
from timing import timed  # noqa: E402

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
    found, seconds = timed(quick.batched, {"viscosity": nu}, repeats=4)
    wanted, formula = timed(exact.batched, {"viscosity": nu, "amplitude": jnp.ones(100)}, repeats=4)
    error = relative(found["u"], wanted["velocity"])
    solver = [equally_accurate(float(nu[i]), np.asarray(wanted["velocity"][i]), error[i]) for i in SOLVED]
    solve = float(np.median([row["CPU seconds"] for row in solver]))
    one = timed(one_value(quick), {"viscosity": nu}, repeats=4)[1] / 100
    field = timed(quick.only("u").batched, {"viscosity": nu}, repeats=4)[1] / 100
    estimate = timed(quick.only("error").batched, {"viscosity": nu}, repeats=4)[1] / 100
    result = {
        "worst error": float(error.max()),
        "median error": float(np.median(error)),
        "largest estimate": float(found["error"].max()),
        "share of errors within 3 estimates": float(np.mean(error <= 3 * np.asarray(found["error"]))),
        "training CPU seconds": trained,
        "CPU seconds": {
            "field and error estimate": seconds / 100,
            "field": field,
            "error estimate": estimate,
            "one value": one,
            "solver": solve,
            "closed formula, field": formula / 100,
        },
        "times cheaper than the solver": {"field": solve / field, "one value": solve / one},
        "solver": solver,
        "points of a field": int(TIMES.size * PLACES.size),
        "iterations": options.iterations,
        "seed": options.seed,
        "built in": quick.solution.summary()["symmetries"],
        "weights": int(quick.solution.weights.size),
    }
    print(json.dumps(result, indent=1))
    Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


TIMES, PLACES = np.linspace(0.0, 1.0, 26), np.linspace(-1.0, 1.0, 257)
SOLVED = (0, 33, 66, 99)
LADDER = [(size, steps) for size in (32, 64, 128, 256, 512, 1024, 2048) for steps in (1, 2, 4, 8, 16, 32)]


def surrogate(options: argparse.Namespace) -> pinn.Surrogate:
    """Train one network over coordinates and viscosity; it sees a layer a few times wider than the front."""
    viscosity = ps.Parameter(dist.LogUniform(LOW, HIGH), "m^2/s", "viscosity")
    problem = pinn.Problem(
        {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        lambda u, p: u.t + u * u.x - p["viscosity"] * u.xx,
        [pinn.Initial(lambda p: -jnp.sin(jnp.pi * p["x"])), pinn.Dirichlet(0.0, {"x": (-1.0, 1.0)})],
        parameters={"viscosity": viscosity},
        features=(lambda p: jnp.tanh(p["x"] / (8 * p["viscosity"])),),
    )
    trained = pinn.surrogate(
        problem,
        jax.random.key(options.seed),
        options.iterations,
        network=pinn.MLP(30),
        sampling=pinn.Sampling(points=2500),
        checkpoint=options.checkpoint,
    )
    return trained.configure(t=TIMES, x=PLACES)  # type: ignore[return-value]


def one_value(quick: pinn.Surrogate):
    """Return one value over many viscosities: the velocity at the end, near the front."""
    place = {"t": jnp.asarray(1.0), "x": jnp.asarray(0.05)}
    return jax.jit(jax.vmap(lambda p: quick.solution.evaluate({**place, **p})["u"]))


def equally_accurate(nu: float, wanted: np.ndarray, error: float) -> dict:
    """Return the cheapest rung of the solver's ladder that is no worse than an error."""
    rows = []
    for size, steps in LADDER:
        found, spent = timed(fourier, nu, size, steps, repeats=3)
        wrong = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        if wrong <= error:
            count = steps * (TIMES.size - 1)
            rows.append({"size": size, "steps": count, "error": float(wrong), "CPU seconds": spent})
    return {"viscosity": nu, **min(rows, key=lambda row: row["CPU seconds"])}


def fourier(nu: float, size: int, steps: int) -> np.ndarray:
    """Return the field on the grid, interpolated from the modes, by exponential Runge-Kutta steps."""
    k = wavenumbers(size, 2.0)
    kept = np.arange(len(k)) < size // 3
    x = -1 + 2 * np.arange(size) / size

    def transport(v):
        return -0.5j * k * kept * fft.rfft(fft.irfft(v) ** 2)

    with np.errstate(all="ignore"):
        path = etdrk4(-nu * k**2, transport, fft.rfft(-np.sin(np.pi * x)), TIMES, steps)
    wanted = PLACES.size - 1
    if size >= wanted:
        return closed(resample(path, wanted))
    return closed(fft.irfft(path, wanted, axis=-1) * wanted / size)


def relative(found, wanted) -> np.ndarray:
    """Return the relative L2 error of each scenario."""
    found, wanted = (np.asarray(array).reshape(100, -1) for array in (found, wanted))
    return np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=6_000)
    parser.add_argument("--checkpoint", help="file from which an interrupted training goes on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=str(RESULTS))
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Inverse problems through a parametric network: do the 90 % intervals hold the truth?

    taskset -c 0 python experiments/benchmarks/pinn_inverse.py [--replications 200]

Burgers' viscosity from 20 noisy values of the velocity, and the amplitudes of three hidden source modes of
the heat equation from 20 noisy temperatures. Truths are drawn from the prior and data from exact solutions,
so that exact inference covers 90 % on average, give or take 2 % over 200 replications. The network's error
estimate e, taken where the calibration without it ends, enters the noise of a measurement in two ways: as if
it were drawn anew at each of the n measurements, sd² = noise² + e², and as what it is, one error that they
share and that they cannot average away, sd² = noise² + n e². (By Cauchy and Schwarz an error of that size
then shifts the estimate by at most one standard deviation.) Were e a function of the parameters inside the
likelihood, residuals smaller than it foresees would speak against the parameters where it is large. Each
network is trained in full and for a tenth of the iterations. Posteriors by NUTS in NumPyro, all replications
side by side, and for the viscosity also on a grid.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpyro  # noqa: E402
import numpyro.distributions as dist  # noqa: E402
from numpyro.infer import MCMC, NUTS  # noqa: E402
from numpyro.infer.initialization import init_to_median  # noqa: E402
from numpyro.infer.util import log_density  # noqa: E402

import physsynth as ps  # noqa: E402
from physsynth import pinn  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "pinn_inverse.json"
POINTS, NOISE, LEVEL = 20, 0.02, 0.9
LOW, HIGH = 0.01 / np.pi, 0.1
GRID, NODES = 801, 65
DIFFUSIVITY, MODES = 0.1, 3


@dataclass(frozen=True, eq=False)
class Case:
    """An inverse problem.

    Attributes
    ----------
    problem : Problem
    exact : callable
        The field at points (point,) of t and x under parameters.
    iterations : int
        Of the network that is trained in full.
    """

    problem: pinn.Problem
    exact: Callable
    iterations: int

    @property
    def names(self) -> tuple[str, ...]:
        """What is to be found."""
        return tuple(self.problem.ranges)


def burgers() -> Case:
    """Return the viscosity's problem."""
    viscosity = ps.Parameter(dist.LogUniform(LOW, HIGH), "m^2/s", "viscosity")
    problem = pinn.Problem(
        {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        lambda u, p: u.t + u * u.x - p["viscosity"] * u.xx,
        [pinn.Initial(lambda p: -jnp.sin(jnp.pi * p["x"])), pinn.Dirichlet(0.0, {"x": (-1.0, 1.0)})],
        parameters={"viscosity": viscosity},
        features=(lambda p: jnp.tanh(p["x"] / (8 * p["viscosity"])),),
    )
    solver = ps.simulator("fields/burgers")
    assert solver.equation is not None

    def exact(t, x, p):
        # The simulator takes grids: each point is a grid of its own, with a time before and a place beyond.
        def at(t, x):
            one = solver.configure(times=jnp.stack([t / 2, t]), x=jnp.stack([x, x + 0.1]))
            return one({**p, "amplitude": 1.0})["velocity"][1, 0]

        return jax.vmap(at)(t, x)

    return Case(problem, exact, 2500)


def forcing() -> Case:
    """Return the problem of three hidden source modes: u_t = α u_xx + Σ a_k sin(k π x), 0 at first."""
    amplitudes = {
        f"a{k}": ps.Parameter(dist.Uniform(-1.0, 1.0), "K/s", f"amplitude of mode {k}")
        for k in range(1, MODES + 1)
    }

    def source(p):
        return sum(p[f"a{k}"] * jnp.sin(k * jnp.pi * p["x"]) for k in range(1, MODES + 1))

    def exact(t, x, p):
        rates = [DIFFUSIVITY * (k * jnp.pi) ** 2 for k in range(1, MODES + 1)]
        return sum(
            p[f"a{k}"] * jnp.sin(k * jnp.pi * x) * -jnp.expm1(-rate * t) / rate
            for k, rate in enumerate(rates, start=1)
        )

    problem = pinn.Problem(
        {"t": (0.0, 1.0), "x": (0.0, 1.0)},
        lambda u, p: u.t - DIFFUSIVITY * u.xx - source(p),
        [pinn.Initial(0.0), pinn.Dirichlet(0.0, {"x": (0.0, 1.0)})],
        parameters=amplitudes,
    )
    return Case(problem, exact, 1500)


WAYS = {"no error": 0, "error of each": 1, "error shared": POINTS}
CASES = {"burgers viscosity": burgers, "hidden forcing": forcing}


def main() -> None:
    """Measure each case, and write the results as JSON."""
    options = arguments()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.only:
        found[name] = measure(CASES[name](), options.replications)
        print(name, json.dumps(found[name], indent=1), flush=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def measure(case: Case, replications: int) -> dict:
    """Return coverage and width of the intervals, for both networks and each way to take their error."""
    data = simulate(case, jax.random.key(1), replications)
    rows = {}
    for kind, iterations in (("in full", case.iterations), ("a tenth", case.iterations // 10)):
        began = time.process_time()
        solution = pinn.surrogate(
            case.problem,
            jax.random.key(0),
            iterations,
            network=pinn.MLP(20),
            sampling=pinn.Sampling(points=3000),
        ).solution
        row = {
            "iterations": solution.summary()["iterations"],
            "training CPU seconds": time.process_time() - began,
            "estimated error": solution.error,
            "median true relative error": true_error(case, solution, data),
        }
        row |= calibrate(case, solution, data)
        rows[kind] = row
        print(kind, json.dumps(row), flush=True)
    return {
        "trained": rows,
        "noise": NOISE,
        "measurements": POINTS,
        "replications": replications,
        "expected standard error of a coverage": float(np.sqrt(LEVEL * (1 - LEVEL) / replications)),
        "processor": platform.processor() or platform.machine(),
    }


def simulate(case: Case, key, replications: int) -> dict:
    """Draw truths from the prior, places of measurement, and noisy values of the exact solution."""
    truth_key, place_key, noise_key = jax.random.split(key, 3)
    truth = case.problem.space.sample(truth_key, replications)
    intervals = case.problem.domain.intervals
    unit = jax.random.uniform(place_key, (2, replications, POINTS), minval=0.05)
    t = unit[0] * intervals["t"][1]
    low, high = intervals["x"]
    x = low + (high - low) * unit[1]
    values = jax.vmap(case.exact)(t, x, truth)
    y = values + NOISE * jax.random.normal(noise_key, t.shape)
    return {"t": t, "x": x, "y": y, "exact": values, "truth": truth}


def true_error(case: Case, solution: pinn.Solution, data) -> float:
    """Return the median over replications of the network's relative error where it is measured."""
    found = jax.vmap(lambda t, x, p: solution(t=t, x=x, **p))(data["t"], data["x"], data["truth"])
    norms = (jnp.linalg.norm(z, axis=1) for z in (found - data["exact"], data["exact"]))
    return float(jnp.median(next(norms) / next(norms)))


def size(case: Case, solution: pinn.Solution, p) -> jax.Array:
    """Return the network's estimate of its absolute error under parameters: root mean square."""
    axes = (jnp.linspace(low, high, 33) for low, high in case.problem.domain.intervals.values())
    t, x = jnp.meshgrid(*axes)
    values = solution.evaluate({"t": t, "x": x, **p})["u"]
    return solution.query_error(p)["u"] * jnp.sqrt(jnp.mean(values**2))


def calibrate(case: Case, solution: pinn.Solution, data) -> dict:
    """Return how the intervals of all replications did: without the error first, then with it."""

    def model(t, x, y, e):
        p = {name: numpyro.sample(name, q.distribution) for name, q in case.problem.space.parameters.items()}
        numpyro.sample("y", dist.Normal(solution(t=t, x=x, **p), jnp.sqrt(NOISE**2 + e**2)), obs=y)

    e, found = jnp.zeros(len(data["y"])), {}
    for words, count in WAYS.items():
        given = (data["t"], data["x"], data["y"], count**0.5 * e)
        ends, found[words] = infer(case, model, given, data["truth"])
        if not count:
            middle = {name: jnp.asarray(quantiles[1]) for name, quantiles in ends.items()}
            e = jax.lax.map(lambda p: size(case, solution, p), middle)
    return {**found, "median estimate of the error": float(jnp.median(e))}


def infer(case: Case, model: Callable, given, truth) -> tuple[dict, dict]:
    """Return the quantiles of each parameter (3, replication), and how they did."""
    began = time.process_time()
    ends = {name: np.quantile(drawn, ENDS, axis=1) for name, drawn in nuts(model, given).items()}
    rows = {"NUTS": {**judge(case, ends, truth), "CPU seconds": time.process_time() - began}}
    if len(case.names) == 1:
        rows["grid"] = judge(case, on_grid(case, model, given), truth)
    return ends, rows


ENDS = ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2)


def nuts(model: Callable, given, warmup: int = 150, draws: int = 250) -> dict[str, np.ndarray]:
    """Return draws (replication, draw) of each parameter, all replications in one compiled loop."""

    def one(key, *given):
        kernel = NUTS(model, init_strategy=init_to_median, max_tree_depth=5)
        chain = MCMC(kernel, num_warmup=warmup, num_samples=draws, progress_bar=False)
        chain.run(key, *given)
        return chain.get_samples()

    keys = jax.random.split(jax.random.key(3), len(given[0]))
    return {name: np.asarray(value) for name, value in jax.jit(jax.vmap(one))(keys, *given).items()}


def on_grid(case: Case, model: Callable, given) -> dict[str, np.ndarray]:
    """Return the quantiles (3, replication) of the one parameter's posterior on a grid of its logarithm."""
    name = next(iter(case.names))
    nodes = jnp.geomspace(*case.problem.ranges[name], GRID)

    def log_posterior(value, given):
        fixed = numpyro.handlers.substitute(model, {name: value})
        # The prior's density falls as 1 / value, the spacing of the grid grows as value.
        return log_density(fixed, given, {}, {})[0] + jnp.log(value)

    def quantiles(given):
        logs = jax.lax.map(lambda value: log_posterior(value, given), nodes)
        cumulative = jnp.cumsum(jax.nn.softmax(logs))
        return jnp.interp(jnp.asarray(ENDS), cumulative, nodes)

    return {name: np.asarray(jax.jit(lambda g: jax.lax.map(quantiles, g))(given)).T}


def judge(case: Case, quantiles: dict[str, np.ndarray], truth) -> dict:
    """Return coverage, median width, and the mean error of the median in units of the interval's half."""
    rows = {}
    for name in case.names:
        (low, middle, high), true = quantiles[name], np.asarray(truth[name])
        rows[name] = {
            "coverage": float(np.mean((low <= true) & (true <= high))),
            "median width": float(np.median(high - low)),
            "bias in half widths": float(np.median((middle - true) / (high - low) * 2)),
        }
    return rows


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replications", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Inverse problems through a parametric network: do the 90 % intervals hold the truth?

    taskset -c 0 python experiments/benchmarks/pinn_inverse.py [--only "hidden forcing"] [--replications 400]

Two problems on Burgers' equation, each from 20 noisy values of the velocity: the viscosity, and the two
amplitudes of a hidden force a_1 sin(π x) + a_2 sin(2 π x). Truths are drawn from the prior, data from exact
solutions, so that exact inference covers 90 % on average. The network's error estimate e, taken where the
calibration without it ends, enters the noise of a measurement in two ways: as if it were drawn anew at each
of the n measurements, sd² = noise² + e², and as what it is, one error that they share and that they cannot
average away, sd² = noise² + n e². (By Cauchy and Schwarz an error of that size then shifts the estimate by
at most one standard deviation.) Were e a function of the parameters inside the likelihood, residuals smaller
than it foresees would speak against the parameters where it is large.

Each network is trained in full and for a tenth of the iterations. The posterior is summed on a lattice, which
is exact but for the network, in all replications; and drawn by NUTS in NumPyro, in the first 200, with the
error shared.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpyro  # noqa: E402
import numpyro.distributions as dist  # noqa: E402
from jax.scipy.special import ndtri  # noqa: E402
from numpy import fft  # noqa: E402
from numpyro.diagnostics import effective_sample_size  # noqa: E402
from numpyro.infer import MCMC, NUTS  # noqa: E402
from numpyro.infer.initialization import init_to_median  # noqa: E402
from spectral import etdrk4, wavenumbers  # noqa: E402
from timing import timed  # noqa: E402

import physsynth as ps  # noqa: E402
from physsynth import pinn  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "pinn_inverse.json"
POINTS, NOISE, LEVEL = 20, 0.02, 0.9
ENDS = jnp.asarray([(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
LOW, HIGH, VISCOSITY = 0.01 / np.pi, 0.1, 0.05
INSTANTS = 40
DOMAIN = {"t": (0.0, 1.0), "x": (-1.0, 1.0)}
CONDITIONS = (pinn.Initial(lambda p: -jnp.sin(jnp.pi * p["x"])), pinn.Dirichlet(0.0, {"x": (-1.0, 1.0)}))
WAYS = {"no error": 0, "error of each": 1, "error shared": POINTS}


@dataclass(frozen=True, eq=False)
class Case:
    """An inverse problem.

    Attributes
    ----------
    problem : Problem
    exact : callable
        The field at instants i / 40 and places (replication, point) under parameters (replication,).
    iterations : int
        Of the network that is trained in full.
    coarse, fine : int
        Nodes of the lattice along each parameter: where the posterior is looked for, and summed.
    """

    problem: pinn.Problem
    exact: Callable
    iterations: int
    coarse: int
    fine: int

    @property
    def names(self) -> tuple[str, ...]:
        """What is to be found."""
        return tuple(self.problem.ranges)


def viscosity() -> Case:
    """Return the viscosity's problem."""
    unknown = ps.Parameter(dist.LogUniform(LOW, HIGH), "m^2/s", "viscosity")
    problem = pinn.Problem(
        DOMAIN,
        lambda u, p: u.t + u * u.x - p["viscosity"] * u.xx,
        CONDITIONS,
        parameters={"viscosity": unknown},
        features=(lambda p: jnp.tanh(p["x"] / (8 * p["viscosity"])),),
    )
    solver = ps.simulator("fields/burgers")

    def at(t, x, nu):
        # The simulator takes grids: each point is a grid of its own, with a time before and a place beyond.
        one = solver.configure(times=jnp.stack([t / 2, t]), x=jnp.stack([x, x + 0.1]))
        return one({"viscosity": nu, "amplitude": 1.0})["velocity"][1, 0]

    def exact(instants, x, p):
        each = jax.vmap(jax.vmap(at, (0, 0, None)))
        return each(jnp.asarray(instants) / INSTANTS, jnp.asarray(x), p["viscosity"])

    return Case(problem, exact, 2500, 41, 401)


def forcing() -> Case:
    """Return the problem of a hidden force of two modes, at a known viscosity."""
    amplitudes = {
        f"a{k}": ps.Parameter(dist.Uniform(-1.0, 1.0), "m/s^2", f"amplitude of mode {k}") for k in (1, 2)
    }

    def force(p):
        return p["a1"] * jnp.sin(jnp.pi * p["x"]) + p["a2"] * jnp.sin(2 * jnp.pi * p["x"])

    problem = pinn.Problem(
        DOMAIN,
        lambda u, p: u.t + u * u.x - VISCOSITY * u.xx - force(p),
        CONDITIONS,
        parameters=amplitudes,
    )
    return Case(problem, forced, 2500, 13, 31)


def forced(instants, x, p, size: int = 256, steps: int = 10) -> np.ndarray:
    """Return the forced field at instants and places, from its Fourier series."""
    k = wavenumbers(size, 2.0)
    grid = -1 + 2 * np.arange(size) / size
    kept = np.arange(len(k)) < size // 3
    a1, a2 = (np.asarray(p[name])[:, None] for name in ("a1", "a2"))
    force = fft.rfft(a1 * np.sin(np.pi * grid) + a2 * np.sin(2 * np.pi * grid))

    def rate(v):
        return -0.5j * k * kept * fft.rfft(fft.irfft(v) ** 2) + force

    start = np.broadcast_to(fft.rfft(-np.sin(np.pi * grid)), force.shape)
    path = etdrk4(-VISCOSITY * k**2, rate, start, np.arange(INSTANTS + 1) / INSTANTS, steps)
    modes = np.moveaxis(path, 0, 1)[np.arange(len(force))[:, None], np.asarray(instants)]
    waves = np.exp(1j * k * (np.asarray(x)[..., None] + 1)) * np.where(k == 0, 1.0, 2.0)
    return np.real((modes * waves).sum(axis=-1)) / size


CASES = {"burgers viscosity": viscosity, "hidden forcing": forcing}


def main() -> None:
    """Measure each case, and write the results as JSON."""
    options = arguments()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.only:
        found[name] = measure(CASES[name](), options)
        print(name, json.dumps(found[name], indent=1), flush=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def measure(case: Case, options: argparse.Namespace) -> dict:
    """Return coverage and width of the intervals, for both networks and each way to take their error."""
    data = simulate(case, jax.random.key(options.seed), options.replications)
    rows = {}
    for kind, iterations in (("in full", case.iterations), ("a tenth", case.iterations // 10)):
        solution, trained = timed(train, case, iterations)
        row = {
            "iterations": solution.summary()["iterations"],
            "training CPU seconds": trained,
            "estimated error": solution.error,
            "median true relative error": true_error(solution, data),
        }
        rows[kind] = row | calibrate(case, solution, data, options.nuts)
        print(kind, json.dumps(rows[kind]), flush=True)
    return {
        "trained": rows,
        "noise": NOISE,
        "measurements": POINTS,
        "replications": options.replications,
        "expected standard error of a coverage": _standard_error(options.replications),
        "replications by NUTS": options.nuts,
        "its standard error": _standard_error(options.nuts),
        "seed": options.seed,
        "processor": platform.processor() or platform.machine(),
    }


def _standard_error(count):
    return float(np.sqrt(LEVEL * (1 - LEVEL) / count))


def train(case: Case, iterations: int) -> pinn.Solution:
    """Return a network over the parameters."""
    settings = {"network": pinn.MLP(20), "sampling": pinn.Sampling(points=2000)}
    return pinn.surrogate(case.problem, jax.random.key(0), iterations, **settings).solution


def simulate(case: Case, key, replications: int) -> dict:
    """Draw truths from the prior, instants and places of measurement, and noisy values of the solution."""
    keys, shape = jax.random.split(key, 4), (replications, POINTS)
    truth = case.problem.space.sample(keys[0], replications)
    instants = jax.random.randint(keys[1], shape, 2, INSTANTS + 1)
    x = jax.random.uniform(keys[2], shape, minval=-1.0, maxval=1.0)
    values = jnp.asarray(case.exact(instants, x, truth))
    y = values + NOISE * jax.random.normal(keys[3], shape)
    return {"t": instants / INSTANTS, "x": x, "y": y, "exact": values, "truth": truth}


def true_error(solution: pinn.Solution, data) -> float:
    """Return the median over replications of the network's relative error where it is measured."""
    found = jax.vmap(lambda t, x, p: solution(t=t, x=x, **p))(data["t"], data["x"], data["truth"])
    norms = (jnp.linalg.norm(z, axis=1) for z in (found - data["exact"], data["exact"]))
    return float(jnp.median(next(norms) / next(norms)))


def size(solution: pinn.Solution, p) -> jax.Array:
    """Return the network's estimate of its absolute error under parameters: root mean square."""
    t, x = jnp.meshgrid(*(jnp.linspace(low, high, 33) for low, high in DOMAIN.values()))
    values = solution.evaluate({"t": t, "x": x, **p})["u"]
    return solution.query_error(p)["u"] * jnp.sqrt(jnp.mean(values**2))


def calibrate(case: Case, solution: pinn.Solution, data, nuts_replications: int) -> dict:
    """Return how the intervals of all replications did: without the error first, then with it."""
    e, found, given = jnp.zeros(len(data["y"])), {}, ()
    for words, count in WAYS.items():
        given = (data["t"], data["x"], data["y"], count**0.5 * e)
        ends = on_lattice(case, solution, given)
        found[words] = {"lattice": judge(case, ends, data["truth"])}
        if not count:
            middle = {name: ends[name][1] for name in case.names}
            e = jax.jit(lambda p: jax.lax.map(lambda p: size(solution, p), p))(middle)
    first, truth = jax.tree.map(lambda z: z[:nuts_replications], (given, data["truth"]))
    drawn, spent = timed(nuts, case, solution, first)
    # The k-th smallest of n draws lies at k / (n + 1) on average: ends at other places are too narrow.
    ends = {name: np.quantile(values, ENDS, axis=1, method="weibull") for name, values in drawn.items()}
    found["error shared"]["NUTS"] = judge(case, ends, truth) | {
        "CPU seconds": spent,
        "median effective sample size": {name: _median_size(values) for name, values in drawn.items()},
    }
    same = {name: values[:, :nuts_replications] for name, values in on_lattice(case, solution, first).items()}
    found["error shared"]["lattice, replications of NUTS"] = judge(case, same, truth)
    return {**found, "median estimate of the error": float(jnp.median(e))}


def _median_size(drawn):
    return float(np.median([effective_sample_size(chain[None]) for chain in drawn]))


def nuts(case: Case, solution: pinn.Solution, given, warmup: int = 200, draws: int = 600) -> dict:
    """Return draws (replication, draw) of each parameter, all replications in one compiled loop."""

    def model(t, x, y, e):
        p = {name: numpyro.sample(name, q.distribution) for name, q in case.problem.space.parameters.items()}
        numpyro.sample("y", dist.Normal(solution(t=t, x=x, **p), jnp.sqrt(NOISE**2 + e**2)), obs=y)

    def one(key, *given):
        kernel = NUTS(model, init_strategy=init_to_median, max_tree_depth=5)
        chain = MCMC(kernel, num_warmup=warmup, num_samples=draws, progress_bar=False)
        chain.run(key, *given)
        return chain.get_samples()

    keys = jax.random.split(jax.random.key(3), len(given[0]))
    return {name: np.asarray(value) for name, value in jax.jit(jax.vmap(one))(keys, *given).items()}


def on_lattice(case: Case, solution: pinn.Solution, given) -> dict[str, np.ndarray]:
    """Return the quantiles (3, replication) of each parameter's posterior.

    The lattice lies in the cube on which the prior is uniform. The box in which the posterior lies is found
    with the likelihood flattened, so that no narrow peak falls between two nodes.
    """
    d = len(case.names)

    def one(given):
        t, x, y, e = given

        def log_likelihood(nodes):
            p = case.problem.space.from_normal(ndtri(nodes))
            values = solution(t=t, x=x, **{name: p[name][..., None] for name in case.names})
            return -0.5 * jnp.sum((values - y) ** 2, axis=-1) / (NOISE**2 + e**2)

        low, high = jnp.zeros(d), jnp.ones(d)
        for flatter in (16.0, 4.0):
            nodes, step = _cells(low, high, case.coarse)
            logs = log_likelihood(nodes) / flatter
            inside = (logs > logs.max() - 8.0)[:, None]
            low = jnp.maximum(jnp.min(jnp.where(inside, nodes, 1.0), axis=0) - 1.5 * step, 0.0)
            high = jnp.minimum(jnp.max(jnp.where(inside, nodes, 0.0), axis=0) + 1.5 * step, 1.0)
        nodes, step = _cells(low, high, case.fine)
        mass = jax.nn.softmax(log_likelihood(nodes)).reshape((case.fine,) * d)
        return _quantiles(case, mass, low, step)

    found = jax.jit(lambda given: jax.lax.map(one, given))(given)
    return {name: np.asarray(value).T for name, value in found.items()}


def _cells(low, high, count):
    """Return the middles (node, d) of the cells that divide a box, and the cells' edges (d,)."""
    step = (high - low) / count
    axes = low + (jnp.arange(count)[:, None] + 0.5) * step
    return jnp.stack(jnp.meshgrid(*axes.T, indexing="ij"), axis=-1).reshape(-1, low.size), step


def _quantiles(case, mass, low, step):
    """Return the quantiles (3,) of each parameter from the mass of the cells."""
    edges = low + jnp.arange(case.fine + 1)[:, None] * step
    others = [tuple(j for j in range(mass.ndim) if j != i) for i in range(mass.ndim)]
    below = [jnp.concatenate([jnp.zeros(1), jnp.cumsum(mass.sum(axis=axes))]) for axes in others]
    unit = jnp.stack([jnp.interp(ENDS, b, edge) for b, edge in zip(below, edges.T, strict=True)], axis=-1)
    return case.problem.space.from_normal(ndtri(jnp.clip(unit, 1e-12, 1 - 1e-12)))


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
    parser.add_argument("--replications", type=int, default=400)
    parser.add_argument("--nuts", type=int, default=200, help="replications by NUTS")
    parser.add_argument("--seed", type=int, default=1, help="of truths and data")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    return parser.parse_args()


if __name__ == "__main__":
    main()

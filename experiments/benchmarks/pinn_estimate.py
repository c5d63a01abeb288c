"""How far can the error estimate of a network be trusted? Random problems, trained well and badly.

    taskset -c 0 python experiments/benchmarks/pinn_estimate.py --cases 100

Each case draws an equation, its coefficient and how long the network trains; one in ten is stuck. Counted is
in how many cases the true error is at most three times the estimate, and that no solution that is off by
more than half is called converged. Problems of `pinn.py` are added from its results.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from pinn_references import _hopf_cole, grid, relative_l2

from physsynth import pinn
from physsynth.core.space import Parameter
from physsynth.pinn.estimate import estimate
from physsynth.pinn.linearised import corrected
from physsynth.pinn.objective import Objective
from physsynth.pinn.optimisers import Adam, Broyden
from physsynth.pinn.terms import EQUATION, sample
from physsynth.pinn.trial import Trial

HERE = Path(__file__).parent
POINTS = 1000
FACTOR = 3.0
STUCK = 0.1
MOST_ROUNDS = 16
WRONG = 0.5
PI = np.pi


@dataclass(frozen=True, eq=False)
class Family:
    """One equation with a coefficient `c`, and its exact solution as a function of points and c."""

    problem: pinn.Problem
    exact: Callable
    grid: dict[str, np.ndarray]

    @cached_property
    def objective(self) -> Objective:
        """The loss of a small network, compiled once for all coefficients."""
        return Objective(Trial(self.problem, pinn.MLP(12, 2)))

    def draw(self, rng, c):
        """Return the points of one round at a coefficient."""
        points = sample(self.problem, rng, POINTS) | {"c": np.full(POINTS, c)}
        return {EQUATION: self.objective.batch(self.objective.terms[0], points)}

    @cached_property
    def field(self):
        """Compiled: the network's values on the grid at a coefficient."""
        size = len(next(iter(self.grid.values())))

        def field(weights, c):
            points = {name: jnp.asarray(v) for name, v in self.grid.items()} | {"c": jnp.full(size, c)}
            frame = self.objective.trial.frame(points, self.objective.values_only)
            return self.objective.trial.jets(weights, frame)["u"].value

        return jax.jit(field)


def sine(p):
    """The first mode of an interval."""
    return jnp.sin(PI * p["x"])


def families() -> dict[str, Family]:
    """Return the equations."""
    interval, walls = {"t": (0.0, 1.0), "x": (0.0, 1.0)}, pinn.Dirichlet(0.0, {"x": (0.0, 1.0)})
    still = pinn.Initial(sine, rate=0.0)
    square = {"x": (-1.0, 1.0), "y": (-1.0, 1.0)}
    strip = {"t": (0.0, 1.0), "x": (-1.0, 1.0)}
    fine = np.linspace(0.0, 1.0, 41)
    tx, xy = grid(t=fine, x=fine), grid(x=2 * fine - 1, y=2 * fine - 1)
    front = grid(t=fine[1:], x=np.linspace(-1.0, 1.0, 201))

    def posed(domain, residual, conditions, low, high):
        return pinn.Problem(domain, residual, conditions, {"c": Parameter(dist.Uniform(low, high))})

    def source(p):
        return (1.0 - PI**2 * (1.0 + p["c"] ** 2)) * jnp.sin(PI * p["x"]) * jnp.sin(p["c"] * PI * p["y"])

    def edge(p):
        return jnp.sin(PI * p["x"]) * jnp.sin(p["c"] * PI * p["y"])

    return {
        "heat": Family(
            posed(interval, lambda u, p: u.t - p["c"] * u.xx, [pinn.Initial(sine), walls], 0.02, 1.0),
            lambda p, c: np.exp(-c * PI**2 * p["t"]) * np.sin(PI * p["x"]),
            tx,
        ),
        "wave": Family(
            posed(interval, lambda u, p: u.tt - p["c"] ** 2 * u.xx, [still, walls], 0.5, 3.0),
            lambda p, c: np.cos(c * PI * p["t"]) * np.sin(PI * p["x"]),
            tx,
        ),
        "helmholtz": Family(
            posed(square, lambda u, p: u.xx + u.yy + u - source(p), [pinn.Dirichlet(edge)], 1.0, 3.0),
            lambda p, c: np.sin(PI * p["x"]) * np.sin(c * PI * p["y"]),
            xy,
        ),
        "advection": Family(
            posed(
                {"t": (0.0, 1.0), "x": (0.0, 2.0 * PI)},
                lambda u, p: u.t + p["c"] * u.x,
                [pinn.Initial(lambda p: jnp.sin(p["x"])), pinn.Periodic("x", harmonics=1)],
                1.0,
                10.0,
            ),
            lambda p, c: np.sin(p["x"] - c * p["t"]),
            grid(t=fine, x=2 * PI * fine),
        ),
        "burgers": Family(
            posed(
                strip,
                lambda u, p: u.t + u * u.x - p["c"] * u.xx,
                [pinn.Initial(lambda p: -sine(p)), pinn.Dirichlet(0.0, {"x": (-1.0, 1.0)})],
                0.02,
                0.3,
            ),
            lambda p, c: np.concatenate([_hopf_cole(p["x"][p["t"] == t], t, c) for t in np.unique(p["t"])]),
            front,
        ),
    }


def case(name: str, family: Family, rng: np.random.Generator) -> dict:
    """Train one network at one coefficient and compare its error with the estimate."""
    c = rng.uniform(*family.problem.ranges["c"])
    stuck = rng.uniform() < STUCK
    rounds = 1 if stuck else int(rng.integers(1, MOST_ROUNDS))
    trail = train(family, rng, c, stuck, rounds)
    found = estimate(family.objective, trail, {EQUATION: 1.0}, rng, {"c": c})
    found = corrected(found, family.objective, trail[-1], {EQUATION: 1.0}, rng, {"c": c})
    truth = family.exact(family.grid, float(c))
    error = relative_l2(np.asarray(family.field(trail[-1], c)), truth)
    return {
        "problem": name,
        "coefficient": float(c),
        "rounds": 0 if stuck else rounds,
        "error": error,
        "estimate": found.largest,
        "converged": found.converged,
    }


def train(family: Family, rng: np.random.Generator, c: float, stuck: bool, rounds: int) -> list[jax.Array]:
    """Return the weights before and after each round; a stuck network hardly moves."""
    weights = family.objective.trial.network.draw(rng)
    trail = [weights]
    if stuck:
        return [weights, weights * (1.0 + 1e-9)]
    for optimiser, count in ((Adam(steps=100), 1), (Broyden(steps=50), rounds - 1)):
        memory = optimiser.start(trail[-1])
        for _ in range(count):
            weights, memory, _ = optimiser.run(family.objective, weights, memory, family.draw(rng, c))
            trail.append(jnp.asarray(weights))
    return trail


def benchmark_rows(path: Path) -> list[dict]:
    """Return the runs of the table as cases; peers have no estimates."""
    table = json.loads(path.read_text()) if path.exists() else {}
    return [
        {
            "problem": name.split(" (")[0],
            **{key: run[key] for key in ("seed", "error", "estimate")},
            "converged": run["status"] == "CONVERGED",
        }
        for name, row in table.items()
        for run in row.get("runs", [])
        if "estimate" in run
    ]


def summary(cases: list[dict]) -> dict:
    """Return what the cases say together; the ratio's quantiles are those of 5, 50 and 95 %."""
    error, guess = (np.array([case[key] for case in cases], float) for key in ("error", "estimate"))
    called = np.array([case["converged"] for case in cases], bool)
    ratio = guess[called] / error[called]
    return {
        "cases": len(cases),
        "within three times": _share(error <= FACTOR * guess),
        "converged": int(np.sum(called)),
        "within three times, of the converged": _share(FACTOR * ratio >= 1.0),
        "within once, of the converged": _share(ratio >= 1.0),
        "estimate over error, of the converged": np.quantile(ratio, [0.05, 0.5, 0.95]).tolist()
        if ratio.size
        else [],
        "wrong but called converged": int(np.sum(called & (error > WRONG))),
        "right to 1 % but not called converged": int(np.sum(~called & (error < 0.01))),
    }


def _share(holds: np.ndarray) -> float | None:
    return float(np.mean(holds)) if holds.size else None


def main() -> None:
    """Run the cases, print the verdict and write it."""
    options = arguments()
    jax.config.update("jax_enable_x64", True)
    began, cases = time.process_time(), []
    chosen = families()
    for i in range(options.cases):
        name = list(chosen)[i % len(chosen)]
        cases.append(case(name, chosen[name], np.random.default_rng([options.seed, i])))
    drawn = {case["problem"] for case in cases}
    rows = benchmark_rows(HERE / "results" / "pinn.json")
    found = {
        "random": summary(cases),
        "benchmarks": summary(rows) if rows else {},
        "by equation": {n: summary([c for c in cases if c["problem"] == n]) for n in chosen if n in drawn},
        "seed": options.seed,
        "seconds": time.process_time() - began,
        "runs": cases,
        "rows": rows,
    }
    print(json.dumps({k: v for k, v in found.items() if k not in ("runs", "rows")}, indent=1))
    Path(options.out).write_text(json.dumps(found, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=str(HERE / "results" / "pinn_estimate.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()

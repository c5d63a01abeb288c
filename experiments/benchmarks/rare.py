"""Measure failure-probability estimates on problems with known answers.

    python experiments/benchmarks/rare.py --seeds 50
    python experiments/benchmarks/rare.py --problems ring four_branch --seeds 100 --rotate

Cost counts one per g and three per value with gradient. N_eq = cost * (relative RMSE / 5 %)^2 is the
cost of a 5 % error. Coverage is the share of seeds whose 95 % interval holds the reference, widened by
the reference's own error. OpenTURNS (if installed) runs on the same problems with --peers.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from rare_problems import PROBLEMS, Problem  # noqa: E402

import physsynth as ps  # noqa: E402

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Run:
    """One estimate of one problem."""

    probability: float
    low: float
    high: float
    cost: int
    converged: bool
    shares: tuple[float, ...]


def main() -> None:
    """Run the table that the arguments ask for and write it as JSON."""
    options = arguments()
    table = measured_earlier(options)
    if not options.seeds and not set(options.problems or PROBLEMS) <= set(table):
        raise SystemExit(f"--seeds 0 adds peers to rows of ours, and {options.out}.json lacks some of them")
    print(HEADER, flush=True)
    for name in options.problems or PROBLEMS:
        row = table.get(name, {}) | measure(PROBLEMS[name], options)
        table[name] = row
        if options.seeds:
            print(line(row), flush=True)
        for peer, numbers in row.get("peers", {}).items():
            print(peer_line(peer, numbers), flush=True)
        write(list(table.values()), options)
    print(json.dumps(pool(list(table.values())), indent=1))


def measured_earlier(options: argparse.Namespace) -> dict[str, dict]:
    """Return the rows of the same table, so that problems and peers can be measured one after another."""
    path = RESULTS / f"{options.out}.json"
    return {row["problem"]: row for row in json.loads(path.read_text())["problems"]} if path.exists() else {}


def write(rows: list[dict], options: argparse.Namespace) -> None:
    """Write the table so far."""
    content = {"versions": versions(), "options": vars(options), "pooled": pool(rows), "problems": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.out}.json").write_text(json.dumps(content, indent=1, default=float) + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50, help="0 to measure the peers only, ours being there")
    parser.add_argument("--first", type=int, default=0, help="the first seed of ours")
    parser.add_argument("--problems", nargs="*", choices=list(PROBLEMS), metavar="NAME")
    parser.add_argument("--method", default="auto", choices=list(ps.rare.METHODS))
    parser.add_argument("--target-cov", type=float, default=0.05)
    parser.add_argument("--max-calls", type=int, default=100_000)
    parser.add_argument("--black-box", action="store_true", help="never differentiate")
    parser.add_argument("--rotate", action="store_true", help="turn the axes at random")
    parser.add_argument(
        "--peers", type=int, default=0, metavar="SEEDS", help="run OpenTURNS with so many seeds"
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), help="where to compute; JAX chooses if not given")
    parser.add_argument("--out", default="rare")
    options = parser.parse_args()
    if options.device:
        jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[options.device])
    return options


def measure(problem: Problem, options: argparse.Namespace) -> dict:
    """Return one problem's row of the table."""
    start, row = time.perf_counter(), {}
    g, space = limit_state(problem, options.rotate), ps.ParameterSpace.standard_normal(problem.dimension)
    if options.seeds:
        seeds = range(options.first, options.first + options.seeds)
        row = summary(problem, [one(g, space, seed, options) for seed in seeds])
        row |= {"seconds": time.perf_counter() - start, "seeds": options.seeds, "first": options.first}
    if options.peers:
        from rare_peers import peers

        row["peers"] = peers(g, problem.dimension, problem.probability, options.peers)
        row["peer_seeds"] = options.peers
    return row


def limit_state(problem: Problem, rotate: bool):
    """Return g of a scenario, with the axes turned if asked."""
    if not rotate:
        return lambda p: problem.g(p["u"])
    rng = np.random.default_rng(problem.dimension)
    turn = np.linalg.qr(rng.standard_normal((problem.dimension, problem.dimension)))[0]
    return lambda p: problem.g(turn @ p["u"])


def one(g, space, seed: int, options: argparse.Namespace) -> Run:
    """Return one estimate."""
    event = ps.rare.estimate(
        g,
        space,
        jax.random.key(seed),
        target_cov=options.target_cov,
        max_calls=options.max_calls,
        method=options.method,
        differentiable=not options.black_box,
    )
    low, high = event.interval(0.95)
    shares = tuple(event.modes["share"].values.tolist())
    return Run(event.probability, low, high, event.calls + 3 * event.gradient_calls, event.converged, shares)


def summary(problem: Problem, runs: list[Run]) -> dict:
    """Return bias, error, coverage and cost over the seeds."""
    truth, slack = problem.probability, 1.96 * problem.relative_error * problem.probability
    ratio = np.array([run.probability for run in runs]) / truth
    rmse = float(np.sqrt(np.mean((ratio - 1) ** 2)))
    cost = float(np.mean([run.cost for run in runs]))
    return {
        "problem": problem.name,
        "dimension": problem.dimension,
        "reference": truth,
        "bias": float(ratio.mean() - 1),
        "bias_converged": _mean([r - 1 for r, run in zip(ratio, runs, strict=True) if run.converged]),
        "rmse": rmse,
        "coverage": float(np.mean([run.low - slack <= truth <= run.high + slack for run in runs])),
        "converged": float(np.mean([run.converged for run in runs])),
        "silent": float(
            np.mean([run.converged and abs(r - 1) > 0.25 for r, run in zip(ratio, runs, strict=True)])
        ),
        "modes": _mean([modes_found(run.shares, problem.shares) for run in runs]) if problem.shares else None,
        "shares": _mean([shares_right(run.shares, problem.shares) for run in runs])
        if problem.shares
        else None,
        "cost": cost,
        "n_eq": cost * (rmse / 0.05) ** 2,
    }


def modes_found(found: tuple[float, ...], known: tuple[float, ...]) -> bool:
    """Return whether as many modes of at least 5 % were found as there are (one may be 5 % by chance)."""
    least = 0.05 * (1 - SHARE_ERROR)
    return sum(share >= least for share in found) == sum(share >= 0.05 for share in known)


def shares_right(found: tuple[float, ...], known: tuple[float, ...]) -> bool:
    """Return whether every share of at least 5 % is found within 20 % of itself, the largest first."""
    large = sorted((share for share in known if share >= 0.05), reverse=True)
    if len(found) < len(large):
        return False
    pairs = zip(sorted(found, reverse=True), large, strict=False)
    return all(abs(got / true - 1) <= SHARE_ERROR for got, true in pairs)


def _mean(values):
    return float(np.mean(values)) if values else None


SHARE_ERROR = 0.2
HEADER = (
    "problem               d         p    bias   rmse  cover   conv silent  modes shares"
    "     cost      N_eq     s"
)


def line(row: dict) -> str:
    """Return one row as text."""
    keys = ("rmse", "coverage", "converged", "silent", "modes", "shares")
    shares = ["     -" if row[key] is None else f"{row[key]:6.1%}" for key in keys]
    return (
        f"{row['problem']:18s} {row['dimension']:4d} {row['reference']:9.2e} {row['bias']:+7.1%} "
        f"{' '.join(shares)} {row['cost']:8.0f} {row['n_eq']:9.0f} {row['seconds']:5.1f}"
    )


def peer_line(peer: str, row: dict) -> str:
    """Return one peer's best row as text."""
    return (
        f"  {peer:16s} n={row['size']:<12d} {row['bias']:+7.1%} {row['rmse']:6.1%} {row['coverage']:6.1%} "
        f"{'':26s} {row['cost']:8.0f} {row['n_eq']:9.0f}"
    )


def pool(rows: list[dict]) -> dict:
    """Return the numbers over all problems, and apart for up to and above 20 dimensions."""
    groups = {"all": rows, "d <= 20": [r for r in rows if r["dimension"] <= 20]}
    groups["d > 20"] = [r for r in rows if r["dimension"] > 20]
    return {
        name: {
            "problems": len(group),
            "coverage": float(np.mean([r["coverage"] for r in group])),
            "worst_coverage": min(group, key=lambda r: r["coverage"])["problem"],
            "least_coverage": min(r["coverage"] for r in group),
            "n_eq_geometric_mean": _geometric_mean([r["n_eq"] for r in group]),
            "peers": _peer_means(group),
            "modes_found": _mean([r["modes"] for r in group if r["modes"] is not None]),
            "shares_within_20_percent": _mean([r["shares"] for r in group if r["shares"] is not None]),
            "bias_beyond_10_percent": [r["problem"] for r in group if abs(r["bias"]) > 0.1],
        }
        for name, group in groups.items()
        if group
    }


def _peer_means(group):
    """Return each peer's geometric mean of N_eq, that of the best peer per problem, and pooled coverage."""
    rows = [r["peers"] for r in group if "peers" in r]
    means = {}
    for peer in sorted({name for row in rows for name in row}):
        own = [row[peer] for row in rows if peer in row]
        coverage = float(np.mean([numbers["coverage"] for numbers in own]))
        means[peer] = {"n_eq": _geometric_mean([numbers["n_eq"] for numbers in own]), "coverage": coverage}
    if rows:
        means["best per problem"] = {
            "n_eq": _geometric_mean([min(p["n_eq"] for p in r.values()) for r in rows])
        }
    return means


def _geometric_mean(values):
    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-9)))))


def versions() -> dict:
    """Return the versions behind the numbers."""
    known = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
    packages = ("jax", "numpy", "scipy", "numpyro", "openturns")
    return {name: known[name] for name in packages if name in known} | {
        "physsynth": ps.__version__,
        "python": platform.python_version(),
        "device": str(jax.devices()[0]),
    }


if __name__ == "__main__":
    main()

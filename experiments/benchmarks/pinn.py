"""Measure physics-informed networks on equations whose solutions are known to many digits.

    taskset -c 0 python experiments/benchmarks/pinn.py --seeds 0 1 2
    taskset -c 0 python experiments/benchmarks/pinn.py --problems burgers --peer-python dde/bin/python
    taskset -c 0 python experiments/benchmarks/pinn.py --config experiments/ablations/adam_alone.toml

One row a problem: relative L2 error (median over seeds), the estimate of it, CPU seconds with compilation
(each run in a process of its own, imports aside), and the seconds until 1e-2, 1e-3, ... were reached.
DeepXDE's stock Burgers example takes turns with it, seed by seed, if a Python that has it is named.
`--device gpu` runs the same table on a GPU. `--config` runs an ablation: a TOML file that says what to leave
out, on which problems and for how long.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "pinn.json"
PEERS = Path(__file__).parent / "pinn_peers.py"
THRESHOLDS = (3.6e-2, 1e-2, 4e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@dataclass
class Watch:
    """Follows a training: CPU seconds and true error after each round."""

    compare: Callable[[int], Callable]
    began: float
    path: list[tuple[float, float]] = field(default_factory=list)
    aside: float = 0.0
    errors: dict[int, Callable] = field(default_factory=dict)

    def __call__(self, state) -> None:
        """Measure, and keep the time that measuring takes out of the account."""
        now = time.process_time()
        self.path.append(
            (now - self.began - self.aside, float(self._error(state.weights.size)(state.weights)))
        )
        self.aside += time.process_time() - now

    def _error(self, size):
        """Compiled for a network when it is first needed, so that it spares the training nothing."""
        if size not in self.errors:
            self.errors[size] = self.compare(size)
        return self.errors[size]

    def reached(self) -> dict[str, float | None]:
        """Return the seconds until each threshold was first met."""
        return {f"{t:g}": next((s for s, e in self.path if e <= t), None) for t in THRESHOLDS}


def main() -> None:
    """Run the rows that the arguments ask for and write them as JSON."""
    options = arguments()
    ablation = tomllib.loads(Path(options.config).read_text()) if options.config else {}
    prepare(options.device, ablation.get("precision", "float64"))
    from pinn_problems import ROWS

    print(HEADER, flush=True)
    for name in options.problems or ablation.get("problems", ROWS):
        runs, peers = [], []
        label = f"{name}: {ablation['name']}" if ablation else name
        label += f", {options.iterations:,} iterations" if options.iterations else ""
        for seed in ablation.get("seeds", options.seeds):
            runs.append(alone(measure, name, seed, options, ablation))
            print(line(label, runs[-1]), flush=True)
            write(label, {"runs": runs, "published": ROWS[name].published}, options)
            if options.peer_python and name == "burgers" and not ablation:
                peers.append(peer(options.peer_python, "float32", seed))
        if peers:
            for found in (peers, [peer(options.peer_python, "float64", options.seeds[0])]):
                write(f"peer {found[0]['precision']}", beside(found, runs), options)


def prepare(device: str, precision: str) -> None:
    """Choose device, precision and one thread before JAX starts."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu" if device == "cpu" else "cuda")
    if device == "cpu":
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    import jax

    jax.config.update("jax_enable_x64", precision == "float64")


def alone(function, *arguments):
    """Call a function in a process of its own, in which nothing is compiled yet."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=fresh) as pool:
        return pool.submit(function, *arguments).result()


def measure(name: str, seed: int, options: argparse.Namespace, ablation: dict) -> dict:
    """Solve one problem once."""
    prepare(options.device, ablation.get("precision", "float64"))
    import jax
    from pinn_ablations import ablated
    from pinn_problems import ROWS
    from pinn_references import reference

    from physsynth import pinn

    truth, row = reference(name), ablated(ROWS[name], ablation)
    wanted = options.iterations or row.budget
    budget = {"budget": wanted} if wanted else {}
    key = jax.random.key(seed)
    began = time.process_time()
    watch = Watch(lambda size: error_of(row.problem(), row, truth, size), began)
    solution = pinn.solve(row.problem(), key, observe=watch, **budget, **row.settings)
    seconds = time.process_time() - began - watch.aside
    found, error = solution.summary(), true_error(solution, truth)
    return {
        "seed": seed,
        "error": error,
        "estimate": solution.error,
        "status": found["status"],
        "seconds": seconds,
        "weights": found["weights"],
        "windows": found["windows"],
        "symmetries": found["symmetries"],
        "iterations": found["iterations"],
        "certificate": truth.certificate,
        "seconds_to": watch.reached() if found["windows"] == 1 else in_windows(error, seconds),
    }


def true_error(solution, truth) -> float:
    """Return the relative L2 error, the largest over the fields."""
    import numpy as np

    found = solution.evaluate(truth.points)
    return max(
        float(np.linalg.norm(found[name] - values) / np.linalg.norm(values))
        for name, values in truth.values.items()
    )


def in_windows(error: float, seconds: float) -> dict[str, float | None]:
    """Return when each threshold was met by a march, whose error is known at its end only."""
    return {f"{t:g}": seconds if error <= t else None for t in THRESHOLDS}


def error_of(problem, row, truth, size):
    """Return the true error as a compiled function of so many weights: the largest over the fields."""
    import jax
    import jax.numpy as jnp

    from physsynth import pinn
    from physsynth.pinn.indices import Indices
    from physsynth.pinn.solve import posed
    from physsynth.pinn.trial import Trial

    problem = posed(problem, row.settings.get("symmetries"))
    networks = [row.settings["network"]] if "network" in row.settings else map(pinn.MLP, range(10, 100))
    trials = (Trial(problem, network) for network in networks)
    trial = next(trial for trial in trials if trial.network.size == size)
    points = {name: jnp.asarray(values) for name, values in truth.points.items()}
    frame = trial.frame(points, Indices.closure(problem.coordinates, []))

    @jax.jit
    def error(weights):
        jets = trial.jets(weights, frame)
        return jnp.max(
            jnp.stack(
                [
                    jnp.linalg.norm(jets[name].value - values) / jnp.linalg.norm(values)
                    for name, values in truth.values.items()
                ]
            )
        )

    return error


def peer(python: str, precision: str, seed: int) -> dict:
    """Run DeepXDE's stock example in a process of its own."""
    import numpy as np
    from pinn_references import reference

    truth = reference("burgers")
    with tempfile.TemporaryDirectory() as folder:
        points = Path(folder) / "points.npz"
        np.savez(points, **truth.points, **truth.values)  # type: ignore[arg-type]
        done = subprocess.run(
            [python, str(PEERS), str(points), precision, str(seed)],
            env={**os.environ, **ONE_THREAD, "DDE_BACKEND": "tensorflow.compat.v1"},
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def beside(found: list[dict], runs: list[dict]) -> dict:
    """Print and return a peer's best run, all of them, and our share of its time, the largest of all seeds.

    Seed by seed, as the two took turns: until the lowest error that the peer reached at all, and until 1e-6.
    """
    best = min(found, key=lambda run: run["final"]["error"])
    last = next(threshold for threshold in THRESHOLDS if threshold <= best["final"]["error"])
    seconds = {run["seed"]: run["final"]["seconds"] for run in found}

    def share(threshold):
        pairs = [(run["seconds_to"][f"{threshold:g}"], seconds.get(run["seed"])) for run in runs]
        return max((ours or math.inf) / theirs for ours, theirs in pairs if theirs)

    shares = {f"{threshold:g}": share(threshold) for threshold in (last, 1e-6)}
    print(f"{best['peer']}, {best['precision']}: {best['final']}; our share of its time: {shares}")
    return {**best, "runs": found, "our share of its time until": shares}


HEADER = f"{'problem':<34}{'seed':>5}{'error':>10}{'estimate':>10}{'CPU s':>8}{'weights':>9}  status"


def line(name: str, run: dict) -> str:
    """Return a run as one line of the table."""
    numbers = f"{run['error']:>10.1e}{run['estimate']:>10.1e}{run['seconds']:>8.0f}{run['weights']:>9}"
    return f"{name:<34}{run['seed']:>5}{numbers}  {run['status']}"


def write(name: str, row: dict, options: argparse.Namespace) -> None:
    """Add one row to the results on disk."""
    path = Path(options.out)
    table = json.loads(path.read_text()) if path.exists() else {}
    machine = {
        "device": options.device,
        "processor": platform.processor() or platform.machine(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        **versions(),
    }
    table[f"{name} ({options.device})"] = {**row, **machine}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=1) + "\n")


def versions() -> dict[str, str]:
    """Return the versions that the numbers depend on."""
    return {name: metadata.version(name) for name in ("physsynth", "jax", "jaxlib", "numpy")}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", nargs="*", help="rows of the table; all unless given")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--iterations", type=int, help="instead of each row's own")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--config", help="an ablation")
    parser.add_argument("--peer-python", help="a Python that has DeepXDE and TensorFlow")
    parser.add_argument("--out", default=str(RESULTS))
    return parser.parse_args()


if __name__ == "__main__":
    main()

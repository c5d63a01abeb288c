"""Stream scenarios of the pharmacokinetic model to disk: time, memory and size against their number.

    python experiments/benchmarks/simulate.py [--largest 1000000]

Each number of scenarios runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "simulate.json"
TIMES = 49


def one(n: int, path: str) -> dict:
    """Simulate n scenarios with 49 times each into a file."""
    import jax
    import numpy as np

    import physsynth as ps

    jax.config.update("jax_enable_x64", True)
    sim = ps.simulator("pharmacokinetics/oral_one_compartment", times=np.linspace(0.0, 24.0, TIMES))
    ps.simulate(sim, 4096, jax.random.key(1))  # compile first: the cost per scenario is what is measured
    start = time.perf_counter()
    ps.simulate(sim, n, jax.random.key(0), path=path).close()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"scenarios": n, "seconds": seconds, "peak_mb": peak, "file_mb": Path(path).stat().st_size / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.path)))
        return
    rows = []
    for n in (given.largest // 10, given.largest // 3, given.largest):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--one", str(n), "--path", f"{folder}/runs.nc"]
            rows.append(
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            )
        row = rows[-1]
        print(
            f"{n:>9,} scenarios  {row['seconds']:6.1f} s  {1e6 * row['seconds'] / n:6.1f} us each  "
            f"peak {row['peak_mb']:6.0f} MB  file {row['file_mb']:6.0f} MB"
        )
    if given.largest == 1_000_000:
        packages = {name: version(name) for name in ("physsynth", "jax", "h5netcdf")}
        RESULTS.write_text(json.dumps({"times": TIMES, "rows": rows, "versions": packages}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Simulate the measurements of hot_spot.csv: no plate was ever heated.

    python experiments/data/hot_spot.py

Sixteen plates, each with its own conductivity and heat loss, a source of known power at a known place, and
five sensors along the middle line. The temperatures are those of the solver behind fields/heat, with Gaussian
noise of 0.5 K.
"""

from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402

import physsynth as ps  # noqa: E402

PLATES, PLACES, NOISE, SEED = 16, np.array([0.1, 0.3, 0.5, 0.7, 0.9]), 0.5, 11
HEAD = """# SIMULATED temperatures of heated plates: made by hot_spot.py beside this file, not measured.
# Solver of fields/heat; conductivity log-normal, median 30 W/m/K, spread 0.12; heat loss log-normal,
#   median 10 W/m^2/K, spread 0.25; Gaussian noise of 0.5 K on each temperature.
# plate: number; power: W; source_x, source_y, place: m; profile: K over the edges, on the line y = 0.5 m.
plate,power,source_x,source_y,place,profile
"""


def main() -> None:
    """Write the table."""
    draw = np.random.default_rng(SEED)
    z = draw.standard_normal((2, PLATES))
    p = {
        "power": np.round(draw.uniform(40.0, 60.0, PLATES), 1),
        "conductivity": 30.0 * np.exp(0.12 * z[0]),
        "loss": 10.0 * np.exp(0.25 * z[1]),
        "source_x": np.round(draw.uniform(0.35, 0.65, PLATES), 2),
        "source_y": np.round(draw.uniform(0.35, 0.65, PLATES), 2),
    }
    solver = ps.simulator("fields/heat", places=PLACES)
    exact = solver.batched({name: jnp.asarray(value) for name, value in p.items()})["profile"]
    measured = np.asarray(exact) + NOISE * draw.standard_normal(exact.shape)
    rows = [
        f"{i + 1},{p['power'][i]},{p['source_x'][i]},{p['source_y'][i]},{place},{measured[i, j]:.2f}"
        for i in range(PLATES)
        for j, place in enumerate(PLACES)
    ]
    Path(__file__).with_suffix(".csv").write_text(HEAD + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()

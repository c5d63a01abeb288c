"""Which direct measurements would reveal an error of the model where nothing was measured, and how many.

The mean of k direct measurements at a condition c scatters by sqrt(s^2 / k + t_c^2) about what the model
predicts, with s the noise and t_c the model's own sd of the response once the quantity meets its target. At

    k = s^2 / t_c^2

the two are equally precise, and a model off by 4 t_c is found out by a two-sided test at 5 % with a chance
of 80 %: (1.96 + 0.84) sqrt(2) = 3.96.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physsynth.require.measurement import Measurement, tabulate

FOUND_OUT = (1.959964 + 0.841621) * math.sqrt(2)


@dataclass(frozen=True)
class Direct:
    """Direct measurements at one condition.

    Parameters
    ----------
    condition : str
    number : int
        How many.
    error : float
        The error of the response that they find out four times in five.
    """

    condition: str
    number: int
    error: float

    def sentence(self) -> str:
        """Say what to measure."""
        return (
            f"{self.number} direct measurements at condition {self.condition} would reveal, "
            f"four times in five, a model whose response there is off by {self.error:.3g}."
        )


def reveal(
    measurement: Measurement,
    rows: Float[np.ndarray, "draw d"],
    conditions: Float[Array, "condition ..."],
    shrinkage: float,
) -> Direct:
    """Return the direct measurements that take the fewest.

    Parameters
    ----------
    measurement : Measurement
    rows : array (draw, d)
        Posterior draws.
    conditions : array (C, ...)
        Where the quantity's own regime could be measured.
    shrinkage : float
        Target over present sd of the quantity.
    """
    some = jnp.asarray(rows[:: max(len(rows) // 1000, 1)])
    known = np.asarray(tabulate(measurement, some, conditions)).std(axis=0, ddof=1) * min(shrinkage, 1.0)
    scatter = np.array([_scatter(measurement, some, condition) for condition in conditions])
    number = np.ceil((scatter / np.maximum(known, 1e-300)) ** 2)
    best = int(np.argmin(number))
    label = str(np.asarray(conditions[best]).tolist())
    return Direct(label, max(int(number[best]), 1), float(FOUND_OUT * known[best]))


def _scatter(measurement, rows, condition):
    """Return the noise's sd at a condition, by the slope of its coordinate: information = 1 / sd^2."""
    layout, noise = measurement.layout, measurement.noise

    def unit(row):
        theta, response = layout.split(row), measurement.response(row, condition)
        slope = jax.jacfwd(lambda f: noise.coordinates(f, theta, condition))(response)
        return 1 / jnp.sqrt(jnp.sum(slope**2))

    return float(jnp.median(jax.vmap(unit)(rows[:50])))

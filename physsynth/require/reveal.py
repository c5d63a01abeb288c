"""Which direct measurements would reveal an error of the model where nothing was measured, and how many.

Of the conditions at which the quantity's own regime could be measured, the one is taken whose response r goes
with the quantity q most closely over the posterior. A quantity known within its target sd t then pins down
that response within

    t_r = t |cov(r, q)| / var(q).

The mean of k direct measurements with noise s scatters by sqrt(s^2 / k + t_r^2) about what the model
predicts; at k = s^2 / t_r^2 the two are equally precise, and a model off by 4 t_r is found out by a two-sided
test at 5 % with a chance of 80 %: (1.96 + 0.84) sqrt(2) = 3.96.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physsynth.require.measurement import Measurement, tabulate
from physsynth.require.regime import Direct

FOUND_OUT = (1.959964 + 0.841621) * math.sqrt(2)


def reveal(
    measurement: Measurement,
    rows: Float[np.ndarray, "draw d"],
    values: Float[np.ndarray, " draw"],
    conditions: Float[Array, "condition ..."],
    target: float,
) -> Direct:
    """Return the direct measurements that test the model where the quantity lies.

    Parameters
    ----------
    measurement : Measurement
    rows : array (draw, d)
        Posterior draws.
    values : array (draw,)
        The quantity at each.
    conditions : array (C, ...)
        Where the quantity's own regime could be measured.
    target : float
        Wanted sd of the quantity.
    """
    step = max(len(rows) // 1000, 1)
    some, quantity = jnp.asarray(rows[::step]), values[::step] - values[::step].mean()
    responses = np.asarray(tabulate(measurement, some, conditions), float)
    centred = responses - responses.mean(axis=0)
    together = np.abs(centred.T @ quantity) / np.sum(quantity**2)
    closeness = together * quantity.std() / np.maximum(centred.std(axis=0), 1e-300)
    best = int(np.argmax(closeness))
    known = max(target * float(together[best]), 1e-300)
    scatter = float(_scatter(measurement, some[:50], conditions[best]))
    number = math.ceil((scatter / known) ** 2 * (1 - 1e-9))
    return Direct(str(np.asarray(conditions[best]).tolist()), max(number, 1), FOUND_OUT * known)


@partial(jax.jit, static_argnames="measurement")
def _scatter(measurement, rows, condition):
    """Return the noise's sd at a condition, by the slope of its coordinate: information = 1 / sd^2."""
    layout, noise = measurement.layout, measurement.noise

    def unit(row):
        theta, response = layout.split(row), measurement.response(row, condition)
        slope = jax.jacfwd(lambda f: noise.coordinates(f, theta, condition))(response)
        return 1 / jnp.sqrt(jnp.sum(slope**2))

    return jnp.median(jax.vmap(unit)(rows))

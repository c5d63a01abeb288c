"""Equal-weight records given failure, for those who want failing examples rather than weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr


def equal_weight_records(scenarios: xr.Dataset, key: jax.Array, n: int) -> xr.Dataset:
    """Draw `n` failing scenarios in proportion to their weights.

    Systematic resampling (Kitagawa 1996, Journal of Computational and Graphical Statistics 5), then
    shuffled: any part of the records is an equal-weight sample too.

    Parameters
    ----------
    scenarios : xr.Dataset
        Weighted scenarios, `weight` over ``scenario``.
    key : jax.Array
    n : int

    Returns
    -------
    xr.Dataset
        `n` scenarios, with `weight` 1/n and `drawn_from`, the scenario that each was. The attribute
        `effective_sample_size` is the number of independent records that they are worth.
    """
    weight = scenarios["weight"].values
    place = (float(jax.random.uniform(key)) + np.arange(n)) / n
    index = np.searchsorted(np.cumsum(weight) / weight.sum(), place).clip(max=len(weight) - 1)
    drawn = np.asarray(jax.random.permutation(jax.random.fold_in(key, 1), jnp.asarray(index)))
    equal = {"units": "1", "long_name": "equal weights given failure; they sum to one"}
    origin = {"units": "1", "long_name": "place among the rare scenarios"}
    ess = min(float(n), float(weight.sum() ** 2 / np.sum(weight**2)))
    records = scenarios.isel(scenario=drawn).assign(
        weight=("scenario", np.full(n, 1 / n), equal), drawn_from=("scenario", drawn.astype(np.int32), origin)
    )
    return records.assign_attrs(effective_sample_size=ess)

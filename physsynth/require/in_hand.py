"""Which of the measurements in hand matter: the quantity's sd were one of them, or a group, left out.

Where response and quantity are linear and noise and posterior normal, leaving out measurements G leaves

    v = g' (C^-1 - sum_G h_i h_i' / s_i^2)^-1 g,   C the posterior covariance with all of them,

exactly. Otherwise the posterior draws are reweighted by 1 / L_G, one over the likelihood of what was measured
there, as long as enough of them keep weight; where they do not, or what was measured is not at hand, the
formula above is averaged over the draws with Fisher informations for h h' / s^2.

Source: Gelfand, Dey and Chang (1992), in Bayesian Statistics 4, 147 (weights 1 / L); Vehtari, Gelman and
Gabry (2017), Stat. Comput. 27, 1413 (their reach); Cook and Weisberg (1982), Residuals and Influence in
Regression (deletion formulas).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from physsynth.core.errors import ParameterError
from physsynth.require import arguments
from physsynth.require.allocate import Local
from physsynth.require.measurement import Measurement

LEAST_SHARE = 0.05
_TEXTS = {
    "sd": "sd of the quantity were these left out; inf where nothing else tells it",
    "rise": "by how much its variance would rise, as a share of the present one",
    "shift": "by how much its mean would move, in present sds; NaN where it was not reweighted",
    "effective_size": "effective number of draws after reweighting; NaN where it was not",
}


@dataclass(frozen=True)
class InHand:
    """The measurements that the posterior in hand was made from.

    Parameters
    ----------
    conditions : array (M, ...)
        Where they were taken.
    measured : array (M,), optional
        What was measured there.
    groups : mapping of str to sequence of int, optional
        Measurements, by index, to leave out together.
    """

    conditions: ArrayLike
    measured: ArrayLike | None = None
    groups: Mapping[str, Sequence[int]] | None = None

    def checked(self) -> tuple[Float[Array, "m ..."], Float[Array, " m"] | None]:
        """Return conditions and measurements as arrays.

        Raises
        ------
        ParameterError
            If there are none, they are not finite, or they do not fit each other.
        """
        conditions = jnp.asarray(self.conditions, float)
        if not conditions.ndim or not len(conditions) or not bool(jnp.isfinite(conditions).all()):
            raise ParameterError(
                "no measurements in hand", key="in_hand.conditions", wanted="an array (M, ...)"
            )
        if self.measured is None:
            return conditions, None
        measured = jnp.asarray(self.measured, float)
        if measured.shape != conditions.shape[:1] or not bool(jnp.isfinite(measured).all()):
            raise ParameterError(
                "measurements that do not fit their conditions",
                key="in_hand.measured",
                wanted=f"{len(conditions)} finite numbers",
                got=f"shape {measured.shape}",
            )
        return conditions, measured


def left_out(
    in_hand: InHand,
    measurement: Measurement,
    local: Local,
    exact: bool,
    rows: Float[np.ndarray, "draw d"],
    values: Float[np.ndarray, " draw"],
) -> xr.Dataset:
    """Return, over ``measurement``, what leaving out each measurement in hand, or group, would cost.

    Parameters
    ----------
    in_hand : InHand
    measurement : Measurement
    local : Local
        The linear view, its conditions those of the measurements in hand.
    exact : bool
        Whether that view is exact.
    rows, values : array
        Posterior draws, and the quantity at each.

    Returns
    -------
    xr.Dataset
        ``sd``, ``rise``, ``shift``, ``effective_size``, and ``method``: exact, reweighted or Fisher.

    Raises
    ------
    ParameterError
        If a group names a measurement that there is not.
    """
    conditions, measured = in_hand.checked()
    groups = in_hand.groups or {}
    together = [
        arguments.places(f"in_hand.groups.{name}", part, len(conditions)) for name, part in groups.items()
    ]
    parts = [[place] for place in range(len(conditions))] + together
    logs = None
    if measured is not None and not exact:
        logs = np.asarray(log_densities(measurement, jnp.asarray(rows), conditions, measured), float)
    present = float(np.std(values))
    found = [_without(part, local, exact, logs, values) for part in parts]
    sd = np.array([row[0] for row in found])
    columns = {
        "sd": sd,
        "rise": (sd / present) ** 2 - 1,
        "shift": [row[1] / present for row in found],
        "effective_size": [row[2] for row in found],
    }
    labels = [f"{i}: {condition}" for i, condition in enumerate(np.asarray(conditions).tolist())]
    table = {
        name: ("measurement", column, {"units": "1", "long_name": _TEXTS[name]})
        for name, column in columns.items()
    }
    methods = ("measurement", [row[3] for row in found], {"long_name": "how it was found"})
    return xr.Dataset({**table, "method": methods}, {"measurement": [*labels, *groups]})


def _without(part, local, exact, logs, values):
    """Return sd, shift of the mean, effective size and method without some of the measurements."""
    if logs is not None:
        weights, size = _weights(-logs[:, part].sum(axis=1))
        if size >= LEAST_SHARE * len(values):
            mean = weights @ values
            sd = math.sqrt(weights @ (values - mean) ** 2)
            return sd, mean - values.mean(), size, "reweighted"
    left = -local.information[:, part].sum(axis=1)
    told = np.linalg.eigvalsh(np.eye(left.shape[-1]) + left)[:, 0] > 1e-9
    variance = float(local.variance(left)) if told.all() else math.inf
    return math.sqrt(variance), math.nan, math.nan, "exact" if exact else "Fisher"


def _weights(logs):
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    return weights, float(1 / np.sum(weights**2))


@partial(jax.jit, static_argnames="measurement")
def log_densities(
    measurement: Measurement,
    rows: Float[Array, "draw d"],
    conditions: Float[Array, "m ..."],
    measured: Float[Array, " m"],
) -> Float[Array, "draw m"]:
    """Return the log density of each measurement in hand under every draw."""

    def one(row):
        return jax.vmap(lambda y, x: measurement.log_density(y, row, x))(measured, conditions)

    return jax.lax.map(one, rows, batch_size=512)

"""What each way of measuring new members is worth: a Fisher screen averaged over the posterior.

One member's data summarise as N(L' mu, I + L' Omega L), whose information about (mu, log_spread) is

    I_mu = G,   I_log_spread = 2 Omega (G * G) Omega,   G = (H^-1 + Omega)^-1 = L (I + L' Omega L)^-1 L'

with * element by element. With C the posterior covariance of theta and g the slope of the log quantity
on theta, its variance after n members is about

    v(n) = g' (C^-1 + n E[I])^-1 g.

Source: Magnus and Neudecker (2019), Matrix Differential Calculus, 3rd ed., ch. 15 (information of a
normal about its mean and covariance); Mentre, Mallet and Baccar (1997), Biometrika 84, 429.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from scipy import optimize

DRAWS = 512
_MOST = 1e12


@dataclass(frozen=True)
class Screen:
    """A linear view of the posterior: the quantity's variance as a function of a member's information.

    Parameters
    ----------
    root : array (d, d)
        R with R R' = C, the posterior covariance.
    slope : array (d,)
        g, the change of the log quantity with each component of theta.
    """

    root: Float[np.ndarray, "d d"]
    slope: Float[np.ndarray, " d"]

    @classmethod
    def of(cls, theta: Float[np.ndarray, "draw d"], log_quantity: Float[np.ndarray, " draw"]) -> Screen:
        """Fit the screen to posterior draws; a direction that does not vary counts as known."""
        theta, log_quantity = np.asarray(theta, float), np.asarray(log_quantity, float)
        seen = np.isfinite(log_quantity)
        centred, response = theta[seen] - theta[seen].mean(0), log_quantity[seen] - log_quantity[seen].mean()
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(theta, rowvar=False)))
        return cls(
            vectors * np.sqrt(np.maximum(values, 0.0)), np.linalg.lstsq(centred, response, rcond=None)[0]
        )

    def variance(self, information: Float[np.ndarray, "c c"], n: float) -> float:
        """Return v(n); `information` is about the first components of theta, the rest is not informed."""
        full = np.zeros((len(self.slope), len(self.slope)))
        full[: len(information), : len(information)] = information
        inner = np.eye(len(full)) + n * self.root.T @ full @ self.root
        direction = self.root.T @ self.slope
        return float(direction @ np.linalg.solve(inner, direction))

    def share_left(self, information: Float[np.ndarray, "c c"]) -> float:
        """Return the share of the variance that stays however many members come."""
        return self.variance(information, _MOST) / self.variance(information, 0.0)

    def members(self, information: Float[np.ndarray, "c c"], variance: float) -> float:
        """Return the n at which v(n) has fallen to `variance`; inf where it never does."""
        if self.variance(information, 0.0) <= variance:
            return 0.0
        if self.variance(information, _MOST) > variance:
            return math.inf
        excess = optimize.root_scalar(
            lambda log_n: math.log(self.variance(information, math.expm1(log_n)) / variance),
            bracket=(0.0, math.log(_MOST) + 1.0),
        )
        return math.expm1(excess.root)


def worth(
    screen: Screen,
    core: Float[Array, "draw core"],
    information: Callable,
    designs: Mapping[str, Callable],
    n: float,
    key: jax.Array,
) -> xr.Dataset:
    """Compare ways of measuring new members with the present one.

    Parameters
    ----------
    screen : Screen
    core : array (draw, 2 k)
        Posterior draws of (mu, log_spread).
    information : callable
        Of the present way, see `population`.
    designs : mapping of str to callable
        The other ways by name, each an information function.
    n : float
        Number of members at which they are compared.
    key : jax.Array

    Returns
    -------
    xr.Dataset
        Over ``condition`` ("as planned" first): sd of the log quantity after n members, its variance
        relative to the present way, members of that way that do as much as n of the present one, and
        how many more than n these are.
    """
    ways = {"as planned": information, **designs}
    matrices = [np.asarray(member_information(way, core, key), float) for way in ways.values()]
    variances = np.array([screen.variance(matrix, n) for matrix in matrices])
    equivalent = np.array([screen.members(matrix, variances[0]) for matrix in matrices])
    columns = {
        "sd": (np.sqrt(variances), f"sd of the log quantity after {n:.0f} members"),
        "variance_ratio": (variances / variances[0], "variance relative to members measured as planned"),
        "equivalent": (equivalent, f"members that do as much as {n:.0f} measured as planned; inf if none do"),
        "extra": (equivalent - n, "members more than as planned; negative where members are saved"),
    }
    return xr.Dataset(
        {
            name: ("condition", value, {"units": "1", "long_name": text})
            for name, (value, text) in columns.items()
        },
        {"condition": list(ways)},
        {"compared_at": n},
    )


@partial(jax.jit, static_argnames="information")
def member_information(
    information: Callable, core: Float[Array, "draw core"], key: jax.Array
) -> Float[Array, "core core"]:
    """Return the expected information of one new member about (mu, log_spread), over the posterior."""
    spread, condition = jax.random.split(key)
    k = core.shape[1] // 2
    sd = jnp.exp(core[:, k:])
    psi = core[:, :k] + sd * jax.random.normal(spread, sd.shape, core.dtype)
    matrices = jax.vmap(information)(psi, jax.random.split(condition, len(core)))
    return jnp.mean(jax.vmap(_about_population)(matrices, sd), axis=0)


def _about_population(matrix, sd):
    """Return the block-diagonal information about (mu, log_spread) for one member."""
    k = len(sd)
    scaled = jnp.eye(k) + sd[:, None] * matrix * sd
    # G = Omega^-1/2 (I - (I + Omega^1/2 H Omega^1/2)^-1) Omega^-1/2, without the inverse of H
    whitened = jnp.linalg.solve(scaled, scaled - jnp.eye(k))
    location = whitened / (sd[:, None] * sd)
    return jax.scipy.linalg.block_diag(location, 2 * whitened**2)

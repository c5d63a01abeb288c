"""What each way of measuring new members is worth: a Fisher screen averaged over the posterior.

One member's data summarise as N(L' mu, I + L' Omega L), whose information about (mu, log_spread) is

    I_mu = G,   I_log_spread = 2 Omega (G * G) Omega,   G = (H^-1 + Omega)^-1 = L (I + L' Omega L)^-1 L'

with * element by element. With C the posterior covariance of theta and g the slope of the log quantity
on theta, its variance after n members is about

    v(n) = g' (C^-1 + n E[I])^-1 g.

Source: Magnus and Neudecker (2019), Matrix Differential Calculus, 3rd ed. (information of a normal about
its mean and covariance); Mentre, Mallet and Baccar (1997), Biometrika 84, 429.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import optimize

from physsynth.require.allocate import Local
from physsynth.require.members import Information, information_at

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

    def held(self, information: Float[np.ndarray, "c c"]) -> Float[np.ndarray, " d"]:
        """Return the share of each component of theta in the variance that stays."""
        full = np.zeros((len(self.slope), len(self.slope)))
        full[: len(information), : len(information)] = information
        inner = np.eye(len(full)) + _MOST * self.root.T @ full @ self.root
        parts = self.slope * (self.root @ np.linalg.solve(inner, self.root.T @ self.slope))
        return parts / max(float(parts.sum()), np.finfo(float).tiny)

    def local(self, matrices: Sequence[Float[np.ndarray, "c c"]], costs: Float[np.ndarray, " way"]) -> Local:
        """Return the view that a plan is made from, one way of measuring members a condition."""
        known = self.root[: len(matrices[0])]
        whitened = np.stack([known.T @ matrix @ known for matrix in matrices])
        return Local(self.root.T @ self.slope, whitened[None], np.asarray(costs, float))

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


def member_information(
    name: str, information: Information, core: Float[Array, "draw core"], key: jax.Array
) -> Float[np.ndarray, "core core"]:
    """Return the expected information of one new member about (mu, log_spread), over the posterior.

    Raises
    ------
    ParameterError
        If the function's values are no Fisher information; it is called `name` there.
    """
    spread, condition = jax.random.split(key)
    psi = _new_members(core, spread)
    matrices = information_at(name, information, psi, condition)
    return np.asarray(_expected(jnp.asarray(matrices, core.dtype), core), float)


@jax.jit
def _new_members(core, key):
    k = core.shape[1] // 2
    return core[:, :k] + jnp.exp(core[:, k:]) * jax.random.normal(key, (len(core), k), core.dtype)


@jax.jit
def _expected(matrices, core):
    spread = jnp.exp(core[:, core.shape[1] // 2 :])
    return jnp.mean(jax.vmap(_about_population)(matrices, spread), axis=0)


def _about_population(matrix, sd):
    """Return the block-diagonal information about (mu, log_spread) for one member."""
    k = len(sd)
    scaled = jnp.eye(k) + sd[:, None] * matrix * sd
    # G = Omega^-1/2 (I - (I + Omega^1/2 H Omega^1/2)^-1) Omega^-1/2, without the inverse of H
    whitened = jnp.linalg.solve(scaled, scaled - jnp.eye(k))
    location = whitened / (sd[:, None] * sd)
    return jax.scipy.linalg.block_diag(location, 2 * whitened**2)

"""A density as one component after another, each given those before it (a triangular map to residuals),

    z_j = m_j(z_1 ... z_j-1) + exp(s_j(z_1 ... z_j-1)) r_j,

m_j a quadratic (linear where draws are few), s_j linear, both by least squares; every residual has the
density that a normal kernel gives it. So a location whose spread depends on another component, as that of a
mean with an unknown sd, is no less well described than a normal one.

Source: Rosenblatt (1952), Remarks on a multivariate transformation, Ann. Math. Stat.; Silverman (1986),
Density Estimation for Statistics and Data Analysis (kernel and bandwidth).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

FARTHEST = 4.0
DRAWS_PER_FEATURE = 20
# A small share of a wide normal keeps the tails, where draws are few, smooth and not too short.
TAIL, TAIL_SPREAD = 0.02, 1.5
_NODES = np.linspace(-10.0, 10.0, 401)


class Triangular(NamedTuple):
    """The map and the densities of its residuals, of components with mean 0 and variance 1."""

    order: Int[Array, " d"]
    mean: Float[Array, "d feature"]
    log_spread: Float[Array, "d linear"]
    log_kernel: Float[Array, "d node"]

    @classmethod
    def of(
        cls, z: Float[np.ndarray, "draw d"], moving: Bool[np.ndarray, " d"], order: Int[np.ndarray, " d"]
    ) -> Triangular:
        """Fit the map to draws; components that do not move have no density."""
        parts = zip(*_given_those_before(z[:, order], moving[order]), strict=True)
        return cls(jnp.asarray(order), *(jnp.asarray(np.array(part)) for part in parts))

    def log_density(self, z: Float[Array, "d point"]) -> Float[Array, " point"]:
        """Return the log density at each point."""
        z = z[self.order]
        bounded = jnp.clip(z, -FARTHEST, FARTHEST)
        log_spread = self.log_spread[:, 1:] @ bounded + self.log_spread[:, :1]
        rest = (z - self.mean @ _features(bounded)) * jnp.exp(-log_spread)
        nodes = jnp.asarray(_NODES, z.dtype)
        return jnp.sum(jax.vmap(jnp.interp, (0, None, 0))(rest, nodes, self.log_kernel) - log_spread, axis=0)


def _features(z):
    """Return 1, z_i and z_i z_k (feature, point)."""
    numpy = jnp if isinstance(z, jax.Array) else np
    left, right = np.tril_indices(len(z))
    return numpy.concatenate([numpy.ones((1, z.shape[1]), z.dtype), z, z[left] * z[right]])


def _given_those_before(z, moving):
    """Yield mean, log spread and log density of each component, given those before it."""
    bounded = np.clip(z, -FARTHEST, FARTHEST)
    features, linear = _features(bounded.T).T, np.column_stack([np.ones(len(z)), bounded])
    for j, varies in enumerate(moving):
        first = moving & (np.arange(len(moving)) < j) & varies
        mean = _regressed(features, z[:, j], _used(first, len(z)))
        rest = z[:, j] - features @ mean
        square = np.log(np.maximum(rest**2, 1e-12))
        spread = 0.5 * _regressed(linear, square, np.concatenate([[True], first]))
        rest = rest / np.exp(linear @ spread)
        size = rest.std() if varies else 1.0
        spread[0] += math.log(size)
        yield mean, spread, _log_kernel(rest / size) if varies else np.zeros(len(_NODES))


def _regressed(features, values, used):
    coefficient = np.zeros(features.shape[1])
    coefficient[used] = np.linalg.lstsq(features[:, used], values, rcond=None)[0]
    return coefficient


def _used(first, draws):
    """Return which features a component is regressed on: those of the `first` ones."""
    left, right = np.tril_indices(len(first))
    product = first[left] & first[right]
    enough = product.sum() * DRAWS_PER_FEATURE <= draws
    return np.concatenate([[True], first, product & enough])


def _log_kernel(rest):
    """Return the log density of residuals with sd 1 at the nodes; the kernel's own variance is taken out.

    A posterior that has learnt a lot depends on the slope of this curve, which takes a wider kernel than its
    height does: twice the usual one.
    """
    width = 1.8 * len(rest) ** -0.2
    centres = rest / math.sqrt(1 + width**2)
    width = width / math.sqrt(1 + width**2)
    places = (_NODES[:, None] - centres) / width
    bulk = np.exp(-0.5 * places**2).mean(axis=1) / (width * math.sqrt(2 * math.pi))
    tail = np.exp(-0.5 * (_NODES / TAIL_SPREAD) ** 2) / (TAIL_SPREAD * math.sqrt(2 * math.pi))
    return np.log((1 - TAIL) * bulk + TAIL * tail)

"""A density as a mixture of normals, as many as make draws most likely that they were not fitted to.

What a triangular map to independent residuals misses, a mixture can have: several modes, and components that
share an unknown spread, as effects about a mean do.

Source: McLachlan and Peel (2000), Finite Mixture Models; Smyth (2000), Stat. Comput. 10, 63 (how many).
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.cluster.vq import kmeans2
from scipy.special import logsumexp

MOST = 8
_FURTHER = 2
_LEAST_VARIANCE = 1e-6
_FLAT = 1e-12
_ROUNDS, _SETTLED = 100, 1e-3

Halves = tuple[Float[np.ndarray, "draw d"], Float[np.ndarray, "draw d"]]


class Mixture(NamedTuple):
    """Normals with their weights; `root` takes a point off its centre to one of unit covariance.

    Those beyond the number in use have no weight, so that all mixtures share compiled code.
    """

    log_weight: Float[Array, " normal"]
    centre: Float[Array, "normal d"]
    root: Float[Array, "normal d d"]

    @classmethod
    def of(cls, z: Float[np.ndarray, "draw d"], moving: Bool[np.ndarray, " d"], number: int) -> Mixture:
        """Fit so many normals to draws; components that do not move have no density."""
        whitening = _whitening(z[:, moving])
        weight, mean, root = _maximised(z[:, moving] @ whitening, number)
        turned, places, d = whitening @ root, np.ix_(np.arange(number), moving, moving), z.shape[1]
        log_weight, centre, roots = np.full(MOST, -np.inf), np.zeros((MOST, d)), np.zeros((MOST, d, d))
        log_weight[:number] = np.log(weight) + np.linalg.slogdet(turned)[1]
        log_weight -= 0.5 * moving.sum() * math.log(2 * math.pi)
        centre[:number, moving] = mean @ np.linalg.inv(whitening)
        roots[places] = turned
        return cls(*(jnp.asarray(part) for part in (log_weight, centre, roots)))

    @classmethod
    def number(cls, halves: Halves, moving: Bool[np.ndarray, " d"]) -> int:
        """Return how many normals, fitted to either half of the draws, make the other half most likely."""
        best, most, tried = 1, -math.inf, 0
        while tried < min(best + _FURTHER, MOST):
            tried += 1
            fits = (cls.of(half, moving, tried) for half in halves)
            pairs = zip(fits, halves[::-1], strict=True)
            likely = sum(float(jnp.mean(fit.log_density(jnp.asarray(other.T)))) for fit, other in pairs)
            if likely > most:
                best, most = tried, likely
        return best

    def log_density(self, z: Float[Array, "d point"]) -> Float[Array, " point"]:
        """Return the log density at each point."""

        def one(log_weight, centre, root):
            return log_weight - 0.5 * jnp.sum((root.T @ (z - centre[:, None])) ** 2, axis=0)

        return jax.scipy.special.logsumexp(jax.vmap(one)(*self), axis=0)


def _whitening(z):
    """Return a matrix that takes draws to ones of unit covariance."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(z, rowvar=False)))
    return vectors / np.sqrt(np.maximum(values, _FLAT))


def _maximised(z, number):
    """Return weights, means and precision roots of highest likelihood (Dempster, Laird and Rubin, 1977)."""
    share, before = np.eye(number)[_clusters(z, number)], -math.inf
    weight, mean, root = _moments(z, share)
    for _ in range(_ROUNDS):
        log = np.log(weight) + np.linalg.slogdet(root)[1]
        log = log - 0.5 * np.sum(((z[None] - mean[:, None]) @ root) ** 2, axis=2).T
        likely = np.asarray(logsumexp(log, axis=1, keepdims=True))
        weight, mean, root = _moments(z, np.exp(log - likely))
        if likely.mean() - before < _SETTLED:
            break
        before = likely.mean()
    return weight, mean, root


def _clusters(z, number):
    """Return the cluster of each draw, from starts spread along the widest direction."""
    first = z[np.argsort(z[:, -1])[len(z) * (2 * np.arange(number) + 1) // (2 * number)]]
    with warnings.catch_warnings():
        # An empty cluster is a normal that none of the draws needs.
        warnings.simplefilter("ignore")
        return kmeans2(z, first, minit="matrix")[1]


def _moments(z, share):
    """Return weights, means and roots, root @ root.T the inverse covariance, from shares in each."""
    size = share.sum(axis=0) + _FLAT
    mean = share.T @ z / size[:, None]
    off = z[None] - mean[:, None]
    covariance = np.einsum("nk,kni,knj->kij", share, off, off) / size[:, None, None]
    covariance += _LEAST_VARIANCE * np.eye(z.shape[1])
    root = np.linalg.inv(np.linalg.cholesky(covariance)).transpose(0, 2, 1)
    return size / size.sum(), mean, root

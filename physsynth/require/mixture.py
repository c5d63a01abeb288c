"""A density as a mixture of normals, as many as make draws most likely that they were not fitted to.

What a triangular map to independent residuals misses, a mixture can have: several modes, and components that
share an unknown spread, as effects about a mean do.

Source: McLachlan and Peel (2000), Finite Mixture Models; Smyth (2000), Stat. Comput. 10, 63 (how many).
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

MOST = 8
_FURTHER = 2
_LEAST_VARIANCE = 1e-6
_FLAT = 1e-12

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
    """Return weights, means and precision roots of highest likelihood."""
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        # Where it has not settled yet, it is a density all the same, and is held against the others.
        warnings.simplefilter("ignore")
        fitted: Any = GaussianMixture(number, reg_covar=_LEAST_VARIANCE, random_state=0).fit(z)
    return fitted.weights_, fitted.means_, fitted.precisions_cholesky_

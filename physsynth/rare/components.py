"""Densities that importance sampling mixes, each as a ratio to the standard normal phi of the scenarios.

Working with r(u) = q(u) / phi(u) keeps high dimensions exact: directions that a density leaves alone
cancel, and the importance weight of a draw from a mixture is 1 / sum_k pi_k r_k(u).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.optimize import nnls, root
from scipy.special import gammaincc, gammainccinv, log_ndtr, ndtr, ndtri


class Component(Protocol):
    """A density over standard normal space."""

    def sample(self, rng: np.random.Generator, n: int) -> Float[np.ndarray, "n d"]:
        """Draw `n` points."""
        ...

    def log_ratio(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Return log q(u) - log phi(u)."""
        ...


@dataclass(frozen=True)
class HalfNormal:
    """A normal in a subspace, cut off by a half-space, and of one variance in all other directions.

        q(u) = N(y; mean, L L') 1[a . y >= bound] / Phi((a . mean - bound) / s) N(z; 0, scale^2 I)

    with y = V' u and z the rest of u; s is the standard deviation of a . y. With mean 0, L = I, scale = 1
    and bound = beta it is the exact conditional density of a linear limit state.
    """

    basis: Float[np.ndarray, "d k"]
    mean: Float[np.ndarray, " k"]
    factor: Float[np.ndarray, "k k"]
    direction: Float[np.ndarray, " k"]
    bound: float
    scale: float = 1.0

    @cached_property
    def _along(self):
        """Regression of y on a . y: centre, standard deviation and slope (k,)."""
        pushed = self.factor.T @ self.direction
        spread = float(np.linalg.norm(pushed))
        return float(self.direction @ self.mean), spread, self.factor @ pushed / spread**2

    @cached_property
    def _inverse(self):
        return np.linalg.inv(self.factor)

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw `n` points."""
        u = rng.standard_normal((n, len(self.basis)))
        z = u @ self.basis
        y = self.mean + z @ self.factor.T
        centre, spread, slope = self._along
        lowest = (self.bound - centre) / spread
        t = centre - spread * ndtri(rng.uniform(1e-16, 1.0, n) * ndtr(-lowest))
        y = y + np.outer(t - y @ self.direction, slope)
        return self.scale * (u - z @ self.basis.T) + y @ self.basis.T

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """Return log q(u) - log phi(u)."""
        y = u @ self.basis
        z = (y - self.mean) @ self._inverse.T
        centre, spread, _ = self._along
        inside = log_ndtr((centre - self.bound) / spread)
        value = 0.5 * np.sum(y**2 - z**2, axis=1) - np.sum(np.log(np.diag(self.factor))) - inside
        d, k = self.basis.shape
        if self.scale != 1.0:
            across = np.sum(u**2, axis=1) - np.sum(y**2, axis=1)
            value += 0.5 * across * (1 - self.scale**-2) - (d - k) * np.log(self.scale)
        return np.where(y @ self.direction >= self.bound, value, -np.inf)


@dataclass(frozen=True)
class OutsideSphere:
    """The standard normal given |u| >= radius: no direction is left out (Harbitz, 1986)."""

    dimension: int
    radius: float

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw `n` points."""
        u = rng.standard_normal((n, self.dimension))
        tail = rng.uniform(1e-16, 1.0, n) * gammaincc(self.dimension / 2, self.radius**2 / 2)
        radius = np.sqrt(2 * gammainccinv(self.dimension / 2, tail))
        return u * (radius / np.linalg.norm(u, axis=1))[:, None]

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """Return log q(u) - log phi(u)."""
        outside = -stats.chi2.logsf(self.radius**2, self.dimension)
        return np.where(np.linalg.norm(u, axis=1) >= self.radius, outside, -np.inf)


@dataclass(frozen=True)
class HalfSpaces:
    """A fixed mixture of the standard normals behind many planes.

    q(u) = phi(u) sum_k shares_k 1[direction_k . u >= bound_k] / Phi(-bound_k)
    """

    directions: Float[np.ndarray, "k d"]
    bounds: Float[np.ndarray, " k"]
    shares: Float[np.ndarray, " k"]

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw `n` points."""
        u = rng.standard_normal((n, self.directions.shape[1]))
        k = np.searchsorted(np.cumsum(self.shares), rng.random(n) * self.shares.sum()).clip(
            max=len(self.shares) - 1
        )
        t = -ndtri(rng.uniform(1e-16, 1.0, n) * ndtr(-self.bounds[k]))
        a = self.directions[k]
        return u + (t - np.sum(u * a, axis=1))[:, None] * a

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """Return log q(u) - log phi(u)."""
        least = float(log_ndtr(-self.bounds).min())
        height = self.shares * np.exp(least - log_ndtr(-self.bounds))
        with np.errstate(divide="ignore"):
            return np.log((u @ self.directions.T >= self.bounds) @ height) - least


@dataclass(frozen=True)
class Cone:
    """The standard normal behind several planes at once, drawn plane after plane, tilted into their corner.

        q(u) = phi(u) prod_i exp(mu_i y_i - mu_i^2 / 2) / Phi(mu_i - l_i)   where  N u >= bounds

    with N = L Q', L lower triangular, y = Q' u and l_i = (bounds_i - sum_{j < i} L_ij y_j) / L_ii. The tilt
    mu makes the largest weight behind the planes the least; one plane has none, and gives the half-space.

    Source: Botev (2017), Journal of the Royal Statistical Society B 79 (minimax tilting; mu solves its
    equations); Geweke (1989), Econometrica 57 (drawing in sequence).
    """

    normals: Float[np.ndarray, "k d"]
    bounds: Float[np.ndarray, " k"]

    @cached_property
    def nearest(self) -> Float[np.ndarray, " d"]:
        """The point behind all planes that is nearest to the origin."""
        return nearest_behind(self.normals, self.bounds)

    @cached_property
    def _triangle(self):
        """Q (d, k) and L (k, k) with a positive diagonal."""
        q, r = np.linalg.qr(self.normals.T)
        sign = np.sign(np.diag(r))
        return q * sign, (r * sign[:, None]).T

    @cached_property
    def _tilt(self) -> np.ndarray:
        """The tilt (k,): mu_i = sum_{j > i} lambda_j L_ji / L_jj and y_i = mu_i + lambda_i at the saddle."""
        lower, k = self._triangle[1], len(self.bounds)
        slope = lower / np.diag(lower)[:, None] - np.eye(k)

        def off(z):
            y, mu = np.append(z[: k - 1], 0.0), np.append(z[k - 1 :], 0.0)
            t = self.bounds / np.diag(lower) - slope @ y - mu
            push = np.exp(-0.5 * t**2 - log_ndtr(-t)) / np.sqrt(2 * np.pi)
            return np.concatenate([(mu - slope.T @ push)[:-1], (y - mu - push)[:-1]])

        corner = np.linalg.solve(lower, self.bounds)[:-1]
        found = root(off, np.concatenate([corner, np.zeros(k - 1)])) if k > 1 else None
        return np.append(found.x[k - 1 :], 0.0) if found is not None and found.success else np.zeros(k)

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw `n` points."""
        across, lower = self._triangle
        u, y = rng.standard_normal((n, len(across))), np.zeros((n, len(lower)))
        for i, mu in enumerate(self._tilt):
            least = (self.bounds[i] - y[:, :i] @ lower[i, :i]) / lower[i, i] - mu
            y[:, i] = mu - ndtri(rng.uniform(1e-16, 1.0, n) * ndtr(-least))
        return u + (y - u @ across) @ across.T

    def log_ratio(self, u: np.ndarray) -> np.ndarray:
        """Return log q(u) - log phi(u)."""
        across, lower = self._triangle
        y = u @ across
        least = (self.bounds - y @ np.tril(lower, -1).T) / np.diag(lower)
        value = y @ self._tilt - 0.5 * np.sum(self._tilt**2) - log_ndtr(self._tilt - least).sum(axis=1)
        return np.where((y >= least).all(axis=1), value, -np.inf)


def half_space(direction: Float[np.ndarray, " d"], bound: float) -> HalfNormal:
    """Return the standard normal given direction . u >= bound."""
    return HalfNormal(direction[:, None], np.zeros(1), np.eye(1), np.ones(1), bound)


def nearest_behind(
    normal: Float[np.ndarray, "k d"], bound: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " d"]:
    """Return the point nearest to the origin where normal . u >= bound for all (Lawson and Hanson, 1974).

    Planes that are not finite say nothing.
    """
    known = np.isfinite(bound) & np.isfinite(normal).all(axis=1)
    if not known.any():
        return np.zeros(normal.shape[1])
    system = np.concatenate([normal[known], bound[known, None]], axis=1).T
    wanted = np.concatenate([np.zeros(len(system) - 1), [1.0]])
    left = system @ nnls(system, wanted)[0] - wanted
    return -left[:-1] / left[-1] if left[-1] < -1e-9 else np.zeros(len(left) - 1)

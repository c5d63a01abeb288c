"""Components for importance sampling, fitted to the planes found and to the weighted failing points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from physsynth.rare.components import Component, HalfNormal, OutsideSphere, half_space
from physsynth.rare.mixture import Mixture, fitted
from physsynth.rare.planes import Planes
from physsynth.rare.scout import LOW_DIMENSION

DEFENCE = 0.1
SLACK = 0.1
REACH = 1.0
WIDER = 1.15


def fit_mixture(planes: Planes, u: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"]) -> Mixture:
    """Return the mixture that fits weighted failing points, its defensive parts kept open.

    Every plane gives the standard normal behind it (bounded weights); with enough members, also that
    density with mean and covariance along the plane fitted, and a free normal. A sphere inside of
    which nothing failed takes the rest.
    """
    owner = _owner(planes, u)
    parts = [_of_plane(planes, k, u[owner == k], weight[owner == k]) for k in range(len(planes.bound))]
    components: list[Component] = [c for part in parts for c in part]
    floor = [DEFENCE / len(parts) if i == 0 else 0.0 for part in parts for i in range(len(part))]
    components.append(_sphere(planes, u))
    return fitted(components, np.array([*floor, DEFENCE]), u, weight)


def _owner(planes, u):
    return np.argmax(planes.depth(u), axis=1) if len(planes.bound) else np.full(len(u), -1)


def _sphere(planes, u):
    """Return the normal outside the sphere that just holds every known failure."""
    radii = np.concatenate([np.linalg.norm(u, axis=1), np.abs(planes.bound)])
    return OutsideSphere(u.shape[1], max(0.0, 0.95 * float(radii.min()) - SLACK))


def _of_plane(planes, k, u, weight):
    direction = planes.direction[k]
    along = u @ direction
    bound = planes.bound[k] - SLACK
    near = along >= planes.bound[k] - REACH
    lowest = min(bound, float(along[near].min()) - 0.02) if near.any() else bound
    components: list[Component] = [half_space(direction, lowest)]
    members = _Members.of(u[near], weight[near])
    if len(direction) <= LOW_DIMENSION:
        return components + _adapted(members, direction, lowest)
    return components + ([_shifted(members, direction)] if members.effective > 20 else [])


@dataclass(frozen=True)
class _Members:
    u: np.ndarray
    share: np.ndarray
    effective: float

    @classmethod
    def of(cls, u, weight):
        if not weight.sum() > 0:
            return cls(u, weight, 0.0)
        share = weight / weight.sum()
        return cls(u, share, 1.0 / np.sum(share**2))

    @property
    def mean(self):
        return self.share @ self.u

    def covariance(self, centre, v):
        """Covariance of v, drawn towards a sphere of its own size while members are few."""
        d, away = v.shape[1], v - centre
        raw = (away * self.share[:, None]).T @ away
        pull = (d + 1) / (d + 1 + self.effective)
        return (1 - pull) * raw + pull * np.eye(d) * np.trace(raw) / d


def _adapted(members, direction, lowest):
    """Return the half-space density with a fitted normal along the plane, and a free normal."""
    d = len(direction)
    if members.effective < d + 4:
        return []
    normal = _normal(members.mean, members.covariance(members.mean, members.u))
    if d == 1:
        return [normal]
    across = np.eye(d) - np.outer(direction, direction)
    v = members.u @ across
    centre = members.share @ v
    inside = members.covariance(centre, v) * d / (d - 1 + 1e-9 * d) if d > 1 else np.eye(1)
    cov = WIDER * across @ inside @ across + np.outer(direction, direction)
    slab = HalfNormal(np.eye(d), centre, np.linalg.cholesky(_firm(cov)), direction, lowest)
    return [slab, normal]


def _normal(mean, covariance):
    d = len(mean)
    factor = np.linalg.cholesky(_firm(WIDER * covariance))
    return HalfNormal(np.eye(d), mean, factor, np.eye(d)[0], -np.inf)


def _firm(covariance):
    """Return the covariance with no direction narrower than a hundredth of a standard deviation."""
    return covariance + 1e-4 * np.eye(len(covariance))


def _shifted(members, direction):
    """Return the normal along one direction that members follow, for boundaries that are no plane."""
    along = members.u @ direction
    mean = members.share @ along
    spread = np.sqrt(members.share @ (along - mean) ** 2 + 1e-4)
    return HalfNormal(direction[:, None], np.array([mean]), np.array([[WIDER * spread]]), np.ones(1), -np.inf)

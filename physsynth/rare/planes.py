"""Planes that the failure domain lies behind: a direction and a bound for each mode found so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.form import along_rays, corners, search

ALIKE = 0.96
FARTHER, NEARER = 3.0, 0.05
MOST = 400
# Discrete parameters above which they are pulled together.
MANY = 20


@dataclass(frozen=True)
class Planes:
    """Failure is expected where direction . u >= bound; `tangent` says where a slope faces that way."""

    direction: Float[np.ndarray, "k d"]
    bound: Float[np.ndarray, " k"]
    tangent: Bool[np.ndarray, " k"]

    @classmethod
    def none(cls, dimension: int) -> Planes:
        """Return no plane."""
        return cls(np.empty((0, dimension)), np.empty(0), np.empty(0, bool))

    @property
    def points(self) -> Float[np.ndarray, "k d"]:
        """The point of each plane nearest to the origin."""
        return self.direction * self.bound[:, None]

    @property
    def mass(self) -> float:
        """Sum of the probabilities behind the planes."""
        return float(ndtr(-self.bound).sum())

    def depth(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Return how far each point lies behind each plane."""
        return u @ self.direction.T - self.bound

    def part(self, kept: np.ndarray) -> Planes:
        """Return those marked True."""
        return Planes(self.direction[kept], self.bound[kept], self.tangent[kept])

    def beside(self, other: Planes) -> Planes:
        """Return both as they are: nearest first, one may take the place of two and leave a gap between."""
        return Planes(
            np.concatenate([self.direction, other.direction]),
            np.concatenate([self.bound, other.bound]),
            np.concatenate([self.tangent, other.tangent]),
        )

    def joined(self, other: Planes) -> Planes:
        """Return both, nearest first, without near duplicates and without those too far to matter.

        A new plane takes the place of one like it only where it is nearer by more than bisection errs.
        """
        both = self.beside(other)
        direction, bound, kept = both.direction, both.bound, list[int]()
        for i in np.argsort(bound + NEARER * (np.arange(len(bound)) >= len(self.bound)), kind="stable"):
            near = bound[i] <= max(bound[kept[0]] if kept else np.inf, 0.0) + FARTHER
            if near and len(kept) < MOST and not np.any(direction[kept] @ direction[i] > ALIKE):
                kept.append(i)
        return both.part(np.array(kept, int))


def planes_from(evaluator: Evaluator, starts: Float[np.ndarray, "n d"]) -> Planes:
    """Return the planes at the design points reached from the starts, by gradients.

    Starts that reach none are left out.
    """
    return planes_and_stuck(evaluator, starts)[0]


def planes_and_stuck(
    evaluator: Evaluator, starts: Float[np.ndarray, "n d"]
) -> tuple[Planes, Float[np.ndarray, "m d"]]:
    """Return the same, and where the searches ended that reached no design point."""
    if not len(starts) or evaluator.remaining < 8 * evaluator.slope_cost * len(starts):
        return Planes.none(evaluator.dimension), starts[:0]
    found = search(evaluator, starts)
    if evaluator.continuous.all() or not len(found.u):
        return Planes(found.direction, found.reliability_index, np.ones(len(found.u), bool)), found.stuck
    return planes_through(_relaxed(evaluator, found.u + 1e-3 * found.direction)), found.stuck


def planes_along_rays(evaluator: Evaluator, failing: Float[np.ndarray, "n d"]) -> Planes:
    """Return the planes through failing points pulled to the failure boundary, facing the origin."""
    if not len(failing):
        return Planes.none(evaluator.dimension)
    return planes_through(along_rays(evaluator, failing))


def planes_at_corners(evaluator: Evaluator, failing: Float[np.ndarray, "n d"]) -> Planes:
    """Return the planes through the failures nearest around failing points, where boundaries meet as well.

    Discrete parameters have no slopes: with them, planes through the points pulled to the boundary.
    """
    if not len(failing):
        return Planes.none(evaluator.dimension)
    if evaluator.continuous.all():
        return planes_through(corners(evaluator, failing))
    return planes_through(_relaxed(evaluator, along_rays(evaluator, failing)))


def _relaxed(evaluator, u):
    """Pull the standard normals of continuous parameters, and then of each discrete one, towards zero.

    Each as far as failure lasts, since what one discrete parameter needs says nothing of the others.
    """
    u = along_rays(evaluator, u, np.where(evaluator.continuous, 0.0, u))
    discrete = np.flatnonzero(~evaluator.continuous)
    if len(discrete) > MANY:
        return along_rays(evaluator, u, np.where(evaluator.continuous, u, 0.0))
    for axis in discrete:
        u = along_rays(evaluator, u, np.where(np.arange(u.shape[1]) == axis, 0.0, u))
    return u


def planes_through(u: Float[np.ndarray, "k d"]) -> Planes:
    """Return the planes through points, facing the origin."""
    radius = np.linalg.norm(u, axis=1)
    return Planes(u / np.maximum(radius, 1e-12)[:, None], radius, np.zeros(len(u), bool))


def diverse(u: Float[np.ndarray, "n d"], most: int, alike: float = 0.8) -> Float[np.ndarray, "m d"]:
    """Return the first points whose directions differ from one another."""
    kept: list[int] = []
    unit = u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-12)
    for i in range(len(u)):
        if len(kept) == most:
            break
        if not np.any(unit[kept] @ unit[i] > alike):
            kept.append(i)
    return u[kept]

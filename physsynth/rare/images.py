"""Images of design points: what fells a structure at one time does so at another, often with the other sign.

Under excitation by a sequence of random variables the design points of a first passage are the same
excitation at many times. A few are found by slopes, the others by moving these along the sequence and
through the origin: one call tells whether an image lies near the failure boundary, a short search does the
rest, along the ray through the image where slopes are dear. Where there is no such sequence, or nothing of
the kind, a few calls are lost.

Source: Koo, Der Kiureghian and Fujimura (2005), Probabilistic Engineering Mechanics 20 (mirror images and
shifts of design-point excitations).
"""

from __future__ import annotations

import numpy as np

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.planes import ALIKE, Planes, diverse, planes_along_rays, planes_from

SHIFTS = (1, -1, 2, -2, 4, -4)
SEQUENCE = 10
NEAR = 0.3
ROUNDS = 10
BEYOND = 1.25


def with_images(evaluator: Evaluator, planes: Planes) -> Planes:
    """Return the planes with those at images of their design points, and at images of these."""
    if not evaluator.remaining or not len(planes.bound):
        return planes
    near, fresh = NEAR * float(evaluator.values(np.zeros((1, evaluator.dimension)))[0]), planes
    for _ in range(ROUNDS):
        points = _unlike(_images(evaluator, fresh.points), planes)
        if not len(points) or evaluator.remaining < len(points):
            break
        points = points[evaluator.values(points) <= near]
        joined = planes.joined(_planes_near(evaluator, points))
        fresh = joined.part(~_among(joined, planes))
        planes = joined
    return planes


def _planes_near(evaluator, points):
    """Return the planes by slopes from the points; for a black box those along the rays through them."""
    if evaluator.differentiable or not len(points):
        return planes_from(evaluator, points)
    beyond = BEYOND * points
    return planes_along_rays(evaluator, beyond[evaluator.values(beyond) <= 0])


def _images(evaluator, points):
    """Return the points with the other sign, and moved along every sequence of ten variables or more."""
    moved = [_shifted(evaluator, points, steps) for steps in SHIFTS if _sequences(evaluator)]
    return np.concatenate([-points, *moved])


def _sequences(evaluator):
    return [part for part in evaluator.space.slices.values() if part.stop - part.start >= SEQUENCE]


def _shifted(evaluator, points, steps):
    """Return the points later in their sequences (earlier if steps < 0), as far from the origin as before."""
    moved = points.copy()
    for part in _sequences(evaluator):
        moved[:, part] = np.roll(points[:, part], steps, axis=1)
        beyond = slice(None, steps) if steps > 0 else slice(steps, None)
        moved[:, part][:, beyond] = 0.0
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return moved * (np.linalg.norm(points, axis=1, keepdims=True) / np.maximum(length, 1e-12))


def _unlike(points, planes):
    """Return those that differ from all planes and from one another, the most different first."""
    length = np.maximum(np.linalg.norm(points, axis=1), 1e-12)
    alike = (points / length[:, None] @ planes.direction.T).max(axis=1)
    order = np.argsort(alike, kind="stable")
    return diverse(points[order[alike[order] <= ALIKE]], len(points), alike=0.9)


def _among(some, others):
    """Return which of some planes are among the others."""
    return (some.direction @ others.direction.T).max(axis=1, initial=-1.0) > 1 - 1e-12

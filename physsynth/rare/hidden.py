"""Modes hidden behind those already known: looks around with the known directions of failure turned off.

A slope shows the mode that is active where it is taken, so the modes of a series system stay hidden while
others are nearer. Ordinary points whose components along the known directions are taken off start new
searches; points far out, half of them treated alike, that fail before every known plane show modes that no
slope points to. In a few dimensions so do ordinary scenarios beyond the nearest plane's distance, which meet
a mode as likely as that plane though g does not foretell it. Looking goes on until a look adds hardly any
probability.

Source: Der Kiureghian and Dakessian (1998), Structural Safety 20 (several design points, found one after
another with those known kept out).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr
from scipy.stats import chi2

from physsynth.rare.components import OutsideSphere
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.planes import (
    ALIKE,
    Planes,
    diverse,
    planes_along_rays,
    planes_and_stuck,
    planes_at_corners,
)

LOOKS = 24
# Points far out, ordinary starts, and failing starts of one look; what it must add for another to follow.
FAR, ORDINARY, FAILING = 128, 4, 6
HARDLY = 0.01
SWEEPS = 4
# Many dimensions are more than these; looks there, points followed by each, and points far out.
MODEST, FEW, SPARING = 20, 4, 64
UNKNOWN = 5.0
# Ordinary scenarios far out: a mode that they shall meet, in units of the one known, and most of them.
NOTABLE, SLACK, ISLANDS, HOPELESS = 0.3, 0.1, 400, 3000
# Most planes put between and next to neighbours, and how far out they are looked for. Along a cylinder
# planes are level and one step on is no farther out, but for what bisection errs; straight on 1 / ALIKE.
ARCS, OUT, ON, LEVEL = 192, 1.03, 1.02, 1.01
# The least cosine of two neighbours: looking away from a plane leads a right angle on or more. Close ones.
NEIGHBOUR, CLOSE = -0.3, 0.5
# Most points tried at once.
MOST = 800
# How far out failure is looked for on rays through points where searches ended: an island lies just before.
BEYOND = np.array([0.98, 1.1, 1.3, 1.6, 2.0])


def with_hidden(
    evaluator: Evaluator, planes: Planes, rng: np.random.Generator, failing: Float[np.ndarray, "n d"]
) -> Planes:
    """Return the planes with those that looks away from them, and the failing points met so far, lead to."""
    for turn in range(LOOKS):
        before = planes.mass
        if evaluator.remaining < 2 * FAR:
            break
        far = _far(planes, rng, FAR)
        far[::2] = away(far[::2], planes)
        if not turn:
            far = np.concatenate([far, _as_likely(planes, rng)])
        failing = np.concatenate([failing, far[evaluator.values(far) <= 0]])
        planes = _searched(evaluator, planes, rng, failing)
        if planes.mass <= (1 + HARDLY) * before:
            break
    return _with_arcs(evaluator, planes)


def with_far(evaluator: Evaluator, planes: Planes, rng: np.random.Generator, probability: float) -> Planes:
    """Return the planes with those at a few failing points far out and away from all of them.

    For many dimensions: few slopes, no search. Goes on while what it adds matters beside a probability.
    """
    for _ in range(FEW):
        before = planes.mass
        if evaluator.remaining < 2 * SPARING + FEW * FEW * evaluator.slope_cost:
            break
        far = _far(planes, rng, SPARING)
        far[::2] = away(far[::2], planes)
        failing = _unexplained(far[evaluator.values(far) <= 0], planes)[:FEW]
        planes = planes.joined(planes_at_corners(evaluator, failing))
        if planes.mass - before <= HARDLY * max(before, probability):
            break
    return planes


def _with_arcs(evaluator, planes):
    """Return the planes with those between and next to neighbours where failure goes on, as on cylinders."""
    most, known = len(planes.bound) + ARCS, 0
    while len(planes.bound) < most:
        place = _along_arcs(planes, known)
        if not len(place) or evaluator.remaining < len(place) * 8:
            break
        known = len(planes.bound)
        failing = place[evaluator.values(place) <= 0][: most - known]
        planes = planes.beside(planes_along_rays(evaluator, failing))
    return planes


def _along_arcs(planes, known):
    """Return points halfway between neighbouring planes, and one step on, as far out, where no plane is yet.

    Those of the first ones, of a number known, were tried before. Neighbours far from one another are tried
    among the first planes only: later ones have been put next to others. One step on follows only
    two that are as far out as one another, as on a cylinder: others would creep outwards around corners.
    """
    one, other = _neighbours(planes, known, CLOSE if known else NEIGHBOUR)
    a, b = planes.direction[one], planes.direction[other]
    cosine = np.sum(a * b, axis=1, keepdims=True)
    far, near = (bound(planes.bound[one], planes.bound[other]) for bound in (np.maximum, np.minimum))
    on = (cosine[:, 0] > CLOSE) & (far <= LEVEL * near)
    place = np.concatenate([(2 * cosine * b - a)[on], (2 * cosine * a - b)[on], a + b])
    reach = np.concatenate([ON * near[on], ON * near[on], OUT * far])
    unit = place / np.maximum(np.linalg.norm(place, axis=1, keepdims=True), 1e-12)
    new = np.max(unit @ planes.direction.T, axis=1, initial=-1.0) <= ALIKE
    return diverse((reach[:, None] * unit)[new], MOST, ALIKE)


def _neighbours(planes, known, least):
    """Return the pairs of planes with a greater cosine than the least, nearest first, none of both known."""
    cosine = planes.direction @ planes.direction.T
    one, other = np.nonzero(np.triu(cosine > least, 1))
    one, other = one[other >= known], other[other >= known]
    order = np.argsort(-cosine[one, other], kind="stable")
    return one[order], other[order]


def _searched(evaluator, planes, rng, failing):
    """Return the planes with those by slopes, or at corners where slopes lead nowhere."""
    failing = _unexplained(failing, planes)
    ordinary = away(rng.standard_normal((ORDINARY, evaluator.dimension)), planes)
    found, stuck = planes_and_stuck(evaluator, np.concatenate([ordinary, failing]))
    planes = planes.joined(found)
    failing = np.concatenate([failing, _outwards(evaluator, stuck)])
    return planes.joined(planes_at_corners(evaluator, _unexplained(failing, planes)))


def _outwards(evaluator, u):
    """Return failing points on the rays through some points, the nearest of a few on each if there is any."""
    if not len(u) or evaluator.remaining < len(u) * len(BEYOND):
        return u[:0]
    rays = np.multiply.outer(BEYOND, u)
    fails = evaluator.values(rays.reshape(-1, u.shape[1])).reshape(len(BEYOND), len(u)) <= 0
    first = np.argmax(fails, axis=0)
    return rays[first, np.arange(len(u))][fails.any(axis=0)]


def _far(planes, rng, n):
    """Return points beyond the nearest plane's distance, the farther the more dimensions hide a direction."""
    d, nearest = planes.direction.shape[1], float(planes.bound.min(initial=UNKNOWN))
    least, more = (1.2, 0.2 + 0.2 * d) if d <= MODEST else (0.6 * np.sqrt(d), 0.9 * np.sqrt(d))
    reach = least + more * rng.random(n)
    u = rng.standard_normal((n, d))
    return u * (reach * max(nearest, 1.0) / np.linalg.norm(u, axis=1))[:, None]


def _as_likely(planes, rng):
    """Return ordinary scenarios beyond the nearest plane's distance, so many that a mode as likely is met.

    None where it would take too many: the more dimensions, the smaller its part of what lies beyond.
    """
    d, nearest = planes.direction.shape[1], max(float(planes.bound.min(initial=UNKNOWN)), 1.0)
    beyond = OutsideSphere(d, nearest - SLACK)
    met = NOTABLE * ndtr(-nearest) / chi2.sf((nearest - SLACK) ** 2, d)
    wanted = 3.0 / max(met, 1e-300)
    return beyond.sample(rng, int(min(wanted, ISLANDS)) if wanted < HOPELESS else 0)


def away(u: Float[np.ndarray, "n d"], planes: Planes) -> Float[np.ndarray, "n d"]:
    """Return points as far from the origin as before, with no component left along the planes' directions."""
    length, v = np.linalg.norm(u, axis=1, keepdims=True), u.copy()
    for _ in range(SWEEPS):
        for direction in planes.direction:
            v -= np.maximum(v @ direction, 0.0)[:, None] * direction
    left = np.linalg.norm(v, axis=1, keepdims=True)
    return v * (length / np.maximum(left, 0.2 * length))


def _unexplained(failing, planes):
    """Return failing points that lie before every plane, the farthest before first."""
    depth = planes.depth(failing).max(axis=1, initial=-np.inf)
    order = np.argsort(depth, kind="stable")
    return diverse(failing[order[depth[order] < 0]], FAILING)

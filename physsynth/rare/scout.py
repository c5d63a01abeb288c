"""Look for the failure domain: where it begins, in which directions, and a first rough sample of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from physsynth.rare.evaluator import GRADIENT_COST, Evaluator
from physsynth.rare.hidden import with_far, with_hidden
from physsynth.rare.images import with_images
from physsynth.rare.planes import Planes, diverse, planes_from
from physsynth.rare.subset import Subset

LOW_DIMENSION = 20
STARTS = 8
POPULATION = 500
CORRELATED = 2.0
BATCH, MOST_STARTS = 48, 384
HARDLY, DEAR = 0.02, 5000
ALIKE = 0.9


@dataclass(frozen=True)
class Scouted:
    """What is known of the failure domain before importance sampling starts.

    `population` holds failing points distributed roughly as scenarios given failure (none if no
    subset run was made), `latest` those of the last run, `probability` that run's estimate.
    """

    planes: Planes
    population: Float[np.ndarray, "n d"]
    latest: Float[np.ndarray, "m d"]
    probability: float

    @classmethod
    def nothing(cls, dimension: int) -> Scouted:
        """Return that nothing is known."""
        return cls(Planes.none(dimension), np.empty((0, dimension)), np.empty((0, dimension)), 0.0)

    @property
    def empty(self) -> bool:
        """Whether no sign of failure was found."""
        return not len(self.planes.bound) and not len(self.population)


def scout(evaluator: Evaluator, rng: np.random.Generator, size: int) -> Scouted:
    """Find planes by gradients from many starts, and by a small subset run where these cannot be trusted."""
    d = evaluator.dimension
    if d > LOW_DIMENSION and not evaluator.differentiable:
        return _looked_far(explored(Scouted.nothing(d), evaluator, rng), evaluator, rng)
    u, g = spread_out(evaluator, rng, size if d <= LOW_DIMENSION else size // 4)
    planes = _by_gradients(evaluator, rng, u, g)
    if d <= LOW_DIMENSION:
        planes = with_hidden(evaluator, planes, rng, u[g <= 0])
    if d <= LOW_DIMENSION and len(planes.bound):
        return replace(Scouted.nothing(d), planes=planes)
    found = replace(Scouted.nothing(d), planes=planes)
    planes = _from_ordinary(with_images(evaluator, planes), evaluator, rng)
    return _looked_far(explored(replace(found, planes=planes), evaluator, rng), evaluator, rng)


def _looked_far(found, evaluator, rng):
    """Add the planes of modes that neither slopes nor a subset run led to, in many dimensions."""
    return replace(found, planes=with_far(evaluator, found.planes, rng, found.probability))


def spread_out(evaluator: Evaluator, rng: np.random.Generator, n: int):
    """Points in all directions, 1.5 to 7 standard deviations out in one of them, and those known already."""
    d, n = evaluator.dimension, min(n, evaluator.remaining)
    direction = rng.standard_normal((n, d))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = 1.5 + 5.5 * (rng.permutation(n) + rng.random(n)) / n
    radius = np.sqrt(reach**2 + rng.chisquare(max(d - 1, 1), n) * (d > 1))
    u = direction * radius[:, None]
    known = np.concatenate([u, evaluator.known_u])
    return known, np.concatenate([evaluator.values(u), evaluator.known_g])


def _by_gradients(evaluator, rng, u, g):
    order = np.argsort(np.where(np.isnan(g), np.inf, g), kind="stable")
    failing = order[g[order] <= 0]
    near = failing[np.argsort(np.linalg.norm(u[failing], axis=1), kind="stable")]
    close = order[g[order] > 0][: 4 * STARTS]
    starts = [
        0.05 * rng.standard_normal((1, evaluator.dimension)),
        diverse(u[near], STARTS),
        diverse(u[close], STARTS // 2),
    ]
    return Planes.none(evaluator.dimension).joined(planes_from(evaluator, np.concatenate(starts)))


def explored(found: Scouted, evaluator: Evaluator, rng: np.random.Generator) -> Scouted:
    """Add the failing points of one subset run, and the planes that they lead to."""
    shape = _look(evaluator)
    if evaluator.remaining < 2 * shape.size:
        return found
    run = shape.once(evaluator, rng)
    if not run.complete or not len(run.u):
        return found
    fresh = run.u[rng.permutation(len(run.u))]
    population = np.concatenate([found.population, fresh])
    planes = _more_planes(found.planes, fresh, evaluator)
    if evaluator.dimension > LOW_DIMENSION:
        planes = with_images(evaluator, planes)
    return Scouted(planes, population, fresh, run.probability)


def _look(evaluator):
    """Return the subset run that looks around: with one more level where slopes spare a larger run."""
    if evaluator.dimension <= LOW_DIMENSION:
        return Subset(size=POPULATION)
    return Subset(size=POPULATION, full=True) if evaluator.differentiable else Subset(size=2 * POPULATION)


def _from_ordinary(planes, evaluator, rng):
    """Planes by gradients from ordinary scenarios, near and far, until those that turn up hardly matter."""
    spent = evaluator.cost
    far = 1.0 + 2.0 * (np.arange(BATCH) % 2)
    for _ in range(MOST_STARTS // BATCH):
        before = planes.mass
        starts = far[:, None] * rng.standard_normal((BATCH, evaluator.dimension))
        planes = planes.joined(planes_from(evaluator, starts))
        if planes.mass <= (1 + HARDLY) * before or evaluator.cost - spent > DEAR:
            break
    return planes


def _more_planes(planes, fresh, evaluator):
    """Planes by slopes from failing points that no plane accounts for, those farthest before all first."""
    left, spent, cost = fresh, 0, evaluator.cost
    while len(left) and spent < MOST_STARTS:
        tried = diverse(left, starts(evaluator, BATCH if spent else BATCH // 6), ALIKE)
        before, planes = planes.mass, planes.joined(planes_from(evaluator, tried))
        left, spent = _unlike(left, tried), spent + len(tried)
        if len(planes.bound):
            depth = planes.depth(left).max(axis=1, initial=-np.inf)
            left = left[np.argsort(depth, kind="stable")][: int(np.sum(depth < 0))]
        hardly = spent > len(tried) and planes.mass <= (1 + HARDLY) * before
        if hardly or evaluator.cost - cost > (DEAR if len(planes.bound) else 2 * DEAR):
            break
    return planes


def _unlike(u, others):
    """Return the points whose directions differ from all of some others."""
    cosine = u @ others.T / np.outer(np.linalg.norm(u, axis=1), np.linalg.norm(others, axis=1))
    return u[cosine.max(axis=1, initial=-1.0) <= ALIKE]


def starts(evaluator: Evaluator, size: int) -> int:
    """Return how many of `size` starts go side by side: fewer where a slope costs many calls."""
    return max(1, size * GRADIENT_COST // max(evaluator.slope_cost, GRADIENT_COST))


def informed_subspace(u: Float[np.ndarray, "n d"], weight=None, most: int = 6) -> Float[np.ndarray, "d k"]:
    """Return the directions in which failing points stand out, as columns; all of them in low dimension."""
    n, d = u.shape
    if d <= LOW_DIMENSION:
        return np.eye(d)
    weight = np.full(n, 1.0 / n) if weight is None else weight / weight.sum()
    values, vectors = np.linalg.eigh((u * weight[:, None]).T @ u)
    noise = np.sqrt(CORRELATED * d * np.sum(weight**2))
    wide = np.flatnonzero(values > 1.3 * (1 + noise) ** 2)[::-1][:most]
    narrow = [i for i in (0, 1) if values[i + 1] > 1e-3 and values[i] < 0.6 * values[i + 1]]
    narrow = list(range(max(narrow) + 1)) if narrow else []
    out = np.concatenate([wide, np.array(narrow, int)])
    return vectors[:, out if len(out) else [d - 1]]

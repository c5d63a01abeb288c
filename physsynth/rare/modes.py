"""Failure modes: the separate parts of the failure domain, each with its share and its design point.

Two failing points belong to one mode if the straight line or the arc between them fails throughout.
Representatives drawn by weight are joined so; every other failing point follows the nearest of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float, Int

from physsynth.rare.evaluator import Evaluator
from physsynth.rare.form import along_rays, corners, search
from physsynth.rare.outcome import Estimate
from physsynth.rare.planes import ALIKE, diverse
from physsynth.rare.scout import LOW_DIMENSION

REPRESENTATIVES = 96
MOST = 128
LEFT = 0.02
JOINING = 0.01
DEEPER = 1.05
OPPOSITE = -0.7
NEIGHBOURS = 2
TRIES, MOST_TRIES = 3, 48
BETWEEN = (0.25, 0.5, 0.75)
# Failing points of a mode that are pulled inwards, and the cosine below which they differ.
INWARDS, UNLIKE = 4, 0.5


@dataclass(frozen=True)
class Modes:
    """The mode of each failing point, and the design point of each mode, largest share first."""

    labels: Int[np.ndarray, " failing"]
    design_points: Float[np.ndarray, "mode dimension"]
    share: Float[np.ndarray, " mode"]


def find_modes(estimate: Estimate, evaluator: Evaluator, rng: np.random.Generator) -> Modes:
    """Group the failing points of an estimate; spends what calls the budget still allows on it."""
    if not len(estimate.u):
        return Modes(np.zeros(0, int), np.zeros((0, evaluator.dimension)), np.zeros(0))
    if estimate.design_points is not None and len(estimate.design_points):
        return _of_planes(estimate, evaluator)
    pick = _by_weight(estimate.weight, rng)
    leader, part = _joined(estimate.u[pick], evaluator)
    labels = leader[_nearest(estimate.u, estimate.u[pick], part)]
    labels = _largest_first(labels, estimate.weight)
    points = [
        _design_point(estimate.u[labels == k], estimate.weight[labels == k], evaluator)
        for k in range(labels.max() + 1)
    ]
    return _ordered(estimate, labels, np.stack(points))


def _largest_first(labels, weight):
    """Number the modes from the one with the largest share down, as calls may not do for all."""
    labels = np.unique(labels, return_inverse=True)[1]
    return np.argsort(np.argsort(-np.bincount(labels, weight), kind="stable"))[labels]


def _of_planes(estimate, evaluator):
    """Join planes between whose design points, moved a little deeper, failure never stops."""
    points = _completed(estimate.design_points, estimate, evaluator)
    labels = _nearest_plane(estimate.u, points)
    share = np.bincount(labels, estimate.weight, len(points))
    order = np.argsort(-share, kind="stable")
    matters = share > min(JOINING, 0.3 / len(points)) * share.sum()
    own = order[: max(1, min(MOST, int(matters.sum())))]
    leader = _joined_planes(points, own, evaluator)
    kept = np.array([k for k in order if leader[k] == k][:MOST])
    place = [int(np.argmax(kept == _alike(points[leader[k]], points, kept)[0])) for k in range(len(points))]
    nearest = [min(np.flatnonzero(leader == k), key=lambda i: np.linalg.norm(points[i])) for k in kept]
    return _ordered(estimate, np.array(place)[labels], points[nearest])


def _completed(points, estimate, evaluator):
    """Add design points reached from heavy failing points that lie behind no plane."""
    for _ in range(MOST):
        beta = np.linalg.norm(points, axis=1)
        depth = (estimate.u @ (points / np.maximum(beta, 1e-12)[:, None]).T - beta).max(axis=1)
        left = np.where(depth < 0, estimate.weight, 0.0)
        if left.sum() < LEFT * estimate.probability or evaluator.remaining < 40 * evaluator.slope_cost:
            break
        found = search(evaluator, estimate.u[np.argmax(left)][None])
        if not len(found.u) or np.any(_cosine(found.u[0], points) > ALIKE):
            break
        points = np.concatenate([points, found.u])
    return points


def _joined_planes(points, own, evaluator):
    """Return the leader of each plane; those that hardly matter follow the most similar of the others.

    They join nothing: where two modes overlap, a little farther out, is no bridge between them.
    """
    leader = np.arange(len(points))
    for n, i in enumerate(own):
        for j in _alike(points[i], points, own[:n])[:NEIGHBOURS]:
            if leader[i] != leader[j] and _connected(DEEPER * points[i], DEEPER * points[j], evaluator):
                leader[leader == leader[i]] = leader[j]
    for i in np.setdiff1d(np.arange(len(points)), own):
        leader[i] = leader[_alike(points[i], points, own)[0]]
    return leader


def _alike(point, points, among):
    """Return indices `among` the points, the most similar direction first."""
    among = np.asarray(among, int)
    return among[np.argsort(-_cosine(point, points[among]), kind="stable")]


def _ordered(estimate, labels, points):
    share = np.bincount(labels, estimate.weight, len(points)) / max(estimate.probability, 1e-300)
    order = [k for k in np.argsort(-share, kind="stable") if share[k] > 0]
    rank = np.full(len(points), -1)
    rank[order] = np.arange(len(order))
    return Modes(rank[labels], points[order], share[order])


def _nearest_plane(u, points):
    """Assign each point to the design point whose tangent plane it lies deepest behind."""
    beta = np.linalg.norm(points, axis=1)
    return np.argmax(u @ (points / np.maximum(beta, 1e-12)[:, None]).T - beta, axis=1)


def _by_weight(weight, rng):
    """Systematic resampling: a part with 5 % of the weight has about five representatives."""
    n = min(REPRESENTATIVES, len(weight))
    place = (rng.random() + np.arange(n)) / n
    return np.unique(np.searchsorted(np.cumsum(weight) / weight.sum(), place).clip(max=len(weight) - 1))


def _joined(u, evaluator):
    """Return the index of each representative's leader, and of the part of the leader's mode that it is in.

    Each is joined with those most like it, and so are the modes of these, as around a ring; one joined with
    none of them may still be joined with a leader. Parts keep centres of their own, as a ring has none.
    """
    leader, part = np.full(len(u), -1), np.arange(len(u))
    order = np.argsort(np.linalg.norm(u, axis=1), kind="stable")
    for n, i in enumerate(order):
        linked: list[int] = []
        for j in _alike(u[i], u, order[:n])[:NEIGHBOURS]:
            if leader[j] not in leader[linked] and _connected(u[i], u[j], evaluator):
                linked.append(int(j))
        leaders = _alike(u[i], u, np.unique(leader[order[:n]]))
        if not linked:
            first = (int(j) for j in leaders if _connected(u[i], u[j], evaluator))
            linked = list(islice(first, 1))
        if not linked and len(leaders) >= MOST:
            linked = [int(leaders[0])]
        if linked:
            part[i] = part[linked[0]]
        modes = leader[linked]
        leader[i] = min(modes, key=lambda j: np.linalg.norm(u[j]), default=i)
        leader[np.isin(leader, modes)] = leader[i]
    return _chained(u, leader, evaluator), part


def _chained(u, leader, evaluator):
    """Join modes through their most alike members: those next to a point may by chance be of another mode."""
    tried: Counter[tuple[int, int]] = Counter()
    for i, j in _pairs(u):
        pair = (min(leader[i], leader[j]), max(leader[i], leader[j]))
        if leader[i] == leader[j] or tried[pair] == TRIES or tried.total() == MOST_TRIES:
            continue
        tried[pair] += 1
        if _connected(u[i], u[j], evaluator):
            first = min(pair, key=lambda k: np.linalg.norm(u[k]))
            leader = np.where(np.isin(leader, pair), first, leader)
    return leader


def _pairs(u):
    """Return all pairs of points, the most similar directions first."""
    unit = u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-12)
    one, other = np.triu_indices(len(u), 1)
    order = np.argsort(-np.sum(unit[one] * unit[other], axis=1), kind="stable")
    return np.stack([one, other], axis=1)[order]


def _cosine(one, many):
    return many @ one / np.maximum(np.linalg.norm(one) * np.linalg.norm(many, axis=1), 1e-300)


def _connected(one, other, evaluator):
    if _cosine(one, other[None])[0] > 0.95:
        return True
    if evaluator.remaining < 2 * len(BETWEEN):
        return False
    part = np.array(BETWEEN)[:, None]
    line = (1 - part) * one + part * other
    radius = (1 - part) * np.linalg.norm(one) + part * np.linalg.norm(other)
    arc = line * radius / np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-12)
    paths = (line, arc) if _cosine(one, other[None])[0] > OPPOSITE else (line,)
    return any(np.all(evaluator.values(path) <= 0) for path in paths)


def _nearest(u, representatives, part):
    """Return for each point a representative of the part with the nearest centre."""
    parts = np.unique(part)
    centres = np.stack([representatives[part == k].mean(axis=0) for k in parts])
    return parts[np.argmax(u @ centres.T - 0.5 * np.sum(centres**2, axis=1), axis=1)]


def _design_point(u, weight, evaluator):
    """Search from the mode's centre; at kinks and in many dimensions pull failing points inwards as well."""
    centre = np.average(u, axis=0, weights=weight)
    near = u[np.argsort(np.linalg.norm(u, axis=1), kind="stable")]
    reached = np.empty((0, u.shape[1]))
    if evaluator.remaining > 40 * evaluator.slope_cost:
        found = search(evaluator, np.stack([centre, near[0]]))
        reached = _relaxed(found, evaluator) if len(found.u) else reached
    if not len(reached):
        near = np.concatenate([_failing_on_ray(centre, evaluator, near[0])[None], near])
    elif u.shape[1] <= LOW_DIMENSION or not evaluator.differentiable:
        return reached[0]
    reached = np.concatenate([reached, _inwards(near, evaluator)])
    return reached[np.argmin(np.linalg.norm(reached, axis=1))]


def _inwards(failing, evaluator):
    """Pull a few failing points to the failures nearest around them, by slopes where these cost little."""
    rays = diverse(failing, INWARDS, UNLIKE)
    smooth = evaluator.differentiable and evaluator.continuous.all()
    return corners(evaluator, rays) if smooth else along_rays(evaluator, rays)


def _relaxed(found, evaluator):
    """Return the nearest design point, its discrete parameters pulled to their medians as far as it fails."""
    best = np.argmin(np.linalg.norm(found.u, axis=1))
    point = found.u[best : best + 1] + 1e-3 * found.direction[best : best + 1]
    if evaluator.continuous.all():
        return found.u[best][None]
    return along_rays(evaluator, point, np.where(evaluator.continuous, point, 0.0))


def _failing_on_ray(centre, evaluator, otherwise):
    """Return a failing point on the ray through the centre, if one of a few lies in the failure domain."""
    candidates = np.array([1.0, 1.1, 1.25, 1.5, 2.0])[:, None] * centre
    if evaluator.remaining < len(candidates):
        return otherwise
    fails = np.flatnonzero(evaluator.values(candidates) <= 0)
    return candidates[fails[0]] if len(fails) else otherwise

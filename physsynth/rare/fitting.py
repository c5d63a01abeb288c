"""Components for importance sampling, fitted to the planes found and to the weighted failing points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr, ndtr

from physsynth.rare.components import Component, Cone, HalfNormal, HalfSpaces, OutsideSphere, half_space
from physsynth.rare.mixture import Mixture, fitted
from physsynth.rare.planes import ALIKE, Planes, diverse
from physsynth.rare.scout import LOW_DIMENSION, informed_subspace

DEFENCE = 0.16
FAR = 0.04
TAILS = 0.08
SLACK = 0.1
# How far before a plane its own draws may begin, as searches and bisections err.
ROUGH = 0.02
REACH = 1.0
BULGE = 0.6
# How far before the planes half-spaces begin above 20 dimensions, and the least share of each.
GAPS = ((0.1, 0.04), (0.3, 0.05), (0.5, 0.08), (0.8, 0.2), (1.2, 0.25))
CONE_GAPS = (0.03, 0.3)
INFLATION = 1.15
MANY = 8
ENOUGH = 20
COMMON = -1
SMALL = 0.02
BELIEF = 4.0
LEVEL = 0.85
# Least share of a half-space, in units of its probability over that of failure; most for all together.
GUARD, MOST = 0.02, 0.2


def fit_mixture(
    planes: Planes,
    u: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"],
    probability: float,
    cones: tuple[Cone, ...] = (),
) -> Mixture:
    """Return the mixture that fits weighted failing points, its defensive parts kept open.

    Every plane gives the standard normal behind it, whose weights are bounded, and every cone that in it
    and that in a wider one. Failing points give fitted normals: around those behind each plane in low
    dimension, else along the few directions in which they differ from ordinary scenarios. Spheres inside of
    which nothing failed take the rest.
    """
    members = _by_plane(planes, u, weight)
    total = max(sum(m.total for m in members), 1e-300)
    share = _believed(planes, np.array([own.total for own in members]) / total, u, weight)
    if u.shape[1] <= LOW_DIMENSION:
        guard = _guard(planes, probability)
        parts = [
            (k, *part)
            for k in range(len(members))
            for part in _of_plane(planes, k, members[k], share[k], guard[k])
        ]
        parts += [(COMMON, normal, 0.0) for normal in _everywhere(u, weight)]
        parts += [(COMMON, normal, 0.0) for normal in _in_subspace(u, weight)]
    else:
        parts = [(COMMON, *part) for part in _all_half_spaces(planes, share)]
        parts += [(k, normal, 0.0) for k in range(len(members)) for normal in _along(planes, k, members[k])]
        parts += [(COMMON, normal, 0.0) for normal in _in_subspace(u, weight)]
    parts += [(_owner(planes, cone), wider, 0.0) for cone in cones for wider in _widened(cone)]
    outside = DEFENCE if u.shape[1] <= LOW_DIMENSION else FAR
    parts += [(COMMON, sphere, outside / 2) for sphere in _spheres(planes, u)]
    owner, components, floor = zip(*parts, strict=True)
    return _levelled(fitted(components, np.array(floor), u, weight), np.array(owner), share)


def _owner(planes, cone):
    """Return the plane that faces a cone."""
    return int(np.argmax(planes.direction @ cone.nearest))


def _widened(cone):
    """Return the cone a little before its planes, as these are rough, and well before for what bulges out."""
    return [replace(cone, bounds=cone.bounds - gap) for gap in CONE_GAPS]


def _believed(planes, share, u, weight):
    """Return the shares of many planes drawn towards the probabilities behind them.

    The first rounds hit each of many planes hardly once; without this, those missed stay so.
    """
    behind, many = _behind_planes(planes), BELIEF * max(len(share) - MANY, 0)
    seen = _Members.of(u, weight).effective
    return (seen * share + many * behind) / max(seen + many, 1e-300)


def _behind_planes(planes):
    """Return the probabilities behind planes, as shares of their sum."""
    log = log_ndtr(-planes.bound)
    near = np.exp(log - log.max(initial=-np.inf))
    return near / max(near.sum(), 1e-300)


def _levelled(mixture: Mixture, owner: np.ndarray, share: np.ndarray) -> Mixture:
    """Return the mixture with more draws for planes that hold a small share, so that it is known too.

    Shares of draws in proportion to the square root of the planes' shares cost little precision of their sum.
    """
    if len(share) < 2 or not share.sum() > 0:
        return mixture
    mass = np.bincount(owner[owner >= 0], mixture.shares[owner >= 0], len(share))
    known = (share >= min(SMALL, 0.2 / len(share))) & (mass > 0)
    if known.sum() < 2:
        return mixture
    even = np.where(known, np.sqrt(share), 0.0)
    wanted = np.where(known, np.maximum(mass, LEVEL * mass.sum() * even / even.sum()), mass)
    wanted *= mass.sum() / wanted.sum()
    factor = np.where(mass > 0, wanted / np.maximum(mass, 1e-300), 1.0)
    return replace(mixture, shares=np.where(owner >= 0, factor[owner], 1.0) * mixture.shares)


@dataclass(frozen=True)
class _Members:
    """Failing points with their total weight, shares of it, and effective number."""

    u: np.ndarray
    total: float
    share: np.ndarray
    effective: float

    @classmethod
    def of(cls, u, weight):
        total = float(weight.sum())
        if not total > 0:
            return cls(u[:0], 0.0, weight[:0], 0.0)
        share = weight / total
        return cls(u, total, share, 1.0 / float(np.sum(share**2)))

    def scale(self, basis):
        """Standard deviation, common to all directions outside a basis (d, k)."""
        d, k = basis.shape
        across = np.sum(self.u**2, axis=1) - np.sum((self.u @ basis) ** 2, axis=1)
        return float(np.sqrt(self.share @ across / (d - k))) if k < d else 1.0

    def moments(self, v):
        """Mean and covariance of v, drawn towards a sphere of its own size and widened while members are few.

        The normal that predicts the next of n draws in d dimensions is wider by about 1 + (d + 2) / n.
        """
        d, mean = v.shape[1], self.share @ v
        raw = ((v - mean) * self.share[:, None]).T @ (v - mean) * (1 + (d + 2) / max(self.effective, 1.0))
        pull = (d + 1) / (d + 1 + self.effective)
        return mean, (1 - pull) * raw + pull * np.eye(d) * np.trace(raw) / d


def _by_plane(planes, u, weight):
    """Give each failing point to the plane that it lies deepest behind, unless far before all."""
    if not len(planes.bound):
        return []
    depth = planes.depth(u)
    owner = np.argmax(depth, axis=1)
    reach = REACH if u.shape[1] <= LOW_DIMENSION else np.maximum(REACH, 0.6 * planes.bound[owner])
    owner = np.where(depth.max(axis=1, initial=-np.inf) > -reach, owner, -1)
    return [_Members.of(u[owner == k], weight[owner == k]) for k in range(len(planes.bound))]


def _lowest(planes, k, members):
    """Return the bound of a plane's half-space: a little before the plane and before all its members."""
    along = members.u @ planes.direction[k]
    return min(planes.bound[k] - SLACK, float(along.min(initial=np.inf)) - ROUGH)


def _guard(planes, probability):
    """Return the least shares of half-spaces, by which parts of them that no draw hit yet show in the end.

    A part with a tenth of the probability P of failure meets three of n draws if the share is 30 / n times
    the probability behind the plane over P.
    """
    behind = ndtr(-planes.bound)
    share = GUARD * behind / probability if probability > 0 else np.zeros(len(behind))
    return share * min(1.0, MOST / max(share.sum(), 1e-300))


def _of_plane(planes, k, members, share, guard):
    """Return the components behind a plane, each with the least share that it must keep."""
    parts = _half_spaces(planes, k, members, share, guard) + _normals(planes, k, members, share)
    if len(planes.direction[k]) >= MANY:
        parts += [(normal, 0.0) for normal in _along(planes, k, members)]
    return parts


def _half_spaces(planes, k, members, share, guard):
    """Return the space behind a plane, and those behind planes before it.

    A little before it, as far as a plane so alike that this one stands for it may lie (around a cylinder
    the boundary bends back so far halfway to the next plane), and well before it for what bulges out. Where
    enough members are known so is the space that they take: behind a corner's plane there is little.
    """
    floor = DEFENCE / 2 * (0.3 / len(planes.bound) + 0.7 * share)
    lowest, direction = _lowest(planes, k, members), planes.direction[k]
    spaces = [(half_space(direction, lowest), floor + guard), (half_space(direction, lowest - BULGE), floor)]
    alike = ALIKE * planes.bound[k] - ROUGH
    if alike < lowest:
        spaces.append((half_space(direction, alike), floor))
    if members.effective > ENOUGH:
        nearest = float((members.u @ direction).min()) - ROUGH
        spaces.append((half_space(direction, nearest), 0.0))
    return spaces


def _all_half_spaces(planes, share):
    """Return the spaces behind all planes together, in proportion to their probability and their members'."""
    if not len(planes.bound):
        return []
    behind = _behind_planes(planes)
    share = 0.7 * behind + 0.3 * (share if share.sum() > 0 else behind)
    return [(HalfSpaces(planes.direction, planes.bound - gap, share), floor) for gap, floor in GAPS]


def _normals(planes, k, members, share):
    """Return normals fitted to the members of a plane: behind it, free, and with wide tails."""
    d, direction = len(planes.direction[k]), planes.direction[k]
    if members.effective < 2 * d + 4:
        return []
    mean, covariance = members.moments(members.u)
    wide = (1 + 2 / np.sqrt(d)) ** 2
    tails = TAILS * share
    return [
        (_behind(direction, _lowest(planes, k, members), members), 0.0),
        (_free(np.eye(d), mean, INFLATION * covariance), 0.0),
        (_free(np.eye(d), mean, wide * covariance), tails),
    ]


def _behind(direction, lowest, members, basis=None):
    """Return the density that is standard normal behind the plane and a fitted normal along it."""
    d = len(direction)
    basis = np.eye(d) if basis is None else basis
    across = np.eye(d) - np.outer(direction, direction)
    mean, covariance = members.moments(members.u @ across)
    inside = INFLATION * across @ covariance @ across + np.outer(direction, direction)
    return HalfNormal(basis, mean, np.linalg.cholesky(_firm(inside)), direction, lowest)


def _along(planes, k, members):
    """Return normals along the direction of a plane's members, for boundaries that are no plane.

    Across it they are standard, or as wide as the members: many variables may each change a little.
    """
    if members.effective <= ENOUGH:
        return []
    basis = planes.direction[k][:, None]
    mean, covariance = members.moments(members.u @ basis)
    return [_free(basis, mean, INFLATION * covariance, s) for s in (1.0, members.scale(basis))]


def _in_subspace(u, weight):
    """Return normals around groups of failing points, in the directions in which these stand out."""
    everyone = _Members.of(u, weight)
    if everyone.effective < 20:
        return []
    basis = informed_subspace(u, weight)
    y = u @ basis
    leaders = diverse(y[np.argsort(-everyone.share, kind="stable")], 6, alike=0.5)
    label = np.argmax(y @ (leaders / np.linalg.norm(leaders, axis=1, keepdims=True)).T, axis=1)
    groups = [_Members.of(y[label == k], weight[label == k]) for k in range(len(leaders))]
    enough = [group for group in groups if group.effective >= basis.shape[1] + 4]
    free = [_free(basis, *_inflated(group.moments(group.u), s)) for group in enough for s in (INFLATION, 2.0)]
    return free + [_beyond(basis, group) for group in enough]


def _beyond(basis, group):
    """Return the density behind a plane across the mean of a group, before all but its nearest points."""
    mean = group.share @ group.u
    direction = mean / max(float(np.linalg.norm(mean)), 1e-12)
    along = np.sort(group.u @ direction)
    return _behind(direction, float(along[len(along) // 100]) - 0.02, group, basis)


def _everywhere(u, weight):
    """Return one normal around all failing points, where planes would split them too finely."""
    members = _Members.of(u, weight)
    if members.effective < u.shape[1] + 4:
        return []
    return [_free(np.eye(u.shape[1]), *_inflated(members.moments(members.u), s)) for s in (INFLATION, 1.6)]


def _inflated(moments, scale):
    return moments[0], scale * moments[1]


def _free(basis, mean, covariance, scale=1.0):
    direction = np.eye(len(mean))[0]
    return HalfNormal(basis, mean, np.linalg.cholesky(_firm(covariance)), direction, -np.inf, scale)


def _firm(covariance):
    """Return the covariance with no direction narrower than a hundredth of a standard deviation."""
    return covariance + 1e-4 * np.eye(len(covariance))


def _spheres(planes, u):
    """Return the normal outside two spheres: well before every known failure, and just before."""
    radii = np.concatenate([np.linalg.norm(u, axis=1), np.abs(planes.bound)])
    least = float(np.linalg.norm(u, axis=1).min()) if len(u) else float(radii.min())
    components: list[Component] = [OutsideSphere(u.shape[1], max(0.0, 0.95 * float(radii.min()) - SLACK))]
    return [*components, OutsideSphere(u.shape[1], max(0.0, least - 0.02))]

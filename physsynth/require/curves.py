"""How a loss falls with the size of the data: an ensemble of laws, each weighted by how well it explains it.

Every law is loss(n) = a + c phi(n; shape), with phi(n_K) = 1 at the largest size seen, so that c is the
excess there whatever the law. Given the floor a and the shape, c is known up to a normal error by
generalised least squares; floors and shapes stand on a grid that closes in on where they are likely, along
principal axes, weighted by their marginal likelihood under flat priors. Half of the weight is beforehand on
curves without a floor.

Source: Viering and Loog (2023), IEEE Trans. Pattern Anal. Mach. Intell. 45, 7799 (laws in use and how they
extrapolate); Hoeting, Madigan, Raftery and Volinsky (1999), Stat. Sci. 14, 382 (averaging over models).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float
from scipy import special

_NODES = {0: 1, 1: 61, 2: 25, 3: 11}
_ROUNDS = 6
_POINTS = special.ndtri((np.arange(15) + 0.5) / 15)
_LARGEST_LOG = 700.0

Range = Float[np.ndarray, "p 2"]


class Law(Protocol):
    """One family of curves."""

    def box(self, sizes: Float[np.ndarray, " size"]) -> Range:
        """Return the least and largest value of each number that makes the shape; flat between."""
        ...

    def curve(
        self, n: Float[np.ndarray, "*batch"], shape: Float[np.ndarray, "*batch p"]
    ) -> Float[np.ndarray, "*batch"]:
        """Return log phi before it is scaled."""
        ...

    def size(
        self, log_phi: Float[np.ndarray, "*batch"], shape: Float[np.ndarray, "*batch p"]
    ) -> Float[np.ndarray, "*batch"]:
        """Return the n of a given log phi."""
        ...


@dataclass(frozen=True)
class PowerLaw:
    """phi = n^-alpha, alpha from 0.02 to 2."""

    def box(self, sizes):
        """Return the range of alpha."""
        return np.array([[0.02, 2.0]])

    def curve(self, n, shape):
        """Return -alpha log n."""
        return -shape[..., 0] * np.log(n)

    def size(self, log_phi, shape):
        """Return exp(-log phi / alpha)."""
        return np.exp(np.minimum(-log_phi / shape[..., 0], _LARGEST_LOG))


@dataclass(frozen=True)
class ShiftedPowerLaw:
    """phi = (n + d)^-alpha, slow at first; d up to four times the smallest size."""

    def box(self, sizes):
        """Return the ranges of alpha and d."""
        return np.array([[0.05, 2.0], [0.0, 4 * sizes[0]]])

    def curve(self, n, shape):
        """Return -alpha log (n + d)."""
        return -shape[..., 0] * np.log(n + shape[..., 1])

    def size(self, log_phi, shape):
        """Return exp(-log phi / alpha) - d."""
        reached = np.exp(np.minimum(-log_phi / shape[..., 0], _LARGEST_LOG))
        return np.maximum(reached - shape[..., 1], 0.0)


@dataclass(frozen=True)
class StretchedExponential:
    """phi = exp(-(n / tau)^gamma)."""

    def box(self, sizes):
        """Return the ranges of log tau, half the smallest to ten times the largest size, and of gamma."""
        return np.array([[np.log(sizes[0] / 2), np.log(10 * sizes[-1])], [0.3, 1.0]])

    def curve(self, n, shape):
        """Return -(n / tau)^gamma."""
        return -((n / np.exp(shape[..., 0])) ** shape[..., 1])

    def size(self, log_phi, shape):
        """Return tau (-log phi)^(1 / gamma)."""
        return np.exp(shape[..., 0]) * np.maximum(-log_phi, 0.0) ** (1 / shape[..., 1])


@dataclass(frozen=True)
class InverseLogarithm:
    """phi = 1 / log(e + n / d), slower than any power."""

    def box(self, sizes):
        """Return the range of log d, about the sizes seen."""
        return np.array([[np.log(sizes[0] / 4), np.log(sizes[-1])]])

    def curve(self, n, shape):
        """Return -log log(e + n / d)."""
        return -np.log(np.log(np.e + n / np.exp(shape[..., 0])))

    def size(self, log_phi, shape):
        """Return d (exp(exp(-log phi)) - e)."""
        exponent = np.minimum(np.exp(np.minimum(-log_phi, 50.0)), _LARGEST_LOG)
        return np.exp(shape[..., 0]) * np.maximum(np.exp(exponent) - np.e, 0.0)


LAWS: tuple[Law, ...] = (PowerLaw(), ShiftedPowerLaw(), StretchedExponential(), InverseLogarithm())


class Seen(NamedTuple):
    """Mean losses at each size, their covariance, and the degrees of freedom that it rests on."""

    sizes: Float[np.ndarray, " size"]
    mean: Float[np.ndarray, " size"]
    covariance: Float[np.ndarray, "size size"]
    freedom: float


class Ensemble(NamedTuple):
    """Equally likely curves: law, shape, floor a and excess c at the largest size seen."""

    laws: tuple[Law, ...]
    law: np.ndarray
    shape: list[Float[np.ndarray, "curve p"]]
    floor: Float[np.ndarray, " curve"]
    excess: Float[np.ndarray, " curve"]
    largest: float

    def losses(self, n: Float[np.ndarray, " size"]) -> Float[np.ndarray, "curve size"]:
        """Return each curve at the given sizes."""
        phi = np.empty((len(self.floor), len(n)))
        for place, law in enumerate(self.laws):
            shape = self.shape[place][:, None, :]
            log_phi = law.curve(n, shape) - law.curve(np.asarray(self.largest), shape)
            phi[self.law == place] = np.exp(log_phi)
        return self.floor[:, None] + self.excess[:, None] * phi

    def needed(self, target: float) -> Float[np.ndarray, " curve"]:
        """Return the size at which each curve meets the target; inf where its floor lies above it."""
        size = np.full(len(self.floor), np.inf)
        for place, law in enumerate(self.laws):
            mine = self.law == place
            left = (target - self.floor[mine]) / self.excess[mine]
            shape = self.shape[place]
            scaled = np.log(np.where(left > 0, left, 1.0)) + law.curve(np.asarray(self.largest), shape)
            size[mine] = np.where(left > 0, law.size(scaled, shape), np.inf)
        return size


def fit(seen: Seen, laws: Sequence[Law] = LAWS, curves: int = 4000) -> Ensemble:
    """Return equally likely curves, picked systematically in proportion to their posterior weight."""
    grids = [_close_in(law, floored, seen) for law in laws for floored in (False, True)]
    which = np.repeat(np.arange(len(grids)) // 2, [len(grid.log_weight) for grid in grids])
    starts = np.concatenate([[0], np.cumsum([len(grid.log_weight) for grid in grids])])[:-1:2]
    log_weight, floor, excess = (
        np.concatenate([getattr(grid, name) for grid in grids]) for name in ("log_weight", "floor", "excess")
    )
    shapes = [np.concatenate([a.shape, b.shape]) for a, b in zip(grids[::2], grids[1::2], strict=True)]
    weight = np.exp(log_weight - log_weight.max())
    picks = np.searchsorted(np.cumsum(weight) / weight.sum(), (np.arange(curves) + 0.5) / curves)
    picks = picks.clip(max=len(weight) - 1)
    return Ensemble(
        laws=tuple(laws),
        law=which[picks],
        shape=[shape[picks[which[picks] == i] - starts[i]] for i, shape in enumerate(shapes)],
        floor=floor[picks],
        excess=excess[picks],
        largest=float(seen.sizes[-1]),
    )


class _Grid(NamedTuple):
    """Curves of one law, one a row, with log posterior weights."""

    log_weight: np.ndarray
    shape: np.ndarray
    floor: np.ndarray
    excess: np.ndarray


class _Box(NamedTuple):
    """A parallelepiped, centre + root [-1, 1]^p, and the midpoints of its cells."""

    centre: np.ndarray
    root: np.ndarray

    @property
    def step(self) -> float:
        """Side of a cell, in units of the box's half sides."""
        return 2 / _NODES[len(self.centre)]

    def points(self) -> np.ndarray:
        """Return the midpoints (cell, p)."""
        places = -1 + self.step * (np.arange(_NODES[len(self.centre)]) + 0.5)
        unit = np.stack(
            [axis.ravel() for axis in np.meshgrid(*[places] * len(self.centre), indexing="ij")], axis=1
        )
        return self.centre + unit @ self.root.T

    def about(self, points, log_weight) -> _Box:
        """Return a box of four standard deviations along the principal axes of its weighted points."""
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        centre = weight @ points
        covariance = (points - centre).T @ ((points - centre) * weight[:, None])
        cell = 0.5 * self.step * self.root
        values, vectors = np.linalg.eigh(covariance + cell @ cell.T)
        return _Box(centre, 4 * vectors * np.sqrt(np.maximum(values, 0.0)))


def _close_in(law, floored, seen) -> _Grid:
    """Lay a grid over shapes, and floors as a share of the last mean, and narrow it to the likely ones."""
    whole = law.box(seen.sizes)
    if floored:
        whole = np.vstack([whole, [0.0, 1.0]])
    box = _Box(whole.mean(axis=1), np.diag(np.ptp(whole, axis=1) / 2))
    for _ in range(_ROUNDS):
        points = box.points()
        box = box.about(points, _explain(law, floored, seen, whole, points)[0])
    points = box.points()
    log_weight, excess, scale = _explain(law, floored, seen, whole, points)
    side = np.ptp(whole, axis=1) / 2
    cell = np.linalg.slogdet(box.root / side[:, None])[1] + len(side) * np.log(box.step / 2)
    return _spread_out(log_weight + cell, points, floored, seen, excess, scale)


def _explain(law, floored, seen, whole, points):
    """Return each point's log marginal likelihood, and its excess c with the scale of that; none outside."""
    inside = np.all((points >= whole[:, 0]) & (points <= whole[:, 1]), axis=1)
    shape, floor = _parted(np.clip(points, whole[:, 0], whole[:, 1]), floored, seen)
    log_phi = law.curve(seen.sizes, shape[:, None, :])
    whitened = np.linalg.inv(np.linalg.cholesky(seen.covariance)).T
    slope = np.exp(log_phi - log_phi[:, -1:]) @ whitened
    rest = (seen.mean - floor[:, None]) @ whitened
    square = np.sum(slope**2, axis=1)
    excess = np.sum(rest * slope, axis=1) / square
    misfit = np.maximum(np.sum(rest**2, axis=1) - excess**2 * square, 0.0) / seen.freedom
    size = seen.freedom + len(seen.sizes) - 1
    log_weight = np.where(inside, -0.5 * size * np.log1p(misfit) - 0.5 * np.log(square), -np.inf)
    return log_weight, excess, np.sqrt((1 + misfit) / square)


def _parted(points, floored, seen):
    """Return shapes and floors."""
    if not floored:
        return points, np.zeros(len(points))
    return points[:, :-1], points[:, -1] * seen.mean[-1]


def _spread_out(log_weight, points, floored, seen, excess, scale):
    """Give every point its quantiles of c; a curve that does not fall has no weight."""
    shape, floor = _parted(points, floored, seen)
    each = np.repeat(np.arange(len(points)), len(_POINTS))
    values = excess[each] + scale[each] * np.tile(_POINTS, len(points))
    weight = np.where(values > 0, log_weight[each], -np.inf)
    return _Grid(weight, shape[each], floor[each], np.maximum(values, 1e-300))

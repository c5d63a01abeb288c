"""How a loss falls with the size of the data: an ensemble of laws, each weighted by how well it explains it.

Every law is loss(n) = a + c phi(n; shape), with phi(n_K) = 1 at the largest size seen, so that c is the
excess there whatever the law. Given the floor a and the shape, c is known up to a normal error by
generalised least squares; floors and shapes stand on a grid, weighted by their marginal likelihood under a
flat prior of c.

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

_FLOORS = np.concatenate([[0.0], (np.arange(40) + 0.5) / 40])
_NO_FLOOR = 0.5
_POINTS = special.ndtri((np.arange(15) + 0.5) / 15)


class Law(Protocol):
    """One family of curves."""

    def shapes(self, sizes: Float[np.ndarray, " size"]) -> Float[np.ndarray, "shape p"]:
        """Return the shapes on the grid, equally likely beforehand."""
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
    """phi = n^-alpha."""

    def shapes(self, sizes):
        """Exponents from 0.05 to 2."""
        return np.linspace(0.05, 2.0, 79)[:, None]

    def curve(self, n, shape):
        """Return -alpha log n."""
        return -shape[..., 0] * np.log(n)

    def size(self, log_phi, shape):
        """Return exp(-log phi / alpha)."""
        return np.exp(np.minimum(-log_phi / shape[..., 0], 700.0))


@dataclass(frozen=True)
class ShiftedPowerLaw:
    """phi = (n + d)^-alpha: slow at first."""

    def shapes(self, sizes):
        """Return exponents, and shifts of up to four times the smallest size."""
        exponents, shifts = np.meshgrid(np.linspace(0.1, 2.0, 20), sizes[0] * np.array([0.5, 1.0, 2.0, 4.0]))
        return np.column_stack([exponents.ravel(), shifts.ravel()])

    def curve(self, n, shape):
        """Return -alpha log (n + d)."""
        return -shape[..., 0] * np.log(n + shape[..., 1])

    def size(self, log_phi, shape):
        """Return exp(-log phi / alpha) - d."""
        return np.maximum(np.exp(np.minimum(-log_phi / shape[..., 0], 700.0)) - shape[..., 1], 0.0)


@dataclass(frozen=True)
class StretchedExponential:
    """phi = exp(-(n / tau)^gamma)."""

    def shapes(self, sizes):
        """Scales from half the smallest to ten times the largest size, three exponents."""
        scales = np.geomspace(sizes[0] / 2, 10 * sizes[-1], 24)
        scales, exponents = np.meshgrid(scales, [0.4, 0.7, 1.0])
        return np.column_stack([scales.ravel(), exponents.ravel()])

    def curve(self, n, shape):
        """Return -(n / tau)^gamma."""
        return -((n / shape[..., 0]) ** shape[..., 1])

    def size(self, log_phi, shape):
        """Return tau (-log phi)^(1 / gamma)."""
        return shape[..., 0] * np.maximum(-log_phi, 0.0) ** (1 / shape[..., 1])


@dataclass(frozen=True)
class InverseLogarithm:
    """phi = 1 / log(e + n / d): slower than any power."""

    def shapes(self, sizes):
        """Return scales about the sizes seen."""
        return np.geomspace(sizes[0] / 4, sizes[-1], 8)[:, None]

    def curve(self, n, shape):
        """Return -log log(e + n / d)."""
        return -np.log(np.log(np.e + n / shape[..., 0]))

    def size(self, log_phi, shape):
        """Return d (exp(exp(-log phi)) - e)."""
        exponent = np.minimum(np.exp(np.minimum(-log_phi, 50.0)), 700.0)
        return shape[..., 0] * np.maximum(np.exp(exponent) - np.e, 0.0)


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
    grids = [_weigh(law, seen) for law in laws]
    log_weight = np.concatenate([grid.log_weight for grid in grids])
    weight = np.exp(log_weight - log_weight.max())
    picks = np.searchsorted(np.cumsum(weight) / weight.sum(), (np.arange(curves) + 0.5) / curves)
    picks = picks.clip(max=len(weight) - 1)
    which = np.repeat(np.arange(len(grids)), [len(grid.log_weight) for grid in grids])
    starts = np.concatenate([[0], np.cumsum([len(grid.log_weight) for grid in grids])])
    return Ensemble(
        laws=tuple(laws),
        law=which[picks],
        shape=[grid.shape[picks[which[picks] == i] - starts[i]] for i, grid in enumerate(grids)],
        floor=np.concatenate([grid.floor for grid in grids])[picks],
        excess=np.concatenate([grid.excess for grid in grids])[picks],
        largest=float(seen.sizes[-1]),
    )


class _Grid(NamedTuple):
    """One law's curves, one a row, with log posterior weights."""

    log_weight: np.ndarray
    shape: np.ndarray
    floor: np.ndarray
    excess: np.ndarray


def _weigh(law, seen):
    shapes = law.shapes(seen.sizes)
    log_phi = law.curve(seen.sizes, shapes[:, None, :])
    phi = np.exp(log_phi - log_phi[:, -1:])
    whitened = np.linalg.inv(np.linalg.cholesky(seen.covariance))
    slope = phi @ whitened.T
    floors = _FLOORS * seen.mean[-1]
    rest = (seen.mean - floors[:, None]) @ whitened.T
    square = np.sum(slope**2, axis=1)
    excess = (rest @ slope.T) / square
    misfit = np.sum(rest**2, axis=1)[:, None] - excess**2 * square
    prior = np.log(np.where(_FLOORS == 0, _NO_FLOOR, (1 - _NO_FLOOR) / (len(_FLOORS) - 1)))[:, None]
    size = seen.freedom + len(seen.sizes) - 1
    fitted = -0.5 * size * np.log1p(np.maximum(misfit, 0.0) / seen.freedom) - 0.5 * np.log(square)
    log_weight = fitted + prior - np.log(len(shapes))
    scale = np.sqrt((1 + np.maximum(misfit, 0.0) / seen.freedom) / square)
    return _spread_out(log_weight, shapes, floors, excess, scale)


def _spread_out(log_weight, shapes, floors, excess, scale):
    """Give every floor and shape its quantiles of c; a curve that does not fall has no weight."""
    f, s, q = (part.ravel() for part in np.indices((len(floors), len(shapes), len(_POINTS))))
    points = excess[f, s] + scale[f, s] * _POINTS[q]
    weight = np.where(points > 0, log_weight[f, s], -np.inf)
    return _Grid(weight, shapes[s], floors[f], np.maximum(points, 1e-300))

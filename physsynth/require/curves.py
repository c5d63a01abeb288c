"""How a loss falls with the size of the data: an ensemble of laws, each weighted by how well it explains it.

Every law is loss(n) = a + c phi(n; shape), with phi(n_K) = 1 at the largest size seen, so that c is the
excess there whatever the law. Given the floor a and the shape, c is known up to a normal error by
generalised least squares; floors and shapes stand on a grid that closes in on where they are likely, along
principal axes, weighted by their marginal likelihood under flat priors.

Beyond the sizes seen a curve may change its pace, which nothing in the scores foretells: from some size b on
it goes as if log n ran f times as fast, log f normal. Changes by a third or so pass unseen among few sizes,
and every curve has one, with even odds within the next octave. Large ones would have been seen: where none
was in s octaves, Jeffreys' prior of how often they come leaves the chance sqrt(s / (s + t)) of none in t
more.

A family is a law with or without a floor. Between families it counts how well each fits the smaller sizes
and, seen from them, predicted the largest one, p(y_K | y_1 ... y_K-1); each of its numbers costs one, as
Akaike has it. So a family is not held back by the room that its numbers had beforehand, in which a marginal
likelihood drowns all that have a floor.

Source: Viering and Loog (2023), IEEE Trans. Pattern Anal. Mach. Intell. 45, 7799 (laws in use and how they
extrapolate); Dawid (1984), J. R. Stat. Soc. A (models weighed by what they predicted); Akaike
(1974), IEEE Trans. Autom. Control (the price of a number); Caballero, Gupta, Rish
and Krueger (2023), ICLR (curves that break).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float
from scipy import special, stats

# Below this a law is refuted.
UNLIKELY = 0.01
_NODES = {1: 61, 2: 21, 3: 11, 4: 7}
_ROUNDS, _SETTLED = 7, 0.2
_BISECTIONS = 50
_GOLDEN = (5**0.5 - 1) / 2
_PACE_SD, _FARTHEST = 0.35, 100.0
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
        return np.array([[np.log(sizes[0] / 2), np.log(10 * sizes[-1])], [0.3, 1.5]])

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


@dataclass(frozen=True)
class PowerExponential:
    """phi = n^-alpha exp(-n / tau), a power law that ends."""

    def box(self, sizes):
        """Return the ranges of alpha, and of log tau, half the smallest to twenty times the largest size."""
        return np.array([[0.02, 1.5], [np.log(sizes[0] / 2), np.log(20 * sizes[-1])]])

    def curve(self, n, shape):
        """Return -alpha log n - n / tau."""
        return -shape[..., 0] * np.log(n) - n / np.exp(shape[..., 1])

    def size(self, log_phi, shape):
        """Return the n of a given log phi, by bisection."""
        return _bisected(self, log_phi, shape)


@dataclass(frozen=True)
class BrokenPowerLaw:
    """phi = n^-alpha (1 + n / d)^(alpha - beta), one exponent early and another one late."""

    def box(self, sizes):
        """Return the ranges of alpha and beta, and of log d, about the sizes seen."""
        return np.array([[0.02, 1.5], [0.02, 2.0], [np.log(sizes[0] / 2), np.log(4 * sizes[-1])]])

    def curve(self, n, shape):
        """Return -alpha log n + (alpha - beta) log(1 + n / d)."""
        early, late = shape[..., 0], shape[..., 1]
        return -early * np.log(n) + (early - late) * np.log1p(n / np.exp(shape[..., 2]))

    def size(self, log_phi, shape):
        """Return the n of a given log phi, by bisection."""
        return _bisected(self, log_phi, shape)


def _bisected(law, log_phi, shape):
    """Return the n of a given log phi of a law that falls, between 1e-3 and 1e300."""
    low, high = np.full(log_phi.shape, -7.0), np.full(log_phi.shape, 690.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        short = law.curve(np.exp(middle), shape) > log_phi
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.exp((low + high) / 2)


LAWS: tuple[Law, ...] = (
    PowerLaw(),
    ShiftedPowerLaw(),
    BrokenPowerLaw(),
    PowerExponential(),
    StretchedExponential(),
    InverseLogarithm(),
)


class Seen(NamedTuple):
    """Mean losses at each size, their covariance, and the degrees of freedom that it rests on."""

    sizes: Float[np.ndarray, " size"]
    mean: Float[np.ndarray, " size"]
    covariance: Float[np.ndarray, "size size"]
    freedom: float


def lasting(octaves: float, seen: float) -> float:
    """Return the chance of no large change of pace in so many octaves more, after none in those seen."""
    return math.sqrt(seen / (seen + max(octaves, 0.0)))


class Ensemble(NamedTuple):
    """Equally likely curves: law, shape, floor a, excess c at the largest size seen, and changes of pace.

    From `turn` on, log n counts `pace` times.
    """

    laws: tuple[Law, ...]
    law: np.ndarray
    shape: list[Float[np.ndarray, "curve p"]]
    floor: Float[np.ndarray, " curve"]
    excess: Float[np.ndarray, " curve"]
    turn: Float[np.ndarray, " curve"]
    pace: Float[np.ndarray, " curve"]
    largest: float

    def losses(self, n: Float[np.ndarray, " size"]) -> Float[np.ndarray, "curve size"]:
        """Return each curve at the given sizes."""
        phi = np.empty((len(self.floor), len(n)))
        counted = _stretched(n, self.turn[:, None], self.pace[:, None])
        for place, law in enumerate(self.laws):
            shape, mine = self.shape[place][:, None, :], self.law == place
            log_phi = law.curve(counted[mine], shape) - law.curve(np.asarray(self.largest), shape)
            phi[mine] = np.exp(log_phi)
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
        return _stretched(size, self.turn, 1 / self.pace)


def _stretched(n, turn, pace):
    """Return n up to the turn, and turn (n / turn)^pace beyond."""
    beyond = pace * np.log(np.maximum(n / turn, 1.0))
    return np.where(n > turn, turn * np.exp(np.minimum(beyond, _LARGEST_LOG / 2)), n)


class Family(NamedTuple):
    """A law with or without a floor: its share of the weight, and how badly its best curve fits.

    `misfit` is a chi-squared on `spare` degrees of freedom, sizes more than the family has numbers.
    """

    law: Law
    floored: bool
    share: float
    misfit: float
    spare: int

    def likely(self, seen: Seen) -> float:
        """Return how likely a misfit as large is if the family is right; 1 where there is none to see."""
        if not self.spare:
            return 1.0
        return float(stats.f.sf(self.misfit / self.spare, self.spare, seen.freedom))


def bends(families: Sequence[Family], seen: Seen) -> bool:
    """Tell whether the scores refute a straight line on logarithmic axes."""
    straight = next(one for one in families if isinstance(one.law, PowerLaw) and not one.floored)
    return straight.likely(seen) < UNLIKELY


def fit(seen: Seen, laws: Sequence[Law] = LAWS, curves: int = 4000) -> tuple[Ensemble, tuple[Family, ...]]:
    """Return equally likely curves, picked systematically in proportion to their weight, and the families."""
    kinds = [(law, floored) for law in laws for floored in (False, True)]
    grids = [_close_in(law, floored, seen) for law, floored in kinds]
    share = _predicted(kinds, grids, seen)
    families = tuple(
        Family(law, floored, float(part), grid.misfit, max(len(seen.sizes) - _numbers(law, floored, seen), 0))
        for (law, floored), part, grid in zip(kinds, share, grids, strict=True)
    )
    if bends(families, seen):
        share = (share + _even(families, seen)) / 2
        families = tuple(one._replace(share=float(part)) for one, part in zip(families, share, strict=True))
    return _drawn(laws, grids, share, seen, curves), families


def _even(families, seen):
    """Return even shares of the families that the scores do not refute.

    The law that told the largest size best need not be the one by which a bent curve goes on.
    """
    kept = np.array([one.likely(seen) >= UNLIKELY for one in families], float)
    return kept / kept.sum() if kept.any() else np.full(len(families), 1 / len(families))


def _drawn(laws, grids, share, seen, curves) -> Ensemble:
    """Return curves picked from the families' grids, each with an excess that is positive."""
    which = np.repeat(np.arange(len(grids)) // 2, [len(grid.floor) for grid in grids])
    starts = np.concatenate([[0], np.cumsum([len(grid.floor) for grid in grids])])[:-1:2]
    floor, excess, scale = (
        np.concatenate([getattr(grid, name) for grid in grids]) for name in ("floor", "excess", "scale")
    )
    shapes = [np.concatenate([a.shape, b.shape]) for a, b in zip(grids[::2], grids[1::2], strict=True)]
    weight = np.concatenate(
        [part * special.softmax(grid.log_weight) for part, grid in zip(share, grids, strict=True)]
    )
    picks = np.searchsorted(np.cumsum(weight) / weight.sum(), (np.arange(curves) + 0.5) / curves)
    picks = picks.clip(max=len(weight) - 1)
    return Ensemble(
        laws=tuple(laws),
        law=which[picks],
        shape=[shape[picks[which[picks] == i] - starts[i]] for i, shape in enumerate(shapes)],
        floor=floor[picks],
        excess=_positive(excess[picks], scale[picks]),
        turn=_turns(seen, curves),
        pace=np.exp(_PACE_SD * special.ndtri(_even_places(curves, 3**0.5))),
        largest=float(seen.sizes[-1]),
    )


def _turns(seen, curves):
    """Return where curves change their pace; up to t octaves beyond the sizes seen 1 / (1 + t) have not."""
    octaves = 1 / _even_places(curves, 2**0.5) - 1
    return seen.sizes[-1] * np.exp2(np.minimum(octaves, _FARTHEST))


def _even_places(number, step):
    """Return evenly spread places between 0 and 1, in the order of an irrational step."""
    return np.mod((np.arange(number) + 0.5) * step, 1.0)


def _positive(mean, sd):
    """Return one value of each normal above zero, evenly spread over their quantiles."""
    below = special.ndtr(-mean / sd)
    above = np.maximum((1 - below) * (1 - _even_places(len(mean), _GOLDEN)), 1e-300)
    return np.maximum(mean - sd * special.ndtri(above), 1e-300)


def _predicted(kinds, grids, seen):
    """Return each family's share, by its fit of the smaller sizes and the density it gave the largest."""
    kept = slice(0, len(seen.sizes) - 1)
    before = seen._replace(
        sizes=seen.sizes[kept], mean=seen.mean[kept], covariance=seen.covariance[kept, kept]
    )
    scores = []
    for (law, floored), grid in zip(kinds, grids, strict=True):
        smaller = _close_in(law, floored, before, seen)
        fits = -0.5 * (seen.freedom + len(before.sizes) - 1) * math.log1p(smaller.misfit / seen.freedom)
        scores.append(grid.evidence - smaller.evidence + fits - _numbers(law, floored, seen))
    return special.softmax(np.where(np.isfinite(scores), scores, -np.inf))


def _numbers(law, floored, seen):
    """Return how many numbers a family has: its shape, the excess, and the floor."""
    return len(law.box(seen.sizes)) + 1 + floored


class _Grid(NamedTuple):
    """Curves of one family, one a row, with log posterior weights; the evidence, and the least misfit.

    The excess has a normal error, `scale`.
    """

    log_weight: np.ndarray
    shape: np.ndarray
    floor: np.ndarray
    excess: np.ndarray
    scale: np.ndarray
    evidence: float
    misfit: float


@cache
def _cube(d: int) -> np.ndarray:
    """Return the midpoints (cell, d) of the cells of [-1, 1]^d."""
    places = -1 + 2 * (np.arange(_NODES[d]) + 0.5) / _NODES[d]
    return np.stack([axis.ravel() for axis in np.meshgrid(*[places] * d, indexing="ij")], axis=1)


class _Box(NamedTuple):
    """A parallelepiped, centre + root [-1, 1]^p, and the midpoints of its cells."""

    centre: np.ndarray
    root: np.ndarray

    @property
    def step(self) -> float:
        """Side of a cell, in units of the box's half sides."""
        return 2 / _NODES[len(self.centre)]

    @property
    def log_size(self) -> float:
        """Log of its volume, the cube's being one."""
        return float(np.linalg.slogdet(self.root)[1])

    def points(self) -> np.ndarray:
        """Return the midpoints (cell, p)."""
        return self.centre + _cube(len(self.centre)) @ self.root.T

    def about(self, points, log_weight) -> _Box:
        """Return a box of four standard deviations along the principal axes of its weighted points."""
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        centre = weight @ points
        covariance = (points - centre).T @ ((points - centre) * weight[:, None])
        cell = 0.5 * self.step * self.root
        values, vectors = np.linalg.eigh(covariance + cell @ cell.T)
        return _Box(centre, 4 * vectors * np.sqrt(np.maximum(values, 0.0)))


def _close_in(law, floored, seen, prior=None) -> _Grid:
    """Lay a grid over shapes, and floors as a share of the last mean, and narrow it to the likely ones.

    The ranges, and the size at which the excess counts, are those of the `prior` data, `seen` unless given.
    """
    prior = seen if prior is None else prior
    whole = law.box(prior.sizes)
    if floored:
        whole = np.vstack([whole, [0.0, 1.0]])
    whitening = np.linalg.inv(np.linalg.cholesky(seen.covariance)).T
    explain = partial(_explain, law, floored, seen, prior, whole, whitening)
    box = _Box(whole.mean(axis=1), np.diag(np.ptp(whole, axis=1) / 2))
    for _ in range(_ROUNDS):
        points, wider = box.points(), box
        box = box.about(points, explain(points)[0])
        if abs(box.log_size - wider.log_size) < _SETTLED:
            break
    points = box.points()
    log_weight, excess, scale, misfit = explain(points)
    log_weight = log_weight + special.log_ndtr(excess / scale)
    whole_size = np.sum(np.log(np.ptp(whole, axis=1) / 2))
    cell = box.log_size - whole_size + len(whole) * np.log(box.step / 2)
    shape, floor = _parted(points, floored, prior)
    evidence = float(np.logaddexp.reduce(log_weight + cell))
    return _Grid(log_weight, shape, floor, excess, scale, evidence, float(misfit.min()))


def _explain(law, floored, seen, prior, whole, whitening, points):
    """Return each point's log marginal likelihood, its excess c with the scale of that, and its misfit.

    Points outside the ranges have no likelihood.
    """
    inside = np.all((points >= whole[:, 0]) & (points <= whole[:, 1]), axis=1)
    shape, floor = _parted(np.clip(points, whole[:, 0], whole[:, 1]), floored, prior)
    log_phi = law.curve(seen.sizes, shape[:, None, :])
    reference = law.curve(prior.sizes[-1], shape[:, None, :])
    slope = np.exp(np.minimum(log_phi - reference, _LARGEST_LOG / 4)) @ whitening
    rest = (seen.mean - floor[:, None]) @ whitening
    square = np.sum(slope**2, axis=1)
    excess = np.sum(rest * slope, axis=1) / square
    misfit = np.maximum(np.sum(rest**2, axis=1) - excess**2 * square, 0.0)
    scaled = misfit / seen.freedom
    size = seen.freedom + len(seen.sizes) - 1
    log_weight = -0.5 * size * np.log1p(scaled) - 0.5 * np.log(square)
    log_weight = np.where(inside, log_weight, -np.inf)
    return log_weight, excess, np.sqrt((1 + scaled) / square), np.where(inside & (excess > 0), misfit, np.inf)


def _parted(points, floored, prior):
    """Return shapes and floors."""
    if not floored:
        return points, np.zeros(len(points))
    return points[:, :-1], points[:, -1] * prior.mean[-1]

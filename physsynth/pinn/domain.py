"""Where a problem lives: a box of named coordinates, with boxes cut out of it if need be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.pinn.given import check_domain

Interval = tuple[float, float]
Points = dict[str, jax.Array]
HostPoints = dict[str, np.ndarray]
_SPARE = 4


@dataclass(frozen=True)
class Domain:
    """A box, minus the boxes that are cut out of it.

    Parameters
    ----------
    intervals : mapping of str to (low, high)
        Each coordinate in order.
    without : tuple of mapping of str to (low, high)
        Boxes cut out: without ``({"x": (0, 1), "y": (-1, 0)},)`` the square is an L-shape.

    Raises
    ------
    ParameterError
        If the measure is zero, or a bound is not finite.
    UnknownNameError
        If a cut names another coordinate.

    Examples
    --------
    >>> Domain({"t": (0.0, 1.0), "x": (-1.0, 1.0)}).coordinates
    ('t', 'x')
    """

    intervals: Mapping[str, Interval]
    without: tuple[Mapping[str, Interval], ...] = ()

    def __post_init__(self):
        check_domain(self.intervals)
        if not self.intervals:
            raise ParameterError("a domain without coordinates", key="domain", wanted="at least one interval")
        for box in (self.intervals, *self.without):
            for name, interval in box.items():
                if name not in self.intervals:
                    raise unknown_name("coordinate", name, self.intervals, key="without")
                _check_interval(name, interval)
        if self.volume <= 0:
            raise ParameterError(
                "a domain of zero measure", key="without", wanted="something left of the box"
            )

    @classmethod
    def of(cls, domain: Domain | Mapping[str, Interval]) -> Domain:
        """Return a domain from what a user gives."""
        if isinstance(domain, Domain):
            return domain
        check_domain(domain)
        return cls(dict(domain))

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The coordinates' names in order."""
        return tuple(self.intervals)

    @property
    def volume(self) -> float:
        """Measure of the domain."""
        return _volume(self.intervals) - sum(_volume({**self.intervals, **box}) for box in self.without)

    def sample(self, rng: np.random.Generator, n: int) -> HostPoints:
        """Draw `n` points uniformly."""
        spare = n if not self.without else _SPARE * n
        unit = rng.uniform(size=(len(self.intervals), spare))
        points = {
            name: low + (high - low) * row
            for (name, (low, high)), row in zip(self.intervals.items(), unit, strict=True)
        }
        if not self.without:
            return points
        first = np.argsort(~self.contains(points), kind="stable")[:n]
        return {name: value[first] for name, value in points.items()}

    def contains(self, points: HostPoints) -> np.ndarray:
        """Whether points of the box lie outside all cuts."""
        cut = (
            np.all([(points[c] > low) & (points[c] < high) for c, (low, high) in box.items()], axis=0)
            for box in self.without
        )
        return ~np.any([np.zeros_like(next(iter(points.values())), bool), *cut], axis=0)

    def cut_distances(self) -> list[Callable[[Mapping], jax.Array]]:
        """Return, for each cut, a function that vanishes on its boundary and is positive outside it."""
        return [partial(_outside, self._inner_faces(box)) for box in self.without]

    def _inner_faces(self, box):
        """Return (coordinate, position, outward sign) of the faces of a cut that bound the domain."""
        faces = []
        for name, (low, high) in box.items():
            bounds = self.intervals[name]
            faces += [(name, low, -1.0)] if low > bounds[0] else []
            faces += [(name, high, 1.0)] if high < bounds[1] else []
        return faces


def _outside(faces, p):
    """Return a function that vanishes on the inner faces of a cut and is positive beyond them."""
    beyond = [sign * (p[name] - position) for name, position, sign in faces]
    if len(faces) == 2 and faces[0][0] != faces[1][0]:
        return _corner(*beyond)
    first, *others = beyond
    for other in others:
        first = first + other + jnp.sqrt(first**2 + other**2)
    return first


def _corner(a, b):
    """r^(2/3) sin(2 θ / 3), the harmonic function of a re-entrant corner; the cut is a, b < 0.

    Solutions behave like it there (Grisvard 1985, Elliptic Problems in Nonsmooth Domains), so that what
    the network has to add is smoother. Elsewhere: Rvachev's disjunction (Rvachev 1982).
    """
    angle = jnp.arctan2(b, a) + jnp.pi / 2
    # On the last face b may be -0, which arctan2 takes for the other end of its range.
    angle = jnp.where(angle < -jnp.pi / 4, angle + 2.0 * jnp.pi, angle)
    return (a**2 + b**2) ** (1 / 3) * jnp.sin(2.0 * angle / 3.0)


def _volume(box):
    return float(np.prod([high - low for low, high in box.values()]))


def _check_interval(name, interval):
    try:
        low, high = (float(end) for end in interval)
    except (TypeError, ValueError) as reason:
        raise ParameterError(
            "not an interval", key=f"domain.{name}", wanted="two numbers, (low, high)", got=repr(interval)
        ) from reason
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ParameterError(
            "a domain of zero measure",
            key=f"domain.{name}",
            wanted="(low, high) with low < high, both finite",
            got=f"({low:g}, {high:g})",
        )

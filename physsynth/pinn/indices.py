"""Multi-indices: which partial derivatives a computation carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import factorial, prod

MultiIndex = tuple[int, ...]


@dataclass(frozen=True)
class Indices:
    """A downward-closed set of multi-indices: with u_xxy also u_xx, u_xy, u_x, u_y and u.

    Attributes
    ----------
    coordinates : tuple of str
        The coordinate that each entry of a multi-index counts.
    members : tuple of multi-indices
        By total order, so that the first is the value itself.

    Examples
    --------
    >>> Indices.closure(("t", "x"), [(1, 0), (0, 2)]).members
    ((0, 0), (0, 1), (1, 0), (0, 2))
    """

    coordinates: tuple[str, ...]
    members: tuple[MultiIndex, ...]

    @classmethod
    def closure(cls, coordinates: Iterable[str], wanted: Iterable[MultiIndex]) -> Indices:
        """Return the smallest downward-closed set that holds the `wanted` multi-indices."""
        names = tuple(coordinates)
        below = {(0,) * len(names)}
        for index in wanted:
            below |= set(product(*(range(n + 1) for n in index)))
        return cls(names, tuple(sorted(below, key=lambda k: (sum(k), k))))

    @cached_property
    def position(self) -> Mapping[MultiIndex, int]:
        """Where each member stands."""
        return {index: i for i, index in enumerate(self.members)}

    @cached_property
    def products(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each member k, the pairs of positions (i, j) with i + j = k (Cauchy product)."""
        return tuple(
            tuple((self.position[i], self.position[minus(k, i)]) for i in self.members if below(i, k))
            for k in self.members
        )

    @cached_property
    def steps(self) -> tuple[tuple[tuple[float, int, int], ...], ...]:
        """For each member k but the first, the terms of its chain-rule recursion.

        With D the derivative along one coordinate d of k (k_d > 0), D y = s D z reads, coefficient by
        coefficient, y_k = sum over j <= k with j_d > 0 of (j_d / k_d) z_j s_(k - j). Each term is
        (j_d / k_d, position of j, position of k - j).
        """
        return tuple(self._step(k) for k in self.members[1:])

    def _step(self, k):
        d = next(axis for axis, n in enumerate(k) if n)
        lower = (j for j in self.members if below(j, k) and j[d])
        return tuple((j[d] / k[d], self.position[j], self.position[minus(k, j)]) for j in lower)

    def factorial(self, index: MultiIndex) -> int:
        """Return k!, the ratio of a derivative to its Taylor coefficient."""
        return prod(map(factorial, index))

    def unit(self, coordinate: str) -> MultiIndex:
        """Return the multi-index of the first derivative along a coordinate."""
        return tuple(int(name == coordinate) for name in self.coordinates)

    def __len__(self) -> int:
        return len(self.members)


def below(i: MultiIndex, k: MultiIndex) -> bool:
    """Whether i <= k in every entry."""
    return all(a <= b for a, b in zip(i, k, strict=True))


def minus(k: MultiIndex, i: MultiIndex) -> MultiIndex:
    """Return k - i."""
    return tuple(b - a for a, b in zip(i, k, strict=True))

"""A field on a tensor grid with named partial derivatives, so that equations on it read like the mathematics.

    u.t + u * u.x - nu * u.xx

Derivatives are those of the polynomial through the nearest points of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.core.errors import ParameterError

STENCIL = 9


class GridField:
    """Values on a tensor grid: `u.x` and `u.xxt` are partial derivatives, and `u` itself is its values.

    Parameters
    ----------
    values : array (n1, n2, ...)
    nodes : mapping of str to array
        The coordinates in the order of the axes; their points rise. Not traced by JAX.

    Raises
    ------
    ParameterError
        If a derivative is asked for along a coordinate that the grid does not have.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 21)
    >>> u = GridField(jnp.sin(x), {"x": x})
    >>> bool(jnp.abs(u + u.xx).max() < 1e-6)
    True
    """

    def __init__(self, values: jax.Array, nodes: Mapping[str, np.ndarray]):
        self.values, self.nodes = jnp.asarray(values), dict(nodes)

    def __getattr__(self, name: str) -> jax.Array:
        if name.startswith("_"):
            raise AttributeError(name)
        values = self.values
        for axis, (coordinate, points) in enumerate(self.nodes.items()):
            order = name.count(coordinate)
            if order:
                matrix = jnp.asarray(derivative_matrix(np.asarray(points), order), values.dtype)
                values = jnp.moveaxis(jnp.tensordot(matrix, values, (1, axis)), 0, axis)
        if sum(name.count(coordinate) * len(coordinate) for coordinate in self.nodes) != len(name):
            raise ParameterError(
                "a derivative along a coordinate that the grid does not have",
                key=name,
                wanted="letters among: " + ", ".join(self.nodes),
                got=f'"{name}"',
            )
        return values

    def __jax_array__(self) -> jax.Array:
        return self.values

    def __add__(self, other):
        return self.values + jnp.asarray(other)

    def __sub__(self, other):
        return self.values - jnp.asarray(other)

    def __rsub__(self, other):
        return jnp.asarray(other) - self.values

    def __mul__(self, other):
        return self.values * jnp.asarray(other)

    def __truediv__(self, other):
        return self.values / jnp.asarray(other)

    def __rtruediv__(self, other):
        return jnp.asarray(other) / self.values

    def __pow__(self, power):
        return self.values**power

    def __neg__(self):
        return -self.values

    __radd__, __rmul__ = __add__, __mul__


def derivative_matrix(nodes: np.ndarray, order: int, stencil: int = STENCIL) -> np.ndarray:
    """Return the matrix that maps values at nodes to derivatives there.

    Each row differentiates the polynomial through the `stencil` nearest nodes.

    Parameters
    ----------
    nodes : array (n,)
        Rising.
    order : int
    stencil : int
        At most n are used.

    References
    ----------
    Fornberg (1988), Mathematics of Computation 51, 699-706.

    Examples
    --------
    >>> derivative_matrix(np.array([0.0, 1.0, 2.0]), 2)[1].tolist()
    [1.0, -2.0, 1.0]
    """
    n = len(nodes)
    width = min(stencil, n)
    matrix = np.zeros((n, n))
    for i in range(n):
        first = int(np.clip(i - width // 2, 0, n - width))
        own = slice(first, first + width)
        matrix[i, own] = _weights(nodes[own] - nodes[i], order)
    return matrix


def _weights(x: np.ndarray, order: int) -> np.ndarray:
    """Weights of the values at `x` in the derivative at 0 of the polynomial through them."""
    table = np.zeros((len(x), order + 1))
    table[0, 0], scale = 1.0, 1.0
    for i in range(1, len(x)):
        last = table[i - 1].copy()
        gaps = x[i] - x[:i]
        product = np.prod(gaps)
        powers = np.arange(order + 1)
        table[:i] = (x[i] * table[:i] - powers * np.pad(table[:i, :-1], ((0, 0), (1, 0)))) / gaps[:, None]
        table[i] = scale / product * (powers * np.append(0.0, last[:-1]) - x[i - 1] * last)
        scale = product
    return table[:, order]

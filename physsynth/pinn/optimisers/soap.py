"""SOAP: Adam run in the slowly turning eigenbasis of Shampoo's two factors, as an optax transformation.

For a weight matrix with gradient G: L <- EMA(G G'), R <- EMA(G' G); with Q_L, Q_R their eigenvectors,
Adam's moments are kept of Q_L' G Q_R, and its step is turned back.

Source: Vyas et al. (2025), SOAP: Improving and Stabilizing Shampoo using Adam, ICLR, algorithm 3.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

_TINY = 1e-8


class Factor(NamedTuple):
    """The two second-moment factors of one matrix and the eigenbasis last taken from them."""

    left: jax.Array
    right: jax.Array
    basis_left: jax.Array
    basis_right: jax.Array


class SoapState(NamedTuple):
    """Step count, factors of each matrix, first moment (unturned) and second moment (turned)."""

    count: jax.Array
    factors: tuple[Factor, ...]
    first: tuple[jax.Array, ...]
    second: tuple[jax.Array, ...]


def scale_by_soap(
    shapes: tuple[tuple[int, int], ...], b1: float = 0.95, b2: float = 0.95, every: int = 10
) -> optax.GradientTransformation:
    """Return SOAP's preconditioner of a vector that holds matrices one after another.

    Parameters
    ----------
    shapes : tuple of (rows, columns)
        Together they are as long as the vector; a bias is a matrix of one row.
    b1, b2 : float
        Decay of the moments.
    every : int
        Steps between two eigendecompositions.

    Examples
    --------
    >>> soap = scale_by_soap(((2, 3),))
    >>> step, _ = soap.update(jnp.ones(6), soap.init(jnp.zeros(6)))
    >>> step.shape
    (6,)
    """

    def init(vector):
        zeros = tuple(jnp.zeros(shape, vector.dtype) for shape in shapes)
        factors = tuple(_factor(rows, columns, vector.dtype) for rows, columns in shapes)
        return SoapState(jnp.zeros((), int), factors, zeros, zeros)

    def update(vector, state, params=None):
        gradients = _split(vector, shapes)
        count = state.count + 1
        factors = tuple(map(lambda f, g: _accumulate(f, g, b2), state.factors, gradients))
        factors = jax.lax.cond((count - 1) % every == 0, lambda f: tuple(map(_turn, f)), lambda f: f, factors)
        first = tuple(b1 * m + (1 - b1) * g for m, g in zip(state.first, gradients, strict=True))
        turned = tuple(map(_into, factors, gradients))
        second = tuple(b2 * v + (1 - b2) * g**2 for v, g in zip(state.second, turned, strict=True))
        c1, c2 = 1 - b1**count, 1 - b2**count
        steps = [
            _out_of(f, (_into(f, m) / c1) / (jnp.sqrt(v / c2) + _TINY))
            for f, m, v in zip(factors, first, second, strict=True)
        ]
        return jnp.concatenate([s.reshape(-1) for s in steps]), SoapState(count, factors, first, second)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


def _factor(rows, columns, dtype):
    eye = (jnp.eye(rows, dtype=dtype), jnp.eye(columns, dtype=dtype))
    return Factor(0.0 * eye[0], 0.0 * eye[1], *eye)


def _split(vector, shapes):
    parts, start = [], 0
    for rows, columns in shapes:
        parts.append(vector[start : start + rows * columns].reshape(rows, columns))
        start += rows * columns
    return tuple(parts)


def _accumulate(factor, g, decay):
    left = decay * factor.left + (1 - decay) * g @ g.T
    right = decay * factor.right + (1 - decay) * g.T @ g
    return factor._replace(left=left, right=right)


def _turn(factor):
    left, right = (jnp.linalg.eigh(matrix)[1] for matrix in (factor.left, factor.right))
    return factor._replace(basis_left=left, basis_right=right)


def _into(factor, g):
    return factor.basis_left.T @ g @ factor.basis_right


def _out_of(factor, g):
    return factor.basis_left @ g @ factor.basis_right.T

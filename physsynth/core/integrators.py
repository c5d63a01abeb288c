"""Fixed-step integrators of ordinary differential equations, as scans.

Solve in closed form where one is known; come here next; go adaptive last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

State = TypeVar("State")


def rk4(
    vector_field: Callable[[jax.Array, State], State],
    initial: State,
    times: Float[Array, " time"],
    substeps: int = 1,
) -> State:
    """Integrate dy/dt = f(t, y) by the classical fourth-order Runge-Kutta scheme.

    Parameters
    ----------
    vector_field : callable
        ``f(t, y)``, with `y` any pytree.
    initial : pytree
        State at ``times[0]``.
    times : array (time,)
        Where the state is wanted.
    substeps : int
        Equal steps between two such times.

    Returns
    -------
    pytree
        States of shape (time, ...); the error falls with the fourth power of the step.

    References
    ----------
    Kutta (1901), Zeitschrift für Mathematik und Physik 46.

    Examples
    --------
    >>> y = rk4(lambda t, y: -y, jnp.asarray(1.0), jnp.linspace(0.0, 1.0, 11))
    >>> bool(abs(y[-1] - jnp.exp(-1.0)) < 1e-6)
    True
    """

    def step(t, y, h):
        k1 = vector_field(t, y)
        k2 = vector_field(t + h / 2, _shift(y, k1, h / 2))
        k3 = vector_field(t + h / 2, _shift(y, k2, h / 2))
        k4 = vector_field(t + h, _shift(y, k3, h))
        return jax.tree.map(lambda y, a, b, c, d: y + h / 6 * (a + 2 * b + 2 * c + d), y, k1, k2, k3, k4)

    def interval(y, ends):
        start, end = ends
        h = (end - start) / substeps
        y = jax.lax.fori_loop(0, substeps, lambda i, y: step(start + i * h, y, h), y)
        return y, y

    _, path = jax.lax.scan(interval, initial, (times[:-1], times[1:]))
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), initial, path)


def _shift(y, slope, h):
    return jax.tree.map(lambda y, k: y + h * k, y, slope)

"""Posterior draws as rows of one matrix, and functions of a draw as functions of a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physsynth.core.errors import ParameterError
from physsynth.require.requirement import Check

Theta = Mapping[str, jax.Array]
LEAST_DRAWS = 100


@dataclass(frozen=True)
class Layout:
    """Where each named part of a draw stands in its row, and which entries are there as logs."""

    parts: tuple[tuple[str, tuple[int, ...]], ...]
    logged: tuple[bool, ...]

    def split(self, row: Float[Array, " dimension"]) -> dict[str, jax.Array]:
        """Return the named parts of one row."""
        if any(self.logged):
            row = jnp.where(jnp.asarray(self.logged), jnp.exp(row), row)
        ends = np.cumsum([math.prod(shape) for _, shape in self.parts])
        return {
            name: row[end - math.prod(shape) : end].reshape(shape)
            for (name, shape), end in zip(self.parts, ends, strict=True)
        }


@dataclass(frozen=True)
class Reader:
    """A caller's scalar function of a draw, as a function of a row; equal ones share compiled code."""

    function: Callable[[Theta], jax.Array]
    layout: Layout

    def __call__(self, row: Float[Array, " dimension"]) -> Float[Array, ""]:
        """Evaluate it at one row."""
        return jnp.asarray(self.function(self.layout.split(row)), row.dtype).reshape(())


def flatten(draws: Mapping[str, np.ndarray | jax.Array]) -> tuple[Float[Array, "draw dimension"], Layout]:
    """Set the parts of every draw side by side.

    Raises
    ------
    ParameterError
        If there is no part, one is not finite, or they are not equally many.
    """
    if not draws:
        raise ParameterError("posterior draws are missing", key="draws", wanted="a dict of arrays (S, ...)")
    arrays = {name: jnp.asarray(value, float) for name, value in draws.items()}
    count = {name: array.shape[:1] for name, array in arrays.items()}
    for name, array in arrays.items():
        if not array.ndim or count[name] != next(iter(count.values())):
            raise ParameterError(
                "draws of the wrong shape",
                key=f'draws["{name}"]',
                wanted=f"as many rows as the first part: {next(iter(count.values()))}",
                got=f"shape {array.shape}",
            )
        if not bool(jnp.all(jnp.isfinite(array))):
            raise ParameterError("draws that are not finite", key=f'draws["{name}"]', wanted="finite numbers")
    rows = jnp.concatenate([array.reshape(len(array), -1) for array in arrays.values()], axis=1)
    parts = tuple((name, tuple(array.shape[1:])) for name, array in arrays.items())
    return rows, Layout(parts, (False,) * rows.shape[1])


def in_logs(rows: Float[Array, "draw dimension"], layout: Layout):
    """Put entries that are positive in every draw in logs, so that moved particles stay positive."""
    positive = jnp.all(rows > 0, axis=0)
    rows = jnp.where(positive, jnp.log(jnp.where(positive, rows, 1.0)), rows)
    return rows, Layout(layout.parts, tuple(bool(flag) for flag in positive))


def pilot_checks(rows: Float[Array, "draw dimension"]) -> tuple[Check, ...]:
    """Check that there are enough draws, and that they vary."""
    spread = float(jnp.max(jnp.std(rows, axis=0)))
    return (
        Check(
            "posterior draws",
            len(rows),
            LEAST_DRAWS,
            len(rows) >= LEAST_DRAWS,
            "draw more from the posterior, or collect a pilot and calibrate on it",
        ),
        Check(
            "largest posterior sd of a parameter",
            spread,
            0.0,
            spread > 0,
            "draws that do not vary carry no uncertainty: hand in posterior draws, not an estimate",
        ),
    )

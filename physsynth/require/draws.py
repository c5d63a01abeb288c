"""Posterior draws as rows of one matrix, and functions of a draw as functions of a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physsynth.core.checks import Check
from physsynth.core.errors import ParameterError
from physsynth.require import arguments

Theta = Mapping[str, jax.Array]
Rows = Float[np.ndarray, "draw dimension"]
LEAST_DRAWS = 100


@dataclass(frozen=True)
class Layout:
    """Where each named part of a draw stands in its row, and which entries are there as logs."""

    parts: tuple[tuple[str, tuple[int, ...]], ...]
    logged: tuple[bool, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What each entry of a row is called: its part, and its place there."""
        return tuple(label for name, shape in self.parts for label in _labels(name, shape))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(name for name, _ in self.parts)

    def split(self, row: Float[Array, " dimension"]) -> dict[str, jax.Array]:
        """Return the named parts of one row."""
        if any(self.logged):
            row = jnp.where(jnp.asarray(self.logged), jnp.exp(row), row)
        ends = np.cumsum([math.prod(shape) for _, shape in self.parts])
        return {
            name: row[end - math.prod(shape) : end].reshape(shape)
            for (name, shape), end in zip(self.parts, ends, strict=True)
        }


def _labels(name, shape):
    if not shape:
        return [name]
    return [f"{name}[{','.join(map(str, place))}]" for place in np.ndindex(shape)]


@dataclass(frozen=True)
class Reader:
    """A caller's scalar function of a draw, as a function of a row; equal ones share compiled code."""

    function: Callable[[Theta], jax.Array]
    layout: Layout

    def __call__(self, row: Float[Array, " dimension"]) -> Float[Array, ""]:
        """Evaluate it at one row."""
        return jnp.asarray(self.function(self.layout.split(row)), row.dtype).reshape(())


def flatten(draws: Mapping[str, np.ndarray | jax.Array]) -> tuple[Rows, Layout]:
    """Set the parts of every draw side by side.

    Raises
    ------
    ParameterError
        If there is no part, one is not finite, or they are not equally many.
    """
    if not isinstance(draws, Mapping) or not draws:
        raise ParameterError("posterior draws are missing", key="draws", wanted="a dict of arrays (S, ...)")
    arrays = {name: _array(name, value) for name, value in draws.items()}
    count = {name: array.shape[:1] for name, array in arrays.items()}
    for name, array in arrays.items():
        if not array.ndim or count[name] != next(iter(count.values())):
            raise ParameterError(
                "draws of the wrong shape",
                key=f'draws["{name}"]',
                wanted=f"as many rows as the first part: {next(iter(count.values()))}",
                got=f"shape {array.shape}",
            )
    widths = {name: math.prod(array.shape[1:]) for name, array in arrays.items()}
    rows = np.concatenate([array.reshape(len(array), widths[name]) for name, array in arrays.items()], axis=1)
    parts = tuple((name, tuple(array.shape[1:])) for name, array in arrays.items())
    return rows, Layout(parts, (False,) * rows.shape[1])


def _array(name, values):
    """Return an array in the precision that JAX works in."""
    return arguments.numbers(f'draws["{name}"]', values, "finite numbers").astype(jnp.result_type(float))


def in_logs(rows: Rows, layout: Layout) -> tuple[Rows, Layout]:
    """Put entries that are positive in every draw in logs, so that moved particles stay positive."""
    positive = np.all(rows > 0, axis=0)
    rows = np.where(positive, np.log(np.where(positive, rows, 1.0)), rows)
    return rows, Layout(layout.parts, tuple(positive.tolist()))


def is_parameter(rows: Rows, values: Float[np.ndarray, " draw"]) -> bool:
    """Tell whether a quantity is one entry of the draws, or the exponential of one.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(100, 2))
    >>> is_parameter(rows, np.exp(rows[:, 1])), is_parameter(rows, rows.sum(axis=1))
    (True, False)
    """
    with np.errstate(over="ignore"):
        return any(
            np.allclose(part, values, rtol=1e-6) for column in rows.T for part in (column, np.exp(column))
        )


def varies(values: Float[np.ndarray, " draw"]) -> Check:
    """Check that the quantity varies over the draws."""
    spread = float(np.ptp(values)) if values.max() > values.min() else 0.0
    return Check(
        "range of the quantity among the draws",
        spread,
        "> 0",
        spread > 0,
        "a quantity that does not depend on the draws is known already, or stated wrongly",
    )


def pilot_checks(rows: Rows) -> tuple[Check, ...]:
    """Check that there are enough draws, and that they vary."""
    spread = float(np.ptp(rows, axis=0).max()) if len(rows) else 0.0
    return (
        Check(
            "posterior draws",
            len(rows),
            f">= {LEAST_DRAWS:g}",
            len(rows) >= LEAST_DRAWS,
            "draw more from the posterior, or collect a pilot and calibrate on it",
        ),
        Check(
            "widest range of a parameter among the draws",
            spread,
            "> 0",
            spread > 0,
            "draws that do not vary carry no uncertainty: hand in posterior draws, not an estimate",
        ),
    )

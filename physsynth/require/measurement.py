"""What one measurement is: a response, a scatter about it, and what it tells of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physsynth.require.draws import Layout, Theta
from physsynth.require.noise import Noise


@dataclass(frozen=True)
class Measurement:
    """What one measurement is, as functions of a row of draws; equal ones share compiled code.

    Parameters
    ----------
    observe : callable
        ``observe(theta, condition)`` -> mean response, a scalar.
    noise : Noise
    layout : Layout
    """

    observe: Callable[[Theta, jax.Array], jax.Array]
    noise: Noise
    layout: Layout

    def sample(self, key: jax.Array, row: jax.Array, condition: jax.Array) -> jax.Array:
        """Draw one measurement."""
        theta, response = self._response(row, condition)
        return self.noise.sample(key, response, theta, condition)

    def log_density(self, measured: jax.Array, row: jax.Array, condition: jax.Array) -> jax.Array:
        """Return the log density of one measurement."""
        theta, response = self._response(row, condition)
        return self.noise.log_density(measured, response, theta, condition)

    def information(self, row: jax.Array, condition: jax.Array) -> Float[Array, "d d"]:
        """Return the Fisher information of one measurement about the row."""

        def coordinates(row):
            theta, response = self._response(row, condition)
            return self.noise.coordinates(response, theta, condition)

        slopes = jax.jacfwd(coordinates)(row)
        return slopes.T @ slopes

    def _response(self, row, condition):
        theta = self.layout.split(row)
        return theta, jnp.asarray(self.observe(theta, condition), row.dtype).reshape(())

    def response(self, row: jax.Array, condition: jax.Array) -> jax.Array:
        """Return the mean response."""
        return self._response(row, condition)[1]


@partial(jax.jit, static_argnames="measurement")
def information(
    measurement: Measurement, rows: Float[Array, "draw d"], conditions: Float[Array, "condition ..."]
) -> Float[Array, "draw condition d d"]:
    """Return the Fisher information of one measurement at each draw and condition."""
    over_conditions = jax.vmap(measurement.information, in_axes=(None, 0))
    return jax.vmap(over_conditions, in_axes=(0, None))(rows, conditions)


@partial(jax.jit, static_argnames="measurement")
def tabulate(
    measurement: Measurement, rows: Float[Array, "draw d"], conditions: Float[Array, "condition ..."]
) -> Float[Array, "draw condition"]:
    """Return the mean response of every draw at every condition."""
    over_conditions = jax.vmap(measurement.response, in_axes=(None, 0))
    return jax.lax.map(lambda row: over_conditions(row, conditions), rows, batch_size=512)


@partial(jax.jit, static_argnames="measurement")
def own_densities(
    measurement: Measurement, rows: Float[Array, "draw d"], conditions: Float[Array, "condition ..."]
) -> Float[Array, "draw condition"]:
    """Return the log density, under every draw, of its own mean response at every condition."""

    def one(row, condition):
        return measurement.log_density(measurement.response(row, condition), row, condition)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(rows, conditions)

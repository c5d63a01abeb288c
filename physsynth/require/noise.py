"""How one measurement scatters about the model's response, as a strategy that `precision` is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Theta = Mapping[str, jax.Array]


@runtime_checkable
class FunctionOfCondition(Protocol):
    """A function of the parameters and the condition."""

    def __call__(self, theta: Theta, condition: jax.Array, /) -> jax.Array:
        """Evaluate it."""
        ...


@runtime_checkable
class Noise(Protocol):
    """The distribution of one measurement given the response of the model."""

    def sample(self, key: jax.Array, response: jax.Array, theta: Theta, condition: jax.Array) -> jax.Array:
        """Draw one measurement."""
        ...

    def log_density(
        self, measured: jax.Array, response: jax.Array, theta: Theta, condition: jax.Array
    ) -> jax.Array:
        """Return the log density of one measurement."""
        ...

    def coordinates(self, response: jax.Array, theta: Theta, condition: jax.Array) -> Float[Array, " c"]:
        """Return functions of theta whose Jacobian J gives the Fisher information J' J."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Normal scatter with a standard deviation ``sd(theta, condition)``, known or to be learnt.

    The information of N(f, s^2) is f' f'^T / s^2 + 2 (log s)' (log s)'^T.
    """

    sd: FunctionOfCondition

    def sample(self, key: jax.Array, response: jax.Array, theta: Theta, condition: jax.Array) -> jax.Array:
        """Draw one measurement."""
        return response + self.sd(theta, condition) * jax.random.normal(key, (), response.dtype)

    def log_density(
        self, measured: jax.Array, response: jax.Array, theta: Theta, condition: jax.Array
    ) -> jax.Array:
        """Return the log density of one measurement, up to a constant."""
        sd = self.sd(theta, condition)
        return -0.5 * ((measured - response) / sd) ** 2 - jnp.log(sd)

    def coordinates(self, response: jax.Array, theta: Theta, condition: jax.Array) -> Float[Array, " c"]:
        """Return (f / s with s held, sqrt(2) log s)."""
        sd = jnp.asarray(self.sd(theta, condition), response.dtype)
        return jnp.stack([response / jax.lax.stop_gradient(sd), jnp.sqrt(2.0) * jnp.log(sd)])


@dataclass(frozen=True)
class Bernoulli:
    """A yes or no, the response being the probability of yes.

    Its information p'^2 / (p (1 - p)) is the squared slope of 2 arcsin(sqrt(p)).
    """

    def sample(self, key: jax.Array, response: jax.Array, theta: Theta, condition: jax.Array) -> jax.Array:
        """Draw 1 or 0."""
        return (jax.random.uniform(key, (), response.dtype) < response).astype(response.dtype)

    def log_density(
        self, measured: jax.Array, response: jax.Array, theta: Theta, condition: jax.Array
    ) -> jax.Array:
        """Return log p or log(1 - p)."""
        tiny = jnp.finfo(response.dtype).eps
        response = jnp.clip(response, tiny, 1 - tiny)
        return jnp.where(measured > 0.5, jnp.log(response), jnp.log1p(-response))

    def coordinates(self, response: jax.Array, theta: Theta, condition: jax.Array) -> Float[Array, " c"]:
        """Return the variance-stabilising 2 arcsin(sqrt(p))."""
        return 2 * jnp.arcsin(jnp.sqrt(response))[None]

"""Pre-posterior Monte Carlo: grow imagined data about an imagined truth, and watch a width shrink.

One replicate draws a truth from the posterior, then takes in observations one by one. The posterior
is a cloud of weighted particles that starts as draws of the present posterior; each observation
reweights it, and when the effective sample size falls below half the cloud is resampled and moved
by a kernel that keeps its mean and covariance,

    theta' = a theta + (1 - a) mean + sqrt(1 - a^2) N(0, covariance),

the covariance that which the weighted particles are a sample of, 1 / (1 - sum w^2) times their own.

At each size of a geometric grid the width of the quantity is measured; the replicate ends at the
first size that meets the target.

Source: Chopin (2002), Biometrika 89, 539 (iterated batch importance sampling); Liu and West (2001)
in Sequential Monte Carlo Methods in Practice, ch. 10 (the kernel); Kitagawa (1996),
J. Comput. Graph. Stat. 5 (systematic resampling).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

SHRINKAGE = 0.98
LEAST_SHARE = 0.5


class Cloud(NamedTuple):
    """Weighted particles of one replicate's posterior."""

    particles: Float[Array, "dimension particle"]
    log_weights: Float[Array, " particle"]
    key: jax.Array
    least_size: Float[Array, ""]


class Path(NamedTuple):
    """What one replicate saw: the width at each size (NaN after the end), and the smallest ESS."""

    widths: Float[Array, " size"]
    least_size: Float[Array, ""]


def sizes(max_n: int, per_octave: int = 1) -> tuple[int, ...]:
    """Return 1, 2, 4, ... up to and including `max_n`; with steps between where there is room for them.

    Examples
    --------
    >>> sizes(20), sizes(10, 2)
    ((1, 2, 4, 8, 16, 20), (1, 2, 3, 4, 6, 8, 10))
    """
    steps = int(per_octave * math.log2(max_n)) + 1
    return tuple(sorted({round(2 ** (i / per_octave)) for i in range(steps)} | {max_n}))


def truth_and_others(
    key: jax.Array, replicate: Int[Array, ""], replicates: int, draws: int, particles: int
) -> tuple[Int[Array, ""], Int[Array, " particle"]]:
    """Return which draw is a replicate's truth, and which others are its particles.

    Truths are spread evenly over the draws, and particles over the draws that are not the truth, one
    at random from each stretch.
    """
    truth = replicate * draws // replicates
    start = jnp.arange(particles) * (draws - 1) // particles
    length = (draws - 1) // particles
    return truth, (truth + 1 + start + jax.random.randint(key, (particles,), 0, length)) % draws


def grow(
    key: jax.Array,
    particles: Float[Array, "dimension particle"],
    log_likelihood: Callable[[Any, Int[Array, ""]], Float[Array, " particle"]],
    width: Callable[[jax.Array, Any, Any], Float[Array, ""]],
    grid: tuple[int, ...],
    target: Float[Array, ""],
) -> Path:
    """Take in observations 0, 1, 2, ... until the width meets the target or the grid ends.

    Parameters
    ----------
    particles : array (dimension, particle)
        Equally weighted draws of the present posterior.
    log_likelihood : callable
        Of all particles, for the observation with a given index.
    width : callable
        Width of the quantity, from a key, particles and normalised weights.
    grid : tuple of int
        The sizes at which the width is measured.
    target : float
        The width that is wanted.
    """
    stops = jnp.asarray((0, *grid))

    def take(index, cloud):
        log_weights = cloud.log_weights + log_likelihood(cloud.particles, index)
        size = effective_size(log_weights)
        cloud = cloud._replace(log_weights=log_weights, least_size=jnp.minimum(cloud.least_size, size))
        return jax.lax.cond(size < LEAST_SHARE * particles.shape[1], rejuvenate, lambda same: same, cloud)

    def step(state):
        place, cloud, widths = state
        cloud = jax.lax.fori_loop(stops[place], stops[place + 1], take, cloud)
        look = jax.random.fold_in(cloud.key, stops[place + 1])
        value = width(look, cloud.particles, normalised(cloud.log_weights))
        return place + 1, cloud, widths.at[place].set(value)

    def unfinished(state):
        place, _, widths = state
        met = (place > 0) & (widths[place - 1] <= target)
        return (place < len(grid)) & ~met

    count = particles.shape[1]
    cloud = Cloud(particles, jnp.zeros(count, particles.dtype), key, jnp.asarray(count, particles.dtype))
    widths = jnp.full(len(grid), jnp.nan, particles.dtype)
    _, cloud, widths = jax.lax.while_loop(unfinished, step, (jnp.asarray(0), cloud, widths))
    return Path(widths, cloud.least_size)


def reweigh(
    log_likelihood: Callable[[Int[Array, ""]], Float[Array, " particle"]],
    width: Callable[[Float[Array, " particle"]], Float[Array, ""]],
    particles: int,
    grid: tuple[int, ...],
    target: Float[Array, ""],
) -> Path:
    """Take in observations as `grow` does, with particles that stay where they are.

    All that the simulator has to say of them can then be tabulated beforehand; whether enough of them are
    left to speak, the smallest effective size tells.
    """
    stops = jnp.asarray((0, *grid))

    def step(state):
        place, log_weights, least, widths = state
        log_weights = jax.lax.fori_loop(
            stops[place], stops[place + 1], lambda i, known: known + log_likelihood(i), log_weights
        )
        value = width(normalised(log_weights))
        least = jnp.minimum(least, effective_size(log_weights))
        return place + 1, log_weights, least, widths.at[place].set(value)

    def unfinished(state):
        place, _, _, widths = state
        met = (place > 0) & (widths[place - 1] <= target)
        return (place < len(grid)) & ~met

    dtype = target.dtype
    start = (jnp.asarray(0), jnp.zeros(particles, dtype), jnp.asarray(particles, dtype))
    _, _, least, widths = jax.lax.while_loop(unfinished, step, (*start, jnp.full(len(grid), jnp.nan, dtype)))
    return Path(widths, least)


def normalised(log_weights: Float[Array, " particle"]) -> Float[Array, " particle"]:
    """Return weights that sum to one."""
    return jax.nn.softmax(log_weights)


def effective_size(log_weights: Float[Array, " particle"]) -> Float[Array, ""]:
    """Return the effective sample size, (sum w)^2 / sum w^2."""
    weights = jnp.exp(log_weights - jnp.max(log_weights))
    return jnp.sum(weights) ** 2 / jnp.sum(weights**2)


def unbiased(weights: Float[Array, " particle"]) -> Float[Array, ""]:
    """Return 1 - sum w^2, the share of a variance that weighted particles about their own mean show."""
    return jnp.maximum(1 - jnp.sum(weights**2), 1e-6)


def resample(key: jax.Array, weights: Float[Array, " particle"], n: int) -> Int[Array, " n"]:
    """Return `n` indices, each particle as often as its weight says (systematic resampling)."""
    points = (jnp.arange(n) + jax.random.uniform(key, dtype=weights.dtype)) / n
    return jnp.minimum(jnp.searchsorted(jnp.cumsum(weights), points), weights.shape[0] - 1)


def rejuvenate(cloud: Cloud) -> Cloud:
    """Resample and move the particles; their mean and covariance stay what they are."""
    key, pick, walk = jax.random.split(cloud.key, 3)
    weights = normalised(cloud.log_weights)
    mean = cloud.particles @ weights
    centred = cloud.particles - mean[:, None]
    root = _root((centred * weights) @ centred.T / unbiased(weights))
    chosen = centred[:, resample(pick, weights, weights.shape[0])] / jnp.sqrt(unbiased(weights))
    noise = root @ jax.random.normal(walk, centred.shape, centred.dtype)
    moved = mean[:, None] + SHRINKAGE * chosen + jnp.sqrt(1 - SHRINKAGE**2) * noise
    return cloud._replace(particles=moved, log_weights=jnp.zeros_like(cloud.log_weights), key=key)


def _root(covariance):
    """Return a square root; directions that do not vary stay still."""
    scale = jnp.sqrt(jnp.diag(covariance))
    unit = jnp.where(scale > 0, scale, 1.0)
    correlation = covariance / (unit[:, None] * unit)
    nudge = 10 * jnp.finfo(covariance.dtype).eps * jnp.eye(covariance.shape[0], dtype=covariance.dtype)
    return scale[:, None] * jnp.linalg.cholesky(correlation + nudge * covariance.shape[0])


def first_crossings(
    widths: Float[np.ndarray, "replicate size"], grid: tuple[int, ...], target: float
) -> Float[np.ndarray, " replicate"]:
    """Return the size at which each path first meets the target, log-linear between sizes; inf if never."""
    met = widths <= target
    place = np.argmax(met, axis=1)
    n, log_width = np.log(np.asarray(grid, float)), np.log(np.clip(widths, 1e-300, 1e300))
    row, before = np.arange(len(widths)), np.maximum(place - 1, 0)
    drop = log_width[row, before] - log_width[row, place]
    share = np.clip((log_width[row, before] - np.log(target)) / np.where(drop > 0, drop, 1.0), 0.0, 1.0)
    needed = np.exp(n[before] + share * (n[place] - n[before]))
    return np.where(met.any(axis=1), needed, np.inf)

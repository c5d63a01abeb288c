"""Pre-posterior Monte Carlo: grow imagined data about an imagined truth, and watch a width shrink.

One replicate draws a truth from the present posterior, then takes in observations one by one. The posterior
is a cloud of weighted points that starts as draws of the present posterior; each observation reweights it.
When the effective sample size has halved the cloud is drawn anew: points spread evenly under a multivariate t
about the weighted mean, weighted with all that is known by then,

    w = p(theta) prod_i p(y_i | theta) / t(theta),   p(theta) the density of the present posterior,

so that an error made in one cloud is not handed on to the next.

At each size of a grid the width of the quantity is measured; the replicate ends at the first size that meets
the target. Who collects looks after every measurement, and widths go up and down on their way: a grid with
few sizes overlooks the first that would do.

Source: Chopin (2002), Biometrika 89, 539 (taking in observations one by one); Cappe, Guillin, Marin and
Robert (2004), J. Comput. Graph. Stat. (population Monte Carlo: samples that adapt); Kitagawa (1996),
J. Comput. Graph. Stat. 5 (systematic resampling).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import stats
from scipy.stats import qmc

from physsynth.require.present import Present

LEAST_SHARE = 0.5
FREEDOM, WIDER = 7.0, 1.15
# Effective particles below which a cloud says nothing of a width.
FEWEST = 4.0


class Cloud(NamedTuple):
    """Weighted points of one replicate's posterior.

    `seen` is what the observations' likelihood and the width are computed from, and `fresh` the effective
    size that the points had when they were drawn.
    """

    particles: Float[Array, "dimension particle"]
    seen: Any
    log_weights: Float[Array, " particle"]
    key: jax.Array
    fresh: Float[Array, ""]
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


class Evidence(NamedTuple):
    """What is known of particles.

    Parameters
    ----------
    present : Present
        Density of the present posterior.
    prepare : callable
        From particles to what likelihood and width are computed from: a table of responses, or the particles.
    log_likelihood : callable
        Of all particles, from what was prepared, for the observation with a given index.
    """

    present: Present
    prepare: Callable[[Float[Array, "dimension particle"]], Any]
    log_likelihood: Callable[[Any, Int[Array, ""]], Float[Array, " particle"]]


def grow(
    key: jax.Array,
    particles: Float[Array, "dimension particle"],
    evidence: Evidence,
    width: Callable[[jax.Array, Any, Any], Float[Array, ""]],
    grid: tuple[int, ...],
    target: Float[Array, ""],
) -> Path:
    """Take in observations 0, 1, 2, ... until the width meets the target or the grid ends.

    Parameters
    ----------
    particles : array (dimension, particle)
        Equally weighted draws of the present posterior.
    evidence : Evidence
    width : callable
        Width of the quantity, from a key, what was prepared of the particles, and normalised weights.
    grid : tuple of int
        The sizes at which the width is measured.
    target : float
        The width that is wanted.
    """
    dtype, count = particles.dtype, particles.shape[1]
    stops = jnp.asarray((0, *grid))

    def take(index, cloud):
        log_weights = cloud.log_weights + _possible(evidence.log_likelihood(cloud.seen, index))
        cloud = cloud._replace(log_weights=log_weights)
        thin = effective_size(log_weights) < LEAST_SHARE * cloud.fresh
        cloud = jax.lax.cond(thin, lambda old: renew(old, evidence, index + 1), lambda old: old, cloud)
        return cloud._replace(least_size=jnp.minimum(cloud.least_size, effective_size(cloud.log_weights)))

    def step(state):
        place, cloud, widths = state
        cloud = jax.lax.fori_loop(stops[place], stops[place + 1], take, cloud)
        look = jax.random.fold_in(cloud.key, stops[place + 1])
        value = width(look, cloud.seen, normalised(cloud.log_weights))
        return place + 1, cloud, widths.at[place].set(_of_the_living(value, cloud.log_weights))

    def unfinished(state):
        place, _, widths = state
        met = (place > 0) & (widths[place - 1] <= target)
        return (place < len(grid)) & ~met

    full = jnp.asarray(count, dtype)
    cloud = Cloud(particles, evidence.prepare(particles), jnp.zeros(count, dtype), key, full, full)
    widths = jnp.full(len(grid), jnp.nan, dtype)
    _, cloud, widths = jax.lax.while_loop(unfinished, step, (jnp.asarray(0), cloud, widths))
    return Path(widths, cloud.least_size)


def renew(cloud: Cloud, evidence: Evidence, taken: Int[Array, ""]) -> Cloud:
    """Draw the particles anew about their mean, and weigh them with the first `taken` observations."""
    key, spread = jax.random.split(cloud.key)
    weights = normalised(cloud.log_weights)
    mean = cloud.particles @ weights
    fixed = evidence.present.fixed[:, None]
    centred = jnp.where(fixed, 0.0, cloud.particles - mean[:, None])
    root = _root((centred * weights) @ centred.T / unbiased(weights))
    d, count = cloud.particles.shape
    unit = _student(spread, d, count, root.dtype)
    particles = mean[:, None] + WIDER * root @ unit
    seen = evidence.prepare(particles)
    proposal = -0.5 * (FREEDOM + d) * jnp.log1p(jnp.sum(unit**2, axis=0) / FREEDOM)
    # Coordinates of the t along what does not vary are of no consequence: any density of theirs will do.
    idle = -0.5 * jnp.sum(jnp.where(fixed, unit**2, 0.0), axis=0)
    start = evidence.present.log_density(particles) + idle - proposal
    log_weights = jax.lax.fori_loop(
        0, taken, lambda i, known: known + _possible(evidence.log_likelihood(seen, i)), _possible(start)
    )
    size = effective_size(log_weights)
    return cloud._replace(particles=particles, seen=seen, log_weights=log_weights, key=key, fresh=size)


@cache
def _spread_evenly(d: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (d + 1, count) spread evenly over the unit cube, and quantiles of a t's common scale."""
    points = qmc.Sobol(d + 1, rng=0).random(1 << (count - 1).bit_length())[:count].T
    chi = stats.chi2.ppf((np.arange(count) + 0.5) / count, FREEDOM)
    return points, np.sqrt(FREEDOM / chi)


def _student(key, d, count, dtype):
    """Return points (d, count) of a t distribution with unit scale: even points, shifted at random."""
    points, scale = (jnp.asarray(part, dtype) for part in _spread_evenly(d, count))
    uniform = jnp.mod(points + jax.random.uniform(key, (d + 1, 1), dtype), 1.0)
    least = jnp.finfo(dtype).eps
    normal = jax.scipy.special.ndtri(jnp.clip(uniform[:d], least, 1 - least))
    return normal * scale[jnp.minimum((count * uniform[d]).astype(int), count - 1)]


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
            stops[place],
            stops[place + 1],
            lambda i, known: known + _possible(log_likelihood(i)),
            log_weights,
        )
        value = _of_the_living(width(normalised(log_weights)), log_weights)
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
    """Return weights that sum to one; all 0 where no particle is possible."""
    weights = _weights(log_weights)
    return weights / jnp.maximum(jnp.sum(weights), 1.0)


def effective_size(log_weights: Float[Array, " particle"]) -> Float[Array, ""]:
    """Return the effective sample size, (sum w)^2 / sum w^2; 0 where no particle is possible."""
    weights = _weights(log_weights)
    return jnp.sum(weights) ** 2 / jnp.maximum(jnp.sum(weights**2), 1.0)


def _weights(log_weights):
    """Return weights of which the largest is 1; all 0 where no particle is possible."""
    largest = jnp.max(log_weights)
    return jnp.exp(log_weights - jnp.where(jnp.isneginf(largest), 0.0, largest))


def _possible(log_density):
    """Return a log density that is no number, as where a simulation failed, as that of the impossible."""
    return jnp.where(jnp.isnan(log_density), -jnp.inf, log_density)


def _of_the_living(width, log_weights):
    """Return a width; not a number, and so never met, where too few particles are left to have one."""
    return jnp.where(effective_size(log_weights) >= FEWEST, width, jnp.nan)


def unbiased(weights: Float[Array, " particle"]) -> Float[Array, ""]:
    """Return 1 - sum w^2, the share of a variance that weighted particles about their own mean show."""
    return jnp.maximum(1 - jnp.sum(weights**2), 1e-6)


def resample(key: jax.Array, weights: Float[Array, " particle"], n: int) -> Int[Array, " n"]:
    """Return `n` indices, each particle as often as its weight says (systematic resampling)."""
    points = (jnp.arange(n) + jax.random.uniform(key, dtype=weights.dtype)) / n
    return jnp.minimum(jnp.searchsorted(jnp.cumsum(weights), points), weights.shape[0] - 1)


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
    """Return the size at which each path first meets the target; inf if never.

    Between two sizes 1 / width^2 grows in proportion to n, as the information of like observations does.
    """
    met = widths <= target
    place = np.argmax(met, axis=1)
    n, row, before = np.asarray(grid, float), np.arange(len(widths)), np.maximum(place - 1, 0)
    with np.errstate(divide="ignore", over="ignore"):
        known = np.clip(np.asarray(widths, float), 1e-150, None) ** -2.0
    known_before, known_then = known[row, before], known[row, place]
    gained = known_then - known_before
    share = np.where(gained > 0, (target**-2.0 - known_before) / np.where(gained > 0, gained, 1.0), 1.0)
    share = np.where(known_before > 0, np.clip(share, 0.0, 1.0), 1.0)
    return np.where(met.any(axis=1), n[before] + share * (n[place] - n[before]), np.inf)

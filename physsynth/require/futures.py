"""Imagined futures of a plan of measurements, each under a truth drawn from the posterior.

Posterior draws serve as particles. As long as enough of them keep weight they stay where they are, and what
the simulator says of them is tabulated once; where they run out, others are drawn and it runs anew.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from physsynth.require.draws import Layout, Reader
from physsynth.require.engine import Evidence, Path, grow, reweigh, truth_and_others, unbiased
from physsynth.require.measurement import Measurement, tabulate
from physsynth.require.noise import Noise
from physsynth.require.outcome import LEAST_SIZE, RARELY, Futures
from physsynth.require.present import Present

REUSED = 4
FEWEST = 8


class Shape(NamedTuple):
    """Sizes that fix the compiled program."""

    replicates: int
    particles: int
    grid: tuple[int, ...]


class Course(NamedTuple):
    """The conditions (C, ...) that there are, and which of them each measurement takes."""

    conditions: Float[Array, "condition ..."]
    order: Int[np.ndarray, " n"]

    def taken(self) -> Course:
        """Return the same without conditions at which nothing is measured: the simulator need not run there.

        Their number is a power of two, of at least `FEWEST`, so that like courses share compiled code.
        """
        places, order = np.unique(self.order, return_inverse=True)
        room = max(1 << (len(places) - 1).bit_length(), FEWEST)
        if room >= len(self.conditions):
            return self
        return Course(self.conditions[np.resize(places, room)], order)


def imagine(
    measurement: Measurement,
    read: Reader,
    shape: Shape,
    key: jax.Array,
    rows: Float[np.ndarray, "draw d"],
    values: Float[np.ndarray, " draw"],
    course: Course,
    target: float,
) -> Futures:
    """Return the futures, with draws that stay where they are if enough of them keep weight."""
    course = course.taken()
    responses = tabulate(measurement, jnp.asarray(rows), course.conditions)
    many = shape._replace(particles=min(REUSED * shape.particles, len(rows) - 1))
    given = (measurement.noise, measurement.layout, many, key, rows, values, responses)
    paths = _kept(*given, course.conditions, course.order, jnp.asarray(target, responses.dtype))
    if np.quantile(paths.least_size, RARELY) < LEAST_SIZE:
        paths = _renewed(measurement, read, shape, key, rows, Present.of(rows), course, target)
    return Futures(np.asarray(paths.widths, float), np.asarray(paths.least_size, float), shape.grid)


@partial(jax.jit, static_argnames=("noise", "layout", "shape"))
def _kept(
    noise: Noise, layout: Layout, shape: Shape, key, rows, values, responses, conditions, order, target
) -> Path:
    """Reweigh draws that stay where they are."""

    def replicate(index):
        pick, make = jax.random.split(jax.random.fold_in(key, index))
        truth, others = truth_and_others(pick, index, shape.replicates, len(rows), shape.particles)
        mine, theirs, quantity = rows[others], responses[others].T, values[others]

        def sample(key, place):
            return noise.sample(key, responses[truth, place], layout.split(rows[truth]), conditions[place])

        measured = jax.vmap(sample)(jax.random.split(make, len(order)), order)

        def evidence(i):
            def density(response, row):
                return noise.log_density(measured[i], response, layout.split(row), conditions[order[i]])

            return jax.vmap(density)(theirs[order[i]], mine)

        return reweigh(evidence, partial(_sd, quantity), shape.particles, shape.grid, target)

    return jax.lax.map(replicate, jnp.arange(shape.replicates))


@partial(jax.jit, static_argnames=("measurement", "read", "shape"))
def _renewed(measurement, read, shape, key, rows, present, course, target) -> Path:
    """Draw others where the draws run out of weight."""
    conditions, order = course
    noise, layout = measurement.noise, measurement.layout

    def replicate(index):
        pick, make, walk = jax.random.split(jax.random.fold_in(key, index), 3)
        truth, others = truth_and_others(pick, index, shape.replicates, len(rows), shape.particles)
        keys = jax.random.split(make, len(order))
        measured = jax.vmap(measurement.sample, (0, None, 0))(keys, rows[truth], conditions[order])

        def responses(cloud):
            each = jax.vmap(measurement.response, (1, None))
            told = jax.lax.map(lambda condition: each(cloud, condition), conditions)
            return cloud, told, jax.vmap(read, in_axes=1)(cloud)

        def told(seen, index):
            cloud, response, _ = seen
            place = order[index]

            def density(response, row):
                return noise.log_density(measured[index], response, layout.split(row), conditions[place])

            return jax.vmap(density, (0, 1))(response[place], cloud)

        def width(look, seen, weights):
            return _sd(seen[2], weights)

        evidence = Evidence(present, responses, told)
        return grow(walk, rows[others].T, evidence, width, shape.grid, target)

    return jax.lax.map(replicate, jnp.arange(shape.replicates))


def _sd(values, weights):
    """Return the posterior sd of the quantity, of which the weighted values are a sample."""
    return jnp.sqrt(weights @ (values - weights @ values) ** 2 / unbiased(weights))

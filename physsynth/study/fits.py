"""What a calibrated model expects of each measurement, under draws of its posterior."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.study.problem import Problem

# Posterior draws, and members of each, under which a measurement's expectation is taken.
DRAWS, MEMBERS = 500, 32


def evenly(posterior: Mapping[str, np.ndarray], count: int) -> dict[str, jax.Array]:
    """Return at most so many of the posterior draws, evenly spaced."""
    total = len(next(iter(posterior.values())))
    index = np.linspace(0, total - 1, min(total, count)).astype(int)
    return {name: jnp.asarray(values[index]) for name, values in posterior.items()}


def shared(draws: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Return what all members share: medians, spreads, pooled parameters and noise."""
    return {name: values for name, values in draws.items() if values.ndim == 1}


def orders(experiment) -> dict[str, np.ndarray]:
    """Return what puts measurements in order, (group, slot) by name: their coordinate, else what was set."""
    design, shape = experiment.design, experiment.design.mask.shape
    if experiment.along is not None:
        (dim, _), *_ = experiment.sim.outputs[experiment.output].dims.items()
        return {dim: np.asarray(design.options[experiment.along])}
    known = {name: np.broadcast_to(np.asarray(value), shape) for name, value in design.parameters.items()}
    return {name: value for name, value in known.items() if np.ptp(value) > 0}


def of_members(problem: Problem, posterior) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the measured members' measurements, each (draw, group, slot)."""
    model, draws = _model(problem), evenly(posterior, DRAWS)
    own = jnp.log(jnp.stack([draws[f"{name}_own"] for name in problem.population_variables], axis=-1))

    def one(inputs):
        draw, log_own = inputs
        return jax.vmap(lambda group, psi: model.measure(group, psi, draw))(model.experiment.design, log_own)

    return _over_draws(one, (shared(draws), own))


def of_new_members(problem: Problem, posterior, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of measurements of any member of the population, (draw, group, slot).

    The members that the mean is taken over are the same for all draws and designs, in pairs mirrored about
    the median, so that the two hardly scatter from draw to draw.
    """
    model, draws = _model(problem), shared(evenly(posterior, DRAWS))
    population = problem.population_draws({name: np.asarray(value) for name, value in draws.items()})
    half = jax.random.normal(key, (MEMBERS // 2, population["location"].shape[1]))
    members = jnp.concatenate([half, -half])

    def one(inputs):
        draw, location, log_spread = inputs

        def expected(z):
            psi = location + jnp.exp(log_spread) * z
            return jax.vmap(lambda group: model.measure(group, psi, draw))(model.experiment.design)

        mean, noise = jax.vmap(expected)(members)
        return mean.mean(axis=0), jnp.sqrt(mean.var(axis=0) + jnp.mean(noise**2, axis=0))

    return _over_draws(one, (draws, population["location"], population["log_spread"]))


def _model(problem):
    assert problem.model is not None
    return problem.model


def _over_draws(one, inputs):
    mean, spread = jax.jit(lambda x: jax.lax.map(one, x, batch_size=16))(inputs)
    return np.asarray(mean), np.asarray(spread)

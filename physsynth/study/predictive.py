"""The posterior predictive of a study's scenarios: a draw of the population, then a member of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.core import Simulator
from physsynth.study.problem import Problem

MOST_DRAWS = 4000


def thinned(draws):
    """Return at most four thousand of the posterior draws, evenly spaced."""
    count = len(draws["location"])
    index = np.linspace(0, count - 1, min(count, MOST_DRAWS)).astype(int)
    return {name: value[index] for name, value in draws.items()}


def ordinary_scenarios(
    problem: Problem, sim: Simulator, posterior, key: jax.Array, n: int
) -> dict[str, np.ndarray]:
    """Draw scenarios of the posterior predictive: a draw of the population, then a member of it."""
    space = sim.space
    values = dict(space.sample(key, n))
    if posterior is not None:
        draws = problem.population_draws(posterior)
        pick, member = jax.random.split(jax.random.fold_in(key, 1))
        index = jax.random.randint(pick, (n,), 0, len(draws["location"]))
        z = jax.random.normal(member, (n, draws["location"].shape[1]))
        log_own = draws["location"][index] + jnp.exp(draws["log_spread"][index]) * z
        values |= {name: jnp.exp(log_own[:, i]) for i, name in enumerate(problem.population_variables)}
    return {name: np.asarray(value) for name, value in values.items()}


def log_predictive(problem: Problem, sim: Simulator, values: Mapping, posterior) -> np.ndarray:
    """Log density of scenarios under the posterior predictive: the mean over draws of the members' law."""
    population = problem.population_variables
    total = np.zeros(len(next(iter(values.values()))))
    for name, parameter in sim.parameters.items():
        if name not in population:
            total = total + np.asarray(parameter.distribution.log_prob(jnp.asarray(values[name])))
    if posterior is None:
        return total
    draws = thinned(problem.population_draws(posterior))
    own = {name: jnp.asarray(values[name]) for name in population}
    return total + np.asarray(log_members(problem, draws, own))


def log_members(problem: Problem, draws, own) -> jax.Array:
    """Log posterior predictive density of members' values (scenario,): the mean density over draws."""
    return _log_mean_density(problem.log_density, draws, own)


@partial(jax.jit, static_argnums=0)
def _log_mean_density(log_density, draws, values):
    logs = jax.lax.map(lambda draw: log_density(draw, values), draws, batch_size=64)
    return jax.nn.logsumexp(logs, axis=0) - jnp.log(logs.shape[0])


@partial(jax.jit, static_argnums=0)
def log_density_under(log_density, draw, values) -> jax.Array:
    """Log density of members' values (scenario,) under one draw, compiled once for a function."""
    return log_density(draw, values)

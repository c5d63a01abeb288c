"""Problems that nothing in `physsynth.require` was made with: laboratory curves, groups and doses.

    decay       A exp(-k t), A and k unknown; the log of the half-life is wanted
    enzyme      V S / (K + S), scatter in proportion to it and unknown; log K is wanted (Michaelis, Menten)
    groups      two means, two unknown scatters; their difference is wanted, and the second costs three times
    doses       a logistic chance of response to a log dose; the dose at which half respond is wanted

Unknowns are normal, or log-normal, beforehand, and truths come from there. Measurements are taken at a few
conditions, so that a condition's number, sum and sum of squares tell all; the posterior is drawn by
importance sampling about its mode, twice, the second time about the mean that the first one found.

Source: Michaelis and Menten (1913), Biochem. Z. 49, 333; Behrens (1929), Landw. Jahrb. 68, 807 (two groups);
Berkson (1944), J. Am. Stat. Assoc. 39, 357 (logistic doses).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats
from scipy.stats import qmc

from physsynth.require import Bernoulli, Regime, Requirement, precision

POINTS, DRAWS, FREEDOM, WIDER = 2048, 4000, 5.0, 1.2
MAX_N = 400


@dataclass(frozen=True)
class Unseen:
    """Unknowns u, normal beforehand, and what is measured of them; `noise` None stands for yes or no.

    Parameters
    ----------
    centre, spread : array (d,)
        Of the prior.
    named : callable
        ``named(u)`` -> parameters by name.
    response, quantity, noise : callable
        As `precision` takes them.
    candidates : array (C, ...)
        Conditions.
    pilot : tuple of int
        How often each is measured in the pilot.
    target : float
        Wanted posterior sd of the quantity.
    costs : tuple of float, optional
    regime : Regime, optional
    """

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    named: Callable
    response: Callable
    quantity: Callable
    noise: Callable[[Any, Any], Any] | None
    candidates: tuple
    pilot: tuple[int, ...]
    target: float
    costs: tuple[float, ...] | None = None
    regime: Regime | None = None

    def measured(self, u, order, rng) -> np.ndarray:
        """Measure a truth at conditions by index."""
        mean, sd = (np.asarray(part)[order] for part in shown(self, jnp.asarray(u)))
        if self.noise is None:
            return (rng.random(len(order)) < mean).astype(float)
        return mean + sd * rng.standard_normal(len(order))

    def totals(self, order, values) -> np.ndarray:
        """Return number, sum and sum of squares (n + 1, C, 3) at each condition after each measurement."""
        each = np.zeros((len(order) + 1, len(self.candidates), 3))
        rows = np.arange(len(order)) + 1
        each[rows, order] = np.column_stack([np.ones(len(order)), values, values**2])
        return each.cumsum(axis=0)

    def forecast(self, points, weights, rng, seed: int, futures: int) -> Requirement:
        """Forecast how many more measurements it takes, from a posterior."""
        picks = rng.choice(POINTS, DRAWS, p=np.asarray(weights))
        draws = jax.vmap(self.named)(jnp.asarray(points)[picks])
        noise = Bernoulli() if self.noise is None else self.noise
        asked = (draws, self.response, self.quantity, noise, np.array(self.candidates), self.target)
        key = jax.random.key(seed)
        return precision(*asked, key, max_n=MAX_N, costs=self.costs, replicates=futures, regime=self.regime)


def shown(problem: Unseen, u):
    """Return response and sd (C,) at every candidate."""
    theta, places = problem.named(u), jnp.asarray(problem.candidates)
    mean = jax.vmap(lambda place: problem.response(theta, place))(places)
    noise = problem.noise
    if noise is None:
        return mean, jnp.ones_like(mean)
    return mean, jax.vmap(lambda place: jnp.asarray(noise(theta, place), float))(places)


def log_density(problem: Unseen, totals, u):
    """Return the log posterior density of unknowns (d,)."""
    mean, sd = shown(problem, u)
    number, total, square = totals.T
    if problem.noise is None:
        chance = jnp.clip(mean, 1e-12, 1 - 1e-12)
        seen = total * jnp.log(chance) + (number - total) * jnp.log1p(-chance)
    else:
        seen = -0.5 * (square - 2 * mean * total + number * mean**2) / sd**2 - number * jnp.log(sd)
    return seen.sum() - 0.5 * jnp.sum(((u - jnp.array(problem.centre)) / jnp.array(problem.spread)) ** 2)


@cache
def student(d: int) -> np.ndarray:
    """Return evenly spread draws (point, d) of a t distribution with unit scale."""
    points = qmc.Sobol(d + 1, scramble=False).random(POINTS) + 0.5 / POINTS
    scale = np.sqrt(FREEDOM / stats.chi2.ppf(points[:, d], FREEDOM))
    return stats.norm.ppf(points[:, :d]) * scale[:, None]


@partial(jax.jit, static_argnums=0)
def posterior(problem: Unseen, totals):
    """Return points (point, d) of the posterior with their weights."""
    density, unit = partial(log_density, problem, totals), jnp.asarray(student(len(problem.centre)))

    def step(u, _):
        values, vectors = jnp.linalg.eigh(-jax.hessian(density)(u))
        slope = vectors.T @ jax.grad(density)(u)
        return u + vectors @ jnp.clip(slope / jnp.maximum(jnp.abs(values), 1e-2), -0.5, 0.5), None

    def weighed(mean, root):
        points = mean + WIDER * unit @ root.T
        away = -0.5 * (FREEDOM + len(mean)) * jnp.log1p(jnp.sum(unit**2, axis=1) / FREEDOM)
        return points, jax.nn.softmax(jax.vmap(density)(points) - away)

    mode, _ = jax.lax.scan(step, jnp.array(problem.centre), None, length=25)
    values, vectors = jnp.linalg.eigh(-jax.hessian(density)(mode))
    points, weights = weighed(mode, vectors / jnp.sqrt(jnp.maximum(values, 1e-2)))
    mean = weights @ points
    covariance = (points - mean).T @ ((points - mean) * weights[:, None])
    return weighed(mean, jnp.linalg.cholesky(covariance + 1e-12 * jnp.eye(len(mean))))


@partial(jax.jit, static_argnums=0)
def sds(problem: Unseen, totals):
    """Return the posterior sd of the quantity after each measurement, from totals (n, C, 3)."""

    def one(here):
        points, weights = posterior(problem, here)
        values = jax.vmap(lambda u: problem.quantity(problem.named(u)))(points)
        return jnp.sqrt(weights @ (values - weights @ values) ** 2)

    return jax.lax.map(one, totals, batch_size=16)


def replication(problem: Unseen, seed: int, futures: int = 60) -> tuple[Requirement, float]:
    """Draw a truth and its pilot, forecast, then measure by the plan until the target is met."""
    rng = np.random.default_rng([seed, 17])
    truth = np.array(problem.centre) + np.array(problem.spread) * rng.standard_normal(len(problem.centre))
    start = np.repeat(np.arange(len(problem.pilot)), problem.pilot)
    pilot = problem.totals(start, problem.measured(truth, start, rng))[-1]
    points, weights = posterior(problem, pilot)
    need = problem.forecast(points, weights, rng, seed, futures)
    if need.verdict == "MET":
        return need, 0.0
    order = need.forecast["order"].values
    met = np.asarray(sds(problem, pilot + problem.totals(order, problem.measured(truth, order, rng))))
    reached = met[1:] <= problem.target
    return need, float(np.argmax(reached)) + 1 if reached.any() else math.inf


DECAY = Unseen(
    centre=(0.0, math.log(0.5)),
    spread=(0.3, 0.5),
    named=lambda u: {"start": jnp.exp(u[0]), "rate": jnp.exp(u[1])},
    response=lambda theta, t: theta["start"] * jnp.exp(-theta["rate"] * t),
    quantity=lambda theta: jnp.log(jnp.log(2.0) / theta["rate"]),
    noise=lambda theta, t: 0.1,
    candidates=(0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0),
    pilot=(1, 1, 1, 1, 1, 1, 1, 1),
    target=0.05,
    regime=Regime.of_a_parameter(),
)
ENZYME = Unseen(
    centre=(0.0, 0.0, math.log(0.1)),
    spread=(0.4, 0.6, 0.4),
    named=lambda u: {"most": jnp.exp(u[0]), "log_half": u[1], "scatter": jnp.exp(u[2])},
    response=lambda theta, s: theta["most"] * s / (jnp.exp(theta["log_half"]) + s),
    quantity=lambda theta: theta["log_half"],
    noise=lambda theta, s: theta["scatter"] * theta["most"] * s / (jnp.exp(theta["log_half"]) + s),
    candidates=(0.1, 0.3, 1.0, 3.0, 10.0),
    pilot=(2, 2, 2, 2, 2),
    target=0.03,
)
GROUPS = Unseen(
    centre=(0.0, 0.0, 0.0, 0.0),
    spread=(5.0, 5.0, 0.6, 0.6),
    named=lambda u: {"means": u[:2], "scatters": jnp.exp(u[2:])},
    response=lambda theta, group: theta["means"][group.astype(int)],
    quantity=lambda theta: theta["means"][1] - theta["means"][0],
    noise=lambda theta, group: theta["scatters"][group.astype(int)],
    candidates=(0.0, 1.0),
    pilot=(6, 4),
    target=0.25,
    costs=(1.0, 3.0),
)
DOSES = Unseen(
    centre=(0.0, math.log(2.0)),
    spread=(1.0, 0.5),
    named=lambda u: {"middle": u[0], "steepness": jnp.exp(u[1])},
    response=lambda theta, dose: jax.nn.sigmoid(theta["steepness"] * (dose - theta["middle"])),
    quantity=lambda theta: theta["middle"],
    noise=None,
    candidates=(-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0),
    pilot=(2, 2, 2, 2, 2, 2, 2),
    target=0.15,
)
PROBLEMS = {
    "exponential decay, half-life": DECAY,
    "Michaelis and Menten, unknown scatter": ENZYME,
    "difference of two groups, unequal scatter and cost": GROUPS,
    "logistic doses, yes or no": DOSES,
}

"""How many more measurements, and at which conditions, until a quantity is known to a stated sd.

The measurements follow a plan made from Fisher information averaged over the posterior; how many of them
it takes is found by imagining them (`engine`), each future under a truth drawn from the posterior. Where
response and quantity are linear, the noise is normal and known and the posterior normal, the variance after
n measurements does not depend on what is measured, and the number is exact:

    v(n) = g' (C^-1 + sum_i h_i h_i' / s_i^2)^-1 g.

Source: Chaloner and Verdinelli (1995), Stat. Sci. 10, 273; O'Hagan and Stevens (2001), Med. Decis. Making 21.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.require import arguments
from physsynth.require.allocate import RULES, Allocation, Local, Plan
from physsynth.require.draws import Layout, Reader, Theta, flatten, in_logs, pilot_checks
from physsynth.require.engine import grow, sizes, truth_and_others
from physsynth.require.noise import FunctionOfCondition, Gaussian, Noise
from physsynth.require.outcome import Aim, Futures, forecast, met, needs_pilot, planning_size
from physsynth.require.requirement import LEVELS, Question, Requirement
from physsynth.require.screen import Screen

PLANNED_AT = 32
ASSUMPTIONS = (
    "the posterior in hand is right: its model describes the response, and its draws have converged",
    "new measurements scatter independently about the model's response as the noise says",
    "measurements are taken at the conditions of the plan, in its order",
)
EXACT = "response and quantity are linear, noise and posterior normal: the number is exact, not simulated"


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


class _Shape(NamedTuple):
    """Sizes that fix the compiled program."""

    replicates: int
    particles: int
    grid: tuple[int, ...]


def precision(
    draws: Mapping[str, np.ndarray | jax.Array],
    observe: Callable[[Theta, jax.Array], jax.Array],
    quantity: Callable[[Theta], jax.Array],
    noise: float | FunctionOfCondition | Noise,
    candidates: Sequence | np.ndarray | jax.Array,
    target: float,
    key: jax.Array,
    assurance: float = 0.8,
    max_n: int = 1000,
    costs: Sequence[float] | np.ndarray | None = None,
    allocation: str | Allocation = "greedy",
    replicates: int = 200,
    particles: int = 1000,
    name: str = "quantity",
) -> Requirement:
    """Return how many more measurements, and where, until a quantity's posterior sd meets a target.

    Parameters
    ----------
    draws : mapping of str to array
        Posterior draws of each parameter, (S, ...).
    observe : callable
        ``observe(theta, condition)`` -> mean response, a scalar; `theta` holds one draw.
    quantity : callable
        ``quantity(theta)`` -> the quantity of interest, a scalar.
    noise : float, callable or Noise
        Standard deviation of one measurement, a number or ``noise(theta, condition)``; or another
        strategy, for example `Bernoulli`.
    candidates : array (C, ...)
        The conditions at which measurements can be taken.
    target : float
        Wanted posterior sd of the quantity, in its unit.
    key : jax.Array
    assurance : float
        Wanted probability that the number suffices.
    max_n : int
        Largest number of measurements to look at.
    costs : array (C,), optional
        Cost of one measurement at each condition; 1 unless given.
    allocation : {"greedy", "uniform"} or Allocation
        Where the measurements go.
    replicates, particles : int
        Imagined futures, and posterior draws carried in each.
    name : str
        What the quantity is called.

    Returns
    -------
    Requirement
        ``bound`` and ``floor`` are the sd today and the one that no number of measurements goes below;
        ``where`` holds each condition's count, cost and share of the reduction at the number.

    Raises
    ------
    ParameterError, UnknownNameError
        If an argument has the wrong shape or is outside its domain.

    Examples
    --------
    A normal mean, known within 1 today, measured with sd 2: 1 / 0.25^2 = 1 + n / 4.

    >>> normal = jax.random.normal(jax.random.key(0), (2000,))
    >>> draws = {"mean": (normal - normal.mean()) / normal.std(ddof=1)}
    >>> one = lambda theta, condition: theta["mean"]
    >>> need = precision(draws, one, lambda t: t["mean"], 2.0, [0.0], 0.25, jax.random.key(1))
    >>> need.number
    60
    """
    _check_numbers(target, assurance, max_n, replicates)
    conditions, costs = _conditions(candidates, costs)
    rows, layout = flatten(draws)
    question = _question(name, target)
    checks = pilot_checks(rows)
    if not all(check.passed for check in checks):
        return needs_pilot(question, checks)
    values = _checked(np.asarray(_values(Reader(quantity, layout), rows), float))
    aim = Aim(question, "posterior sd of the quantity", float(np.std(values, ddof=1)), target, assurance)
    if aim.present <= target:
        return met(aim, ASSUMPTIONS[:1], checks)
    scatter, rule = _noise(noise), _rule(allocation)
    measurement = Measurement(observe, scatter, layout)
    local = _local(measurement, rows, values, conditions, costs)
    plan = rule.plan(local, max_n)
    if _linear_gaussian(local, rows, values):
        need = _exact(aim, local, plan, checks)
        return replace(need, where=_where(local, plan, conditions, planning_size(need, max_n)))
    rows, layout = in_logs(rows, layout)
    measurement, read = Measurement(observe, scatter, layout), Reader(quantity, layout)
    local = _local(measurement, rows, values, conditions, costs)
    plan = rule.plan(local, max_n)
    shape = _Shape(replicates, min(particles, len(rows) - 1), sizes(max_n))
    paths = _futures(measurement, read, shape, key, rows, conditions[plan.order], target)
    futures = Futures(np.asarray(paths.widths, float), np.asarray(paths.least_size, float), shape.grid)
    need = forecast(aim, futures, _floor(local, aim.present), ASSUMPTIONS, checks)
    return replace(need, where=_where(local, plan, conditions, planning_size(need, max_n)))


def _check_numbers(target, assurance, max_n, replicates):
    arguments.positive("target", target)
    arguments.fraction("assurance", assurance)
    arguments.count("max_n", max_n, 1)
    arguments.count("replicates", replicates, 20)


def _conditions(candidates, costs):
    conditions = jnp.asarray(candidates, float)
    if conditions.ndim == 0 or len(conditions) == 0 or not bool(jnp.all(jnp.isfinite(conditions))):
        raise ParameterError(
            "no conditions to measure at", key="candidates", wanted="an array (C, ...)", got=repr(candidates)
        )
    prices = np.ones(len(conditions)) if costs is None else np.asarray(costs, float)
    if prices.shape != (len(conditions),) or not np.all(prices > 0):
        raise ParameterError(
            "costs that do not fit the conditions",
            key="costs",
            wanted=f"{len(conditions)} positive numbers",
            got=repr(costs),
        )
    return conditions, prices


def _noise(noise):
    if isinstance(noise, Noise):
        return noise
    if isinstance(noise, FunctionOfCondition):
        return Gaussian(noise)
    return Gaussian(_Constant(arguments.positive("noise", noise)))


@dataclass(frozen=True)
class _Constant:
    """One sd at every condition."""

    sd: float

    def __call__(self, theta: Theta, condition: jax.Array) -> jax.Array:
        return jnp.asarray(self.sd)


def _rule(allocation):
    if isinstance(allocation, str):
        if allocation not in RULES:
            raise unknown_name("allocation", allocation, RULES, key="allocation")
        return RULES[allocation]()
    return allocation


def _question(name, target):
    return Question(
        claim=f"The {name} is known with a posterior standard deviation of at most {target:.3g}.",
        quantity=name,
        target=f"posterior standard deviation at most {target:.3g}",
        counted="measurements",
    )


@partial(jax.jit, static_argnames="read")
def _values(read, rows):
    return jax.vmap(read)(rows)


def _checked(values):
    if not np.isfinite(values).all():
        raise ParameterError(
            "a quantity that is not finite at some posterior draw", key="quantity", wanted="finite numbers"
        )
    return values


def _local(measurement, rows, values, conditions, costs):
    """Return the view that plans are made from."""
    screen = Screen.of(rows, values)
    at = rows[np.linspace(0, len(rows) - 1, PLANNED_AT).astype(int)]
    matrices = np.asarray(_information(measurement, at, conditions), float)
    if not np.all(np.isfinite(matrices)):
        raise ParameterError(
            "a response without a finite slope at some posterior draw",
            key="observe",
            wanted="finite, differentiable responses and a positive sd at every candidate",
        )
    return Local(screen.root.T @ screen.slope, screen.root.T @ matrices @ screen.root, costs)


@partial(jax.jit, static_argnames="measurement")
def _information(measurement, rows, conditions):
    over_conditions = jax.vmap(measurement.information, in_axes=(None, 0))
    return jax.vmap(over_conditions, in_axes=(0, None))(rows, conditions)


def _linear_gaussian(local, rows, values):
    """Tell whether information is the same at every draw, and the quantity linear and normal."""
    matrices = local.information
    steady = np.allclose(matrices, matrices[:1], rtol=1e-6, atol=1e-9 * np.abs(matrices).max())
    linear = math.isclose(local.direction @ local.direction, np.var(values, ddof=1), rel_tol=1e-9)
    standard = (values - values.mean()) / values.std()
    error = 4 / math.sqrt(len(values))
    symmetric = abs(np.mean(standard**3)) < error * math.sqrt(6)
    mesokurtic = abs(np.mean(standard**4) - 3) < error * math.sqrt(24)
    return bool(steady and linear and symmetric and mesokurtic)


def _exact(aim, local, plan, checks):
    reached = plan.variance <= aim.target**2 * (1 + 1e-12)
    number = int(np.argmax(reached)) + 1 if reached.any() else None
    floor = _floor(local, aim.present)
    return Requirement(
        verdict="FORECAST" if number or floor <= aim.target else "FLOOR",
        number=number,
        question=aim.question,
        quantiles=dict.fromkeys(LEVELS, float(number or math.inf)),
        probability_never=0.0 if number else 1.0,
        bound=aim.present,
        floor=floor,
        assumptions=(*ASSUMPTIONS, EXACT),
        checks=checks,
    )


def _floor(local, present):
    """Return the sd that stays however often every condition is measured."""
    everything = 1e12 * local.information.sum(1)
    share = float(local.variance(everything)) / float(local.direction @ local.direction)
    return present * math.sqrt(share)


def _where(local, plan: Plan, conditions, n):
    """Return what each condition gets out of `n` measurements, and gives."""
    order = plan.order[: max(math.ceil(n), 1)]
    before = float(local.direction @ local.direction)
    gains = -np.diff(np.concatenate([[before], plan.variance[: len(order)]]))
    size = len(local.costs)
    count = np.bincount(order, minlength=size)
    share = np.bincount(order, gains, size) / max(gains.sum(), np.finfo(float).tiny)
    alone = local.variance(local.information.swapaxes(0, 1))
    columns = {
        "count": (count, f"measurements at this condition among {len(order)}"),
        "cost": (count * local.costs, "cost of these"),
        "share": (share, "share of the reduction in variance that comes with them"),
        "next_best": (1 - alone / before, "share of the present variance that one measurement here removes"),
    }
    labels = [str(value) for value in np.asarray(conditions).tolist()]
    return xr.Dataset(
        {
            name: ("condition", value, {"units": "1", "long_name": text})
            for name, (value, text) in columns.items()
        },
        {"condition": labels},
    )


@partial(jax.jit, static_argnames=("measurement", "read", "shape"))
def _futures(measurement, read, shape, key, rows, conditions, target):
    """Return the paths of imagined futures, one a replicate."""

    def replicate(index):
        pick, make, walk = jax.random.split(jax.random.fold_in(key, index), 3)
        truth, others = truth_and_others(pick, index, shape.replicates, len(rows), shape.particles)
        keys = jax.random.split(make, len(conditions))
        measured = jax.vmap(measurement.sample, (0, None, 0))(keys, rows[truth], conditions)

        def evidence(cloud, index):
            density = partial(measurement.log_density, measured[index], condition=conditions[index])
            return jax.vmap(density, in_axes=1)(cloud)

        return grow(walk, rows[others].T, evidence, partial(_spread, read), shape.grid, target)

    return jax.lax.map(replicate, jnp.arange(shape.replicates))


def _spread(read, look, cloud, weights):
    """Return the posterior sd of the quantity."""
    values = jax.vmap(read, in_axes=1)(cloud)
    mean = weights @ values
    return jnp.sqrt(weights @ (values - mean) ** 2)

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

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.require import arguments
from physsynth.require.allocate import RULES, Allocation, Local, Plan
from physsynth.require.data_worth import ceilings, floor, floor_causes, table
from physsynth.require.draws import Reader, Theta, flatten, in_logs, pilot_checks
from physsynth.require.engine import sizes
from physsynth.require.futures import Course, Shape, imagine
from physsynth.require.measurement import Measurement, information
from physsynth.require.noise import FunctionOfCondition, Gaussian, Noise
from physsynth.require.outcome import Aim, forecast, met, needs_pilot, planning_size
from physsynth.require.regime import Regime
from physsynth.require.requirement import LEVELS, Question, Requirement
from physsynth.require.reveal import reveal
from physsynth.require.screen import Screen

PLANNED_AT = 32
PER_OCTAVE = 2
ASSUMPTIONS = (
    "the posterior in hand is right: its model describes the response, and its draws have converged",
    "new measurements scatter independently about the model's response as the noise says",
    "measurements are taken at the conditions of the plan, in its order",
)
EXACT = "response and quantity are linear, noise and posterior normal: the number is exact, not simulated"
STOPPING = (
    "stop once the posterior sd meets the target; a posterior may be looked at after every measurement, "
    "and the forecast is made anew after every round"
)


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
    regime: Regime | None = None,
    direct: Sequence | np.ndarray | jax.Array | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
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
    regime : Regime, optional
        Where the quantity lies beside what was measured. Outside, the verdict is EXTRAPOLATION, as no
        measurement at the candidates can show an error of the model there.
    direct : array (D, ...), optional
        Conditions in the quantity's own regime at which the response could be measured directly: the
        statement says how many such measurements would reveal an error of the model.
    groups : mapping of str to sequence of int, optional
        Candidates, by index, that are measured together: ``where`` compares the groups as well.

    Returns
    -------
    Requirement
        ``bound`` and ``floor`` are the sd today and the one that no number of measurements goes below;
        ``where`` holds each condition's count, cost and share of the reduction at the number, and what one
        measurement there adds; ``worth`` holds each parameter's ceiling; ``forecast["order"]`` the index of
        the condition that each measurement of the plan takes.

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
    question = asked(name, target)
    checks = pilot_checks(rows)
    if not all(check.passed for check in checks):
        return needs_pilot(question, checks)
    values = _checked(np.asarray(_values(Reader(quantity, layout), rows), float))
    aim = Aim(question, "posterior sd of the quantity", float(np.std(values, ddof=1)), target, assurance)
    measurement = Measurement(observe, _noise(noise), layout)
    if regime is not None and direct is not None:
        found = reveal(measurement, rows, values, _conditions(direct, None)[0], target)
        regime = replace(regime, direct=found)
    if aim.present <= target:
        return placed(met(aim, ASSUMPTIONS[:1], checks), regime)
    rule = _rule(allocation)
    view = View.of(measurement, rows, values, conditions, costs)
    plan = rule.plan(view.local, max_n)
    if _linear_gaussian(view.local, rows, values):
        need = _exact(aim, view.local, plan, checks)
    else:
        rows, layout = in_logs(rows, layout)
        measurement = replace(measurement, layout=layout)
        view = View.of(measurement, rows, values, conditions, costs)
        plan = rule.plan(view.local, max_n)
        shape = Shape(replicates, min(particles, len(rows) - 1), sizes(max_n, PER_OCTAVE))
        course = Course(conditions, plan.order)
        futures = imagine(measurement, Reader(quantity, layout), shape, key, rows, values, course, target)
        need = forecast(aim, futures, aim.present * floor(view.local), ASSUMPTIONS, checks)
    labels = [str(value) for value in np.asarray(conditions).tolist()]
    causes = floor_causes(view.screen, view.local, layout.names) if need.verdict == "FLOOR" else ()
    need = replace(
        need,
        forecast=need.forecast.assign(order=("measurement", plan.order)),
        where=table(view.local, plan, labels, planning_size(need, max_n), groups or {}),
        worth=ceilings(rows, values, layout.names),
        assumptions=(*causes, *need.assumptions),
        stopping=STOPPING,
    )
    return placed(need, regime)


@dataclass(frozen=True)
class View:
    """The linear view of the posterior, and what plans are made from."""

    screen: Screen
    local: Local

    @classmethod
    def of(cls, measurement, rows, values, conditions, costs) -> View:
        """Linearise about some of the draws.

        Raises
        ------
        ParameterError
            If a response has no finite slope.
        """
        screen = Screen.of(rows, values)
        at = rows[np.linspace(0, len(rows) - 1, PLANNED_AT).astype(int)]
        matrices = np.asarray(information(measurement, at, conditions), float)
        if not np.all(np.isfinite(matrices)):
            raise ParameterError(
                "a response without a finite slope at some posterior draw",
                key="observe",
                wanted="finite, differentiable responses and a positive sd at every candidate",
            )
        whitened = screen.root.T @ matrices @ screen.root
        return cls(screen, Local(screen.root.T @ screen.slope, whitened, costs))


def placed(need: Requirement, regime: Regime | None) -> Requirement:
    """Return the answer with its regime; outside the measured range it is an extrapolation."""
    if regime is None:
        return need
    if not regime.extrapolates or need.verdict not in ("FORECAST", "MET"):
        return replace(need, regime=regime)
    lines = ("the quantity lies where nothing was measured: there the number rests on the model alone",)
    return replace(need, verdict="EXTRAPOLATION", regime=regime, assumptions=(*lines, *need.assumptions))


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


def asked(name: str, target: float) -> Question:
    """Return the question whether a quantity is known to an sd."""
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
    lowest = aim.present * floor(local)
    return Requirement(
        verdict="FORECAST" if number or lowest <= aim.target else "FLOOR",
        number=number,
        question=aim.question,
        quantiles=dict.fromkeys(LEVELS, float(number or math.inf)),
        probability_never=0.0 if number else 1.0,
        bound=aim.present,
        floor=lowest,
        forecast=_path(aim, plan, number),
        assumptions=(*ASSUMPTIONS, EXACT),
        checks=checks,
    )


def _path(aim, plan: Plan, number):
    """Return the one path that an exact forecast has."""
    sd = np.sqrt(plan.variance)
    n = np.arange(1, len(sd) + 1)
    kept = np.unique(np.geomspace(1, len(sd), 60).round().astype(int)) - 1
    return xr.Dataset(
        {
            "needed": ("replicate", [float(number or math.inf)]),
            "width": (("replicate", "n"), sd[None, kept], {"units": "1", "long_name": aim.width}),
        },
        {"n": ("n", n[kept])},
        {"target": aim.target, "present": aim.present, "scale": "linear"},
    )

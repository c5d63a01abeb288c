"""How many more measurements, and at which conditions, until a quantity is known to a stated sd.

The measurements follow a plan made from Fisher information averaged over the posterior; how many of them
it takes is found by imagining them (`engine`), each future under a truth drawn from the posterior. Where
response and quantity are linear, the noise is normal and known and the posterior normal, the variance after
n measurements does not depend on what is measured, and the number is exact:

    v(n) = g' (C^-1 + sum_i h_i h_i' / s_i^2)^-1 g.

Source: Chaloner and Verdinelli (1995), Stat. Sci. 10, 273; O'Hagan and Stevens (2001), Med. Decis. Making
21, 219.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.require import arguments
from physsynth.require.allocate import RULES, Allocation, Plan
from physsynth.require.case import Case
from physsynth.require.data_worth import ceilings, floor, floor_causes, table
from physsynth.require.draws import Theta, flatten, pilot_checks, varies
from physsynth.require.engine import sizes
from physsynth.require.futures import Course, Shape, imagine
from physsynth.require.in_hand import InHand, left_out
from physsynth.require.locate import assess
from physsynth.require.noise import FunctionOfCondition, Noise
from physsynth.require.outcome import Aim, forecast, met, needs_pilot, planning_size, reach_check
from physsynth.require.regime import Regime, placed
from physsynth.require.requirement import LEVELS, Question, Requirement

PER_OCTAVE = 64
LEAST_REPLICATES, LEAST_PARTICLES = 20, 50
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
    in_hand: InHand | None = None,
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
    allocation : {"greedy", "batch", "uniform"} or Allocation
        Where the measurements go.
    replicates, particles : int
        Imagined futures, and posterior draws carried in each.
    name : str
        What the quantity is called.
    regime : Regime, optional
        Where the quantity lies beside what is measured. Outside, the verdict is EXTRAPOLATION, as no
        measurement at the candidates can show an error of the model there. Unless given it is assessed from
        `direct`, or from the condition at which the model's own response is the quantity, or the two
        conditions whose responses differ by it (`locate`). A parameter has none and needs none; any other
        quantity is an EXTRAPOLATION too, unless `Regime.of_a_parameter()` says that a function of
        parameters, a half-life for example, is meant as one.
    direct : array (D, ...), optional
        Conditions in the quantity's own regime at which the response could be measured directly: the
        statement says how many such measurements would reveal an error of the model.
    groups : mapping of str to sequence of int, optional
        Candidates, by index, that are measured together: ``where`` compares the groups as well.
    in_hand : InHand, optional
        The measurements that the posterior was made from: ``in_hand`` says which of them matter.

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
    target, max_n = arguments.positive("target", target), arguments.count("max_n", max_n, 1)
    replicates = arguments.count("replicates", replicates, LEAST_REPLICATES)
    particles = arguments.count("particles", particles, LEAST_PARTICLES)
    arguments.fraction("assurance", assurance)
    _check_kinds(key, regime, groups, in_hand)
    conditions, prices = _conditions("candidates", candidates, costs)
    rows, layout = flatten(draws)
    question, checks = asked(name, target), pilot_checks(rows)
    if not all(check.passed for check in checks):
        return needs_pilot(question, checks)
    case = Case.of(rows, layout, observe, quantity, noise, conditions, prices)
    checks = (*checks, varies(case.values))
    if not checks[-1].passed:
        return needs_pilot(question, checks)
    aim = Aim(question, "posterior sd of the quantity", case.sd, target, assurance)
    away = None if direct is None else _like(conditions, "direct", _conditions("direct", direct, None)[0])
    if in_hand is not None:
        _like(conditions, "in_hand.conditions", in_hand.checked()[0])
    regime = assess(case, regime, in_hand, away, target)
    if aim.present <= target:
        need = met(aim, ASSUMPTIONS[:1], checks)
    else:
        need = _planned(aim, case, _rule(allocation), Size(max_n, replicates, particles), key, groups or {})
        need = replace(need, checks=(*checks, *need.checks))
    return placed(replace(need, in_hand=_in_hand(case, in_hand)), regime)


class Size(NamedTuple):
    """How far, and how finely, the future is looked at."""

    max_n: int
    replicates: int
    particles: int


def _planned(aim, case: Case, rule, size: Size, key, groups) -> Requirement:
    """Return the forecast of a plan: exact where it can be, imagined otherwise."""
    plan = rule.plan(case.view.local, size.max_n)
    if case.is_linear_gaussian(case.view.local):
        need = _exact(aim, case.view.local, plan)
    else:
        case = case.in_logs()
        plan = rule.plan(case.view.local, size.max_n)
        need = _imagined(aim, case, plan, size, key)
    screen, local, names = case.view.screen, case.view.local, case.measurement.layout.names
    labels = [str(value) for value in np.asarray(case.conditions).tolist()]
    causes = floor_causes(screen, local, names) if need.verdict == "FLOOR" else ()
    return replace(
        need,
        forecast=need.forecast.assign(order=("measurement", plan.order)),
        where=table(local, plan, labels, planning_size(need, size.max_n), groups),
        worth=ceilings(case.rows, case.values, names),
        assumptions=(*causes, *need.assumptions),
        stopping=STOPPING,
    )


def _imagined(aim, case: Case, plan: Plan, size: Size, key):
    """Return the forecast from imagined futures."""
    shape = Shape(size.replicates, min(size.particles, len(case.rows) - 1), sizes(size.max_n, PER_OCTAVE))
    course = Course(case.conditions, plan.order)
    futures = imagine(case.measurement, case.read, shape, key, case.rows, case.values, course, aim.target)
    return forecast(aim, futures, aim.present * floor(case.view.local), ASSUMPTIONS, ())


def _in_hand(case: Case, in_hand: InHand | None) -> xr.Dataset:
    """Return what the measurements in hand are worth; nothing where they are not known."""
    if in_hand is None:
        return xr.Dataset()
    conditions, _ = in_hand.checked()
    local = case.view_of(conditions, np.ones(len(conditions))).local
    exact = case.is_linear_gaussian(local)
    return left_out(in_hand, case.measurement, local, exact, case.rows, case.values)


def _check_kinds(key, regime, groups, in_hand):
    """Check what is neither a number nor an array."""
    arguments.random_key("key", key)
    kinds = {"regime": (regime, Regime), "groups": (groups, Mapping), "in_hand": (in_hand, InHand)}
    for name, (value, kind) in kinds.items():
        if value is not None:
            arguments.strategy(name, value, kind, kind.__name__)


def _like(conditions, name, others):
    """Return other conditions, which must have as many axes as the candidates."""
    if others.shape[1:] != conditions.shape[1:]:
        raise ParameterError(
            "conditions of another kind than the candidates",
            key=name,
            wanted=f"shape (any, {', '.join(map(str, conditions.shape[1:]))})",
            got=f"shape {others.shape}",
        )
    return others


def _conditions(name, candidates, costs):
    conditions = jnp.asarray(arguments.numbers(name, candidates, "an array (C, ...) of conditions"))
    if conditions.ndim == 0 or len(conditions) == 0:
        raise ParameterError(
            "no conditions to measure at", key=name, wanted="an array (C, ...)", got=repr(candidates)
        )
    wanted = f"{len(conditions)} positive numbers"
    prices = np.ones(len(conditions)) if costs is None else arguments.numbers("costs", costs, wanted)
    if prices.shape != (len(conditions),) or not np.all(prices > 0):
        raise ParameterError(
            "costs that do not fit the conditions",
            key="costs",
            wanted=wanted,
            got=repr(costs),
        )
    return conditions, prices


def _rule(allocation):
    if isinstance(allocation, str):
        if allocation not in RULES:
            raise unknown_name("allocation", allocation, RULES, key="allocation")
        return RULES[allocation]()
    return arguments.strategy("allocation", allocation, Allocation, " or ".join(RULES))


def asked(name: str, target: float) -> Question:
    """Return the question whether a quantity is known to an sd."""
    return Question(
        claim=f"The {name} is known with a posterior standard deviation of at most {target:.3g}.",
        quantity=name,
        target=f"posterior standard deviation at most {target:.3g}",
        counted="measurements",
    )


def _exact(aim, local, plan):
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
        checks=(reach_check(float(number or math.inf), aim.assurance, len(plan.order)),),
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

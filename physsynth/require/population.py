"""How many more members of a population it takes to know a quantity of that population.

Members (patients, vehicles) differ, psi_i ~ N(mu, Omega); what is learnt is theta = (mu, log_spread), and
the quantity may depend on further uncertain things that members do not inform. The target is met when the
upper end of the quantity's central posterior interval is within `factor` of the lower end.

Source: O'Hagan and Stevens (2001), Med. Decis. Making 21, 219 (assurance); `members` and `engine` for the
data and the Monte Carlo.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.require import arguments
from physsynth.require.draws import Reader, Theta, flatten, is_parameter, pilot_checks, varies
from physsynth.require.engine import Evidence, grow, resample, sizes, truth_and_others
from physsynth.require.members import Information, as_partial, imagine, log_likelihood
from physsynth.require.outcome import Aim, Futures, forecast, met, needs_pilot, planning_size
from physsynth.require.present import Present
from physsynth.require.regime import Regime, placed
from physsynth.require.requirement import Question, Requirement
from physsynth.require.screen import DRAWS, Screen, member_information
from physsynth.require.ways import compare

PLANNED = "as planned"
PARTS = ("location", "log_spread", "other")
ASSUMPTIONS = (
    "the posterior in hand is right: its model describes the members, and its draws have converged",
    "new members come from the same population and are measured as the information function says",
    "a member's data tell of its parameters as a normal summary with that information does",
    "members' parameters are independent and normal about the population mean on the scale handed in",
)
STOPPING = (
    "stop once the interval's ends lie within the factor; a posterior may be looked at after every new "
    "member, and the forecast is made anew after every round"
)
_NOTABLE, _NOTHING = 0.2, 1e-8


@dataclass(frozen=True)
class Wording:
    """How the statement names things.

    Parameters
    ----------
    quantity : str
        For example "probability of a toxic concentration".
    members : str
        What is counted, in the plural.
    """

    quantity: str = "quantity of the population"
    members: str = "members"


class _Shape(NamedTuple):
    """Sizes that fix the compiled program."""

    replicates: int
    particles: int
    evaluations: int
    grid: tuple[int, ...]


class _Draws(NamedTuple):
    """Posterior draws: what members inform, and the rest as its regression on that plus a residual.

    Given (mu, log_spread) new members say nothing about `other`, so its conditional distribution stays
    what it is today; kept aside, it cannot degenerate with the particles. `direction` is the slope of the
    log quantity on core.
    """

    core: Float[Array, "draw core"]
    present: Present
    direction: Float[Array, " core"]
    slope: Float[Array, "core other"]
    residual: Float[Array, "draw other"]


def population(
    draws: Mapping[str, np.ndarray | jax.Array],
    information: Information,
    log_quantity: Callable[[Theta], jax.Array],
    factor: float,
    key: jax.Array,
    assurance: float = 0.8,
    interval: float = 0.9,
    max_n: int = 1000,
    designs: Mapping[str, Information] | None = None,
    replicates: int = 200,
    particles: int = 1000,
    evaluations: int = 500,
    wording: Wording | None = None,
    regime: Regime | None = None,
    costs: Mapping[str, float] | None = None,
) -> Requirement:
    """Return how many more members it takes until a quantity's interval spans less than a factor.

    Parameters
    ----------
    draws : mapping of str to array
        Posterior draws: "location" (S, k), the mean of the members' parameters; "log_spread" (S, k),
        log of their standard deviations; optionally "other" (S, m), what members do not inform.
    information : callable
        ``information(psi, key)`` -> (k, k), positive semidefinite: Fisher information about psi in one
        new member's data when psi is its parameter; it draws the member's condition with the key. Ways
        that differ in arrays alone share compiled code as ``jax.tree_util.Partial(function, arrays)``.
    log_quantity : callable
        From a dict with one draw of the above, to the log of the quantity.
    factor : float
        Wanted ratio of the upper to the lower end of the central interval.
    key : jax.Array
    assurance : float
        Wanted probability that the number suffices.
    interval : float
        Probability of the central posterior interval.
    max_n : int
        Largest number of members to look at.
    designs : mapping of str to callable, optional
        Other ways of measuring members by name, each an information function: ``where`` says what each
        is worth beside the planned one, and which mixture of them is cheapest.
    replicates, particles, evaluations : int
        Imagined futures; posterior draws carried in each; and how many of them the quantity is
        evaluated at, each time it is looked at.
    wording : Wording, optional
    regime : Regime, optional
        Where the quantity lies beside what is measured; `placed` sets it later on.
    costs : mapping of str to float, optional
        Cost of one member by way, "as planned" or one of `designs`; the planned way costs 1 unless given,
        and a way that is not named what the planned one does.

    Returns
    -------
    Requirement
        ``bound`` is the present ratio of the interval's ends, ``floor`` the ratio that no number of
        members goes below. Verdict MET if the present posterior meets the target, NEEDS_PILOT if there
        are fewer than 100 draws or they do not vary, FLOOR if the futures level off above the target,
        FORECAST otherwise; its number is None where the target takes more than `max_n`. MET and FORECAST
        become EXTRAPOLATION where the quantity lies outside what is measured, or cannot be told to lie
        inside: any quantity is so but a component of location or log-spread, unless `regime` places it.

    Raises
    ------
    ParameterError
        If draws, information or quantity have the wrong shape or are not finite, or a number is
        outside its domain.

    Examples
    --------
    >>> normal = jax.random.normal(jax.random.key(0), (1000, 2))
    >>> draws = {"location": 0.3 * normal[:, :1], "log_spread": 0.01 * normal[:, 1:]}
    >>> exact = lambda psi, key: 1e8 * jnp.eye(1)
    >>> asked = (draws, exact, lambda theta: theta["location"][0], 1.5, jax.random.key(1))
    >>> need = population(*asked, max_n=128, replicates=50)
    >>> need.verdict, 50 < need.number < 70
    ('FORECAST', True)
    """
    _check_numbers(factor, assurance, interval, max_n, replicates, particles, evaluations)
    _check_kinds(key, designs, wording, regime)
    priced = _priced(designs or {}, costs or {})
    rows, layout = flatten(_parts(draws))
    k = layout.parts[0][1][0]
    question = _question(wording or Wording(), factor, interval)
    checks = pilot_checks(rows[:, :k])
    if not all(check.passed for check in checks):
        return needs_pilot(question, checks)
    read = Reader(log_quantity, layout)
    wanted = f"a JAX function of a draw, which holds {', '.join(layout.kinds)}, to a scalar"
    arguments.scalar("log_quantity", log_quantity, wanted, layout.split(jnp.asarray(rows[0])))
    values = _checked(np.asarray(_values(read, rows), float))
    checks = (*checks, varies(values))
    if not checks[-1].passed:
        return needs_pilot(question, checks)
    present = _present_width(values, interval)
    aim = Aim(
        question, "log ratio of the interval's ends", present, math.log(factor), assurance, _ratio, "log"
    )
    if regime is None and is_parameter(rows[:, : 2 * k], values):
        regime = Regime.of_a_parameter()
    if present <= aim.target:
        return placed(met(aim, ASSUMPTIONS[:1], checks), regime)
    core = jnp.asarray(rows[:DRAWS, : 2 * k])
    planned = member_information("information", information, core, key)
    others = {name: member_information(name, way, core, key) for name, way in (designs or {}).items()}
    shape = _Shape(replicates, min(particles, len(rows) - 1), evaluations, sizes(max_n))
    screen = Screen.of(rows, values)
    kept = _set_aside(rows, k, screen)
    paths = _futures(as_partial(information), read, shape, interval, key, kept, aim.target)
    futures = Futures(np.asarray(paths.widths, float), np.asarray(paths.least_size, float), shape.grid)
    floor = present * math.sqrt(screen.share_left(planned))
    causes = _floor_causes(screen, planned, layout.names)
    need = forecast(aim, futures, floor, ASSUMPTIONS, checks)
    if need.floor is not None and need.floor > factor:
        need = replace(need, assumptions=(*need.assumptions, *causes))
    need = placed(replace(need, stopping=STOPPING), regime)
    if not designs:
        return need
    table = compare(screen, {PLANNED: planned, **others}, planning_size(need, max_n), priced)
    return replace(need, where=table)


def _floor_causes(screen: Screen, planned, names):
    """Say which parameters new members leave open, and what would lower the floor that comes of it."""
    if screen.share_left(planned) < _NOTHING:
        return (
            "floor: futures that miss the target level off there, though to first order new members tell "
            "every parameter in the end; members measured more precisely, or in another way, would lower it",
        )
    share = screen.held(planned)
    held = [f"{names[i]} ({share[i]:.0%})" for i in np.argsort(-share) if share[i] >= _NOTABLE]
    return (
        f"floor: new members, measured as planned, leave {', '.join(held)} open; "
        "a measurement that tells it would lower it",
    )


def _ratio(width):
    return math.exp(width) if width < 700 else math.inf


def _check_kinds(key, designs, wording, regime):
    """Check what is neither a number nor an array."""
    arguments.random_key("key", key)
    kinds = {"designs": (designs, Mapping), "wording": (wording, Wording), "regime": (regime, Regime)}
    for name, (value, kind) in kinds.items():
        if value is not None:
            arguments.strategy(name, value, kind, kind.__name__)


def _priced(designs, costs):
    """Return the cost of one member of the planned way and of each other."""
    arguments.strategy("costs", costs, Mapping, "Mapping")
    for name, cost in costs.items():
        if name not in (PLANNED, *designs):
            raise unknown_name("way of measuring members", name, (PLANNED, *designs), key="costs")
        arguments.positive(f'costs["{name}"]', cost)
    planned = costs.get(PLANNED, 1.0)
    return np.array([planned, *(costs.get(name, planned) for name in designs)], float)


def _check_numbers(factor, assurance, interval, max_n, replicates, particles, evaluations):
    arguments.above_one("factor", factor)
    arguments.fraction("assurance", assurance)
    arguments.fraction("interval", interval)
    arguments.count("max_n", max_n, 1)
    arguments.count("replicates", replicates, 20)
    arguments.count("particles", particles, 50)
    arguments.count("evaluations", evaluations, 50)


def _parts(draws):
    for name in PARTS[:2]:
        if name not in draws:
            raise ParameterError(
                "posterior draws are missing", key=f'draws["{name}"]', wanted="an array (S, k)"
            )
    parts = {name: np.asarray(draws[name]) for name in PARTS if name in draws}
    for name, array in parts.items():
        if array.ndim != 2 or (name == "log_spread" and array.shape != parts["location"].shape):
            raise ParameterError(
                "draws of the wrong shape",
                key=f'draws["{name}"]',
                wanted="(S, k), with as many spreads as locations",
                got=array.shape,
            )
    return parts


def _question(wording, factor, interval):
    return Question(
        claim=f"The {wording.quantity} is known within a factor of {factor:g}.",
        quantity=wording.quantity,
        target=f"upper over lower end of the central {interval:.0%} posterior interval at most {factor:g}",
        counted=wording.members,
    )


@partial(jax.jit, static_argnames="read")
def _values(read, rows):
    return jax.vmap(read)(rows)


def _checked(values):
    strange = values[np.isnan(values) | np.isposinf(values)]
    if strange.size:
        raise ParameterError(
            "a quantity that is not a finite number at some posterior draw",
            key="log_quantity",
            wanted="the log of a positive quantity; minus infinity where it is nil",
            got=float(strange[0]),
        )
    return values


def _present_width(values, interval):
    tail = (1 - interval) / 2
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(values, [tail, 1 - tail])
    return float(high - low) if np.isfinite(low) else math.inf


def _width(log_quantity, interval):
    """Return the length of the central interval of equally likely values, on the log scale.

    Of m values that stand for m equal shares the i-th smallest is at the share (i - 1/2) / m; JAX has it at
    (i - 1) / (m - 1).
    """
    m = log_quantity.shape[0]
    tail = max(((1 - interval) / 2 * m - 0.5) / (m - 1), 0.0)
    low, high = jnp.quantile(log_quantity, jnp.asarray([tail, 1 - tail], log_quantity.dtype))
    return jnp.where(jnp.isneginf(low), jnp.inf, high - low)


def _set_aside(rows, k, screen):
    core, other = rows[:, : 2 * k], rows[:, 2 * k :]
    slope = np.linalg.lstsq(core - core.mean(0), other - other.mean(0), rcond=None)[0]
    # A location is known the better the smaller its spread: spreads stand first.
    present = Present.of(core, order=np.arange(2 * k)[::-1])
    direction = screen.slope[: 2 * k] + slope @ screen.slope[2 * k :]
    parts = (jnp.asarray(part) for part in (direction, slope, other - core @ slope))
    return _Draws(jnp.asarray(core), present, *parts)


@partial(jax.jit, static_argnames=("read", "shape", "interval"))
def _futures(information, read, shape, interval, key, draws, target):
    """Return the paths of imagined futures, one a replicate."""

    def replicate(index):
        pick, make, walk = jax.random.split(jax.random.fold_in(key, index), 3)
        truth, others = truth_and_others(pick, index, shape.replicates, draws.core.shape[0], shape.particles)
        members = imagine(make, information, draws.core[truth], shape.grid[-1])
        residual = draws.residual[jnp.resize(others, shape.evaluations)]

        def width(look, cloud, weights):
            # In the order of the quantity each of the resampled stands for an equal share of it.
            order = jnp.argsort(draws.direction @ cloud)
            core = cloud[:, order[resample(look, weights[order], shape.evaluations)]].T
            return _width(jax.vmap(read)(jnp.hstack([core, core @ draws.slope + residual])), interval)

        def told(cloud, index):
            return log_likelihood(members.root[index], members.data[index], cloud)

        evidence = Evidence(draws.present, lambda cloud: cloud, told)
        return grow(walk, draws.core[others].T, evidence, width, shape.grid, target)

    return jax.lax.map(replicate, jnp.arange(shape.replicates))

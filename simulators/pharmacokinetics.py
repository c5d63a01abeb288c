"""One-compartment pharmacokinetics after any number of oral doses, absorbed in one step or in two.

    dG/dt = -k_a G,   V dC/dt = k_a G - CL C,   G jumps by D_j at t_j

Closed form, with k = CL / V and tau = t - t_j:

    C(t) = sum_{t_j <= t} (k_a D_j / V) h(tau),   h(tau) = (exp(-k tau) - exp(-k_a tau)) / (k_a - k)

With one transit compartment the dose passes from A into G, both left at the rate k_a:

    dA/dt = -k_a A,   dG/dt = k_a A - k_a G,   V dC/dt = k_a G - CL C,   A jumps by D_j at t_j
    C(t) = sum_{t_j <= t} (k_a^2 D_j / V) h_2(tau),   h_2(tau) = int_0^tau s exp(-k_a s - k (tau - s)) ds

Between two doses either curve has at most one maximum, at the tau where dC/dt = 0; the peak is exact,
not the largest value on a grid.

Where enzymes saturate, elimination is CL C / (1 + C / K) in place of CL C, and no closed form is known. From
dose to dose C is what was there and what was absorbed since (closed form) less what was eliminated, E:

    dE/dt = k C / (1 + C / K),   E = 0 at the dose

which is smooth, and is integrated by the classical Runge-Kutta scheme on steps that grow with the time since
the dose. Once all is absorbed, C solves C + K log C = constant - k K t.

Source: Gibaldi and Perrier (1982), Pharmacokinetics, 2nd ed., chapter 1, eq. 1.90 and chapter 3
(superposition of doses); Savic, Jonker, Kerbusch and Karlsson (2007), Journal of Pharmacokinetics and
Pharmacodynamics 34 (transit compartments, here one). Population values: Boeckmann, Sheiner and Beal (1994),
NONMEM Users Guide Part V, for theophylline; bioavailability 1. Exchanging k_a and k leaves the shape of the
one-step curve unchanged ("flip-flop"); absorption is the faster of the two here by convention, see
`lower_bounds`.
"""

from typing import NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from physsynth.core import (
    Coordinate,
    LimitState,
    Option,
    Output,
    Parameter,
    define_simulator,
    nonnegative,
    residual,
    superposition,
)

# How many time constants after a dose a peak is looked for, and in how many halvings.
LONG, HALVINGS = 60.0, 60
# Saturable elimination: steps after a dose, time constants of absorption after which less than 1e-7 of it is
# left in the gut, halvings of the step that holds a peak, and rounds of Newton's method for the time after.
STEPS, ABSORBED, FINER, NEWTON = 24, 20.0, 26, 6


class Doses(NamedTuple):
    """When (times [h], rising) and how much (amounts [mg]) is taken."""

    times: jax.Array
    amounts: jax.Array


def read_doses(given) -> Doses:
    """Read doses from a pair (times, amounts) or a mapping with these two keys."""
    times, amounts = (given["times"], given["amounts"]) if isinstance(given, dict) else given
    times, amounts = jnp.broadcast_arrays(*(jnp.atleast_1d(jnp.asarray(a, float)) for a in (times, amounts)))
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"wanted two lists of one length, got arrays of shape {times.shape}")
    if not isinstance(times, jax.core.Tracer) and not np.all(np.diff(times) >= 0):
        raise ValueError("the times of the doses must rise")
    if not isinstance(amounts, jax.core.Tracer) and not np.all(np.asarray(amounts) >= 0):
        raise ValueError("an amount is negative")
    return Doses(times, amounts)


def read_times(given) -> jax.Array:
    """Read sampling times."""
    times = jnp.atleast_1d(jnp.asarray(given, float))
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"times must be a list of numbers, not of shape {times.shape}")
    return times


def _transfer(tau, absorption, elimination):
    """h(tau): finite where the two rates agree, 0 before the dose."""
    slow, gap = jnp.minimum(absorption, elimination), jnp.abs(absorption - elimination)
    tau = jnp.where(tau >= 0, tau, 0.0)
    x = gap * tau
    small = x < 1e-6
    factor = jnp.where(small, 1.0 - x / 2, -jnp.expm1(-x) / jnp.where(small, 1.0, x))
    return jnp.exp(-slow * tau) * tau * factor


def _second_transfer(tau, absorption, elimination):
    """h_2(tau): finite where the two rates agree, 0 before the dose."""
    tau = jnp.where(tau >= 0, tau, 0.0)
    x = (absorption - elimination) * tau
    slow, y = jnp.minimum(absorption, elimination), jnp.abs(x)
    small = y < 1e-2
    safe = jnp.where(small, 1.0, y)
    fast_first = (-jnp.expm1(-safe) - safe * jnp.exp(-safe)) / safe**2
    slow_first = (safe + jnp.expm1(-safe)) / safe**2
    series = jnp.where(
        x >= 0,
        1 / 2 - y / 3 + y**2 / 8 - y**3 / 30 + y**4 / 144,
        1 / 2 - y / 6 + y**2 / 24 - y**3 / 120 + y**4 / 720,
    )
    factor = jnp.where(small, series, jnp.where(x >= 0, fast_first, slow_first))
    return jnp.exp(-slow * tau) * tau**2 * factor


def _log1p_slope(a, x):
    """log(1 + a x) / x, continuous at x = 0; -inf or +inf where the logarithm has no value."""
    small = jnp.abs(a * x) < 1e-6
    inside = jnp.maximum(a * x, -1.0)
    return jnp.where(small, a - a**2 * x / 2, jnp.log1p(inside) / jnp.where(small, 1.0, x))


def _peak_after(tau_end, gut, concentration, p):
    """Return the largest concentration within `tau_end` of a moment with a known state."""
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]
    gap = absorption - elimination
    inflow = absorption * gut / p["volume"]
    backlog = concentration / jnp.where(inflow > 0, inflow, 1.0)
    top = _log1p_slope(1.0 / elimination, gap) - _log1p_slope(backlog, gap)
    rises = (inflow > 0) & (1.0 + backlog * gap > 0)
    tau = jnp.where(rises, jnp.clip(top, 0.0, tau_end), 0.0)
    return concentration * jnp.exp(-elimination * tau) + inflow * _transfer(tau, absorption, elimination)


def _peak(p, doses):
    """Walk from dose to dose with the state (gut, concentration) and keep the largest peak."""
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]

    def interval(state, dose):
        gut, concentration, peak = state
        wait, amount = dose
        gut = gut + amount
        peak = jnp.maximum(peak, _peak_after(wait, gut, concentration, p))
        wait = jnp.where(jnp.isfinite(wait), wait, 0.0)
        inflow = absorption * gut / p["volume"]
        concentration = concentration * jnp.exp(-elimination * wait)
        concentration = concentration + inflow * _transfer(wait, absorption, elimination)
        return (gut * jnp.exp(-absorption * wait), concentration, peak), None

    waits = jnp.append(jnp.diff(doses.times), jnp.inf)
    start = jnp.zeros((), jnp.result_type(float))
    (_, _, peak), _ = jax.lax.scan(interval, (start, start, start), (waits, doses.amounts))
    return peak


class Amounts(NamedTuple):
    """What is in the two parts of the gut [mg], and the concentration in plasma [mg/L]."""

    first: jax.Array
    second: jax.Array
    concentration: jax.Array


def _later(tau, state, p):
    """Return the amounts after a time without doses."""
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]
    left = jnp.exp(-absorption * tau)
    absorbed = state.second * _transfer(tau, absorption, elimination)
    absorbed += absorption * state.first * _second_transfer(tau, absorption, elimination)
    return Amounts(
        state.first * left,
        (state.second + absorption * state.first * tau) * left,
        state.concentration * jnp.exp(-elimination * tau) + absorption / p["volume"] * absorbed,
    )


def _top(wait, state, p):
    """Return when within `wait` the concentration is largest, unless that is at the start.

    Once the second part of the gut empties, dC/dt changes its sign at most once, downwards: by bisection. A
    peak does not change with the time at which it is taken, so that no derivative need flow through this.
    """
    wait, state, p = jax.lax.stop_gradient((wait, state, p))
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]
    filling = jnp.where(state.first > 0, state.first, 1.0)
    full = jnp.where(state.first > 0, (1.0 - state.second / filling) / absorption, 0.0)
    low = jnp.clip(full, 0.0, wait)
    high = jnp.minimum(wait, low + LONG / jnp.minimum(absorption, elimination))

    def halved(_, between):
        low, high = between
        middle = 0.5 * (low + high)
        then = _later(middle, state, p)
        rises = absorption * then.second > p["clearance"] * then.concentration
        return jnp.where(rises, middle, low), jnp.where(rises, high, middle)

    return jax.lax.fori_loop(0, HALVINGS, halved, (low, high))[0]


def _transit_peak(p, doses):
    """Walk from dose to dose with the amounts and keep the largest peak."""

    def interval(carry, dose):
        state, peak = carry
        wait, amount = dose
        state = state._replace(first=state.first + amount)
        top = _later(_top(wait, state, p), state, p).concentration
        peak = jnp.maximum(peak, jnp.maximum(state.concentration, top))
        return (_later(jnp.where(jnp.isfinite(wait), wait, 0.0), state, p), peak), None

    waits = jnp.append(jnp.diff(doses.times), jnp.inf)
    nothing = jnp.zeros((), jnp.result_type(float))
    start = (Amounts(nothing, nothing, nothing), nothing)
    return jax.lax.scan(interval, start, (waits, doses.amounts))[0][1]


class Eliminated(NamedTuple):
    """What was eliminated since a dose, E [mg/L], at the ends of steps, and its slope."""

    level: jax.Array
    slope: jax.Array


class Interval(NamedTuple):
    """After a dose, until it is absorbed: amounts at its start, ends of steps, what was eliminated."""

    start: Amounts
    ends: jax.Array
    eliminated: Eliminated


def _ends(wait, p):
    """Return the ends (STEPS + 1,) of steps that grow with the time since the dose, until it is absorbed.

    Where steps lie changes nothing but the error, so no slope flows through them.
    """
    until = jax.lax.stop_gradient(jnp.minimum(wait, ABSORBED / p["absorption_rate"]))
    return until * jnp.linspace(0.0, 1.0, STEPS + 1) ** 2


def _elimination(concentration, p):
    """Return dE/dt [mg/L/h] at a concentration."""
    return p["clearance"] / p["volume"] * concentration / (1 + concentration / p["half_saturation"])


def _gut(tau, start, p):
    """Return the amounts in the two parts of the gut so long after a dose."""
    left = jnp.exp(-p["absorption_rate"] * tau)
    return start.first * left, (start.second + p["absorption_rate"] * start.first * tau) * left


def _retained(tau, start, p):
    """Return the concentration so long after a dose if nothing were eliminated."""
    first, second = _gut(tau, start, p)
    return start.concentration + (start.first - first + start.second - second) / p["volume"]


def _eliminate(start, ends, p):
    """Integrate what is eliminated after a dose."""
    step = jnp.diff(ends)
    retained = _retained(ends, start, p)

    def forward(level, part):
        h, first, middle, last = part
        one = _elimination(first - level, p)
        two = _elimination(middle - level - h / 2 * one, p)
        three = _elimination(middle - level - h / 2 * two, p)
        four = _elimination(last - level - h * three, p)
        after = level + h / 6 * (one + 2 * two + 2 * three + four)
        return after, after

    parts = (step, retained[:-1], _retained(ends[:-1] + step / 2, start, p), retained[1:])
    nothing = jnp.zeros((), jnp.result_type(float))
    level = jnp.append(nothing, jax.lax.scan(forward, nothing, parts)[1])
    return Eliminated(level, _elimination(retained - level, p))


def _interpolated(tau, interval, p):
    """Return the concentration so long after a dose while it is absorbed: a cubic in each step."""
    ends, gone = interval.ends, interval.eliminated
    step = jnp.sum(tau >= ends[1:-1])
    low, high = ends[step], ends[step + 1]
    width = jnp.where(high > low, high - low, 1.0)
    s = (tau - low) / width
    level = gone.level[step] * (1 + 2 * s) * (1 - s) ** 2 + gone.level[step + 1] * s**2 * (3 - 2 * s)
    level += width * s * (1 - s) * (gone.slope[step] * (1 - s) - gone.slope[step + 1] * s)
    return _retained(tau, interval.start, p) - level


def _decayed(tau, concentration, p):
    """Return what is left of a concentration after a time without absorption.

    Newton's method for x = log C, from above. The last two rounds alone carry slopes, right to third order.
    """
    elimination, half = p["clearance"] / p["volume"], p["half_saturation"]
    start = jnp.log(jnp.maximum(concentration, 1e-300))
    goal = jnp.exp(start) + half * start - elimination * half * tau
    x = jnp.minimum(start, goal / half)
    for left in reversed(range(NEWTON)):
        x = jax.lax.stop_gradient(x) if left == 1 else x
        x -= (jnp.exp(x) + half * x - goal) / (jnp.exp(x) + half)
    return jnp.exp(x)


def _saturated(tau, interval, p):
    """Return the concentration so long after a dose."""
    last = interval.ends[-1]
    level = _interpolated(jnp.where(tau > last, last, tau), interval, p)
    return jnp.where(tau > last, _decayed(jnp.where(tau > last, tau - last, 0.0), level, p), level)


def _saturated_peak(interval, p):
    """Return the largest concentration until the next dose.

    Once the second part of the gut empties, dC/dt changes its sign at most once, downwards: after the last
    end of a step at which C rises. A peak does not change with the time at which it is taken.
    """
    fixed, p_fixed = jax.lax.stop_gradient((interval, p))

    def rises(tau, concentration):
        inflow = p_fixed["absorption_rate"] / p_fixed["volume"] * _gut(tau, fixed.start, p_fixed)[1]
        return inflow > _elimination(concentration, p_fixed)

    ends = fixed.ends
    level = _retained(ends, fixed.start, p_fixed) - fixed.eliminated.level
    rising = rises(ends, level)
    last = jnp.max(jnp.where(rising, jnp.arange(STEPS + 1), 0))

    def halved(_, between):
        low, high = between
        middle = 0.5 * (low + high)
        up = rises(middle, _interpolated(middle, fixed, p_fixed))
        return jnp.where(up, middle, low), jnp.where(up, high, middle)

    between = (ends[last], ends[jnp.minimum(last + 1, STEPS)])
    top = jax.lax.fori_loop(0, FINER, halved, between)[0]
    return jnp.maximum(interval.start.concentration, _interpolated(top, interval, p))


def _intervals(p, doses):
    """Walk from dose to dose; return each `Interval` (dose,) and its peak (dose,)."""

    def walk(state, dose):
        wait, amount = dose
        start = state._replace(first=state.first + amount)
        ends = _ends(wait, p)
        interval = Interval(start, ends, _eliminate(start, ends, p))
        wait = jnp.where(jnp.isfinite(wait), wait, 0.0)
        after = Amounts(*_gut(wait, start, p), _saturated(wait, interval, p))
        return after, (interval, _saturated_peak(interval, p))

    waits = jnp.append(jnp.diff(doses.times), jnp.inf)
    nothing = jnp.zeros((), jnp.result_type(float))
    once = doses.times.size == 1
    return jax.lax.scan(walk, Amounts(nothing, nothing, nothing), (waits, doses.amounts), unroll=once)[1]


def _rate_equation(sim, p, y):
    """Slope of the curve minus what flows in and what is eliminated, in mg/L per hour."""
    doses, times = sim.options["doses"], sim.options["times"]
    _, slope = jax.jvp(
        lambda at: sim.configure(times=at)(p)["concentration"], (times,), (jnp.ones_like(times),)
    )
    absorption = p["absorption_rate"]

    def second(tau):
        tau = jnp.maximum(tau, 0.0)
        return absorption * tau * jnp.exp(-absorption * tau)

    inflow = absorption / p["volume"] * _summed(second, times, doses)
    return slope - inflow + _elimination(y["concentration"], p)


def _mass_balance(sim, p, y):
    """Dose taken so far minus what is in the gut, in the body and eliminated, per mg of the plan."""
    doses, times = sim.options["doses"], sim.options["times"]
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]
    tau = times[:, None] - doses.times
    taken = jnp.where(tau >= 0, doses.amounts, 0.0)
    tau = jnp.maximum(tau, 0.0)
    gut = taken * jnp.exp(-absorption * tau)
    cleared = taken * (
        1.0 - jnp.exp(-elimination * tau) - elimination * _transfer(tau, absorption, elimination)
    )
    body = y["concentration"] * p["volume"]
    return ((taken - gut - cleared).sum(-1) - body) / jnp.maximum(doses.amounts.sum(), 1e-300)


def _transit_balance(sim, p, y):
    """What the doses taken so far leave in the body, minus what is there, per mg of the plan."""
    doses, times = sim.options["doses"], sim.options["times"]
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]
    left = absorption**2 * _summed(lambda tau: _second_transfer(tau, absorption, elimination), times, doses)
    return (left - y["concentration"] * p["volume"]) / jnp.maximum(doses.amounts.sum(), 1e-300)


def _summed(h, times, doses):
    """Sum amount h(time since the dose) over doses, one by one: memory does not grow with their number."""

    def add(total, dose):
        return total + dose.amounts * h(times - dose.times), None

    if doses.times.size == 1:
        return doses.amounts[0] * h(times - doses.times[0])
    return jax.lax.scan(add, jnp.zeros(times.shape, jnp.result_type(float)), doses)[0]


def _every_other_dose(sim):
    doses = sim.options["doses"]
    odd = jnp.arange(doses.times.size) % 2
    return tuple(sim.configure(doses=(doses.times, doses.amounts * part)) for part in (odd, 1 - odd))


def _peak_above_curve(sim, p, y):
    return jnp.minimum(y["peak_concentration"] - y["concentration"], 0.0)


def _declared(absorption, laws):
    """What all three simulators declare, given the prior of the absorption rate and further laws."""
    return {
        "parameters": {
            "absorption_rate": absorption,
            "clearance": Parameter(dist.LogNormal(1.0, 0.3), "L/h", "volume cleared of drug per time, CL"),
            "volume": Parameter(dist.LogNormal(3.45, 0.2), "L", "volume of distribution V"),
        },
        "outputs": {
            "concentration": Output(
                "mg/L", "concentration in plasma", {"time": Coordinate("times", "h", "time since the start")}
            ),
            "peak_concentration": Output("mg/L", "largest concentration at any time"),
        },
        "limit_states": {
            "peak_above": LimitState(
                "mg/L",
                lambda p, y, threshold: threshold - y["peak_concentration"],
                {"threshold": "mg/L"},
                "the concentration exceeds {threshold} mg/L at some time",
            ),
        },
        "constraints": [
            nonnegative("concentration", "mg/L"),
            *laws,
            residual("the exact peak is never below the curve", "mg/L", _peak_above_curve),
        ],
        "validity": {"absorption_rate": (0.01, 20.0), "clearance": (0.1, 20.0), "volume": (5.0, 150.0)},
        "options": {
            "doses": Option(
                ([0.0], [320.0]),
                {"times": "h", "amounts": "mg"},
                "a pair (times [h], amounts [mg]) of equal length, or {times, amounts}",
                read_doses,
            ),
            "times": Option(
                np.linspace(0.0, 24.0, 49), "h", "where the concentration is wanted, a list", read_times
            ),
        },
        "lower_bounds": {"absorption_rate": lambda p: p["clearance"] / p["volume"]},
    }


def _linear(balance):
    """Laws of a curve that is linear in the doses."""
    return [
        residual("mass balance", "mg per mg of the plan", balance),
        superposition("concentration", "mg/L", _every_other_dose),
    ]


def _saturable():
    """What the simulator with saturable elimination declares."""
    law = residual("rate equation", "mg/L/h", _rate_equation, tolerance=5e-3)
    common = _declared(Parameter(dist.LogNormal(1.1, 0.6), "1/h", "rate k_a of each step"), [law])
    clearance = Parameter(
        dist.LogNormal(1.0, 0.3), "L/h", "volume cleared of drug per time at low concentration, CL"
    )
    half = Parameter(dist.LogNormal(3.0, 0.5), "mg/L", "concentration at which the clearance is halved, K")
    return {
        **common,
        "parameters": {**common["parameters"], "clearance": clearance, "half_saturation": half},
        # Steps of the absorption's size: elimination must not be much the faster.
        "validity": {
            "absorption_rate": (0.5, 20.0),
            "clearance": (0.1, 6.0),
            "volume": (15.0, 150.0),
            "half_saturation": (1.0, 1e6),
        },
    }


@define_simulator(
    "pharmacokinetics/oral_one_compartment",
    references=[
        "Gibaldi and Perrier (1982), Pharmacokinetics, 2nd ed., chapters 1 and 3",
        "Boeckmann, Sheiner and Beal (1994), NONMEM Users Guide Part V",
    ],
    **_declared(
        Parameter(dist.LogNormal(0.4, 0.6), "1/h", "first-order absorption k_a"), _linear(_mass_balance)
    ),
)
def oral_one_compartment(p, *, doses, times):
    """Plasma concentration after oral doses: one compartment, first-order absorption and elimination."""
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]
    reaching = _summed(lambda tau: _transfer(tau, absorption, elimination), times, doses)
    return {
        "concentration": (absorption / p["volume"]) * reaching,
        "peak_concentration": _peak(p, doses),
    }


@define_simulator(
    "pharmacokinetics/oral_transit",
    references=[
        "Savic, Jonker, Kerbusch and Karlsson (2007), J. Pharmacokinet. Pharmacodyn. 34",
        "Gibaldi and Perrier (1982), Pharmacokinetics, 2nd ed., chapters 1 and 3",
    ],
    **_declared(
        Parameter(dist.LogNormal(1.1, 0.6), "1/h", "rate k_a of each step"), _linear(_transit_balance)
    ),
)
def oral_transit(p, *, doses, times):
    """Plasma concentration after oral doses: one compartment, absorption in two steps of one rate."""
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]
    reaching = _summed(lambda tau: _second_transfer(tau, absorption, elimination), times, doses)
    return {
        "concentration": (absorption**2 / p["volume"]) * reaching,
        "peak_concentration": _transit_peak(p, doses),
    }


@define_simulator(
    "pharmacokinetics/oral_saturable",
    references=[
        "Gibaldi and Perrier (1982), Pharmacokinetics, 2nd ed., chapters 1 and 7",
        "Savic, Jonker, Kerbusch and Karlsson (2007), J. Pharmacokinet. Pharmacodyn. 34",
    ],
    **_saturable(),
)
def oral_saturable(p, *, doses, times):
    """Plasma concentration after oral doses: absorption in two steps, elimination that saturates."""
    intervals, peaks = _intervals(p, doses)
    dose = jnp.searchsorted(doses.times, times, side="right") - 1
    own = jax.tree.map(lambda value: value[jnp.maximum(dose, 0)], intervals)
    since = jnp.where(dose >= 0, times - doses.times[jnp.maximum(dose, 0)], 0.0)
    level = jax.vmap(lambda tau, interval: _saturated(tau, interval, p))(since, own)
    return {"concentration": jnp.where(dose >= 0, level, 0.0), "peak_concentration": jnp.max(peaks)}

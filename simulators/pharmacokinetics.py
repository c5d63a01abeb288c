"""One-compartment pharmacokinetics with first-order absorption, any number of oral doses.

    dG/dt = -k_a G,   V dC/dt = k_a G - CL C,   G jumps by D_j at t_j

Closed form, with k = CL / V and tau = t - t_j:

    C(t) = sum_{t_j <= t} (k_a D_j / V) h(tau),   h(tau) = (exp(-k tau) - exp(-k_a tau)) / (k_a - k)

Between two doses the curve has at most one maximum, at the tau where dC/dt = 0; the peak is exact,
not the largest value on a grid.

Source: Gibaldi and Perrier (1982), Pharmacokinetics, 2nd ed., chapter 1, eq. 1.90 and chapter 3
(superposition of doses). Population values: Boeckmann, Sheiner and Beal (1994), NONMEM Users Guide
Part V, for theophylline; bioavailability 1. Exchanging k_a and k leaves the shape of the curve
unchanged ("flip-flop"); absorption is the faster of the two here by convention, see `lower_bounds`.
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
    tau = jnp.maximum(tau, 0.0)
    x = gap * tau
    small = x < 1e-6
    factor = jnp.where(small, 1.0 - x / 2, -jnp.expm1(-x) / jnp.where(small, 1.0, x))
    return jnp.exp(-slow * tau) * tau * factor


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


def _every_other_dose(sim):
    doses = sim.options["doses"]
    odd = jnp.arange(doses.times.size) % 2
    return tuple(sim.configure(doses=(doses.times, doses.amounts * part)) for part in (odd, 1 - odd))


@define_simulator(
    "pharmacokinetics/oral_one_compartment",
    parameters={
        "absorption_rate": Parameter(dist.LogNormal(0.4, 0.6), "1/h", "first-order absorption k_a"),
        "clearance": Parameter(dist.LogNormal(1.0, 0.3), "L/h", "volume cleared of drug per time, CL"),
        "volume": Parameter(dist.LogNormal(3.45, 0.2), "L", "volume of distribution V"),
    },
    outputs={
        "concentration": Output(
            "mg/L", "concentration in plasma", {"time": Coordinate("times", "h", "time since the start")}
        ),
        "peak_concentration": Output("mg/L", "largest concentration at any time"),
    },
    limit_states={
        "peak_above": LimitState(
            "mg/L",
            lambda p, y, threshold: threshold - y["peak_concentration"],
            {"threshold": "mg/L"},
            "the concentration exceeds {threshold} mg/L at some time",
        ),
    },
    constraints=[
        nonnegative("concentration", "mg/L"),
        residual("mass balance", "mg per mg of the plan", _mass_balance),
        superposition("concentration", "mg/L", _every_other_dose),
        residual(
            "the exact peak is never below the curve",
            "mg/L",
            lambda sim, p, y: jnp.minimum(y["peak_concentration"] - y["concentration"], 0.0),
        ),
    ],
    validity={"absorption_rate": (0.01, 20.0), "clearance": (0.1, 20.0), "volume": (5.0, 150.0)},
    references=[
        "Gibaldi and Perrier (1982), Pharmacokinetics, 2nd ed., chapters 1 and 3",
        "Boeckmann, Sheiner and Beal (1994), NONMEM Users Guide Part V",
    ],
    options={
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
    lower_bounds={"absorption_rate": lambda p: p["clearance"] / p["volume"]},
)
def oral_one_compartment(p, *, doses, times):
    """Plasma concentration after oral doses: one compartment, first-order absorption and elimination."""
    absorption, elimination = p["absorption_rate"], p["clearance"] / p["volume"]
    h = _transfer(times[:, None] - doses.times, absorption, elimination)
    return {
        "concentration": (absorption / p["volume"]) * (h @ doses.amounts),
        "peak_concentration": _peak(p, doses),
    }

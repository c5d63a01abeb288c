"""A Duffing oscillator under white noise.

    x'' + 2 ζ ω x' + ω² (x + ε x³) = w(t),   x(0) = x'(0) = 0

w is Gaussian white noise of two-sided spectral intensity S, constant between the given times: over a
step of length h it is σ_W u_k with u_k standard normal and σ_W = sqrt(2 π S / h). A structure fails at the
first passage of its drift |x| through a threshold.

Exact facts: without the cubic term the stationary variance of x is π S / (2 ζ ω³); with it the stationary
density is proportional to exp(-(2 ζ ω / (π S)) (v²/2 + ω² x²/2 + ω² ε x⁴/4)), from the Fokker-Planck
equation. The linear oscillator's most probable excitation that ends at a given drift is its impulse
response, mirrored in time.

Source: Duffing (1918), Erzwungene Schwingungen bei veränderlicher Eigenfrequenz. Stationary density:
Caughey (1963), Journal of the Acoustical Society of America 35, 1683-1692. Most probable excitation: Koo,
Der Kiureghian and Fujimura (2005), Probabilistic Engineering Mechanics 20, 136-147. Discrete white noise
and first passage in standard normal space: Au and Beck (2001), Probabilistic Engineering Mechanics 16,
263-277. Valid while the step resolves the motion; friction, yielding and buckling are not in it.
"""

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from physsynth.core import Coordinate, LimitState, Option, Output, Parameter, define_simulator, residual, rk4
from physsynth.core.errors import ParameterError

INCREMENTS = 200
# rk4 follows a cycle to about 1e-4 of its amplitude when a step is half a radian long.
LONGEST_STEP = 0.5


def read_times(given) -> jax.Array:
    """Read the times between which the excitation is constant: rising, from 0."""
    times = jnp.atleast_1d(jnp.asarray(given, float))
    if times.ndim != 1 or times.size < 2:
        raise ValueError(f"times must be a list of at least two numbers, not of shape {times.shape}")
    if not isinstance(times, jax.core.Tracer) and not np.all(np.diff(times) > 0):
        raise ValueError("the times must rise")
    return times


def read_number(given) -> jax.Array:
    """Read a number that is not negative."""
    number = jnp.asarray(given, float)
    if number.ndim != 0:
        raise ValueError(f"wanted one number, got an array of shape {number.shape}")
    if not isinstance(number, jax.core.Tracer) and not np.asarray(number) >= 0:
        raise ValueError("the number is negative")
    return number


def read_count(given) -> int:
    """Read a whole number of at least 1."""
    if int(given) != given or given < 1:
        raise ValueError("wanted a whole number of at least 1")
    return int(given)


def _acceleration(x, v, force, o):
    return force - 2 * o["damping_ratio"] * o["frequency"] * v - _stiffness(x, o)


def _stiffness(x, o):
    return o["frequency"] ** 2 * (x + o["hardening"] * x**3)


def _energy(x, v, o):
    """Kinetic and elastic energy per mass."""
    return v**2 / 2 + o["frequency"] ** 2 * (x**2 / 2 + o["hardening"] * x**4 / 4)


def _force(excitation, o):
    """Force per mass of each increment."""
    steps = jnp.diff(o["times"])
    if excitation.shape != steps.shape:
        raise ParameterError(
            "times that do not fit the excitation",
            key="times",
            wanted=f"{excitation.size + 1} times for {excitation.size} increments",
            got=f"{steps.size + 1} times",
        )
    return jnp.sqrt(2 * jnp.pi * o["spectral_intensity"] / steps) * excitation


def _path(force, o):
    """Displacement and velocity at every time: Runge-Kutta steps that never straddle two increments."""

    def increment(state, drive):
        force, step = drive
        ends = jnp.stack([jnp.zeros_like(step), step])
        path = rk4(lambda _, y: (y[1], _acceleration(*y, force, o)), state, ends, o["substeps"])
        state = jax.tree.map(lambda y: y[-1], path)
        return state, state

    rest = (jnp.zeros_like(force[0]), jnp.zeros_like(force[0]))
    _, path = jax.lax.scan(increment, rest, (force, jnp.diff(o["times"])))
    return tuple(jnp.concatenate([first[None], later]) for first, later in zip(rest, path, strict=True))


def _turning_points(x, v, steps):
    """Largest |x| within each increment, to fourth order in its length.

    Where the velocity changes its sign, the secant finds the turning point and the cubic Hermite
    interpolant the displacement there.
    """
    turns = v[:-1] * v[1:] < 0
    s = jnp.where(turns, v[:-1] / jnp.where(turns, v[:-1] - v[1:], 1.0), 1.0)
    ends = (1 + 2 * s) * (1 - s) ** 2 * x[:-1] + s**2 * (3 - 2 * s) * x[1:]
    slopes = s * (1 - s) * steps * ((1 - s) * v[:-1] - s * v[1:])
    return jnp.abs(ends + slopes)


def _energy_balance(sim, p, y):
    """Work of the force minus energy minus dissipation, per unit of work and energy exchanged so far.

    The work of a constant force is exact; the dissipated power is integrated by the trapezoidal rule
    with end corrections (Euler-Maclaurin), which has the integrator's order.
    """
    o, x, v = sim.options, y["displacement"], y["velocity"]
    force, steps = _force(p["excitation"], o), jnp.diff(o["times"])
    rate = 2 * o["damping_ratio"] * o["frequency"]
    slope = [2 * v[i] * _acceleration(x[i], v[i], force, o) for i in (slice(None, -1), slice(1, None))]
    lost = rate * (steps * (v[:-1] ** 2 + v[1:] ** 2) / 2 + steps**2 * (slope[0] - slope[1]) / 12)
    work, energy = force * jnp.diff(x), jnp.diff(_energy(x, v, o))
    exchanged = jnp.cumsum(jnp.abs(work) + jnp.abs(energy) + jnp.abs(lost))
    return jnp.cumsum(work - energy - lost) / jnp.maximum(exchanged, jnp.finfo(x.dtype).tiny)


def _unresolved(sim, p, y):
    """By how many radians an integration step exceeds what resolves the stiffest moment."""
    o = sim.options
    tangent = o["frequency"] * jnp.sqrt(1 + 3 * o["hardening"] * y["peak_displacement"] ** 2)
    return jnp.maximum(tangent * jnp.diff(o["times"]).max() / o["substeps"] - LONGEST_STEP, 0.0)


_TIME = {"time": Coordinate("times", "s", "time since the excitation began")}


@define_simulator(
    "structures/duffing",
    parameters={
        "excitation": Parameter(
            dist.Normal(0.0, 1.0).expand([INCREMENTS]).to_event(1),
            "1",
            "standard normal increments of the white noise",
        )
    },
    outputs={
        "displacement": Output("m", "drift of the mass", _TIME),
        "velocity": Output("m/s", "its rate of change", _TIME),
        "peak_displacement": Output("m", "largest drift to either side at any time"),
    },
    limit_states={
        "first_passage": LimitState(
            "m",
            lambda p, y, threshold: threshold - y["peak_displacement"],
            {"threshold": "m"},
            "the drift exceeds {threshold} m to either side at some time",
            {
                "drift to the positive side": lambda p, y, threshold: y["displacement"].max(),
                "drift to the negative side": lambda p, y, threshold: -y["displacement"].min(),
            },
        )
    },
    constraints=[
        residual("energy balance", "J per J exchanged", _energy_balance, tolerance=1e-3),
        residual("the time step resolves the motion", "rad", _unresolved),
        residual(
            "the peak is never below the curve",
            "m",
            lambda sim, p, y: jnp.minimum(y["peak_displacement"] - jnp.abs(y["displacement"]), 0.0),
        ),
    ],
    validity={"peak_displacement": (0.0, 1.5)},
    references=[
        "Duffing (1918), Erzwungene Schwingungen bei veränderlicher Eigenfrequenz",
        "Caughey (1963), Journal of the Acoustical Society of America 35, 1683-1692",
        "Au and Beck (2001), Probabilistic Engineering Mechanics 16, 263-277",
        "Koo, Der Kiureghian and Fujimura (2005), Probabilistic Engineering Mechanics 20, 136-147",
    ],
    options={
        "times": Option(
            np.linspace(0.0, 10.0, INCREMENTS + 1),
            "s",
            "ends of the increments, a rising list of one more number than there are increments",
            read_times,
        ),
        "frequency": Option(2 * np.pi, "rad/s", "natural frequency ω at small drift", read_number),
        "damping_ratio": Option(0.05, "1", "share ζ of critical damping", read_number),
        "hardening": Option(1.0, "1/m^2", "cubic stiffness ε over the linear one", read_number),
        "spectral_intensity": Option(0.25, "m^2/s^3", "two-sided spectral intensity S", read_number),
        "substeps": Option(2, "1", "Runge-Kutta steps an increment", read_count),
    },
)
def duffing(p, **options):
    """Drift of a hardening oscillator under Gaussian white noise."""
    x, v = _path(_force(p["excitation"], options), options)
    within = _turning_points(x, v, jnp.diff(options["times"]))
    peak = jnp.maximum(jnp.abs(x).max(), within.max())
    return {"displacement": x, "velocity": v, "peak_displacement": peak}

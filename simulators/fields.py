"""Fields that obey a partial differential equation: a heated plate, and Burgers' equation.

The equations are written once, as `heat_equation` and `burgers_equation`: residuals of a field `u` with
named derivatives and of `p`, which maps every coordinate and parameter to its values. The simulators hold
their own fields against them, and a physics-informed network can be trained on them.

Heated plate, T the rise over the temperature of its edges, in the steady state:

    k d (T_xx + T_yy) - h T + q = 0 on [0, 1 m]²,   T = 0 on the edges
    q = P / (2 π w²) exp(-((x - x_s)² + (y - y_s)²) / (2 w²))

Source: Carslaw and Jaeger (1959), Conduction of Heat in Solids, 2nd ed., section 1.9 on thin plates that
lose heat from their surfaces. Valid while the plate is thin, h d / k << 1, and the loss is linear in T.

Burgers' equation with a sine as its start, which steepens into a front at x = 0:

    u_t + u u_x = ν u_xx on [0, 1 s] x [-1 m, 1 m],   u = -a sin(π x) at first,   u = 0 at the ends

Its solution in closed form (Hopf 1950; Cole 1951) is a mean under a weight w over the distance η that
a fluid particle has come,

    u(t, x) = <η> / t,   w = exp(-(η² / (2 t) + a (cos(π (x - η)) - 1) / π) / (2 ν))
    u_x(t, 0) = (1 - <η²> / (2 ν t)) / t

and 0 is where the front is steepest. Source: Hopf (1950), Communications on Pure and Applied Mathematics
3, 201-230, eq. 3; Basdevant et al. (1986), Computers and Fluids 14, 23-41, for this start.
"""

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from physsynth.core import (
    Coordinate,
    Equation,
    LimitState,
    Option,
    Output,
    Parameter,
    define_simulator,
    residual,
)
from physsynth.core.grids import GridField

THICKNESS, SPREAD = 0.01, 0.1
NODES = 40
BELLS = 112
INSTANTS = 65
NEWTON = 6
# A source in W, or a term in m/s^2, below which a field is rounding and has no relative defect.
ROUNDING = 1e-9


def read_nodes(given) -> jax.Array | np.ndarray:
    """Read a rising list of points."""
    traced = isinstance(given, jax.core.Tracer)
    nodes = jnp.atleast_1d(given) if traced else np.atleast_1d(np.asarray(given, float))
    if nodes.ndim != 1 or nodes.size < 2:
        raise ValueError(f"wanted a list of at least two numbers, not of shape {nodes.shape}")
    if not traced and not np.all(np.diff(nodes) > 0):
        raise ValueError("the points must rise")
    return nodes


def read_place(given) -> jax.Array:
    """Read one number."""
    place = jnp.asarray(given, float)
    if place.ndim != 0:
        raise ValueError(f"wanted one number, got an array of shape {place.shape}")
    return place


def chebyshev_nodes(count: int) -> np.ndarray:
    """Return the Chebyshev-Lobatto points of [0, 1], rising."""
    return np.sin(np.pi * np.arange(count) / (2 * (count - 1))) ** 2


def _bell(p):
    """Shape of the source."""
    distance = (p["x"] - p["source_x"]) ** 2 + (p["y"] - p["source_y"]) ** 2
    return jnp.exp(-distance / (2 * SPREAD**2))


def heat_source(p):
    """Heat flux q of the source, W/m²."""
    return p["power"] / (2 * jnp.pi * SPREAD**2) * _bell(p)


def heat_equation(u, p):
    """Residual of the plate's heat balance, W/m²: what must vanish."""
    return THICKNESS * p["conductivity"] * (u.xx + u.yy) - p["loss"] * u + heat_source(p)


def burgers_equation(u, p):
    """Residual of Burgers' equation, m/s²: what must vanish."""
    return u.t + u * u.x - p["viscosity"] * u.xx


def _eigen(count):
    """Diagonalise d²/dx² at the inner Chebyshev points, u = 0 at the ends: (values, vectors, inverse)."""
    x = chebyshev_nodes(count)
    weight = (-1.0) ** np.arange(count) * np.where(np.isin(np.arange(count), (0, count - 1)), 0.5, 1.0)
    gap = x[:, None] - x + np.eye(count)
    first = weight / weight[:, None] / gap
    first -= np.diag(first.sum(axis=1))
    values, vectors = map(np.real, np.linalg.eig((first @ first)[1:-1, 1:-1]))
    return values, vectors, np.linalg.inv(vectors)


_VALUES, _VECTORS, _INVERSE = _eigen(NODES)


def _to_coefficients():
    """Matrix from values at the inner points to Chebyshev coefficients."""
    angle = np.arccos(2 * chebyshev_nodes(NODES) - 1)
    return np.linalg.inv(np.cos(np.arange(NODES) * angle[:, None]))[:, 1:-1]


_COEFFICIENTS = _to_coefficients()


@jax.jit
def solve_plate(source, sheet, loss):
    """Solve sheet (u_xx + u_yy) - loss u + source = 0 on the unit square, u = 0 on its edges.

    Chebyshev collocation, diagonal in both directions: error 1e-8 of the largest value for a source as
    smooth as `heat_source`.

    Source: Lynch, Rice and Thomas (1964), Numerische Mathematik 6, for the diagonalisation; Trefethen
    (2000), Spectral Methods in MATLAB, program 16.

    Parameters
    ----------
    source : array (38, 38)
        At the inner points of `chebyshev_nodes(40)` in x and y.
    sheet, loss : scalars
        Conductance k d of the sheet, and heat loss h.

    Returns
    -------
    array (40, 40)
        Chebyshev coefficients of u in 2 x - 1 and 2 y - 1.
    """
    modal = jnp.asarray(_INVERSE) @ source @ jnp.asarray(_INVERSE).T
    modal = modal / (loss - sheet * (_VALUES[:, None] + _VALUES))
    inner = jnp.asarray(_VECTORS) @ modal @ jnp.asarray(_VECTORS).T
    return jnp.asarray(_COEFFICIENTS) @ inner @ jnp.asarray(_COEFFICIENTS).T


def _polynomials(x):
    """Chebyshev polynomials of 2 x - 1, (40, ...), by a recurrence with finite derivatives at the edges."""
    s = 2 * x - 1

    def step(pair, _):
        before, last = pair
        return (last, 2 * s * last - before), before

    return jax.lax.scan(step, (jnp.ones_like(s), s), length=NODES)[1]


@jax.jit
def _on_grid(coefficients, x, y):
    inside = [((z > 0) & (z < 1)).astype(z.dtype) for z in (x, y)]
    return (_polynomials(x) * inside[0]).T @ coefficients @ (_polynomials(y) * inside[1])


def _top(temperature, start, given):
    """Largest ``temperature(place, given)``: Newton's method from a place near it.

    The temperature does not change to first order with the place, which is held for the gradient.
    """
    fixed = jax.lax.stop_gradient(given)
    slope, curvature = jax.grad(temperature), jax.hessian(temperature)

    def newton(_, place):
        step = jnp.linalg.solve(curvature(place, fixed), slope(place, fixed))
        step = jnp.where(jnp.isfinite(step), step, 0.0)  # a flat temperature has no one top
        return jnp.clip(place - jnp.clip(step, -0.02, 0.02), 0.0, 1.0)

    place = jax.lax.fori_loop(0, NEWTON, newton, jax.lax.stop_gradient(start))
    return temperature(jax.lax.stop_gradient(place), given)


@jax.jit
def _hot_spot(coefficients):
    """Largest temperature, from the hottest of the solver's points."""
    nodes = jnp.asarray(chebyshev_nodes(NODES))
    values = _on_grid(jax.lax.stop_gradient(coefficients), nodes, nodes)
    start = nodes[jnp.stack(jnp.unravel_index(jnp.argmax(values), values.shape))]
    return _top(lambda place, c: _polynomials(place[0]) @ c @ _polynomials(place[1]), start, coefficients)


def _top_of(u, p, **_):
    """Largest temperature of the plate, searched from the source."""
    source = jnp.stack([p["source_x"], p["source_y"]])
    return _top(lambda place, p: u(p, x=place[0], y=place[1]), source, p)


def _heat_defect(sim, p, y):
    """The heat balance on the output's grid, over the largest flux of the source."""
    x, z = sim.options["x"], sim.options["y"]
    u = GridField(y["temperature"], {"x": np.asarray(x), "y": np.asarray(z)})
    balance = heat_equation(u, {**p, "x": x[:, None], "y": z})
    return balance[1:-1, 1:-1] * (2 * jnp.pi * SPREAD**2) / jnp.maximum(p["power"], ROUNDING)


@define_simulator(
    "fields/heat",
    parameters={
        "power": Parameter(dist.LogNormal(np.log(50.0), 0.25), "W", "heat of the source, P"),
        "conductivity": Parameter(dist.LogNormal(np.log(30.0), 0.15), "W/m/K", "of the plate, k"),
        "loss": Parameter(dist.LogNormal(np.log(10.0), 0.2), "W/m^2/K", "to the air on both sides, h"),
        "source_x": Parameter(dist.Uniform(0.3, 0.7), "m", "centre of the source"),
        "source_y": Parameter(dist.Uniform(0.3, 0.7), "m", "centre of the source"),
    },
    outputs={
        "temperature": Output(
            "K",
            "rise over the temperature of the edges",
            {"x": Coordinate("x", "m", "along the plate"), "y": Coordinate("y", "m", "across the plate")},
        ),
        "profile": Output(
            "K", "rise along a line across the plate", {"place": Coordinate("places", "m", "along the line")}
        ),
        "hot_spot": Output("K", "largest rise anywhere on the plate"),
    },
    limit_states={
        "overheating": LimitState(
            "K",
            lambda p, y, limit: limit - y["hot_spot"],
            {"limit": "K"},
            "the hot spot rises by more than {limit} K over the edges",
        )
    },
    constraints=[
        residual("heat balance", "W per W of the source", _heat_defect, tolerance=1e-2),
        residual(
            "the hot spot is never below the grid",
            "K",
            lambda sim, p, y: jnp.minimum(y["hot_spot"] - y["temperature"].max(), 0.0),
            tolerance=1e-6,
        ),
    ],
    validity={
        "power": (0.0, 500.0),
        "conductivity": (5.0, 500.0),
        "loss": (1.0, 50.0),
        "source_x": (0.3, 0.7),
        "source_y": (0.3, 0.7),
    },
    references=["Carslaw and Jaeger (1959), Conduction of Heat in Solids, 2nd ed., section 1.9"],
    options={
        "x": Option(chebyshev_nodes(25), "m", "where the temperature is wanted, a rising list", read_nodes),
        "y": Option(chebyshev_nodes(25), "m", "where the temperature is wanted, a rising list", read_nodes),
        "places": Option(
            np.linspace(0.1, 0.9, 9), "m", "x of the points of the profile, a rising list", read_nodes
        ),
        "line": Option(0.5, "m", "y of the points of the profile", read_place),
    },
    equation=Equation(
        domain={"x": (0.0, 1.0), "y": (0.0, 1.0)},
        residual=heat_equation,
        edges={"x": (0.0, 1.0), "y": (0.0, 1.0)},
        read={
            "temperature": lambda u, p, *, x, y, **_: u(p, x=x[:, None], y=y),
            "profile": lambda u, p, *, places, line, **_: u(p, x=places, y=line),
            "hot_spot": _top_of,
        },
        proportional="power",
        features=(_bell,),
    ),
)
def heat(p, *, x, y, places, line):
    """Steady temperature of a heated plate with cool edges."""
    inner = jnp.asarray(chebyshev_nodes(NODES)[1:-1])
    source = heat_source({**p, "x": inner[:, None], "y": inner})
    coefficients = solve_plate(source, THICKNESS * p["conductivity"], p["loss"])
    return {
        "temperature": _on_grid(coefficients, x, y),
        "profile": _on_grid(coefficients, places, line[None])[:, 0],
        "hot_spot": _hot_spot(coefficients),
    }


def _came_from(t, x, p):
    """Distances η and their normalised weights, (..., η).

    The trapezoidal rule is exact to 1e-8: down to ν = 0.01/π and up to a = 1.5 the nodes are no farther
    apart than the narrowest bell of the weight is wide. They reach seven widths of the heat kernel
    beyond |η| = a t.
    """
    reach = p["amplitude"] * t + 7 * jnp.sqrt(2 * p["viscosity"] * t)
    eta = jnp.linspace(-1.0, 1.0, BELLS) * reach[..., None]
    start = p["amplitude"] * (jnp.cos(jnp.pi * (x[..., None] - eta)) - 1) / jnp.pi
    action = eta**2 / (2 * t[..., None]) + start
    return eta, jax.nn.softmax(-action / (2 * p["viscosity"]), axis=-1)


@jax.jit
def _velocity(t, x, p):
    """Velocity at times and places (point,), point by point so that many scenarios fit into memory."""

    @jax.checkpoint
    def at(point):
        t, x = point
        later = jnp.where(t > 0, t, 1.0)
        eta, weight = _came_from(later, x, p)
        return jnp.where(t > 0, (weight * eta).sum() / later, -p["amplitude"] * jnp.sin(jnp.pi * x))

    return jax.lax.map(at, (t, x))


def _steepness(t, p):
    """-u_x at x = 0, for t > 0."""
    eta, weight = _came_from(t, jnp.zeros_like(t), p)
    return ((weight * eta**2).sum(-1) / (2 * p["viscosity"] * t) - 1) / t


@jax.jit
def _steepest(p, end):
    """Largest steepness at any time up to the end: Newton's method from the largest on a grid of times."""
    t = end * jnp.arange(1, INSTANTS) / (INSTANTS - 1)
    fixed = jax.tree.map(jax.lax.stop_gradient, p)
    slope = jax.grad(_steepness)
    best = t[jnp.argmax(_steepness(t, fixed))]
    # The closed form has no value at time 0; a front that never steepens is steepest there, as it started.
    first, last = jnp.maximum(best - t[0], 0.1 * best), jnp.minimum(best + t[0], end)

    def newton(_, t):
        curvature = jax.grad(slope)(t, fixed)
        step = jnp.where(curvature < 0, slope(t, fixed) / curvature, 0.0)
        return jnp.clip(t - step, first, last)

    peak = jax.lax.fori_loop(0, NEWTON, newton, best)
    return jnp.maximum(_steepness(jax.lax.stop_gradient(peak), p), p["amplitude"] * jnp.pi)


def _front(p):
    """A layer a few times wider than the steepest front."""
    return jnp.tanh(p["amplitude"] * p["x"] / (8 * p["viscosity"]))


def _steepest_of(u, p, *, times, **_):
    """Largest steepness of the fluid at x = 0, on a grid of times."""
    t = times[-1] * jnp.arange(INSTANTS) / (INSTANTS - 1)
    centre, along = jnp.zeros_like(t), jnp.ones_like(t)
    return jnp.max(-jax.jvp(lambda x: u(p, t=t, x=x), (centre,), (along,))[1])


def _burgers_defect(sim, p, y):
    """Burgers' equation on the output's grid, over the largest of its terms."""
    t, x = np.asarray(sim.options["times"]), np.asarray(sim.options["x"])
    u = GridField(y["velocity"], {"t": t, "x": x})
    largest = jnp.max(jnp.abs(u.t) + jnp.abs(u * u.x) + jnp.abs(p["viscosity"] * u.xx))
    return burgers_equation(u, p)[:, 1:-1] / jnp.maximum(largest, ROUNDING)


def _clustered(count, strength=5.5):
    """Points of [-1, 1], closest together at 0, where the front is."""
    z = np.linspace(-1.0, 1.0, count)
    return 0.05 * z + 0.95 * np.sinh(strength * z) / np.sinh(strength)


@define_simulator(
    "fields/burgers",
    parameters={
        "viscosity": Parameter(dist.Uniform(0.01 / np.pi, 0.1), "m^2/s", "viscosity ν"),
        "amplitude": Parameter(dist.Uniform(0.5, 1.5), "m/s", "amplitude a of the start"),
    },
    outputs={
        "velocity": Output(
            "m/s",
            "velocity of the fluid",
            {"t": Coordinate("times", "s", "time"), "x": Coordinate("x", "m", "place")},
        ),
        "steepest_slope": Output("1/s", "largest |du/dx| of the front at any time up to the last"),
    },
    limit_states={
        "front_steeper": LimitState(
            "1/s",
            lambda p, y, limit: limit - y["steepest_slope"],
            {"limit": "1/s"},
            "the front becomes steeper than {limit} per second",
        )
    },
    constraints=[
        residual("Burgers' equation", "1 per largest term", _burgers_defect, tolerance=2e-2),
        residual(
            "no velocity beyond the start's",
            "m/s",
            lambda sim, p, y: jnp.maximum(jnp.abs(y["velocity"]).max() - p["amplitude"], 0.0),
        ),
    ],
    validity={"viscosity": (0.01 / np.pi, 1.0), "amplitude": (0.0, 1.5)},
    references=[
        "Hopf (1950), Communications on Pure and Applied Mathematics 3, 201-230",
        "Basdevant et al. (1986), Computers and Fluids 14, 23-41",
    ],
    options={
        "times": Option(chebyshev_nodes(26), "s", "when the velocity is wanted, a rising list", read_nodes),
        "x": Option(_clustered(81), "m", "where the velocity is wanted, a rising list", read_nodes),
    },
    equation=Equation(
        domain={"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        residual=burgers_equation,
        edges={"x": (-1.0, 1.0)},
        read={
            "velocity": lambda u, p, *, times, x: u(p, t=times[:, None], x=x),
            "steepest_slope": _steepest_of,
        },
        start=lambda p: -p["amplitude"] * jnp.sin(jnp.pi * p["x"]),
        features=(_front,),
    ),
)
def burgers(p, *, times, x):
    """Velocity of a viscous fluid whose sine-shaped start steepens into a front."""
    t, place = jnp.broadcast_arrays(times[:, None], x)
    velocity = _velocity(t.ravel(), place.ravel(), p).reshape(t.shape)
    return {"velocity": velocity, "steepest_slope": _steepest(p, times[-1])}

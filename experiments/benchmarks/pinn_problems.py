"""The equations that physics-informed networks are measured on, each with the best published error.

Relative L2 errors. Every problem is stated as mathematics; `pinn_references.py` holds its solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax.scipy.special import erf

from physsynth import pinn

PI = jnp.pi


@dataclass(frozen=True)
class Row:
    """One row of the table: how to pose the problem, and what is known of it.

    Attributes
    ----------
    problem : callable
        Makes the problem.
    budget : int, Budget or None
        None leaves it to `solve`.
    published : str
        Best published relative L2 error, with its source.
    settings : dict
        What differs from the defaults of `solve`.
    """

    problem: Callable[[], pinn.Problem]
    budget: int | pinn.Budget | None
    published: str
    settings: dict


def burgers() -> pinn.Problem:
    """u_t + u u_x = 0.01/π u_xx, a sine steepens into a front."""
    return pinn.Problem(
        {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        lambda u, p: u.t + u * u.x - p["nu"] * u.xx,
        [pinn.Initial(lambda p: -jnp.sin(PI * p["x"])), pinn.Dirichlet(0.0, {"x": (-1.0, 1.0)})],
        parameters={"nu": 0.01 / PI},
    )


def allen_cahn() -> pinn.Problem:
    """u_t = 1e-4 u_xx + 5 u - 5 u³, periodic, u = x² cos(π x) at first.

    The start has a kink where the period closes; diffusion rounds it at once. The initial condition
    continues with the heat equation's solution for a kink, and the network sees the rounded distance from
    it: a function that is smooth at all t > 0, or the network would add a kink that no residual sees.
    """
    diffusion = 1e-4

    def distance(p):
        return 1.0 - jnp.abs(p["x"])

    def rounded(p):
        width = jnp.sqrt(4.0 * diffusion * jnp.maximum(p["t"], 1e-12))
        z = distance(p) / width
        return distance(p) * erf(z) + width / jnp.sqrt(PI) * jnp.exp(-(z**2))

    def start(p):
        return p["x"] ** 2 * jnp.cos(PI * p["x"]) + 2.0 * (rounded(p) - distance(p))

    def near_kink(p):
        return rounded(p) * (1.0 - jnp.cos(PI * p["x"])) ** 2 / 4.0

    return pinn.Problem(
        {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        lambda u, p: u.t - diffusion * u.xx - 5.0 * u + 5.0 * u**3,
        [pinn.Initial(start), pinn.Periodic("x")],
        features=(near_kink,),
    )


def heat() -> pinn.Problem:
    """u_t = 0.4 u_xx, a sine decays."""
    return pinn.Problem(
        {"t": (0.0, 1.0), "x": (0.0, 1.0)},
        lambda u, p: u.t - 0.4 * u.xx,
        [pinn.Initial(lambda p: jnp.sin(PI * p["x"])), pinn.Dirichlet(0.0, {"x": (0.0, 1.0)})],
    )


def advection() -> pinn.Problem:
    """u_t + 50 u_x = 0, a sine passes eight times."""
    return pinn.Problem(
        {"t": (0.0, 1.0), "x": (0.0, 2.0 * PI)},
        lambda u, p: u.t + 50.0 * u.x,
        [pinn.Initial(lambda p: jnp.sin(p["x"])), pinn.Periodic("x", harmonics=1)],
    )


def wave() -> pinn.Problem:
    """u_tt = 4 u_xx, two modes of a string at rest."""

    def start(p):
        return jnp.sin(PI * p["x"]) + 0.5 * jnp.sin(4.0 * PI * p["x"])

    return pinn.Problem(
        {"t": (0.0, 1.0), "x": (0.0, 1.0)},
        lambda u, p: u.tt - 4.0 * u.xx,
        [pinn.Initial(start, rate=0.0), pinn.Dirichlet(0.0, {"x": (0.0, 1.0)})],
    )


def helmholtz() -> pinn.Problem:
    """u_xx + u_yy + u = q with u = sin(π x) sin(4 π y)."""

    def source(p):
        return (1.0 - 17.0 * PI**2) * jnp.sin(PI * p["x"]) * jnp.sin(4.0 * PI * p["y"])

    return pinn.Problem(
        {"x": (-1.0, 1.0), "y": (-1.0, 1.0)},
        lambda u, p: u.xx + u.yy + u - source(p),
        [pinn.Dirichlet(0.0)],
    )


def l_shape() -> pinn.Problem:
    """u_xx + u_yy = -1 around a re-entrant corner; the network sees the corner's second function."""

    def second(p):
        angle = jnp.arctan2(p["y"], p["x"]) - PI / 2.0
        angle = jnp.where(angle < 0.0, angle + 2.0 * PI, angle)
        radius = jnp.sqrt(p["x"] ** 2 + p["y"] ** 2)
        return radius ** (2 / 3) * jnp.cos(2.0 * angle / 3.0)

    square = {"x": (-1.0, 1.0), "y": (-1.0, 1.0)}
    return pinn.Problem(
        pinn.Domain(square, ({"x": (0.0, 1.0), "y": (0.0, 1.0)},)),
        lambda u, p: u.xx + u.yy + 1.0,
        [pinn.Dirichlet(0.0)],
        features=(second,),
    )


def kuramoto_sivashinsky() -> pinn.Problem:
    """u_t + 5 u u_x + u_xx / 2 + 0.005 u_xxxx = 0, periodic, regular."""
    return pinn.Problem(
        {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        lambda u, p: u.t + 5.0 * u * u.x + 0.5 * u.xx + 0.005 * u.xxxx,
        [pinn.Initial(lambda p: -jnp.sin(PI * p["x"])), pinn.Periodic("x")],
    )


def korteweg_de_vries() -> pinn.Problem:
    """u_t + u u_x + 0.022² u_xxx = 0, periodic: a cosine breaks into solitons."""
    return pinn.Problem(
        {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
        lambda u, p: u.t + u * u.x + 0.022**2 * u.xxx,
        [pinn.Initial(lambda p: jnp.cos(PI * p["x"])), pinn.Periodic("x")],
    )


def navier_stokes(reynolds: float):
    """Momentum and mass of a steady, incompressible flow."""

    def residual(q, p):
        return {
            "x momentum": q.u * q.u.x + q.v * q.u.y + q.p.x - (q.u.xx + q.u.yy) / reynolds,
            "y momentum": q.u * q.v.x + q.v * q.v.y + q.p.y - (q.v.xx + q.v.yy) / reynolds,
            "mass": q.u.x + q.v.y,
        }

    return residual


STEEPNESS = 50.0


def cavity() -> pinn.Problem:
    """A lid drives a fluid in a square at Re = 100; it slows smoothly towards its ends.

    Where the lid meets a wall its speed rises in proportion to the distance: the velocity is continuous, its
    gradient is not. The conditions continue inside with what is known there: a layer that widens away from
    the lid, and Stokes flow in each upper corner. The network sees the logarithms that the pressure needs.
    The residual, which no network can make small there, counts less close to the corners.
    """

    def lid(p, steepness=STEEPNESS):
        return 1.0 - jnp.cosh(steepness * (p["x"] - 0.5)) / jnp.cosh(steepness / 2.0)

    def inward(p):
        return lid(p, STEEPNESS / (1.0 + STEEPNESS * (1.0 - p["y"]))) + corners(p)[0]

    sides = {"x": (0.0, 1.0), "y": 0.0}
    flow = navier_stokes(100.0)
    return pinn.Problem(
        {"x": (0.0, 1.0), "y": (0.0, 1.0)},
        lambda q, p: {name: tame(p) * residual for name, residual in flow(q, p).items()},
        [
            pinn.Dirichlet(lid, {"y": 1.0}, "u", inward=inward),
            pinn.Dirichlet(0.0, sides, "u"),
            pinn.Dirichlet(0.0, field="v", inward=lambda p: corners(p)[1]),
            pinn.Data({"x": jnp.zeros(1), "y": jnp.zeros(1)}, jnp.zeros(1), "p"),
        ],
        fields=("u", "v", "p"),
        features=tuple(lambda p, a=a: jnp.log(a(p) ** 2 + (1.0 - p["y"]) ** 2 + 1e-8) / 10.0 for a in WALLS),
    )


WALLS = (lambda p: p["x"], lambda p: 1.0 - p["x"])


def tame(p):
    """A weight that vanishes in the upper corners as r²: a network that sees log r has residuals as r⁻²."""
    return math.prod(1.0 - jnp.exp(-(wall(p) ** 2 + (1.0 - p["y"]) ** 2) / 0.03**2) for wall in WALLS)


def corners(p):
    """What Stokes flow in the upper corners adds to the lid's speed; both parts vanish on lid and walls."""
    left, right = (corner(wall(p), 1.0 - p["y"]) for wall in WALLS)
    return left[0] + right[0], left[1] - right[1]


def corner(a, b):
    """Velocity of Stokes flow between a lid (b = 0) of speed s a and a wall (a = 0), less s a, near them.

    The stream function is r² times the combination of 1, θ, cos 2θ, sin 2θ that meets the four conditions
    (Moffatt 1964, J. Fluid Mech. 18, section 2).
    """
    angle = jnp.arctan2(b, a)
    near = STEEPNESS * jnp.exp(-(a**2 + b**2) / 0.03**2)
    return -near * b * (PI / 2.0 - angle), near * a * angle


def kovasznay() -> pinn.Problem:
    """The flow behind a grid at Re = 20."""
    rate = 10.0 - jnp.sqrt(100.0 + 4.0 * PI**2)

    def u(p):
        return 1.0 - jnp.exp(rate * p["x"]) * jnp.cos(2.0 * PI * p["y"])

    def v(p):
        return rate / (2.0 * PI) * jnp.exp(rate * p["x"]) * jnp.sin(2.0 * PI * p["y"])

    def pressure(p):
        return (1.0 - jnp.exp(2.0 * rate * p["x"])) / 2.0

    return pinn.Problem(
        {"x": (-0.5, 1.0), "y": (-0.5, 1.5)},
        navier_stokes(20.0),
        [
            pinn.Dirichlet(u, field="u"),
            pinn.Dirichlet(v, field="v"),
            pinn.Dirichlet(pressure, {"x": 1.0}, "p"),
        ],
        fields=("u", "v", "p"),
    )


ROWS = {
    "burgers": Row(burgers, None, "8e-9 (self-scaled Broyden, on a GPU)", {}),
    "allen_cahn": Row(allen_cahn, None, "1.9e-6 (on a GPU)", {}),
    "heat": Row(heat, 2_000, "", {}),
    "advection": Row(advection, 8_000, "", {}),
    "wave": Row(wave, 4_000, "", {}),
    "helmholtz": Row(helmholtz, 3_000, "", {}),
    "l_shape": Row(l_shape, 2_000, "", {}),
    "kuramoto_sivashinsky": Row(kuramoto_sivashinsky, 10_000, "", {}),
    "korteweg_de_vries": Row(
        korteweg_de_vries,
        pinn.Budget(iterations=30_000, error=1e-4),
        "4.27e-4 (PirateNets, arXiv:2402.00326, on a GPU)",
        {},
    ),
    "cavity": Row(cavity, 4_000, "", {}),
    "kovasznay": Row(kovasznay, 1_500, "", {}),
}

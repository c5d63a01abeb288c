"""Reliability problems with known answers, as functions of standard normals; failure where g <= 0.

Each names its source and how its reference probability was obtained. Exact ones are written as
formulas; "quadrature" means nested one- or two-dimensional quadrature, "conditional" quasi-Monte Carlo
with one variable integrated exactly, and "sampling" a long run with the relative error stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtr
from scipy import stats

ROOT2 = math.sqrt(2.0)


@dataclass(frozen=True)
class Problem:
    """A limit state over `dimension` standard normals with its failure probability.

    `shares` are those of its failure modes, where they are known.
    """

    name: str
    dimension: int
    g: Callable[[jax.Array], jax.Array]
    probability: float
    relative_error: float
    source: str
    shares: tuple[float, ...] = ()


PROBLEMS: dict[str, Problem] = {}
TWO = (0.5, 0.5)
# Bounds of components that all must fail, and the correlations of three that hardly ever do so together.
OBTUSE, ALL = np.array([1.5, 1.8, 2.1]), np.array([1.5, 1.8, 2.1, 2.4])
APART = 1.3 * np.eye(3) - 0.3


def problem(name, dimension, probability, relative_error, source, shares=()):
    """Register the decorated limit state."""

    def register(g):
        PROBLEMS[name] = Problem(name, dimension, g, float(probability), relative_error, source, shares)
        return g

    return register


def lognormal(u, mean, deviation):
    """Log-normal variable of given mean and standard deviation."""
    square = math.log1p((deviation / mean) ** 2)
    return jnp.exp(math.log(mean) - square / 2 + math.sqrt(square) * u)


def gumbel(u, mean, deviation):
    """Gumbel (maximum) variable of given mean and standard deviation."""
    scale = deviation * math.sqrt(6) / math.pi
    return mean - np.euler_gamma * scale - scale * jnp.log(-log_ndtr(u))


# Up to 20 dimensions: Rozsas and Slobbe (2019), repository of reliability problems, and sources named.


@problem("rs", 2, stats.norm.sf(ROOT2), 0.0, "resistance minus load; exact")
def _(u):
    return 2.0 + u[0] - u[1]


@problem("axial_beam", 2, 0.02919662, 1e-5, "axially stressed beam; quadrature")
def _(u):
    return jnp.exp(5.69881 + 0.0997513 * u[0]) - (75e3 + 5e3 * u[1]) / (math.pi * 100.0)


@problem("rp8", 6, 7.8995e-4, 1.3e-3, "Der Kiureghian, Lin and Hwang (1987), plastic frame; conditional")
def _(u):
    mean, deviation = (120.0, 120.0, 120.0, 120.0, 50.0, 40.0), (12.0, 12.0, 12.0, 12.0, 10.0, 8.0)
    x = [lognormal(u[i], m, s) for i, (m, s) in enumerate(zip(mean, deviation, strict=True))]
    return x[0] + 2 * x[1] + 2 * x[2] + x[3] - 5 * x[4] - 5 * x[5]


@problem("rp14", 5, 7.7117e-4, 2.6e-3, "shaft under bending and torsion; conditional")
def _(u):
    strength, diameter = 70 + 10 * ndtr(u[0]), 39 + 0.1 * u[1]
    force, arm, torque = gumbel(u[2], 1500.0, 350.0), 400 + 0.1 * u[3], 250e3 + 35e3 * u[4]
    return strength - 32 / (math.pi * diameter**3) * jnp.sqrt((force * arm) ** 2 / 16 + torque**2)


@problem("rp22", 2, 4.2072953e-3, 1e-5, "Katsuki and Frangopol (1994), concave boundary; quadrature")
def _(u):
    return 2.5 - (u[0] + u[1]) / ROOT2 + 0.1 * (u[0] - u[1]) ** 2


@problem("rp24", 2, 2.859639e-3, 2e-4, "quartic boundary; quadrature", (1.0,))
def _(u):
    x, y = 10 + 3 * u[0], 10 + 3 * u[1]
    return 2.5 - 0.2357 * (x - y) + 0.00463 * (x + y - 20) ** 4


@problem("rp28", 2, 1.4532944e-7, 1e-5, "product of two normals; quadrature")
def _(u):
    return (78064 + 11710 * u[0]) * (0.0104 + 0.00156 * u[1]) - 146.14


@problem("rp31", 2, 3.2266812e-3, 1e-5, "narrow quartic valley; quadrature")
def _(u):
    return 2 - u[1] + 256 * u[0] ** 4


@problem("rp33", 3, 2.5755978e-3, 1e-5, "series system of two planes; bivariate normal")
def _(u):
    return jnp.minimum(3 * math.sqrt(3) - u.sum(), 3 - u[2])


@problem("rp35", 2, 3.479361e-3, 2e-4, "Guan and Melchers (2001), series system; quadrature")
def _(u):
    return jnp.minimum(2 - u[1] + jnp.exp(-0.1 * u[0] ** 2) + (0.2 * u[0]) ** 4, 4.5 - u[0] * u[1])


@problem("rp38", 7, 8.051968e-3, 5e-4, "cantilever tube of seven variables; conditional")
def _(u):
    x = jnp.array([350, 50.8, 3.81, 173, 9.38, 33.1, 0.036]) * (1 + 0.1 * u)
    a, b, c, d, e, f, h = x
    top = d**2 - 4 * e * f * h**2 + d * (f + 4 * e + 2 * f * h)
    return 15.59e4 - a * b**3 / (2 * c**3) * top / (d * e * (d + f + 2 * f * h))


@problem("rp54", 20, stats.gamma.sf(20.0, 20), 0.0, "sum of twenty exponentials; exact gamma")
def _(u):
    return 20.0 + log_ndtr(-u).sum()


@problem("rp54_low", 20, stats.gamma.cdf(8.951, 20), 0.0, "sum of twenty exponentials, low; exact gamma")
def _(u):
    return -log_ndtr(-u).sum() - 8.951


@problem("rp60", 5, 0.04483974, 4e-6, "system of nine components; conditional")
def _(u):
    mean, deviation = (2200.0, 2100.0, 2300.0, 2000.0, 1200.0), (220.0, 210.0, 230.0, 200.0, 480.0)
    a, b, c, d, load = (lognormal(u[i], m, s) for i, (m, s) in enumerate(zip(mean, deviation, strict=True)))
    half = jnp.minimum(jnp.minimum(b, c), d) - load / 2
    full = jnp.maximum(d - load, jnp.minimum(b, c) - load)
    return jnp.minimum(a - load, jnp.maximum(half, full))


@problem("rp75", 2, 9.8192987e-3, 1e-5, "hyperbolic boundary; quadrature", TWO)
def _(u):
    return 3 - u[0] * u[1]


@problem("rp89", 2, 5.471295e-3, 1.2e-5, "parabola and line; quadrature", TWO)
def _(u):
    return jnp.minimum(8 - u[0] ** 2 - u[1], 6 - u[0] / 5 - u[1])


@problem("rp107", 10, stats.norm.sf(5.0), 0.0, "plane in ten dimensions; exact")
def _(u):
    return 5 * math.sqrt(10) - u.sum()


@problem("rp111", 2, 8.0350859e-7, 1e-5, "four hyperbolas; quadrature", (0.25,) * 4)
def _(u):
    return 12.5 - jnp.abs(u[0] * u[1])


def four_branches(a, b, k, c):
    """Series system of Waarts (2000), section 3.7."""
    round_part = k + 0.1 * (a - b) ** 2 - jnp.abs(a + b) / ROOT2
    return jnp.minimum(round_part, c / ROOT2 - jnp.abs(a - b))


def branches(k, c):
    """Return the shares of the four branches, two round and two straight; their overlap is below 1 %."""
    t = np.linspace(-9, 9, 20001)
    pair = stats.norm.pdf(t) * stats.norm.sf(k + 0.2 * t**2)
    round_part, straight = float(pair.sum() * (t[1] - t[0])), float(stats.norm.sf(c / 2))
    total = 2 * (round_part + straight)
    return (round_part / total,) * 2 + (straight / total,) * 2


@problem("four_branch", 2, 2.22278993e-3, 1e-5, "Waarts (2000), k = 3, c = 7; quadrature", branches(3.0, 7.0))
def _(u):
    return four_branches(u[0], u[1], 3.0, 7.0)


@problem("quad_convex_2", 2, 4.73185827e-6, 0.0, "Papaioannou et al. (2015), beta 4, kappa 10; quadrature")
def _(u):
    return 4 + 2.5 * (u[0] - u[1]) ** 2 - u.sum() / ROOT2


def mass_on_two_springs(u, mean_force, deviation):
    """Bucher and Bourgund (1990): mass on two springs under a rectangular pulse."""
    m, c1, c2 = 1 + 0.05 * u[0], 1 + 0.1 * u[1], 0.1 + 0.01 * u[2]
    r, force, time = 0.5 + 0.05 * u[3], mean_force + deviation * u[4], 1 + 0.2 * u[5]
    frequency = jnp.sqrt((c1 + c2) / m)
    return 3 * r - jnp.abs(2 * force / (m * frequency**2) * jnp.sin(frequency * time / 2))


@problem("springs_1e-2", 6, 0.02859525, 9e-6, "Bucher and Bourgund (1990); conditional")
def _(u):
    return mass_on_two_springs(u, 1.0, 0.2)


@problem("springs_1e-5", 6, 9.131263e-6, 7e-5, "Echard et al. (2013), weaker force; conditional")
def _(u):
    return mass_on_two_springs(u, 0.6, 0.1)


@problem("primary_secondary", 8, 4.7499e-3, 5.4e-3, "Der Kiureghian and De Stefano (1991); conditional")
def _(u):
    mean = (1.5, 0.01, 1.0, 0.01, 0.05, 0.02, 15.0, 100.0)
    cov = (0.1, 0.1, 0.2, 0.2, 0.4, 0.5, 0.1, 0.1)
    x = [lognormal(u[i], m, m * c) for i, (m, c) in enumerate(zip(mean, cov, strict=True))]
    mp, ms, kp, ks, zp, zs, strength, intensity = x
    wp, ws, nu = jnp.sqrt(kp / mp), jnp.sqrt(ks / ms), ms / mp
    wa, za = (wp + ws) / 2, (zp + zs) / 2
    detuning = (wp - ws) / wa
    coupling = za * zs / (zp * zs * (4 * za**2 + detuning**2) + nu * za**2)
    square = (
        math.pi * intensity / (4 * zs * ws**3) * coupling * (zp * wp**3 + zs * ws**3) * wp / (4 * za * wa**4)
    )
    return strength - 3 * ks * jnp.sqrt(square)


# Shapes that mislead searches.


@problem("deceptive", 2, stats.norm.sf(4) + stats.norm.sf(5) - stats.norm.sf(4) * stats.norm.sf(5), 0.0,
         "Breitung (2019), piecewise linear: slopes point to the rarer mode; exact")  # fmt: skip
def _(u):
    first = jnp.where(u[0] > 3.5, 4 - u[0], 0.85 - 0.1 * u[0])
    second = jnp.where(u[1] > 2, 0.5 - 0.1 * u[1], 2.3 - u[1])
    return jnp.minimum(first, second)


@problem("ring", 2, math.exp(-8.0), 0.0, "outside a circle of radius 4; exact")
def _(u):
    return 16 - jnp.sum(u**2)


@problem("step", 3, stats.norm.sf(3.0), 0.0, "a step: g takes two values; exact")
def _(u):
    return jnp.where(u.sum() > 3 * math.sqrt(3), -1.0, 1.0)


@problem("islands", 2, 2 * stats.ncx2.cdf(0.7**2, 2, 3.5**2), 0.0, "two discs at distance 3.5; exact", TWO)
def _(u):
    return (
        jnp.minimum(jnp.sum((u - jnp.array([3.5, 0.0])) ** 2), jnp.sum((u + jnp.array([0.0, 3.5])) ** 2))
        - 0.49
    )


@problem("stairs", 2, stats.norm.sf(3.5), 0.0, "a staircase: flat between steps of half a deviation; exact")
def _(u):
    return jnp.ceil(2 * (3.5 - u[0] * 0.8 - u[1] * 0.6)) / 2


# Series and parallel systems: many modes that hide one another.


def of_each(probability, components):
    """Probability of each of so many independent components, given that of any."""
    return -math.expm1(math.log1p(-probability) / components)


LARGEST = stats.norm.isf(of_each(1e-5, 10))
LARGEST_OF_EITHER_SIGN = stats.norm.isf(of_each(1e-4, 20) / 2)
BOTH = stats.norm.isf(math.sqrt(of_each(1e-5, 5)))
CIRCLE = stats.chi2.isf(of_each(1e-4, 4), 2)


@problem("largest_of_10", 10, 1e-5, 0.0, "largest of ten normals; exact", (0.1,) * 10)
def _(u):
    return LARGEST - jnp.max(u)


@problem("either_sign_of_20", 20, 1e-4, 0.0, "largest absolute value of twenty normals; exact")
def _(u):
    return LARGEST_OF_EITHER_SIGN - jnp.max(jnp.abs(u))


@problem("two_scales", 10, 2 * stats.norm.sf(4.0), 0.0, "two components in other units; exact", TWO)
def _(u):
    return jnp.minimum(4.0 - u[0], 50.0 * (4.0 - u[1]))


@problem("five_pairs", 10, 1e-5, 0.0, "five pairs, both of any; exact", (0.2,) * 5)
def _(u):
    return BOTH - jnp.max(jnp.minimum(u[::2], u[1::2]))


@problem("four_rings", 8, 1e-4, 0.0, "outside of any of four circles; exact", (0.25,) * 4)
def _(u):
    return CIRCLE - jnp.max(u[::2] ** 2 + u[1::2] ** 2)


@problem(
    "all_of_three",
    10,
    3.2974634906e-9,
    1e-10,
    "three correlated -0.3, all must fail; quadrature",
)
def _(u):
    return jnp.max(OBTUSE - np.linalg.cholesky(APART) @ u[:3])


# More than twenty dimensions.


@problem("all_of_four", 30, np.prod(stats.norm.sf(ALL)), 0.0, "four components that all must fail; exact")
def _(u):
    return jnp.max(ALL - u[:4])


def halves(u):
    """Two orthonormal directions, each mixing half of the variables."""
    h = u.shape[0] // 2
    return u[:h].sum() / math.sqrt(h), u[h:].sum() / math.sqrt(u.shape[0] - h)


@problem(
    "four_branch_100",
    100,
    3.5502252e-4,
    1e-5,
    "four branches, k 3.5, c 8, hidden; quadrature",
    branches(3.5, 8.0),
)
def _(u):
    return four_branches(*halves(u), 3.5, 8.0)


for _d, _beta in ((100, 3.5), (1000, 5.0), (300, 6.0)):
    problem(f"plane_{_d}", _d, stats.norm.sf(_beta), 0.0, "plane; exact")(
        lambda u, beta=_beta, d=_d: beta - u.sum() / math.sqrt(d)
    )


@problem("two_sided_200", 200, 2 * stats.norm.sf(4.2), 0.0, "two planes face to face; exact", TWO)
def _(u):
    return 4.2 - jnp.abs(u.sum()) / math.sqrt(200)


@problem("quad_convex_100", 100, 6.62061376e-6, 0.0, "Papaioannou et al. (2015), beta 4, kappa 5; quadrature")
def _(u):
    return 4 + 1.25 * (u[0] - u[1]) ** 2 - u.sum() / 10


@problem("chi_square_100", 100, 1e-5, 0.0, "outside a sphere; exact chi-square")
def _(u):
    return stats.chi2.isf(1e-5, 100) - jnp.sum(u**2)


@problem("exponentials_100", 100, 1e-6, 0.0, "sum of a hundred exponentials; exact gamma")
def _(u):
    return stats.gamma.isf(1e-6, 100) + log_ndtr(-u).sum()


def oscillator_response(steps=200, dt=0.05, damping=0.05, intensity=1.0):
    """Displacement of a linear oscillator (period 1 s) at each step under unit white-noise increments."""
    w = 2 * math.pi
    wd, t = w * math.sqrt(1 - damping**2), np.arange(1, steps + 1) * dt
    lag = t[:, None] - t[None, :] + dt / 2
    response = (
        np.exp(-damping * w * lag) * np.sin(wd * lag) / wd * math.sqrt(2 * math.pi * intensity / dt) * dt
    )
    return np.tril(response)


RESPONSE = oscillator_response()


@problem(
    "first_passage_200",
    200,
    4.2668e-5,
    1.4e-3,
    "Au and Beck (2001), linear oscillator; half-space sampling",
)
def _(u):
    return 1.75 - jnp.max(jnp.abs(jnp.asarray(RESPONSE) @ u))


@problem("duffing_100", 100, 1.489e-4, 1.8e-2, "Duffing oscillator, first passage; sampling, 2e7 runs")
def _(u, bound=0.70, dt=0.05, damping=0.05, intensity=0.25):
    w = 2 * math.pi

    def step(state, force):
        x, v, highest = state
        v = v + dt * (
            math.sqrt(2 * math.pi * intensity / dt) * force - 2 * damping * w * v - w**2 * (x + x**3)
        )
        x = x + dt * v
        return (x, v, jnp.maximum(highest, jnp.abs(x))), None

    zero = jnp.zeros((), u.dtype)
    return bound - jax.lax.scan(step, (zero, zero, zero), u)[0][2]


@problem(
    "bouc_wen_150",
    150,
    8.96e-5,
    1.8e-2,
    "Bouc (1967) and Wen (1976) hysteresis, first passage; sampling, 3.6e7 runs",
)
def _(u, bound=0.2105, dt=0.05, damping=0.05, intensity=0.02, elastic=0.1, yields=0.1, power=3, substeps=4):
    w, steep, h = 2 * math.pi, 1 / (2 * yields**power), dt / substeps

    def rate(state, force):
        x, v, z = state
        turn = jnp.abs(v) * jnp.abs(z) ** (power - 1) * z + v * jnp.abs(z) ** power
        return v, force - 2 * damping * w * v - w**2 * (elastic * x + (1 - elastic) * z), v - steep * turn

    def moved(state, slope, by):
        return tuple(s + by * d for s, d in zip(state, slope, strict=True))

    def step(carry, force):
        state, highest = carry
        for _ in range(substeps):
            state = moved(state, rate(moved(state, rate(state, force), h / 2), force), h)
        return (state, jnp.maximum(highest, jnp.abs(state[0]))), None

    zero = jnp.zeros((), u.dtype)
    forces = math.sqrt(2 * math.pi * intensity / dt) * u
    return bound - jax.lax.scan(step, ((zero, zero, zero), zero), forces)[0][1]

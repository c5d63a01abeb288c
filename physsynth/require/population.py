"""How many more members of a population it takes to know a quantity of that population.

Members (patients, vehicles) differ: member i has parameters psi_i ~ N(mu, Omega), with Omega
diagonal and its standard deviations exp(log_spread). What its data say about psi_i is summarised by
a Fisher information H_i = L_i L_i', singular where the data leave a direction open, as

    z_i = L_i' psi_i + N(0, I),   so that   z_i | mu, Omega ~ N(L_i' mu, I + L_i' Omega L_i)

and theta = (mu, log_spread, other) is learnt from z_1, z_2, ... The target is met when the upper end of
the quantity's central posterior interval is within `factor` of the lower end.

Source: O'Hagan and Stevens (2001), Med. Decis. Making 21, 219 (assurance); Mentre, Mallet and Baccar
(1997), Biometrika 84, 429 (information about a population).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from physsynth.core.errors import ParameterError
from physsynth.require import arguments
from physsynth.require.engine import first_crossings, grow, resample, sizes
from physsynth.require.requirement import LEVELS, Check, Question, Requirement, quantiles_of
from physsynth.require.statement import number_text

Theta = Mapping[str, jax.Array]
Information = Callable[[jax.Array, jax.Array], Float[Array, "k k"]]

LEAST_DRAWS = 100
LEAST_SIZE = 30.0


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

    k: int
    replicates: int
    particles: int
    evaluations: int
    grid: tuple[int, ...]


class _Draws(NamedTuple):
    """Posterior draws: what members inform, and the rest as its regression on that plus a residual.

    Given (mu, log_spread) new members say nothing about `other`, so its conditional distribution stays
    what it is today; kept aside, it cannot degenerate with the particles.
    """

    core: Float[Array, "draw core"]
    slope: Float[Array, "core other"]
    residual: Float[Array, "draw other"]


class _Members(NamedTuple):
    """Summaries of imagined members: roots L of their information, and whitened data z."""

    root: Float[Array, "member k k"]
    data: Float[Array, "member k"]


def population(
    draws: Mapping[str, np.ndarray | jax.Array],
    information: Information,
    log_quantity: Callable[[Theta], jax.Array],
    factor: float,
    key: jax.Array,
    assurance: float = 0.8,
    interval: float = 0.9,
    max_n: int = 1000,
    replicates: int = 200,
    particles: int = 1000,
    evaluations: int = 500,
    wording: Wording | None = None,
) -> Requirement:
    """Return how many more members it takes until a quantity's interval spans less than a factor.

    Parameters
    ----------
    draws : mapping of str to array
        Posterior draws: "location" (S, k), the mean of the members' parameters; "log_spread" (S, k),
        log of their standard deviations; optionally "other" (S, m), what members do not inform.
    information : callable
        ``information(psi, key)`` -> (k, k), positive semidefinite: Fisher information about psi in one
        new member's data when psi is its parameter; it draws the member's condition with the key.
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
    replicates, particles, evaluations : int
        Imagined futures; posterior draws carried in each; and how many of them the quantity is
        evaluated at, each time it is looked at.
    wording : Wording, optional

    Returns
    -------
    Requirement
        ``bound`` is the present ratio of the interval's ends, ``floor`` the ratio that no number of
        members goes below. Verdict MET if the present posterior meets the target, NEEDS_PILOT if there
        are fewer than 100 draws or they do not vary, FLOOR if the paths level off above the target,
        FORECAST otherwise.

    Raises
    ------
    ParameterError
        If draws, information or quantity have the wrong shape or are not finite, or a number is
        outside its domain.

    Examples
    --------
    >>> normal = jax.random.normal(jax.random.key(0), (1000, 2))
    >>> draws = {"location": 0.1 * normal[:, :1], "log_spread": 0.01 * normal[:, 1:]}
    >>> exact = lambda psi, key: 1e8 * jnp.eye(1)
    >>> need = population(draws, exact, lambda t: t["location"][0], 1.1, jax.random.key(1), max_n=2048)
    >>> need.verdict, 900 < need.number < 1300
    ('FORECAST', True)
    """
    theta, names, k = _vectors(draws)
    arguments.above_one("factor", factor)
    arguments.fraction("assurance", assurance)
    arguments.fraction("interval", interval)
    for name, value, least in (
        ("max_n", max_n, 1),
        ("replicates", replicates, 20),
        ("evaluations", evaluations, 50),
    ):
        arguments.count(name, value, least)
    asked = _question(wording or Wording(), factor, interval)
    pilot = _pilot_checks(theta, k)
    if not all(check.passed for check in pilot):
        return _unknown(asked, pilot)
    shape = _Shape(k, replicates, min(particles, len(theta) - 1), evaluations, sizes(max_n))
    _check_information(information, theta[:, :k])
    read = _Reader(log_quantity, names)
    present = _present_width(read, interval, theta)
    target = math.log(factor)
    if present <= target:
        return _met(asked, present, pilot)
    widths, least = _futures(information, read, shape, interval, key, _set_aside(theta, k), target)
    widths, least = np.asarray(widths, float), np.asarray(least, float)
    return _forecast(asked, pilot, shape, present, target, assurance, widths, least)


@dataclass(frozen=True)
class _Reader:
    """The caller's log quantity as a function of one vector; equal ones share compiled code."""

    log_quantity: Callable[[Theta], jax.Array]
    names: tuple[tuple[str, int], ...]

    def __call__(self, theta):
        ends = np.cumsum([size for _, size in self.names])
        parts = {name: theta[end - size : end] for (name, size), end in zip(self.names, ends, strict=True)}
        return jnp.asarray(self.log_quantity(parts)).reshape(())


def _vectors(draws) -> tuple[jax.Array, tuple[tuple[str, int], ...], int]:
    """Return the draws side by side (S, dimension), the names and sizes of the parts, and k."""
    for name in ("location", "log_spread"):
        if name not in draws:
            raise ParameterError(
                "posterior draws are missing", key=f'draws["{name}"]', wanted="an array (S, k)"
            )
    names = [name for name in ("location", "log_spread", "other") if name in draws]
    arrays = [jnp.asarray(draws[name], float) for name in names]
    for name, array in zip(names, arrays, strict=True):
        if array.ndim != 2 or array.shape[0] != arrays[0].shape[0]:
            raise ParameterError(
                "draws of the wrong shape",
                key=f'draws["{name}"]',
                wanted=f"(S, size) with S = {arrays[0].shape[0]}",
                got=array.shape,
            )
        if not bool(jnp.all(jnp.isfinite(array))):
            raise ParameterError("draws that are not finite", key=f'draws["{name}"]', wanted="finite numbers")
    if arrays[0].shape != arrays[1].shape:
        raise ParameterError(
            "as many spreads as locations are needed",
            key='draws["log_spread"]',
            wanted=arrays[0].shape,
            got=arrays[1].shape,
        )
    sizes_of = tuple((name, int(array.shape[1])) for name, array in zip(names, arrays, strict=True))
    return jnp.concatenate(arrays, axis=1), sizes_of, int(arrays[0].shape[1])


def _pilot_checks(theta, k):
    spread = float(jnp.min(jnp.std(theta[:, :k], axis=0)))
    return (
        Check(
            "posterior draws",
            len(theta),
            LEAST_DRAWS,
            len(theta) >= LEAST_DRAWS,
            "draw more from the posterior, or collect a pilot and calibrate on it",
        ),
        Check(
            "smallest posterior sd of a location",
            spread,
            0.0,
            spread > 0,
            "draws that do not vary carry no uncertainty: hand in posterior draws, not an estimate",
        ),
    )


def _check_information(information, locations):
    """Evaluate the information at a few draws before anything is compiled around it."""
    k = locations.shape[1]
    keys = jax.random.split(jax.random.key(0), 4)
    matrices = np.asarray(jax.vmap(information)(locations[:4], keys))
    if matrices.shape != (4, k, k):
        raise ParameterError(
            "information of the wrong shape", key="information", wanted=f"({k}, {k})", got=matrices.shape[1:]
        )
    size = np.abs(matrices).max()
    least = np.linalg.eigvalsh(matrices).min() if np.isfinite(size) else -np.inf
    if not np.allclose(matrices, matrices.transpose(0, 2, 1), atol=1e-4 * size) or least < -1e-4 * size:
        raise ParameterError(
            "not a Fisher information",
            key="information",
            wanted="a finite, symmetric, positive semidefinite matrix",
            got=matrices[0].tolist(),
        )


@partial(jax.jit, static_argnames=("read", "interval"))
def _interval_width(read, interval, theta):
    return _width(jax.vmap(read)(theta), interval)


def _present_width(read, interval, theta):
    width = float(_interval_width(read, interval, theta))
    if math.isnan(width):
        raise ParameterError(
            "a quantity that is not a number at some posterior draw",
            key="log_quantity",
            wanted="the log of a positive quantity",
            got="NaN",
        )
    return width


def _width(log_quantity, interval):
    """Return the length of the central interval of equally likely values, on the log scale."""
    tail = (1 - interval) / 2
    low, high = jnp.quantile(log_quantity, jnp.asarray([tail, 1 - tail], log_quantity.dtype))
    return jnp.where(jnp.isneginf(low), jnp.inf, high - low)


def _set_aside(theta, k):
    core, other = theta[:, : 2 * k], theta[:, 2 * k :]
    slope = jnp.linalg.lstsq(core - core.mean(0), other - other.mean(0))[0]
    return _Draws(core, slope, other - core @ slope)


@partial(jax.jit, static_argnames=("information", "read", "shape", "interval"))
def _futures(information, read, shape, interval, key, draws, target):
    """Return widths (replicate, size) and smallest effective sizes (replicate,) over imagined futures."""

    def replicate(own):
        order, make, walk = jax.random.split(own, 3)
        order = jax.random.permutation(order, draws.core.shape[0])[: shape.particles + 1]
        members = _imagine(make, information, draws.core[order[0]], shape)
        residual = draws.residual[jnp.resize(order[1:], shape.evaluations)]

        def width(look, cloud, weights):
            core = cloud[:, resample(look, weights, shape.evaluations)].T
            return _width(jax.vmap(read)(jnp.hstack([core, core @ draws.slope + residual])), interval)

        def log_likelihood(cloud, index):
            return _log_likelihood(members.root[index], members.data[index], cloud, shape.k)

        return grow(walk, draws.core[order[1:]].T, log_likelihood, width, shape.grid, target)

    return jax.lax.map(replicate, jax.random.split(key, shape.replicates))


def _imagine(key, information, truth, shape):
    """Draw the members that a future under one truth would bring, as far as they may be needed."""
    k, n = shape.k, shape.grid[-1]
    spread, condition, noise = jax.random.split(key, 3)
    psi = truth[:k] + jnp.exp(truth[k : 2 * k]) * jax.random.normal(spread, (n, k), truth.dtype)
    matrices = jax.vmap(information)(psi, jax.random.split(condition, n))
    values, vectors = jnp.linalg.eigh(matrices)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))[:, None, :]
    data = jnp.einsum("nij,ni->nj", root, psi) + jax.random.normal(noise, (n, k), truth.dtype)
    return _Members(root, data)


def _log_likelihood(root, data, cloud, k):
    """Return log N(z; L' mu, I + L' Omega L) of one member for all particles.

    Written out in scalars over the k x k matrix: for small k a batched factorisation costs a
    hundred times more.
    """
    location, variance = cloud[:k], jnp.exp(2 * cloud[k : 2 * k])
    rest = [data[a] - sum(root[j, a] * location[j] for j in range(k)) for a in range(k)]
    matrix = [
        [
            (1.0 if a == b else 0.0) + sum(root[j, a] * root[j, b] * variance[j] for j in range(k))
            for b in range(a + 1)
        ]
        for a in range(k)
    ]
    return _log_normal(matrix, rest)


def _log_normal(matrix, rest):
    """Return the log density at `rest` of N(0, matrix), by the factorisation U D U' done in place."""
    total, determinant = 0.0, 1.0
    for a in range(len(rest)):
        pivot = matrix[a][a]
        determinant = determinant * pivot
        total = total + rest[a] ** 2 / pivot
        for b in range(a + 1, len(rest)):
            ratio = matrix[b][a] / pivot
            rest[b] = rest[b] - ratio * rest[a]
            for c in range(a + 1, b + 1):
                matrix[b][c] = matrix[b][c] - ratio * matrix[c][a]
    return -0.5 * (total + jnp.log(determinant))


def _question(wording, factor, interval):
    return Question(
        claim=f"The {wording.quantity} is known within a factor of {factor:g}.",
        quantity=wording.quantity,
        target=f"upper over lower end of the central {interval:.0%} posterior interval at most {factor:g}",
        counted=wording.members,
    )


def _unknown(asked, pilot):
    never = dict.fromkeys(LEVELS, math.inf)
    return Requirement("NEEDS_PILOT", None, asked, never, probability_never=1.0, checks=pilot)


def _met(asked, present, pilot):
    none = dict.fromkeys(LEVELS, 0.0)
    return Requirement(
        "MET", 0, asked, none, bound=math.exp(present), assumptions=_ASSUMPTIONS[:1], checks=pilot
    )


def _forecast(asked, pilot, shape, present, target, assurance, widths, least):
    needed = first_crossings(widths, shape.grid, target)
    never = float(np.mean(np.isinf(needed)))
    floor = _levelled(widths, shape.grid, target)
    planned = quantiles_of(needed, (assurance,))[assurance]
    reached = math.isfinite(planned)
    size = float(np.quantile(least, 0.05))
    return Requirement(
        verdict="FORECAST" if reached or floor <= target else "FLOOR",
        number=math.ceil(planned - 1e-9) if reached else None,
        question=asked,
        quantiles=quantiles_of(needed),
        probability_never=never,
        bound=math.exp(present),
        floor=math.exp(floor),
        forecast=_paths(needed, widths, shape.grid),
        assumptions=_ASSUMPTIONS,
        checks=(*pilot, _size_check(size), _reach_check(planned, assurance, shape.grid[-1])),
    )


def _levelled(widths, grid, target):
    """Return the width that paths which never meet the target level off at.

    From width^2 = floor^2 + c / n at the largest size and at the one nearest a quarter of it; 0 where
    every path meets the target.
    """
    unmet = widths[:, -1] > target
    quarter = int(np.argmin(np.abs(np.log(np.asarray(grid) * 4.0 / grid[-1]))))
    if unmet.mean() < 0.05 or quarter == len(grid) - 1:
        return 0.0
    late, early = (np.median(widths[unmet, place] ** 2) for place in (-1, quarter))
    floor = (grid[-1] * late - grid[quarter] * early) / (grid[-1] - grid[quarter])
    return math.sqrt(max(floor, 0.0)) if math.isfinite(floor) else math.inf


def _size_check(size):
    return Check(
        "effective particles in the thinnest twentieth of the futures",
        size,
        LEAST_SIZE,
        size >= LEAST_SIZE,
        "hand in more posterior draws and raise particles",
    )


def _reach_check(planned, assurance, max_n):
    return Check(
        f"number at assurance {assurance:g} within the largest one looked at",
        planned,
        float(max_n),
        math.isfinite(planned),
        f"the target takes more than {number_text(max_n)}; raise max_n, or ask for a wider factor",
    )


def _paths(needed, widths, grid):
    return xr.Dataset(
        {
            "needed": ("replicate", needed, {"units": "1", "long_name": "members needed; inf if never"}),
            "width": (
                ("replicate", "n"),
                widths,
                {"units": "1", "long_name": "log ratio of the interval's ends; NaN once the target is met"},
            ),
        },
        {"n": ("n", np.asarray(grid), {"units": "1", "long_name": "members added"})},
    )


_ASSUMPTIONS = (
    "the posterior in hand is right: its model describes the members, and its draws have converged",
    "new members come from the same population and are measured as the information function says",
    "a member's data tell of its parameters as a normal summary with that information does",
    "members' parameters are independent and normal about the population mean on the scale handed in",
)

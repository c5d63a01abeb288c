"""A Duffing oscillator struck by an impulse: a case with a simulator, for the benchmark of forecasts.

    x'' + c x' + d |x'| x' + k x + b x^3 = 0,    x(0) = 0,  x'(0) = v

Damping c, stiffness k and cubic stiffness b are unknown; d is 0 in the model, and 0.15 in a truth that the
model misses. The displacement is measured with an sd of 0.05 at times after impulses v = 0.5 and 1; the
quantity is the largest displacement after an impulse, within (1) or outside (2.5) what was measured.

Source: Duffing (1918), Erzwungene Schwingungen bei veraenderlicher Eigenfrequenz.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.core import rk4
from physsynth.require import Requirement, precision

NOISE = 0.05
STEP = 0.1
TIMES = np.arange(0.5, 6.01, 0.5)
IMPULSES = (0.5, 1.0)
CANDIDATES = np.array([(v, t) for v in IMPULSES for t in TIMES])
# Independent log-normal priors of damping, stiffness and cubic stiffness: medians and log-spreads.
NAMES = ("damping", "stiffness", "cubic")
CENTRE, SPREAD = np.log([0.3, 1.0, 0.5]), np.array([0.4, 0.3, 0.5])
PROPOSALS, DRAWS, FREEDOM = 8000, 3000, 7
PILOT = np.arange(0, len(CANDIDATES), 3)
MAX_N = 256
ROOM = len(PILOT) + MAX_N
GRID = jnp.asarray(np.arange(0.0, TIMES[-1] + STEP / 2, STEP))


def trajectory(theta, impulse, quadratic=0.0):
    """Return the displacement (time,) on the integrator's grid."""

    def field(t, state):
        x, v = state
        force = theta["damping"] * v + quadratic * jnp.abs(v) * v
        return v, -force - theta["stiffness"] * x - theta["cubic"] * x**3

    still = jnp.zeros_like(theta["damping"])
    return rk4(field, (still, still + impulse), GRID)[0]


def observe(theta, condition):
    """Return the displacement after an impulse at a time of the grid."""
    return trajectory(theta, condition[0])[jnp.round(condition[1] / STEP).astype(int)]


def peak(impulse, theta, quadratic=0.0):
    """Return the largest displacement after an impulse, by a parabola about the largest on the grid."""
    x = trajectory(theta, impulse, quadratic)
    i = jnp.clip(jnp.argmax(x), 1, len(GRID) - 2)
    left, top, right = x[i - 1], x[i], x[i + 1]
    return top + (left - right) ** 2 / (8 * (2 * top - left - right))


PEAKS = {impulse: partial(peak, impulse) for impulse in (1.0, 2.5)}


def stiffness(theta):
    """Return a parameter of the model."""
    return theta["stiffness"]


def largest_force(theta):
    """Return the spring's force at the largest displacement after an impulse that was never given."""
    x = peak(2.5, theta)
    return theta["stiffness"] * x + theta["cubic"] * x**3


def named(log_parameters):
    """Return parameters by name from their logs (..., 3)."""
    return {name: jnp.exp(log_parameters[..., i]) for i, name in enumerate(NAMES)}


@jax.jit
def table(log_parameters):
    """Return responses at every candidate (..., C) and both peaks (..., 2)."""

    def one(row):
        theta = named(row)
        places = jnp.round(TIMES / STEP).astype(int)
        seen = jnp.concatenate([trajectory(theta, v)[places] for v in IMPULSES])
        return seen, jnp.stack([read(theta) for read in PEAKS.values()])

    return jax.lax.map(one, log_parameters, batch_size=2000)


@jax.jit
def true_motion(log_parameters, quadratic, impulse):
    """Return what the truth shows on the integrator's grid after an impulse, and its peak."""
    theta = named(log_parameters)
    return trajectory(theta, impulse, quadratic), peak(impulse, theta, quadratic)


@jax.jit
def laplace(measured, order, counted, noise):
    """Return mode and covariance of the posterior given measurements at candidates, by Gauss and Newton.

    Padded: `counted` is 1 for a measurement and 0 for none.
    """

    def residuals(row):
        seen = jnp.stack([trajectory(named(row), v) for v in IMPULSES])
        places = jnp.round(jnp.asarray(CANDIDATES[:, 1]) / STEP).astype(int)
        every = seen[(jnp.asarray(CANDIDATES[:, 0]) > 0.75).astype(int), places]
        return jnp.concatenate([counted * (every[order] - measured) / noise, (row - CENTRE) / SPREAD])

    def step(row, _):
        slopes, rest = jax.jacfwd(residuals)(row), residuals(row)
        matrix = slopes.T @ slopes + 0.3 * jnp.diag(1 / SPREAD**2)
        return row - jnp.clip(jnp.linalg.solve(matrix, slopes.T @ rest), -0.5, 0.5), None

    row, _ = jax.lax.scan(step, jnp.asarray(CENTRE), None, length=25)
    slopes = jax.jacfwd(residuals)(row)
    return row, jnp.linalg.inv(slopes.T @ slopes)


@dataclass(frozen=True)
class Posterior:
    """Proposals about the mode with their log weights, responses and peaks."""

    rows: np.ndarray
    log_weight: np.ndarray
    responses: np.ndarray
    peaks: np.ndarray
    noise: float = NOISE

    @classmethod
    def of(cls, measured, order, rng, noise: float = NOISE) -> Posterior:
        """Weigh Student proposals by prior and likelihood."""
        room = np.zeros(ROOM - len(order), int)
        counted = np.concatenate([np.ones(len(order)), room])
        places = np.concatenate([order, room]).astype(int)
        padded = laplace(np.concatenate([measured, room]), places, counted, noise)
        mode, covariance = (np.asarray(part) for part in padded)
        normal = rng.standard_normal((PROPOSALS, 3)) @ np.linalg.cholesky(covariance).T
        rows = mode + 1.1 * normal * np.sqrt(FREEDOM / rng.chisquare(FREEDOM, PROPOSALS))[:, None]
        away = np.einsum("ni,ij,nj->n", rows - mode, np.linalg.inv(covariance) / 1.1**2, rows - mode)
        proposal = -0.5 * (FREEDOM + 3) * np.log1p(away / FREEDOM)
        responses, peaks = (np.asarray(part) for part in table(jnp.asarray(rows)))
        prior = -0.5 * np.sum(((rows - CENTRE) / SPREAD) ** 2, axis=1)
        start = cls(rows, prior - proposal, responses, peaks, noise)
        return start.given(measured, order)

    def given(self, measured, order) -> Posterior:
        """Take in more measurements."""
        more = -0.5 * np.sum(((self.responses[:, order] - measured) / self.noise) ** 2, axis=1)
        return replace(self, log_weight=self.log_weight + more)

    @property
    def weight(self) -> np.ndarray:
        """Normalised weights."""
        weight = np.exp(self.log_weight - self.log_weight.max())
        return weight / weight.sum()

    def draws(self, rng) -> dict[str, np.ndarray]:
        """Return equally weighted draws by name."""
        picks = rng.choice(PROPOSALS, DRAWS, p=self.weight)
        return {name: np.exp(self.rows[picks, i]) for i, name in enumerate(NAMES)}

    def interval(self, which, probability=0.9) -> tuple[float, float]:
        """Return the central interval of a peak."""
        order = np.argsort(self.peaks[:, which])
        reached = np.cumsum(self.weight[order])
        ends = np.searchsorted(reached, [(1 - probability) / 2, (1 + probability) / 2])
        low, high = self.peaks[order, which][ends.clip(max=PROPOSALS - 1)]
        return float(low), float(high)

    def sd_path(self, measured, order, which) -> np.ndarray:
        """Return the posterior sd of a peak after each of further measurements."""
        steps = -0.5 * ((self.responses[:, order] - measured) / self.noise) ** 2
        logs = self.log_weight + np.cumsum(steps, axis=1).T
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        mean = weights @ self.peaks[:, which]
        return np.sqrt(np.maximum(weights @ self.peaks[:, which] ** 2 - mean**2, 0.0))


@dataclass(frozen=True)
class Truth:
    """An oscillator, which shows what it does at the candidates."""

    row: np.ndarray
    quadratic: float
    noise: float
    responses: np.ndarray

    @classmethod
    def drawn(cls, rng, quadratic: float = 0.0, noise: float = NOISE) -> Truth:
        """Draw one from the prior."""
        row, places = CENTRE + SPREAD * rng.standard_normal(3), np.round(TIMES / STEP).astype(int)
        shown = [np.asarray(true_motion(jnp.asarray(row), quadratic, v)[0])[places] for v in IMPULSES]
        return cls(row, quadratic, noise, np.concatenate(shown))

    def measured(self, order, rng) -> np.ndarray:
        """Measure at candidates."""
        return self.responses[order] + self.noise * rng.standard_normal(len(order))

    def at(self, condition) -> float:
        """Return what it does at any condition (impulse, time)."""
        motion, _ = true_motion(jnp.asarray(self.row), self.quadratic, condition[0])
        return float(motion[round(condition[1] / STEP)])

    def peak(self, impulse) -> float:
        """Return its largest displacement."""
        return float(true_motion(jnp.asarray(self.row), self.quadratic, impulse)[1])


def forecast(
    posterior: Posterior, rng, seed, target: float, impulse=1.0, allocation="greedy", futures=100
) -> Requirement:
    """Forecast how many more displacements it takes until the peak is known."""
    return precision(
        posterior.draws(rng),
        observe,
        PEAKS[impulse],
        posterior.noise,
        CANDIDATES,
        target,
        jax.random.key(seed),
        max_n=MAX_N,
        allocation=allocation,
        replicates=futures,
        particles=DRAWS // 4,
        name=f"largest displacement after an impulse of {impulse:g} m/s",
    )


def replication(seed: int, target: float) -> tuple[Requirement, float]:
    """Draw a truth and its pilot, forecast, then measure by the plan until the target is met."""
    rng = np.random.default_rng(seed)
    truth = Truth.drawn(rng)
    posterior = Posterior.of(truth.measured(PILOT, rng), PILOT, rng)
    need = forecast(posterior, rng, seed, target)
    return need, collected(need, truth, posterior, target, seed)


def collected(need: Requirement, truth: Truth, posterior: Posterior, target: float, seed: int) -> float:
    """Measure by the plan of a forecast until the target is met; return how many it took."""
    if need.verdict == "MET":
        return 0.0
    order = need.forecast["order"].values
    met = posterior.sd_path(truth.measured(order, np.random.default_rng([seed, 2])), order, 0) <= target
    return float(np.argmax(met)) + 1 if met.any() else math.inf


@jax.jit
def predicted(log_parameters, condition):
    """Return responses at one condition (...)."""
    return jax.lax.map(lambda row: observe(named(row), condition), log_parameters, batch_size=2000)


def found_out(need: Requirement, posterior: Posterior, truth: Truth, rng) -> bool:
    """Tell whether the direct measurements that the statement asks for reveal what the model misses."""
    assert need.regime is not None
    direct = need.regime.direct
    assert direct is not None
    condition = json.loads(direct.condition)
    mean = truth.at(condition) + truth.noise * rng.standard_normal(direct.number).mean()
    responses, weight = np.asarray(predicted(posterior.rows, jnp.asarray(condition))), posterior.weight
    centre = weight @ responses
    scatter = truth.noise**2 / direct.number + weight @ (responses - centre) ** 2
    return abs(mean - centre) > 1.96 * math.sqrt(scatter)

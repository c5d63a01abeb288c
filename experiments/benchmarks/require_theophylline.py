"""Theophylline with real refits: a population, a pilot of twelve, and further subjects until it is known.

A truth is a population (locations and log-spreads of absorption, clearance and volume): one that the twelve
subjects of Boeckmann, Sheiner and Beal (1994) leave possible, while the analysis has the study's own vague
priors; or one from a distribution half as wide again, which the analysis has as its prior, so that a forecast
that is right is calibrated. A subject is a member of it, given the dose of one of the twelve and sampled at
that subject's eleven times, with the noise of the study. The quantity is the study's: the probability of more
than 20 mg/L on 3 mg/kg every twelve hours, doses now and then forgotten or doubled. Its 90 % interval shall
span less than a factor.

The fit: each subject's log-likelihood is expanded to second order about the mode that it has together with
the population of the study, so that with H = L L'

    z = L' psi + N(0, 1)   and   z | mu, Omega ~ N(L' mu, 1 + L' Omega L),

and the posterior of the six numbers of the population is drawn by importance sampling about its mode.
`against_nuts` holds intervals of this fit against those of NUTS on the full model, noise unknown.

Source: Lindstrom and Bates (1990), Biometrics 46, 673 (expansion about conditional modes).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy import stats
from scipy.stats import qmc

from physsynth import calibrate
from physsynth.require import Requirement, population
from physsynth.require.members import log_likelihood
from physsynth.study.load import load_study
from physsynth.study.problem import Problem, build_problem

STUDY = Path(__file__).parents[1] / "theophylline.toml"
# Posterior medians of the study's noise: additive in mg/L, and proportional.
ADDITIVE, PROPORTIONAL = 0.275, 0.094
KNOWN = {"additive_noise": jnp.asarray(ADDITIVE), "proportional_noise": jnp.asarray(PROPORTIONAL)}
CENTRE, SPREAD = np.log([3.65, 0.0391, 0.480]), np.array([0.617, 0.299, 0.157])
# Mean and sd of what the twelve real subjects leave open, under the study's priors.
LEFT_OPEN = np.array(
    [[1.296, -3.241, -0.734, -0.471, -1.198, -1.838], [0.189, 0.093, 0.054, 0.244, 0.232, 0.269]]
)
PRIOR_CENTRE, PRIOR_SPREAD = np.array([0.7, -3.0, -0.7]), np.array([1.0, 0.5, 0.5])
PILOT, MOST = 12, 500
PROPOSALS, DRAWS, FREEDOM, WIDER = 4096, 4000, 7, 1.15
SCENARIOS, POOL = 300, 100_000
INTERVAL = (0.05, 0.95)


@cache
def problem() -> Problem:
    """Return the study, read and built."""
    with jax.ensure_compile_time_eval():
        return build_problem(load_study(STUDY))


def model() -> calibrate.SimulatorModel:
    """Return the study's own model of the twelve subjects."""
    built = problem().model
    assert built is not None
    return built


def design():
    """Return the design of the twelve subjects."""
    return model().experiment.design


def expected(group, psi):
    """Return a subject's expected concentrations."""
    return model().predict(group, psi, KNOWN)


@jax.jit
def measure(key, truth, groups):
    """Return concentrations of new subjects, one a row, measured like the given ones of the twelve."""

    def one(key, group):
        member, scatter = jax.random.split(key)
        psi = truth[:3] + jnp.exp(truth[3:]) * jax.random.normal(member, (3,))
        mean = expected(design().at(group), psi)
        return mean + deviation(mean) * jax.random.normal(scatter, mean.shape)

    return jax.vmap(one)(jax.random.split(key, len(groups)), groups)


def deviation(mean):
    """Return the sd of a concentration."""
    return jnp.sqrt(ADDITIVE**2 + (PROPORTIONAL * mean) ** 2)


@jax.jit
def summaries(measured, groups):
    """Return each subject's root L and whitened data z."""

    def one(seen, index):
        group = design().at(index)

        def coordinates(psi):
            mean = expected(group, psi)
            sd = deviation(mean)
            return jnp.concatenate([(mean / jax.lax.stop_gradient(sd)), math.sqrt(2) * jnp.log(sd)])

        def log_density(psi):
            mean = expected(group, psi)
            sd = deviation(mean)
            return jnp.sum(-0.5 * ((seen - mean) / sd) ** 2 - jnp.log(sd))

        def local(psi):
            slopes = jax.jacfwd(coordinates)(psi)
            return slopes.T @ slopes, jax.grad(log_density)(psi)

        def step(psi, _):
            matrix, slope = local(psi)
            slope = slope - (psi - CENTRE) / SPREAD**2
            return psi + jnp.clip(jnp.linalg.solve(matrix + jnp.diag(1 / SPREAD**2), slope), -0.5, 0.5), None

        psi, _ = jax.lax.scan(step, jnp.asarray(CENTRE), None, length=15)
        matrix, slope = local(psi)
        values, vectors = jnp.linalg.eigh(matrix)
        root = vectors * jnp.sqrt(values)
        return root, root.T @ psi + (vectors.T @ slope) / jnp.sqrt(values)

    return jax.vmap(one)(measured, groups)


def vague(theta):
    """Return the log of the study's prior of locations and log-spreads (6, particle)."""
    location, log_spread = theta[:3], theta[3:]
    normal = -0.5 * jnp.sum((location - PRIOR_CENTRE[:, None]) ** 2, axis=0)
    half = log_spread - 0.5 * (jnp.exp(log_spread) / PRIOR_SPREAD[:, None]) ** 2
    return normal + half.sum(axis=0)


def informed(theta):
    """Return the log of a normal prior half as wide again as what the twelve real subjects leave open."""
    return -0.5 * jnp.sum(((theta - LEFT_OPEN[0][:, None]) / (1.5 * LEFT_OPEN[1][:, None])) ** 2, axis=0)


def log_posterior(theta, root, data, counted, prior):
    """Return the log posterior of particles (6, particle), up to a constant; padded where counted is 0."""

    def add(total, member):
        root, data, here = member
        return total + here * log_likelihood(root, data, theta), None

    return jax.lax.scan(add, prior(theta), (root, data, counted))[0]


@partial(jax.jit, static_argnames="prior")
def posterior_mode(root, data, counted, prior):
    """Return mode and covariance, by damped Newton steps."""

    def lacking(theta):
        return -log_posterior(theta[:, None], root, data, counted, prior)[0]

    def step(theta, _):
        values, vectors = jnp.linalg.eigh(jax.hessian(lacking)(theta))
        slope = vectors.T @ jax.grad(lacking)(theta)
        return theta - vectors @ jnp.clip(slope / jnp.maximum(jnp.abs(values), 1e-3), -0.3, 0.3), None

    start = jnp.concatenate([jnp.asarray(CENTRE), jnp.log(jnp.asarray(SPREAD))])
    mode, _ = jax.lax.scan(step, start, None, length=20)
    values, vectors = jnp.linalg.eigh(jax.hessian(lacking)(mode))
    return mode, vectors / jnp.sqrt(jnp.maximum(values, 1e-2))


@cache
def student() -> np.ndarray:
    """Return evenly spread draws (proposal, 6) of a t distribution with unit scale."""
    points = qmc.Sobol(7, rng=0).random(PROPOSALS)
    scale = np.sqrt(FREEDOM / stats.chi2.ppf(points[:, 6], FREEDOM))
    return stats.norm.ppf(points[:, :6]) * scale[:, None]


@partial(jax.jit, static_argnames="prior")
def proposed(mode, root_covariance, unit, root, data, counted, prior):
    """Return proposals (6, proposal) about the mode, and their normalised weights."""
    theta = mode[:, None] + WIDER * root_covariance @ unit.T
    away = -0.5 * (FREEDOM + 6) * jnp.log1p(jnp.sum(unit**2, axis=1) / FREEDOM)
    return theta, jax.nn.softmax(log_posterior(theta, root, data, counted, prior) - away)


def fit(root, data, n, prior=vague):
    """Return proposals (6, proposal) and weights of the posterior given the first n subjects."""
    size = min(1 << max(n - 1, 15).bit_length(), len(data))
    here = (root[:size], data[:size], (np.arange(size) < n).astype(float))
    return proposed(*posterior_mode(*here, prior), jnp.asarray(student()), *here, prior)


@cache
def scenarios() -> tuple[np.ndarray, np.ndarray]:
    """Return features (7, scenario) of failing scenarios, and their log weights.

    Members are drawn from a population with wider spreads about the study's; those that fail, with their
    pattern of doses, are thinned in proportion to their share of the failure probability.
    """
    rng, wider = np.random.default_rng(0), 1.6 * SPREAD
    psi = CENTRE + wider * rng.standard_normal((POOL, 3))
    pattern = rng.choice(3, p=[0.05, 0.93, 0.02], size=(POOL, 10))
    with jax.ensure_compile_time_eval():
        psi = psi[np.asarray(peaks(psi, pattern)) > 20]
    log_ratio = np.sum(0.5 * ((psi - CENTRE) / wider) ** 2 + np.log(wider), axis=1) - math.log(POOL)
    predictive = 1.15 * SPREAD
    near = np.sum(-0.5 * ((psi - CENTRE) / predictive) ** 2, axis=1) + log_ratio
    share = np.exp(near - near.max())
    share /= share.sum()
    picks = np.searchsorted(np.cumsum(share), (np.arange(SCENARIOS) + 0.5) / SCENARIOS).clip(max=len(psi) - 1)
    features = np.concatenate([psi[picks].T ** 2, psi[picks].T, np.ones((1, SCENARIOS))])
    return features, log_ratio[picks] - np.log(SCENARIOS * share[picks])


@jax.jit
def peaks(psi, pattern):
    """Return the largest concentration of each member under its pattern of doses."""
    sim = problem().sim

    def one(psi, taken):
        excess, clearance, volume = jnp.exp(psi)
        rates = {"absorption_rate": excess + clearance / volume, "clearance": clearance, "volume": volume}
        doses = {"times": 12.0 * jnp.arange(10), "amounts": 3.0 * taken}
        return sim.configure(doses=doses)(rates)["peak_concentration"]

    return jax.lax.map(lambda pair: one(*pair), (psi, pattern), batch_size=10_000)


def log_probability(theta):
    """Return the log probability of failure under one population."""
    location, log_spread = theta["location"], theta["log_spread"]
    features, log_weight = scenarios()
    tight = jnp.exp(-2 * log_spread)
    constant = -jnp.sum(0.5 * tight * location**2 + log_spread)
    linear = jnp.concatenate([-0.5 * tight, tight * location, constant[None]])
    return jax.nn.logsumexp(linear @ features + log_weight)


@jax.jit
def log_probabilities(theta):
    """The same for particles (6, particle)."""
    return jax.vmap(lambda row: log_probability({"location": row[:3], "log_spread": row[3:]}), 1)(theta)


def interval(theta, weights) -> np.ndarray:
    """Return the log of the ends of the 90 % interval of the probability."""
    values = np.asarray(log_probabilities(theta))
    order = np.argsort(values)
    reached = np.cumsum(np.asarray(weights)[order])
    return np.interp(INTERVAL, reached, values[order])


def planned(groups, psi, key):
    """Return the information in a new subject's samples, as the study does."""
    group = design().at(groups[jax.random.randint(key, (), 0, groups.shape[0])])
    return calibrate.member_information(model(), group, psi, KNOWN)


INFORMATION = Partial(planned, jnp.arange(PILOT))


@cache
def truths(prior) -> np.ndarray:
    """Return populations (draw, 6): from the informed prior, or what the twelve real subjects leave open."""
    rng = np.random.default_rng(0)
    if prior is informed:
        return LEFT_OPEN[0] + 1.5 * LEFT_OPEN[1] * rng.standard_normal((DRAWS, 6))
    root, data = summaries(design().observed, jnp.arange(PILOT))
    theta, weights = fit(root, data, PILOT)
    return np.asarray(theta).T[rng.choice(PROPOSALS, DRAWS, p=np.asarray(weights))]


@dataclass(frozen=True)
class Trial:
    """One truth, and all its subjects: the pilot first."""

    truth: np.ndarray
    groups: np.ndarray
    measured: np.ndarray
    root: jax.Array
    data: jax.Array
    prior: Callable

    @classmethod
    def of(cls, seed: int, prior: Callable = vague) -> Trial:
        """Draw a truth and measure its subjects; the pilot has each of the twelve designs once."""
        rng = np.random.default_rng([seed, 12])
        truth = truths(prior)[rng.integers(DRAWS)]
        groups = np.concatenate([np.arange(PILOT), rng.integers(PILOT, size=MOST)])
        measured = measure(jax.random.key(seed), truth, groups)
        root, data = summaries(measured, groups)
        return cls(truth, groups, np.asarray(measured), root, data, prior)

    def width(self, more: int) -> float:
        """Return the log ratio of the interval's ends after so many more subjects."""
        low, high = interval(*fit(self.root, self.data, PILOT + more, self.prior))
        return float(high - low)

    def draws(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return equally likely populations given the pilot."""
        theta, weights = fit(self.root, self.data, PILOT, self.prior)
        rows = np.asarray(theta).T[rng.choice(PROPOSALS, DRAWS, p=np.asarray(weights))]
        return {"location": rows[:, :3], "log_spread": rows[:, 3:]}


def forecast(trial: Trial, seed: int, futures: int, factor: float) -> Requirement:
    """Forecast how many more subjects it takes."""
    draws = trial.draws(np.random.default_rng([seed, 1]))
    return population(
        draws,
        INFORMATION,
        log_probability,
        factor,
        jax.random.key(seed),
        max_n=MOST,
        replicates=futures,
        evaluations=300,
    )


def collected(trial: Trial, factor: float) -> float:
    """Return how many more subjects it took: refit at 1, 2, 4, ... and then between the last two."""
    target = math.log(factor)
    if trial.width(0) <= target:
        return 0.0
    low, high = 0, 1
    while trial.width(high) > target:
        if high == MOST:
            return math.inf
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if trial.width(middle) <= target else (middle, high)
    return float(high)


def replication(seed: int, prior: Callable, factor: float, futures: int = 100) -> tuple[Requirement, float]:
    """Draw a truth and its pilot, forecast, then measure subjects and refit until the target is met."""
    trial = Trial.of(seed, prior)
    return forecast(trial, seed, futures, factor), collected(trial, factor)


def by_nuts(trial: Trial, more: int, key: jax.Array) -> tuple[np.ndarray, float]:
    """Return the interval's log ends by NUTS for a trial, noise unknown, and the worst R-hat."""
    n = PILOT + more
    laid_out = replace(design().at(trial.groups[:n]), observed=jnp.asarray(trial.measured[:n]))
    return sampled(replace(model(), experiment=replace(model().experiment, design=laid_out)), key)


def sampled(seen: calibrate.SimulatorModel, key: jax.Array) -> tuple[np.ndarray, float]:
    """Return the interval's log ends by NUTS on a model, and the worst R-hat."""
    posterior = calibrate.fit(seen, key, draws=1000, warmup=600, chains=2)
    shared = {name: posterior.draws[name] for name in seen.shared}
    location, log_spread = seen.population({name: jnp.asarray(value) for name, value in shared.items()})
    worst = float(posterior.diagnostics["r_hat"].sel(quantity=list(seen.shared)).max())
    return interval(jnp.hstack([location, log_spread]).T, np.full(len(location), 1 / len(location))), worst


def on_real_data() -> dict:
    """Hold the fit of the twelve real subjects, its quantity too, against NUTS on the study's model."""
    root, data = summaries(design().observed, jnp.arange(PILOT))
    ends = np.exp(interval(*fit(root, data, PILOT)))
    by_sampling, worst = sampled(model(), jax.random.key(7))
    return {
        "interval": ends.tolist(),
        "interval by NUTS": np.exp(by_sampling).tolist(),
        "R-hat": worst,
    }


def against_nuts(pilots: int = 1, larger: int = 0, more: int = 48) -> dict:
    """Hold the fit's intervals against those of NUTS, at the pilot and after further subjects."""
    rows = []
    for seed in range(pilots):
        trial = Trial.of(seed)
        for added in (0, more) if seed < larger else (0,):
            ends = interval(*fit(trial.root, trial.data, PILOT + added))
            sampled, worst = by_nuts(trial, added, jax.random.key(seed))
            rows.append(
                {
                    "subjects": PILOT + added,
                    "width": float(np.ptp(ends)),
                    "width by NUTS": float(np.ptp(sampled)),
                    "shift of the middle, per width": float((ends - sampled).mean() / np.ptp(sampled)),
                    "R-hat": worst,
                }
            )
    ratios = np.array([row["width"] / row["width by NUTS"] for row in rows])
    return {"rows": rows, "width over that of NUTS, median": float(np.median(ratios))}

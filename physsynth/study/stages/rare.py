"""Stage 2: the probability of failure, and weighted scenarios that fail.

Scenarios are sampled under one reference density that covers the population under most posterior draws;
reweighting them gives the probability under every draw without another call of the simulator. The
reference sample is drawn in independent replicates (the shards), so that the Monte Carlo error is what
it is seen to be, whatever the estimator. The posterior draws are a Monte Carlo sample too: how far their mean
probability is from that of endless chains is part of the interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy import stats

from physsynth import rare
from physsynth.core import Simulator, simulate
from physsynth.core.checks import Check
from physsynth.core.errors import SimulationError
from physsynth.core.failures import Stop
from physsynth.core.files import read, write
from physsynth.rare.evaluator import GRADIENT_COST
from physsynth.study.interval import mean_interval
from physsynth.study.load import Study, load_study
from physsynth.study.modes import Ways, design_points, flags, merged
from physsynth.study.precision import use_precision
from physsynth.study.predictive import log_density_under, log_predictive, ordinary_scenarios, thinned
from physsynth.study.problem import Problem, build_problem
from physsynth.study.records import equal_weight_records
from physsynth.study.shards import run_shards
from physsynth.study.stage import SUMMARY, Job
from physsynth.study.store import write_json

LEAST_ESS = 50.0
MORE_SCENARIOS = "lower rare.target_cov, and raise rare.max_calls where that is reached"
LOOSE = 1.5
ORDINARY = 4096


class Rare:
    """Estimate the failure probability over the posterior and keep the failing scenarios."""

    name = "rare"
    needs = ("network", "calibrate")
    tables = ("simulator", "scenario", "rare")

    def wanted(self, study: Study) -> bool:
        """Return True: every study asks for a failure."""
        return True

    def cost(self, study: Study) -> str:
        """Say how many simulator calls there are at most."""
        table = study.tables.rare
        return (
            f"at most {table.replicates * table.max_calls:,} simulator calls in {table.replicates} replicates"
        )

    def run(self, job: Job) -> None:
        """Sample the replicates, join them, and reweight them over the posterior."""
        table = job.study.tables.rare
        sampler = Sampler.of(job)
        job.progress(self.cost(job.study))
        paths = run_shards(
            job.folder,
            [f"replicate-{i:03d}.nc" for i in range(table.replicates)],
            sampler.write_shard,
            (sample_replicate, (job.study.path, job.study.tables.study.seed, job.folder, dict(job.inputs))),
            job.workers,
            lambda done: job.progress(f"replicate {done} of {table.replicates}", done, table.replicates),
        )
        replicates = [read(path) for path in paths]
        job.progress("joining the replicates" if job.posterior is None else "reweighting over the posterior")
        result = Result.of(sampler, replicates, job.posterior)
        write(job.folder / "scenarios.nc", result.scenarios)
        write(job.folder / "probability.nc", result.probability)
        write(job.folder / "design_points.nc", result.design_points)
        if result.records is not None:
            write(job.folder / "records.nc", result.records)
        write_json(job.folder / SUMMARY, result.summary)


def sample_replicate(study_path: Path, seed: int, folder: Path, inputs: dict, i: int) -> None:
    """Sample one replicate in a worker process."""
    study = load_study(study_path, seed)
    use_precision(study.tables.study.precision)
    Sampler.of(Job(build_problem(study), Rare.name, folder, inputs)).write_shard(i)


@dataclass(frozen=True)
class Sampler:
    """Draws replicates of the failing scenarios under the reference density."""

    job: Job
    sim: Simulator
    limit_state: Callable
    guide: Callable | None

    @classmethod
    def of(cls, job: Job) -> Sampler:
        """Build the sampler of a job; a network in the simulator's place is its guide."""
        sim = job.problem.reference(job.posterior)
        return cls(job, sim, job.problem.limit_state(sim), _guide(job))

    @property
    def problem(self) -> Problem:
        """The study, put together."""
        return self.job.problem

    @property
    def reference_draw(self) -> dict[str, jax.Array]:
        """The reference density of members, in the form of a posterior draw."""
        laws: list[Any] = [self.sim.parameters[v].distribution for v in self.problem.population_variables]
        return {
            "location": jnp.stack([jnp.asarray(law.loc) for law in laws]),
            "log_spread": jnp.log(jnp.stack([jnp.asarray(law.scale) for law in laws])),
        }

    @property
    def ways(self) -> Ways:
        """What tells the modes of failing scenarios apart."""
        name = self.job.study.tables.rare.limit_state
        return Ways(self.sim, name, self.problem.settings, self.limit_state)

    def write_shard(self, i: int) -> None:
        """Sample replicate i and write it."""
        event = self._event(jax.random.fold_in(self.job.key, i))
        if event.failed_runs and isinstance(self.problem.on_failure, Stop):
            raise SimulationError(
                f"{event.failed_runs} runs of {self.problem.sim.name} failed",
                key="simulator.on_failure",
                wanted='no failed run, under the policy "stop"',
                got=f"{event.failed_runs} of {event.calls} runs without a finite limit state",
                advice='choose "keep" to count them both ways, or mend the simulator',
            )
        attrs = {
            "probability": event.probability,
            "upper_bound": event.bounds[1],
            "calls": event.calls,
            "gradient_calls": event.gradient_calls,
            "guide_calls": event.guide_calls,
            "draws": event.draws,
            "failed_runs": event.failed_runs,
            "converged": int(event.converged),
            "warnings": "\n".join(event.warnings),
        }
        designs = ("design", "u"), event.modes["design_point"].values
        replicate = event.scenarios.assign(design_point=designs).assign_attrs(attrs)
        write(self.job.folder / f"replicate-{i:03d}.nc", replicate)

    def _event(self, key) -> rare.Event:
        """Sample; anew, and longer, where reweighting leaves a spread of half as much again as was aimed at.

        The posterior draws weigh scenarios that are rare under the wide reference density.
        """
        table = self.job.study.tables.rare
        target = table.target_cov * table.replicates**0.5
        first = self._estimate(key, target, table.max_calls)
        own, carried = self._covs(first)
        spent = first.calls + GRADIENT_COST * first.gradient_calls
        if not np.isfinite(carried) or carried <= LOOSE * target or 2 * spent > table.max_calls:
            return first
        second = self._estimate(jax.random.fold_in(key, 1), target * own / carried, table.max_calls - spent)
        counts = ("calls", "gradient_calls", "guide_calls", "failed_runs")
        return replace(second, **{name: getattr(first, name) + getattr(second, name) for name in counts})

    def _estimate(self, key, target_cov, max_calls) -> rare.Event:
        return rare.estimate(
            self.limit_state,
            self.sim.space,
            key,
            target_cov=target_cov,
            max_calls=max_calls,
            method=self.job.study.tables.rare.method,
            differentiable=self.sim.differentiable,
            guide=self.guide,
            # Each posterior draw weighs them anew.
            scenarios=0 if self.job.posterior is None else math.ceil(target_cov**-2),
        )

    def _covs(self, event) -> tuple[float, float]:
        """Return the coefficients of variation of the probability, and of its mean over the posterior."""
        if self.job.posterior is None or not event.probability > 0:
            return event.cov, event.cov
        size = 1 << (event.scenarios.sizes["scenario"] - 1).bit_length()
        carried = _carry(self, event.scenarios, self.job.posterior, size)
        own, other = (
            np.sqrt(np.sum(w**2) / np.sum(w) ** 2 - 1.0 / event.draws)
            for w in (event.scenarios["weight"].values, carried.weights)
        )
        # With a guide the probability is known better than its scenarios carry it.
        reached = event.cov if self.guide is None else max(event.cov, float(own))
        return reached, float(reached * other / max(own, 1e-12))


def _guide(job):
    if job.network is None:
        return None
    problem = job.problem.through(job.network)
    return problem.limit_state(problem.reference(job.posterior))


@dataclass(frozen=True)
class Result:
    """What the replicates say together."""

    scenarios: xr.Dataset
    probability: xr.Dataset
    design_points: xr.Dataset
    records: xr.Dataset | None
    summary: dict

    @classmethod
    def of(cls, sampler: Sampler, replicates: list[xr.Dataset], posterior) -> Result:
        """Join the replicates and carry them over the posterior draws."""
        size = max(replicate.sizes["scenario"] for replicate in replicates)
        size = 1 << (size - 1).bit_length()
        carried = [_carry(sampler, replicate, posterior, size) for replicate in replicates]
        per_draw = np.stack([part.probabilities for part in carried])
        scenarios = _scenarios(sampler, replicates, [part.weights for part in carried], posterior)
        designs = _design_points(sampler, replicates, scenarios) if posterior is None else xr.Dataset()
        records = _records(sampler, scenarios)
        summary = _summary(sampler, replicates, carried, per_draw, scenarios)
        summary["modes"] = _modes(scenarios, designs)
        summary["checks"] += [check.summary() for check in _record_checks(records)]
        return cls(scenarios, _over_draws(per_draw), designs, records, summary)


@dataclass(frozen=True)
class _Carried:
    probabilities: np.ndarray
    weights: np.ndarray
    ess: np.ndarray


def _carry(sampler, replicate, posterior, size) -> _Carried:
    """Return one replicate's probability under every draw, and its predictive weights.

    Replicates are padded to one `size` with scenarios of no weight, so that they share compiled code.
    """
    weights = replicate["weight"].values
    if posterior is None:
        ess = weights.sum() ** 2 / max(np.sum(weights**2), 1e-300)
        return _Carried(np.array([weights.sum()]), weights, np.array([ess]))
    draws = thinned(sampler.problem.population_draws(posterior))
    if not weights.sum() > 0:
        return _Carried(np.zeros(len(draws["location"])), weights, np.zeros(1))
    spare = size - len(weights)
    names = sampler.problem.population_variables
    values = {name: jnp.asarray(np.pad(replicate[name].values, (0, spare), mode="edge")) for name in names}
    log_reference = log_density_under(sampler.problem.log_density, sampler.reference_draw, values)
    padded = jnp.asarray(np.pad(weights, (0, spare)))
    log_density, n = sampler.problem.log_density, replicate.attrs["draws"]
    over = rare.over_draws(values, padded, log_density, log_reference, draws, n)
    return _Carried(over.probabilities, over.weights[: len(weights)], over.effective_sample_sizes)


def _scenarios(sampler, replicates, weights, posterior) -> xr.Dataset:
    """Run the failing scenarios in full and say of each its weight, mode and plausibility."""
    space = sampler.sim.space
    values = {
        name: np.concatenate([replicate[name].values for replicate in replicates]) for name in space.names
    }
    weight = np.concatenate(weights) / len(replicates)
    sizes = [replicate.sizes["scenario"] for replicate in replicates]
    g = np.concatenate([replicate["g"].values for replicate in replicates])
    if not len(g):
        return xr.Dataset({"weight": ("scenario", weight)})
    runs = simulate(sampler.sim, values, on_failure=sampler.problem.on_failure)
    mode = merged(sampler.ways.labels(runs), weight)
    names = sorted(set(mode), key=lambda name: -weight[mode == name].sum())
    index = np.array([names.index(name) for name in mode], np.int8)
    density = log_predictive(sampler.problem, sampler.sim, values, posterior)
    limit = sampler.problem.sim.limit_states[sampler.job.study.tables.rare.limit_state]
    replicate = np.repeat(np.arange(len(sizes)), sizes).astype(np.int16)
    columns = {
        "limit_state": (g, limit.unit, "limit state g, failure where g <= 0"),
        "weight": (weight, "1", "share of the failure probability; they sum to it"),
        "log_density": (density, "1", "log predictive density of the parameters"),
        "plausibility": (
            _percentile(sampler, density, posterior),
            "percent",
            "share of ordinary scenarios that are less likely than this one",
        ),
        "replicate": (replicate, "1", "independent replicate that the scenario comes from"),
    }
    dressed = {
        name: ("scenario", value, {"units": unit, "long_name": text})
        for name, (value, unit, text) in columns.items()
    }
    dressed["mode"] = ("scenario", index, flags(names, sampler.ways.meaning))
    return runs.assign(dressed)


def _names(scenarios) -> list[str]:
    return [name.replace("_", " ") for name in scenarios["mode"].attrs["flag_meanings"].split()]


def _design_points(sampler, replicates, scenarios) -> xr.Dataset:
    """Return the most probable scenario of each mode, of those that any replicate found.

    Not after a calibration: there the replicates are drawn under a density wider than any draw's.
    """
    if "mode" not in scenarios:
        return xr.Dataset()
    found = np.concatenate([replicate["design_point"].values for replicate in replicates])
    return design_points(sampler.ways, found, _names(scenarios))


def _records(sampler, scenarios) -> xr.Dataset | None:
    """Draw as many equal-weight failing records as the study wants."""
    n = sampler.job.study.tables.rare.records
    if not n or "mode" not in scenarios:
        return None
    return equal_weight_records(scenarios, jax.random.fold_in(sampler.job.key, 20_000), n)


def _percentile(sampler, density, posterior):
    ordinary = ordinary_scenarios(
        sampler.problem, sampler.sim, posterior, jax.random.fold_in(sampler.job.key, 10_000), ORDINARY
    )
    reference = np.sort(log_predictive(sampler.problem, sampler.sim, ordinary, posterior))
    return 100.0 * np.searchsorted(reference, density, side="right") / ORDINARY


def _over_draws(per_draw) -> xr.Dataset:
    """Dress the probability under each draw with its Monte Carlo error over the replicates."""
    error = per_draw.std(axis=0, ddof=1) / np.sqrt(len(per_draw))
    attrs = {"units": "1", "long_name": "failure probability under one posterior draw of the population"}
    return xr.Dataset(
        {
            "probability": ("draw", per_draw.mean(axis=0), attrs),
            "standard_error": ("draw", error, {"units": "1", "long_name": "its Monte Carlo error"}),
        }
    )


def _summary(sampler, replicates, carried, per_draw, scenarios):
    attrs = [replicate.attrs for replicate in replicates]
    mean, errors, (low, high) = mean_interval(per_draw, _chains(sampler.job.study))
    failed = sum(int(a["failed_runs"]) for a in attrs)
    excess = float(np.mean([a["upper_bound"] - a["probability"] for a in attrs]))
    summary = {
        "probability": mean,
        "monte_carlo_interval_95": [low, high],
        "relative_errors": errors,
        "posterior": _posterior_quantiles(per_draw),
        "failed_runs": failed,
        "failed_runs_bounds": [mean, min(1.0, mean + excess)],
        "calls": sum(int(a["calls"]) for a in attrs),
        "gradient_calls": sum(int(a["gradient_calls"]) for a in attrs),
        "guide_calls": sum(int(a["guide_calls"]) for a in attrs),
        "replicates": len(replicates),
        "scenarios": int(scenarios.sizes["scenario"]),
        "mode_meaning": sampler.ways.meaning,
        "warnings": sorted({line for a in attrs for line in str(a["warnings"]).split("\n") if line}),
    }
    return {**summary, "checks": [check.summary() for check in _checks(sampler, summary, attrs, carried)]}


def _chains(study):
    return 1 if study.tables.calibrate is None else study.tables.calibrate.chains


def _posterior_quantiles(per_draw):
    """Quantiles of the probability over the posterior, alone and with the Monte Carlo error added."""
    if per_draw.shape[1] == 1:
        return None
    mean = per_draw.mean(axis=0)
    error = per_draw.std(axis=0, ddof=1) / np.sqrt(len(per_draw))
    relative = error / np.maximum(mean, 1e-300)
    # Each draw's estimate is spread log-normally by its own error, at 15 evenly placed quantiles.
    z = stats.norm.ppf((np.arange(15) + 0.5) / 15)
    spread = mean[:, None] * np.exp(np.sqrt(np.log1p(relative**2))[:, None] * z)
    levels = (0.05, 0.5, 0.95)
    return {
        "alone": dict(zip(("q05", "q50", "q95"), np.quantile(mean, levels).tolist(), strict=True)),
        "with_monte_carlo_error": dict(
            zip(("q05", "q50", "q95"), np.quantile(spread, levels).tolist(), strict=True)
        ),
        "median_relative_error": float(np.median(relative)),
    }


def _modes(scenarios, designs):
    if "mode" not in scenarios:
        return []
    names, index = _names(scenarios), {}
    if "mode" in designs:
        index = dict(zip(designs["mode"].values.tolist(), designs["reliability_index"].values, strict=True))
    weight, mode = scenarios["weight"].values, scenarios["mode"].values
    rows = []
    for i, name in enumerate(scenarios["mode"].attrs["flag_meanings"].split()):
        own = mode == i
        likeliest = int(np.flatnonzero(own)[np.argmax(scenarios["log_density"].values[own])])
        rows.append(
            {
                "name": names[i],
                "label": name,
                "share": float(weight[own].sum() / weight.sum()),
                "scenarios": int(own.sum()),
                "likeliest_scenario": likeliest,
                "plausibility_percent": float(scenarios["plausibility"].values[likeliest]),
                "reliability_index": float(index[i]) if i in index else None,
            }
        )
    return rows


def _record_checks(records):
    if records is None:
        return []
    worth = records.attrs["effective_sample_size"]
    passed = worth > LEAST_ESS
    return [Check("independent failing records", worth, f"> {LEAST_ESS:g}", passed, MORE_SCENARIOS)]


def _checks(sampler, summary, attrs, carried):
    table = sampler.job.study.tables.rare
    cov = summary["relative_errors"]["scenarios"]
    converged = sum(int(a["converged"]) for a in attrs)
    rows = [
        (
            "replicates that converged",
            converged,
            f"= {len(attrs)}",
            converged == len(attrs),
            "raise rare.max_calls",
        ),
        (
            "coefficient of variation of the probability",
            cov,
            f"< {2 * table.target_cov:g}",
            cov < 2 * table.target_cov,
            "raise rare.max_calls or rare.replicates",
        ),
        (
            "failing scenarios",
            summary["scenarios"],
            f">= {table.scenarios}",
            summary["scenarios"] >= table.scenarios,
            "lower rare.target_cov or raise rare.replicates",
        ),
        (
            "failed runs",
            summary["failed_runs"],
            "= 0",
            summary["failed_runs"] == 0,
            "the probability lies between the two bounds that count them as survivals and as failures",
        ),
    ]
    checks = [Check(*row) for row in rows]
    return checks if summary["posterior"] is None else [*checks, _carrying_check(carried)]


def _carrying_check(carried):
    least = float(np.quantile(sum(part.ess for part in carried), 0.05))
    name = "scenarios that carry the probability of 95 % of the posterior draws"
    return Check(name, least, f"> {LEAST_ESS:g}", least > LEAST_ESS, MORE_SCENARIOS)

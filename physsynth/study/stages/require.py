"""Stage 4: how many more members of the population settle the probability, and what is worth measuring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from physsynth import require
from physsynth.core.checks import BEYOND, Check
from physsynth.core.files import write
from physsynth.study.load import Study
from physsynth.study.predictive import log_members, thinned
from physsynth.study.regime import Regime
from physsynth.study.reveal import CALLS, revealed
from physsynth.study.stage import SUMMARY, Job, checks_of, for_a_study
from physsynth.study.store import write_json
from physsynth.study.ways import LIKE_THE_MEASURED, NewMembers

SCENARIOS = 400
# What a check advises a caller in Python, and the key of a study file that does it.
KEYS = {
    "raise replicates": "raise require.replicates",
    "hand in more posterior draws and raise particles": "raise calibrate.draws and require.particles",
    "raise max_n": "raise require.max_n",
}


class Require:
    """Forecast the number of further members, and compare ways of measuring them."""

    name = "require"
    needs = ("calibrate", "rare", "evaluate")
    tables = ("study", "simulator", "measurements", "require")

    def wanted(self, study: Study) -> bool:
        """Return whether the study asks how much more data is needed."""
        return study.tables.require is not None

    def cost(self, study: Study) -> str:
        """Say how many futures are imagined."""
        table = study.tables.require
        assert table is not None
        futures = f"{table.replicates} imagined futures of up to {table.max_n:,} members"
        return f"{futures}; slopes of the simulator, and at most {CALLS:,} calls"

    def run(self, job: Job) -> None:
        """Forecast, and say where the number rests on extrapolation."""
        table = job.study.tables.require
        assert table is not None
        assert job.posterior is not None
        assert job.problem.model is not None
        job.progress(self.cost(job.study))
        members = NewMembers.of(job.problem.model, job.posterior)
        scenarios = job.dataset("rare", "scenarios")
        need = require.population(
            job.problem.population_draws(job.posterior),
            members.information(LIKE_THE_MEASURED),
            log_probability(job, scenarios),
            table.factor,
            job.key,
            assurance=table.assurance,
            interval=table.interval,
            max_n=table.max_n,
            designs=members.designs(),
            replicates=table.replicates,
            particles=table.particles,
            wording=require.Wording(_claim(job), _counted(job)),
            costs=table.costs,
        )
        regime = Regime.of(job.problem, scenarios)
        need = revealed(
            regime.placed(need), regime, job.problem, scenarios, job.posterior, jax.random.fold_in(job.key, 1)
        )
        write(job.folder / "forecast.nc", need.forecast)
        write_json(job.folder / SUMMARY, _summary(job, need, regime.share_outside))


def _claim(job):
    name = job.study.tables.rare.limit_state
    return f"probability that {job.problem.sim.limit_states[name].words(job.problem.settings) or name}"


def _counted(job):
    table = job.study.tables.measurements
    return f"{table.groups}s" if table.groups else "members"


def log_probability(job: Job, scenarios) -> Callable:
    """Return log P(failure) as a function of one draw of the population, from a subset of the scenarios.

    With v_j the predictive weights and p the members' density, P(theta) = sum_j v_j p(x_j | theta) / mean_s
    p(x_j | theta_s). Scenarios are picked systematically in proportion to v_j.
    """
    problem, posterior = job.problem, job.posterior
    assert posterior is not None
    weight = scenarios["weight"].values
    total = weight.sum()
    count = min(SCENARIOS, len(weight))
    picks = np.searchsorted(np.cumsum(weight) / total, (np.arange(count) + 0.5) / count).clip(
        max=len(weight) - 1
    )
    own = {name: jnp.asarray(scenarios[name].values[picks]) for name in problem.population_variables}
    log_mean = log_members(problem, thinned(problem.population_draws(posterior)), own)

    def log_quantity(theta):
        ratios = problem.log_density(theta, own) - log_mean
        return jnp.log(total / count) + jax.nn.logsumexp(ratios)

    return log_quantity


def _summary(job, need, outside):
    study, data = job.study.tables.study, job.problem.measurements
    context = {
        "question of interest": study.question,
        "context of use": study.context_of_use or "not stated",
        "model influence": "the probability and its interval come from the calibrated model alone",
        "decision consequence": study.decision_consequence or "not stated",
    }
    in_hand = {
        "source": job.study.tables.measurements.source or "not stated",
        "size": f"{data.sizes['observation']} measurements of {len(job.problem.model.experiment.labels)} "
        f"{need.question.counted}",
        "sha256": data.attrs["sha256"],
    }
    statement = replace(need, checks=(*need.checks, *refuted(job))).statement(context, in_hand)
    return {
        **need.summary(),
        "checks": [{**for_a_study(check, KEYS), "value": _finite(check.value)} for check in need.checks],
        "statement": statement,
        "headline": f"{statement['verdict']} {statement['number']}",
        "share_outside_measured_range": outside,
    }


def refuted(job: Job) -> tuple[Check, ...]:
    """Return the checks that the evaluation failed: they speak against the model behind the forecast."""
    found = job.summary("evaluate")
    noise = checks_of({"checks": found.get("noise", [])})
    return tuple(check for check in (*checks_of(found), *noise) if not check.passed)


def _finite(value):
    """Return a number that JSON has a place for: one never reached is huge, and one of nothing is 0."""
    return float(np.nan_to_num(value, nan=0.0, posinf=BEYOND, neginf=-BEYOND))

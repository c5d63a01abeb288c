"""Stage 3: how many more members of the population settle the probability, and what is worth measuring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from physsynth import require
from physsynth.calibrate import member_information
from physsynth.core.checks import BEYOND
from physsynth.core.files import write
from physsynth.study.load import Study
from physsynth.study.predictive import log_members, thinned
from physsynth.study.problem import Problem
from physsynth.study.regime import Regime
from physsynth.study.stage import SUMMARY, Job, for_a_study
from physsynth.study.store import write_json

SCENARIOS = 400
CONDITIONS = 5
# What a check advises a caller in Python, and the key of a study file that does it.
KEYS = {
    "raise replicates": "raise require.replicates",
    "hand in more posterior draws and raise particles": "raise calibrate.draws and require.particles",
    "raise max_n": "raise require.max_n",
}


class Require:
    """Forecast the number of further members, and compare ways of measuring them."""

    name = "require"
    needs = ("calibrate", "rare")
    tables = ("study", "simulator", "measurements", "require")

    def wanted(self, study: Study) -> bool:
        """Return whether the study asks how much more data is needed."""
        return study.tables.require is not None

    def cost(self, study: Study) -> str:
        """Say how many futures are imagined."""
        table = study.tables.require
        assert table is not None
        futures = f"{table.replicates} imagined futures of up to {table.max_n:,} members"
        return f"{futures}; no simulator calls but slopes"

    def run(self, job: Job) -> None:
        """Forecast, and say where the number rests on extrapolation."""
        table = job.study.tables.require
        assert table is not None
        assert job.posterior is not None
        job.progress(self.cost(job.study))
        members = NewMembers.of(job)
        scenarios = job.dataset("rare", "scenarios")
        need = require.population(
            job.problem.population_draws(job.posterior),
            members.information(),
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
        )
        regime = Regime.of(job.problem, scenarios)
        need = regime.placed(need)
        write(job.folder / "forecast.nc", need.forecast)
        write_json(job.folder / SUMMARY, _summary(job, need, regime.share_outside))


def _claim(job):
    name = job.study.tables.rare.limit_state
    return f"probability that {job.problem.sim.limit_states[name].words(job.problem.settings) or name}"


def _counted(job):
    table = job.study.tables.measurements
    return f"{table.groups}s" if table.groups else "members"


@dataclass(frozen=True)
class NewMembers:
    """What new members would tell, if each is measured like one of the measured ones, picked at random."""

    problem: Problem
    draw: Mapping[str, jax.Array]

    @classmethod
    def of(cls, job: Job) -> NewMembers:
        """Take noise and pooled parameters at their posterior medians."""
        assert job.posterior is not None
        draw = {name: jnp.asarray(np.median(v)) for name, v in job.posterior.items() if v.ndim == 1}
        return cls(job.problem, draw)

    @property
    def design(self):
        """The design of the measured members."""
        assert self.problem.model is not None
        return self.problem.model.experiment.design

    @cached_property
    def _measured(self) -> Callable:
        """Information in a member's data, measured like one of `groups` in the `kept` slots.

        One function object for all designs, which differ in arrays alone and so share compiled code.
        """
        model, design = self.problem.model, self.design
        assert model is not None

        def information(groups, kept, psi, key):
            group = design.at(groups[jax.random.randint(key, (), 0, groups.shape[0])])
            return member_information(model, replace(group, mask=group.mask & kept), psi, self.draw)

        return information

    def information(self, group: int | None = None, without: int | None = None) -> Callable:
        """Return the information in a member's data: like any measured one, or all like one `group`."""
        members, slots = self.design.mask.shape
        groups = np.arange(members) if group is None else np.full(members, group)
        kept = np.arange(slots) != (-1 if without is None else without)
        return Partial(self._measured, jnp.asarray(groups), jnp.asarray(kept))

    def designs(self) -> dict[str, Callable]:
        """Return the other ways of measuring a member, by name.

        Where a member is measured several times: each sample left out in turn. Where it is measured
        once: every member at one of the measured conditions.
        """
        if self.design.mask.shape[1] > 1:
            return {name: self.information(without=slot) for slot, name in self._slots()}
        return {name: self.information(group=group) for group, name in self._conditions()}

    def _slots(self):
        """Yield each slot with the median of its coordinate, named for people."""
        model = self.problem.model
        assert model is not None
        name = model.experiment.along
        if name is None:
            return [(slot, f"without measurement {slot + 1}") for slot in range(self.design.mask.shape[1])]
        coordinate = np.asarray(self.design.options[name])
        (dim, place), *_ = model.sim.outputs[model.experiment.output].dims.items()
        return [
            (slot, f"without the sample at {dim} {_short(np.median(coordinate[:, slot]))} {place.unit}")
            for slot in range(coordinate.shape[1])
        ]

    def _conditions(self):
        """Yield groups whose known parameters are spread over the measured range, named for people."""
        known = {name: np.asarray(value)[:, 0] for name, value in self.design.parameters.items()}
        if not known:
            return []
        name, values = next(iter(known.items()))
        unit = self.problem.sim.parameters[name].unit
        order = np.argsort(values, kind="stable")
        picks = order[np.linspace(0, len(order) - 1, CONDITIONS).round().astype(int)]
        return [
            (int(group), f"all at {name} {_short(values[group])} {unit}")
            for group in dict.fromkeys(picks.tolist())
        ]


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
    statement = need.statement(context, in_hand)
    return {
        **need.summary(),
        "checks": [{**for_a_study(check, KEYS), "value": _finite(check.value)} for check in need.checks],
        "statement": statement,
        "headline": f"{statement['verdict']} {statement['number']}",
        "share_outside_measured_range": outside,
    }


def _short(value):
    """Write a coordinate to three digits, and no whole number in powers of ten."""
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def _finite(value):
    """Return a number that JSON has a place for: one never reached is huge, and one of nothing is 0."""
    return float(np.nan_to_num(value, nan=0.0, posinf=BEYOND, neginf=-BEYOND))

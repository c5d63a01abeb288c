"""Stage 3: do simulated members look like the measured ones, and do all scenarios obey the laws?"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth import evaluate
from physsynth.core import simulate
from physsynth.core.files import read_tree, write
from physsynth.study import fits
from physsynth.study.load import Study
from physsynth.study.predictive import ordinary_scenarios
from physsynth.study.stage import SUMMARY, Job
from physsynth.study.stages.rare import Sampler
from physsynth.study.store import write_json

NEW_MEMBERS = 1000


class Evaluate:
    """Predictive checks against the measurements, and constraints on rare and ordinary scenarios."""

    name = "evaluate"
    needs = ("calibrate", "rare")
    tables = ("simulator", "scenario", "rare", "evaluate")

    def wanted(self, study: Study) -> bool:
        """Return True: scenarios are always held against the laws of their simulator."""
        return True

    def cost(self, study: Study) -> str:
        """Say how many scenarios are looked at."""
        return f"{study.tables.evaluate.ordinary_scenarios:,} ordinary scenarios, and every rare one again"

    def run(self, job: Job) -> None:
        """Check predictions and laws."""
        summary: dict = {"checks": []}
        sampler = Sampler.of(job)
        job.progress("laws on every scenario")
        n = job.study.tables.evaluate.ordinary_scenarios
        drawn = ordinary_scenarios(job.problem, sampler.sim, job.posterior, job.key, n)
        ordinary = simulate(sampler.sim, drawn, on_failure=job.problem.on_failure)
        write(job.folder / "ordinary.nc", ordinary)
        for kind, scenarios in (("rare", job.dataset("rare", "scenarios")), ("ordinary", ordinary)):
            if "mode" in scenarios or kind == "ordinary":
                found = evaluate.plausibility(sampler.sim, scenarios)
                write(job.folder / f"{kind}_laws.nc", _stored(found))
                summary["checks"] += [
                    _named(check.summary(), f"{kind} scenarios") for check in found.checks()
                ]
        if job.posterior is not None:
            summary["noise"] = []
            summary["coverage"] = self._predictions(job, summary["checks"], summary["noise"])
        write_json(job.folder / SUMMARY, summary)

    def _predictions(self, job, checks, noise):
        job.progress("predictions against the measurements")
        model = job.problem.model
        mask = np.asarray(model.experiment.design.mask)
        real = xr.DataArray(
            np.asarray(model.experiment.design.observed)[mask],
            dims="observation",
            attrs={"units": model.sim.outputs[model.experiment.output].unit},
        )
        member = np.broadcast_to(np.arange(len(mask))[:, None], mask.shape)[mask]
        coverage = {}
        for kind, replicates in (("same members", _same(job)), ("new members", _new(job))):
            synthetic = xr.DataArray(replicates[:, mask], dims=("replicate", "observation"))
            found = evaluate.fidelity(real, synthetic, member)
            rows = model.experiment.rows[mask]
            write(
                job.folder / f"{kind.replace(' ', '_')}.nc", found.dataset.assign(row=("observation", rows))
            )
            checks += [_named(check.summary(), kind) for check in found.checks()]
            coverage[kind] = found.summary()["coverage"]
        for name, found in _residuals(job, real, member).items():
            write(job.folder / f"residuals_{name}.nc", found.dataset)
            order = f"in order of {name.replace('_', ' ')}"
            checks += [_named(check.summary(), order) for check in found.checks()]
            noise += [_named(check.summary(), order) for check in found.noise_checks()]
        return coverage


def _stored(found):
    """Keep booleans as small integers, which every reader of HDF5 understands."""
    return found.dataset.assign(held=found.dataset["held"].astype(np.int8))


def _named(check, kind):
    return {**check, "name": f"{check['name']} ({kind})"}


def _residuals(job, real, member):
    """Look for runs of residuals within members or, where each was measured once, from member to member."""
    experiment = job.problem.model.experiment
    mask, key = np.asarray(experiment.design.mask), jax.random.fold_in(job.key, 2)
    if mask.sum(axis=1).max() > 1:
        expected, spread = fits.of_members(job.problem, job.posterior)
    else:
        expected, spread = fits.of_new_members(job.problem, job.posterior, jax.random.fold_in(job.key, 3))
        member = None
    return {
        name: evaluate.residuals(
            real, expected[:, mask], spread[:, mask], key, along=along[mask], groups=member
        )
        for name, along in fits.orders(experiment).items()
    }


def _same(job):
    """Replicates of the measured members: shape (draw, group, slot)."""
    tree = read_tree(job.inputs["calibrate"] / "calibration.nc")
    replicates = tree["posterior_predictive"].to_dataset()[job.problem.model.experiment.output].values
    return replicates.reshape(-1, *replicates.shape[2:])


def _new(job):
    """Replicates of new members of the population under the measured members' designs."""
    problem, model = job.problem, job.problem.model
    draws = fits.shared(fits.evenly(job.posterior, NEW_MEMBERS))
    population = problem.population_draws({name: np.asarray(value) for name, value in draws.items()})
    design = model.experiment.design

    def one(inputs):
        key, draw, location, log_spread = inputs
        member_key, noise_key = jax.random.split(key)
        z = jax.random.normal(member_key, (design.mask.shape[0], location.shape[0]))
        log_own = location + jnp.exp(log_spread) * z
        mean, spread = jax.vmap(lambda group, psi: model.measure(group, psi, draw))(design, log_own)
        return mean + spread * jax.random.normal(noise_key, mean.shape)

    keys = jax.random.split(jax.random.fold_in(job.key, 1), len(population["location"]))
    inputs = (keys, draws, population["location"], population["log_spread"])
    return np.asarray(jax.jit(lambda x: jax.lax.map(one, x, batch_size=64))(inputs))

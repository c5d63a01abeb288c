"""Stage 1: the posterior of the simulator's parameters given the measurements."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from physsynth import calibrate
from physsynth.calibrate import NoUTurn
from physsynth.calibrate.priors import deviation
from physsynth.core.checks import Check
from physsynth.core.files import write
from physsynth.study.load import Study
from physsynth.study.stage import SUMMARY, Job, for_a_study
from physsynth.study.store import write_json

# What a check advises a caller in Python, and the key of a study file that does it.
KEYS = {
    "run longer chains": "raise calibrate.draws",
    "raise the target acceptance": "raise calibrate.target_acceptance",
}


class Calibrate:
    """Draw from the posterior; keep draws, statistics, predictions and checks."""

    name = "calibrate"
    needs = ("network",)
    tables = ("simulator", "measurements", "calibrate")

    def wanted(self, study: Study) -> bool:
        """Return whether there are measurements to calibrate on."""
        return study.tables.calibrate is not None

    def cost(self, study: Study) -> str:
        """Say how long the chains are."""
        table = study.tables.calibrate
        assert table is not None
        steps = f"{table.warmup} + {table.draws} steps"
        return f"{table.chains} chains of {steps}, each with gradients of all members"

    def run(self, job: Job) -> None:
        """Run the chains."""
        table, model = job.study.tables.calibrate, _model(job)
        assert table is not None
        job.progress(self.cost(job.study))
        calibration = calibrate.fit(
            model,
            job.key,
            draws=table.draws,
            warmup=table.warmup,
            chains=table.chains,
            method=NoUTurn(table.target_acceptance, model.shared),
        )
        write(job.folder / "calibration.nc", calibration.tree)
        typical = {name: _quantiles(values) for name, values in _typical(model, calibration.draws).items()}
        summary = {**calibration.summary(), "typical": typical, **_about(model, calibration.draws)}
        checks = [for_a_study(check, KEYS) for check in calibration.checks()]
        summary["checks"] = [*checks, *_network_checks(job, model, calibration.draws)]
        write_json(job.folder / SUMMARY, summary)


def _model(job):
    """The calibration model; with a network, run through it and with its error in the noise."""
    model, network = job.problem.model, job.network
    assert model is not None
    if network is None:
        return model
    measured = network.only(model.experiment.output)
    sim = replace(measured, options=model.experiment.sim.options)
    error = job.summary("network")["error"]
    return replace(
        model,
        experiment=replace(model.experiment, sim=sim),
        members=replace(model.members, sim=sim),
        noise=replace(model.noise, simulator=error),
    )


def _network_checks(job, model, draws):
    """Do members stay where the network was trained, and is its error small beside the noise?"""
    if job.network is None:
        return []
    known = {model.members.variable(name): name for name in model.members.populations}
    inside = [
        (draws[f"{variable}_own"] >= low) & (draws[f"{variable}_own"] <= high)
        for variable, name in known.items()
        if name in job.network.solution.problem.ranges
        for low, high in [job.network.solution.problem.ranges[name]]
    ]
    share = float(np.mean(np.stack(inside))) if inside else 1.0
    observed = np.asarray(model.experiment.design.observed)[np.asarray(model.experiment.design.mask)]
    noise = {name: jnp.median(jnp.asarray(draws[name])) for name in draws if name.endswith("_noise")}
    size = np.abs(observed).mean()
    shared = model.noise.simulator * np.sqrt(np.asarray(model.experiment.design.mask).sum(axis=1).max())
    ratio = float(shared * size / deviation(jnp.asarray(size), noise))
    rows = [
        Check("members within the network's ranges", share, "> 0.99", share > 0.99, "widen network.ranges"),
        Check("network's error beside the noise", ratio, "< 1", ratio < 1.0, "raise network.iterations"),
    ]
    return [row.summary() for row in rows]


def _typical(model, draws):
    """The simulator's parameters of a member at the population medians, per draw."""
    scalars = {name: values for name, values in draws.items() if values.ndim == 1}
    return {name: np.asarray(value) for name, value in model.typical(scalars).items()}


def _quantiles(values):
    return dict(zip(("q05", "q50", "q95"), np.quantile(values, [0.05, 0.5, 0.95]).tolist(), strict=True))


def _about(model, draws):
    return {
        "units": model.units,
        "members": int(model.experiment.design.mask.shape[0]),
        "measurements": int(np.asarray(model.experiment.design.mask).sum()),
        "bounded": [name for name in model.members.priors if name in model.sim.lower_bounds],
        "centred": any(name.endswith("_log_own") for name in draws),
    }

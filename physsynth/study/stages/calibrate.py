"""Stage 1: the posterior of the simulator's parameters given the measurements."""

from __future__ import annotations

import numpy as np

from physsynth import calibrate
from physsynth.calibrate import NoUTurn
from physsynth.core.files import write
from physsynth.study.load import Study
from physsynth.study.stage import SUMMARY, Job
from physsynth.study.store import write_json


class Calibrate:
    """Draw from the posterior; keep draws, statistics, predictions and checks."""

    name = "calibrate"
    needs = ()
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
        table, model = job.study.tables.calibrate, job.problem.model
        assert table is not None
        assert model is not None
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
        write_json(job.folder / SUMMARY, {**calibration.summary(), "typical": typical, **_about(model)})


def _typical(model, draws):
    """The simulator's parameters of a member at the population medians, per draw."""
    scalars = {name: values for name, values in draws.items() if values.ndim == 1}
    return {name: np.asarray(value) for name, value in model.typical(scalars).items()}


def _quantiles(values):
    return dict(zip(("q05", "q50", "q95"), np.quantile(values, [0.05, 0.5, 0.95]).tolist(), strict=True))


def _about(model):
    units = {model.members.variable(name): model.members.unit(name) for name in model.members.priors}
    return {
        "units": units,
        "members": int(model.experiment.design.mask.shape[0]),
        "measurements": int(np.asarray(model.experiment.design.mask).sum()),
        "bounded": [name for name in model.members.priors if name in model.sim.lower_bounds],
        "centred": model.centred,
    }

"""Do scenarios obey the laws that their simulator declares?"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth.core import Simulator
from physsynth.core.checks import Check
from physsynth.core.errors import DataError

_BLOCK = 1024


@dataclass(frozen=True)
class Plausibility:
    """Violation of each constraint by each scenario.

    Attributes
    ----------
    dataset : xr.Dataset
        ``violation`` (scenario, constraint), ``tolerance`` (constraint) and ``held`` (scenario,
        constraint). A violation that is not finite is not held.
    """

    dataset: xr.Dataset

    @property
    def residual(self) -> xr.DataArray:
        """Return each scenario's largest violation in units of the tolerance; <= 1 where all laws hold."""
        relative = (self.dataset["violation"] / self.dataset["tolerance"]).values
        worst = relative.max(axis=1, initial=0.0)
        attrs = {"units": "1", "long_name": "largest violation of a physical law, in units of its tolerance"}
        return xr.DataArray(worst, dims="scenario", attrs=attrs)

    def checks(self) -> list[Check]:
        """Return one check a constraint: it holds on every scenario."""
        laws = (self.dataset.isel(constraint=i) for i in range(self.dataset.sizes["constraint"]))
        return [
            Check(
                str(law["constraint"].item()),
                float(law["violation"].max(skipna=False)),
                f"<= {float(law['tolerance']):g} {law['unit'].item()} on every scenario",
                bool(law["held"].all()),
                f"{int((~law['held']).sum())} of {law.sizes['scenario']} scenarios break it",
            )
            for law in laws
        ]

    def summary(self) -> dict:
        """Return the checks as a plain dict."""
        return {
            "scenarios": self.dataset.sizes["scenario"],
            "checks": [check.summary() for check in self.checks()],
        }


def plausibility(sim: Simulator, dataset: xr.Dataset) -> Plausibility:
    """Measure every constraint of a simulator on every scenario of a dataset.

    Parameters
    ----------
    sim : Simulator
    dataset : xr.Dataset
        Parameters and outputs over ``scenario``, as `physsynth.simulate` returns them.

    Raises
    ------
    DataError
        If a parameter or an output is missing.

    Examples
    --------
    >>> import jax, physsynth as ps
    >>> braking = ps.simulator("driving/braking")
    >>> runs = ps.simulate(braking, 50, jax.random.key(0))
    >>> all(check.passed for check in ps.evaluate.plausibility(braking, runs).checks())
    True
    """
    for name in (*sim.parameters, *sim.outputs):
        if name not in dataset:
            raise DataError(
                "scenarios without a variable of the simulator",
                key=name,
                wanted=f"a variable {name}",
                got=", ".join(map(str, dataset)),
            )
    parameters = {name: jnp.asarray(dataset[name].values) for name in sim.parameters}
    outputs = {name: jnp.asarray(dataset[name].values) for name in sim.outputs}

    tolerance = np.array([law.tolerance for law in sim.constraints])
    measured = _violations(sim, (parameters, outputs), dataset.sizes["scenario"])
    return Plausibility(
        xr.Dataset(
            {
                "violation": (("scenario", "constraint"), measured),
                "held": (("scenario", "constraint"), measured <= tolerance),
                "tolerance": ("constraint", tolerance),
                "unit": ("constraint", [law.unit for law in sim.constraints]),
            },
            {"constraint": [law.name for law in sim.constraints]},
        )
    )


def _violations(sim, scenarios, count):
    """Return the violation of each law by each scenario (scenario, constraint)."""
    if not sim.constraints:
        return np.zeros((count, 0))

    def one(scenario):
        p, y = scenario
        return jnp.stack([law.violation(sim, p, y) for law in sim.constraints])

    return np.asarray(jax.jit(lambda s: jax.lax.map(one, s, batch_size=_BLOCK))(scenarios))

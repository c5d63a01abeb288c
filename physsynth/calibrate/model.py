"""A NumPyro model built from a simulator, its measurements and what is believed of its parameters.

    log psi_ik ~ Normal(log median_k, spread_k)          member i, varying parameter k
    y_ij       ~ Normal(f_ij(psi_i), a^2 + (b f_ij)^2 + (c f'_ij)^2 + n_i (e f_ij)^2)   measurement j of n_i

Members with many measurements are drawn as they are (centred), members with few through standard
normal z_ik = (log psi_ik - log median_k) / spread_k, which keeps the sampler out of the funnel at small
spreads.

Source: Lindstrom and Bates (1990), Biometrics 46; Davidian and Giltinan (1995), Nonlinear Models for
Repeated Measurement Data, chapter 8; for the two forms Papaspiliopoulos, Roberts and Sköld (2007),
Statistical Science 22.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr

from physsynth.calibrate.design import Experiment, check_determined, experiment
from physsynth.calibrate.priors import Members, Noise, Population, deviation
from physsynth.core import Simulator
from physsynth.core.errors import StudyError
from physsynth.core.normal import from_normal


@dataclass(frozen=True)
class SimulatorModel:
    """A hierarchical NumPyro model of a simulator; call it inside NumPyro, or pass it to `fit`.

    `form` says whether it is centred; None leaves that to the number of measurements of each member.
    """

    experiment: Experiment
    members: Members
    noise: Noise
    form: bool | None = None

    @property
    def sim(self) -> Simulator:
        """The simulator behind the model."""
        return self.experiment.sim

    @property
    def units(self) -> dict[str, str]:
        """Units of what varies and of the noise, by posterior name."""
        output = self.sim.outputs[self.experiment.output]
        known = {self.members.variable(name): self.members.unit(name) for name in self.members.priors}
        noise = {"additive_noise": output.unit}
        if self.noise.coordinate is not None:
            noise["coordinate_noise"] = next(iter(output.dims.values())).unit
        return {**known, **noise}

    @property
    def centred(self) -> bool:
        """Whether members' values are drawn directly: right where each member's data tell them apart."""
        if self.form is not None:
            return self.form
        per_member = np.mean(np.asarray(self.experiment.design.mask).sum(1))
        return bool(per_member >= 2 * len(self.members.populations))

    @property
    def other_form(self) -> SimulatorModel | None:
        """The same posterior in the other form, centred or not; None where nothing varies between members."""
        return replace(self, form=not self.centred) if self.members.populations else None

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the sampled values that all members share; they are correlated in the posterior."""
        spreads = [f"{self.members.variable(name)}_spread" for name in self.members.populations]
        return (*self.members.variables.values(), *spreads, *(f"{name}_noise" for name in self.noise.priors))

    def __call__(self) -> None:
        """Declare priors, members and measurements to NumPyro."""
        design = self.experiment.design
        own: dict[str, Any] = {self.members.variable(name): self._draw(name) for name in self.members.priors}
        parameters = self.members.parameters(own, design.columns)
        shared = {name: jnp.broadcast_to(value, design.mask.shape[:1]) for name, value in parameters.items()}
        mean, slope = jax.vmap(self._respond)(design, shared)
        scale = deviation(mean, self._draw_noise(), slope)
        with numpyro.handlers.mask(mask=design.mask):
            numpyro.sample(self.experiment.output, dist.Normal(mean, scale), obs=design.observed)

    def population(self, draw: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Return location and log spread (k,) of the members' log parameters from one posterior draw."""
        names = [self.members.variable(name) for name in self.members.populations]
        location = jnp.stack([jnp.log(draw[name]) for name in names], axis=-1)
        return location, jnp.stack([jnp.log(draw[f"{name}_spread"]) for name in names], axis=-1)

    def typical(self, draw: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Return the simulator's parameters of a member at the population medians and mean columns."""
        columns = {name: jnp.mean(column) for name, column in self.experiment.design.columns.items()}
        return self.members.parameters(draw, columns)

    def predict(self, group, log_own: jax.Array, pooled: Mapping[str, jax.Array]) -> jax.Array:
        """Return one member's expected measurements (slot,) from its log parameters (k,)."""
        return self.experiment.predict(group, self._member(group, log_own, pooled))

    def measure(
        self, group, log_own: jax.Array, draw: Mapping[str, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        """Return mean and standard deviation (slot,) of one member's measurements under a posterior draw."""
        mean, slope = self._respond(group, self._member(group, log_own, draw))
        return mean, deviation(mean, draw, slope)

    def _member(self, group, log_own, pooled):
        names = [self.members.variable(name) for name in self.members.populations]
        own = {**pooled, **dict(zip(names, jnp.exp(log_own), strict=True))}
        return self.members.parameters(own, group.columns)

    def _respond(self, group, parameters):
        """Return the expected measurements (slot,) and their slope, 0 where no noise asks for it."""
        if self.noise.coordinate is None:
            mean = self.experiment.predict(group, parameters)
            return mean, jnp.zeros_like(mean)
        return self.experiment.predict_with_slope(group, parameters)

    def _draw(self, name):
        prior, variable = self.members.priors[name], self.members.variable(name)
        if not isinstance(prior, Population):
            return numpyro.sample(variable, prior)
        median = numpyro.sample(variable, prior.median)
        spread = numpyro.sample(f"{variable}_spread", prior.spread)
        with numpyro.plate("member", self.experiment.design.mask.shape[0]):
            if self.centred:
                log_own = numpyro.sample(f"{variable}_log_own", dist.Normal(jnp.log(median), spread))
            else:
                log_own = jnp.log(median) + spread * numpyro.sample(f"{variable}_standardised", dist.Normal())
            return numpyro.deterministic(f"{variable}_own", jnp.exp(log_own))

    def _draw_noise(self) -> dict[str, Any]:
        priors = {f"{name}_noise": prior for name, prior in self.noise.priors.items()}
        drawn = {name: numpyro.sample(name, prior) for name, prior in priors.items()}
        count = jnp.sum(self.experiment.design.mask, axis=1, keepdims=True)
        return {**drawn, "simulator_noise": jnp.sqrt(count) * self.noise.simulator}


def model(
    sim: Simulator,
    measurements: xr.Dataset,
    priors: Mapping[str, Population | dist.Distribution],
    noise: Noise,
    groups: str | None = None,
    *,
    output: str | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> SimulatorModel:
    """Build a calibration model from a simulator.

    Parameters
    ----------
    sim : Simulator
    measurements : xr.Dataset
        Columns over ``observation`` with units, see `physsynth.core.measurements`.
    priors : mapping of str to Population or Distribution
        By parameter: a Population varies between groups, a Distribution is shared by all.
    noise : Noise
    groups : str, optional
        Column that tells the members of the population apart; every row unless given.
    output, conditions
        See `physsynth.calibrate.design.experiment`.

    Raises
    ------
    StudyError, DataError, UnitError, UnknownNameError, ParameterError
        If the pieces do not fit together.

    Examples
    --------
    >>> import numpyro.distributions as dist, xarray as xr, physsynth as ps
    >>> stops = xr.Dataset({"speed": ("observation", [5.0, 10.0], {"units": "m/s"}),
    ...                     "stopping_distance": ("observation", [7.0, 20.0], {"units": "m"})})
    >>> priors = {"reaction_time": dist.LogNormal(0.0, 0.5), "deceleration": dist.LogNormal(1.5, 0.5)}
    >>> noise = Noise(additive=dist.HalfNormal(1.0))
    >>> ps.calibrate.model(ps.simulator("driving/braking"), stops, priors, noise).centred
    True
    """
    if noise.additive is None and noise.proportional is None:
        raise StudyError(
            "no noise", key="calibrate.noise", wanted="additive, proportional or both", got="neither"
        )
    units = {
        str(name): column.attrs["units"] for name, column in measurements.items() if "units" in column.attrs
    }
    members = Members(sim, dict(priors), units)
    columns = tuple({p.per for p in members.populations.values() if p.per is not None})
    laid_out = experiment(sim, measurements, output, groups, conditions, columns)
    if noise.coordinate is not None and laid_out.along is None:
        raise StudyError(
            "noise in a coordinate that the measured output has not",
            key="calibrate.noise.coordinate",
            wanted="an output along a coordinate, as a concentration along time",
            got=laid_out.output,
            advice="state additive or proportional noise",
        )
    built = SimulatorModel(laid_out, members, noise)
    medians = {members.variable(name): _median(prior) for name, prior in members.priors.items()}
    check_determined(laid_out, built.typical(medians))
    return built


def _median(prior):
    distribution = prior.median if isinstance(prior, Population) else prior
    return from_normal(distribution, jnp.zeros(()))

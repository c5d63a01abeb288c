"""A study file put together: simulator, measurements, calibration model, scenario and limit state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import xarray as xr

from physsynth import calibrate, pinn
from physsynth.calibrate import Noise, Population, SimulatorModel
from physsynth.core import Keep, Retry, Simulator, Stop, find
from physsynth.core.errors import ParameterError, PhyssynthError, unknown_name
from physsynth.core.failures import FailurePolicy
from physsynth.core.measurements import read_measurements
from physsynth.core.units import quantity_in
from physsynth.rare import METHODS
from physsynth.study import schema
from physsynth.study.compose import Scenario, compose
from physsynth.study.distributions import build_distribution
from physsynth.study.load import Study
from physsynth.study.ways import Way, ways

FAILURE_POLICIES: dict[str, FailurePolicy] = {"keep": Keep(), "stop": Stop(), "retry": Retry()}
_WIDE_SPREAD = 0.975


@dataclass(frozen=True)
class Problem:
    """Everything that a study's stages work on.

    Attributes
    ----------
    study : Study
    sim : Simulator
        The domain simulator with the study's options.
    measurements : xr.Dataset or None
    model : SimulatorModel or None
        The calibration model; None for a study without measurements.
    scenario : Scenario
    settings : dict
        Numbers that the limit state needs, in its units.
    """

    study: Study
    sim: Simulator
    measurements: xr.Dataset | None
    model: SimulatorModel | None
    scenario: Scenario
    settings: Mapping[str, float]

    @property
    def on_failure(self) -> FailurePolicy:
        """What happens to runs that fail."""
        return FAILURE_POLICIES[self.study.tables.simulator.on_failure]

    @property
    def variables(self) -> tuple[str, ...]:
        """What varies between members, by its name in the posterior."""
        return tuple(self.scenario.member_variables)

    @property
    def ways(self) -> dict[str, Way]:
        """The ways in which new members could be measured, by name; none without measurements."""
        return {} if self.model is None else ways(self.model)

    @cached_property
    def population_variables(self) -> tuple[str, ...]:
        """The calibrated variables that vary between members, in the order of `SimulatorModel.population`."""
        if self.model is None:
            return ()
        return tuple(self.model.members.variable(name) for name in self.model.members.populations)

    def reference(self, draws: Mapping[str, np.ndarray] | None) -> Simulator:
        """Return the composed simulator under a density that covers the population under most draws.

        For each varying parameter a log-normal with the posterior predictive location, and a variance
        that adds the uncertainty of the location to a high quantile of the members' variance, so that
        the ratio of any draw's density to it stays bounded where it matters.
        """
        if draws is None:
            return self.scenario.simulator({})
        located = {}
        for name in self.population_variables:
            location, spread = np.log(draws[name]), draws[f"{name}_spread"]
            variance = location.var() + np.quantile(spread, _WIDE_SPREAD) ** 2
            located[name] = dist.LogNormal(float(location.mean()), float(np.sqrt(variance)))
        return self.scenario.simulator(located)

    def limit_state(self, sim: Simulator) -> Callable[[Mapping[str, jax.Array]], jax.Array]:
        """Return g of one scenario; under the policy "retry" a failed run is repeated with smaller steps."""
        name = self.study.tables.rare.limit_state
        attempts = [sim]
        if isinstance(self.on_failure, Retry) and sim.step is not None:
            for _ in range(self.on_failure.attempts):
                step = attempts[-1].options[sim.step] * self.on_failure.factor
                attempts.append(attempts[-1].configure(**{sim.step: step}))
        functions = [attempt.limit_state(name, **self.settings) for attempt in attempts]

        def g(values):
            value = functions[0](values)
            for again in functions[1:]:
                value = jnp.where(jnp.isfinite(value), value, again(values))
            return value

        return g

    @cached_property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The ranges that the study states for the network, in the simulator's units."""
        table = self.study.tables.network
        return {} if table is None else _ranges(self.sim, table)

    def through(self, network: Simulator) -> Problem:
        """Return the problem with a network in the simulator's place in every new scenario."""
        sim = replace(network, options=self.scenario.sim.options)
        return replace(self, sim=network, scenario=replace(self.scenario, sim=sim))

    def log_density(self, draw: Mapping[str, jax.Array], values: Mapping[str, jax.Array]) -> jax.Array:
        """Log density of members' values under one posterior draw: location (k,) and log spread (k,)."""
        total = jnp.zeros(())
        for i, name in enumerate(self.population_variables):
            law = dist.LogNormal(draw["location"][i], jnp.exp(draw["log_spread"][i]))
            total = total + law.log_prob(values[name])
        return total

    def population_draws(self, draws: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """Return posterior draws of the members' log parameters: location and log spread, (draw, k)."""
        assert self.model is not None
        location, log_spread = self.model.population(
            {name: jnp.asarray(value) for name, value in draws.items()}
        )
        return {"location": location, "log_spread": log_spread}


def build_problem(study: Study) -> Problem:
    """Put a study together; everything that can be known before computing is checked here.

    Raises
    ------
    PhyssynthError
        Naming the study file and the key at fault.
    """
    try:
        return _build(study)
    except PhyssynthError as reason:
        raise reason.at(file=study.path) from reason


def _build(study):
    tables = study.tables
    sim = find(tables.simulator.name, **tables.simulator.options)
    _check_limit_state(sim, tables.rare)
    _check_method(tables.rare.method)
    settings = _settings(sim.limit_states[tables.rare.limit_state], tables.rare)
    if tables.simulator.on_failure == "retry" and sim.step is None:
        raise ParameterError(
            f'{sim.name} has no step, so the failure policy "retry" has nothing to make smaller',
            key="simulator.on_failure",
            wanted='"keep" or "stop"',
            got='"retry"',
        )
    measurements = _measurements(study)
    model = None if measurements is None else _model(study, sim, measurements)
    scenario = compose(sim, None if model is None else model.members, tables.scenario, file=study.path)
    problem = Problem(study, sim, measurements, model, scenario, settings)
    _check_varies(problem)
    _check_costs(problem)
    _check_network(problem)
    jax.eval_shape(problem.limit_state(problem.reference(_typical_draws(problem))), _shapes(problem))
    return problem


def _check_method(name):
    if name not in METHODS:
        raise unknown_name("method", name, METHODS, key="rare.method")


def _check_limit_state(sim, table):
    if table.limit_state not in sim.limit_states:
        raise unknown_name(
            "limit state of " + sim.name, table.limit_state, sim.limit_states, key="rare.limit_state"
        )


def _settings(limit, table):
    """The limit state's settings: the keys of [rare] that are not the table's own."""
    given = dict(table.model_extra or {})
    for name in given:
        if name not in limit.settings:
            known = [*limit.settings, *type(table).model_fields]
            raise unknown_name("key of [rare]", name, known, key=f"rare.{name}")
    return limit.read_settings(given, key="rare")


def _measurements(study):
    table = study.tables.measurements
    if table is None:
        return None
    return read_measurements(study.measurements_path, table.units, table.sha256, study=study.path)


def _model(study, sim, measurements):
    table, given = study.tables.calibrate, study.tables.measurements
    priors = {
        name: _prior(prior, study.path, f"calibrate.parameters.{name}")
        for name, prior in table.parameters.items()
    }
    additive, proportional, coordinate = (
        _noise(table.noise, part, study.path) for part in ("additive", "proportional", "coordinate")
    )
    noise = Noise(additive, proportional, coordinate)
    return calibrate.model(
        sim, measurements, priors, noise, given.groups, output=given.output, conditions=given.conditions
    )


def _prior(table, file, key):
    if isinstance(table, schema.PopulationTable):
        median, spread = (
            build_distribution(getattr(table, part), file=file, key=f"{key}.{part}")
            for part in ("median", "spread")
        )
        try:
            return Population(median, spread, table.per, table.unit)
        except PhyssynthError as reason:
            raise reason.under(key) from reason
    return build_distribution(table, file=file, key=key)


def _noise(table, part, file):
    given = getattr(table, part)
    return None if given is None else build_distribution(given, file=file, key=f"calibrate.noise.{part}")


def _check_varies(problem):
    """A pooled parameter has no density between scenarios, so its draws cannot be reached by reweighting."""
    pooled = [name for name in problem.variables if name not in problem.population_variables]
    if pooled:
        raise ParameterError(
            "a calibrated parameter that does not vary between members",
            key=f"calibrate.parameters.{pooled[0]}",
            wanted="a median and a spread: the probability is carried over posterior draws by reweighting",
            got="one distribution shared by all",
            advice="give it a spread, with a narrow prior if you believe that it hardly varies",
        )


def _check_costs(problem):
    """Check that costs are of ways of measuring that there are."""
    table = problem.study.tables.require
    for name in {} if table is None else table.costs:
        if name not in problem.ways:
            raise unknown_name("way of measuring new members", name, problem.ways, key="require.costs")


def _check_network(problem):
    """Check, before any training, that the network can give what the study asks of it."""
    if problem.study.tables.network is None:
        return
    pinn.problem_of(problem.sim, problem.ranges)
    known = pinn.emulated(problem.sim)
    measured = None if problem.model is None else problem.model.experiment.output
    if measured is not None and measured not in known:
        raise unknown_name("output of a network", measured, known, key="measurements.output")
    name = problem.study.tables.rare.limit_state
    limit = problem.sim.limit_states[name]
    p = {n: jnp.ones(q.distribution.event_shape) for n, q in problem.sim.parameters.items()}
    try:
        jax.eval_shape(lambda p, y: limit(p, y, **problem.settings), p, known)
    except KeyError as missing:
        raise unknown_name(
            f"output of a network, which the limit state {name} needs,",
            str(missing.args[0]),
            known,
            key="rare.limit_state",
        ) from missing


def _ranges(sim, table):
    for name in table.ranges:
        if name not in sim.parameters:
            raise unknown_name("parameter of " + sim.name, name, sim.parameters, key=f"network.ranges.{name}")
    found = {}
    for name, ends in table.ranges.items():
        unit, key = sim.parameters[name].unit, f"network.ranges.{name}"
        low, high = (quantity_in(end, unit, key=key) for end in ends)
        found[name] = (low, high)
    return found


def _typical_draws(problem):
    if problem.model is None:
        return None
    ones = np.ones(2)
    return {name: ones for v in problem.population_variables for name in (v, f"{v}_spread")}


def _shapes(problem):
    space = problem.reference(_typical_draws(problem)).space
    return jax.eval_shape(space.from_normal, jax.ShapeDtypeStruct((space.dimension,), jnp.result_type(float)))

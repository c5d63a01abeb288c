"""A study's scenario as a simulator of its own: random inputs of the study -> the domain simulator.

The composed simulator has the study's random inputs as parameters (members' values, body weight, dose
factors ...), works out the domain simulator's parameters and options from them, and passes on its
outputs, limit states and constraints. Everything downstream then treats it like any simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from physsynth.calibrate import Members
from physsynth.core import Constraint, LimitState, Output, Parameter, Simulator
from physsynth.core.errors import StudyError, unknown_name
from physsynth.core.quantities import compile_quantity, used_names
from physsynth.core.units import convert, parse_quantity, quantity_in
from physsynth.study.distributions import build_parameter
from physsynth.study.schema import ScenarioTable

RESERVED = {
    "g",
    "weight",
    "mode",
    "log_density",
    "plausibility",
    "status",
    "scenario",
    "limit_state",
    "replicate",
}


@dataclass(frozen=True)
class Scenario:
    """How a study's random inputs drive a domain simulator.

    Attributes
    ----------
    sim : Simulator
        The domain simulator.
    members : Members or None
        Where calibrated parameters come from.
    inputs : dict of str to Parameter
        Random inputs besides the members' own.
    fixed : dict of str to (number, unit)
    options : dict of str to callable
        From named values to the value of an option.
    """

    sim: Simulator
    members: Members | None
    inputs: Mapping[str, Parameter]
    fixed: Mapping[str, tuple[float, str]]
    options: Mapping[str, Callable[[Mapping[str, Any]], Any]]

    @property
    def member_variables(self) -> dict[str, str]:
        """Name and unit of what varies between members."""
        if self.members is None:
            return {}
        return {variable: self.members.unit(name) for name, variable in self.members.variables.items()}

    def parameters(self, values: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Return the domain simulator's parameters for one scenario of the study."""
        named = self._named(values)
        found = {}
        if self.members is not None:
            columns = {p.per: self._column(named, p.per) for p in self.members.populations.values() if p.per}
            found = self.members.parameters(values, columns)
        for name, parameter in self.sim.parameters.items():
            if name not in found:
                found[name] = convert_traced(named[name], self._unit(name), parameter.unit)
        return found

    def configured(self, values: Mapping[str, jax.Array]) -> Simulator:
        """Return the domain simulator with the options of one scenario of the study."""
        named = self._named(values)
        return self.sim.configure(**{name: read(named) for name, read in self.options.items()})

    def simulator(self, members: Mapping[str, dist.Distribution]) -> Simulator:
        """Return the composed simulator, with distributions for what varies between members."""
        drawn = {
            name: Parameter(members[name], unit, "value of a member of the population")
            for name, unit in self.member_variables.items()
        }
        derived = {
            name: Output(p.unit, p.description)
            for name, p in self.sim.parameters.items()
            if name not in drawn and name not in self.inputs
        }
        return replace(
            self.sim,
            function=lambda p, **options: self._run(p, derived, options),
            parameters={**drawn, **self.inputs},
            outputs={**derived, **self.sim.outputs},
            limit_states={name: self._lifted_limit(limit) for name, limit in self.sim.limit_states.items()},
            constraints=tuple(self._lifted(law) for law in self.sim.constraints),
            options={name: self.sim.options[name] for name in self._shared_options()},
            lower_bounds={},
        )

    def _shared_options(self):
        """Options that are the same for every scenario keep their place, since coordinates come from them."""
        return [name for name in self.sim.options if name not in self.options]

    def _run(self, values, derived, options):
        parameters = self.parameters(values)
        outputs = self.configured(values).configure(**options)(parameters)
        return {**{name: jnp.asarray(parameters[name]) for name in derived}, **outputs}

    def _lifted(self, law: Constraint) -> Constraint:
        def defect(composed, values, outputs):
            sim = self.configured(values).configure(**composed.options)
            return law.defect(sim, self.parameters(values), outputs)

        return replace(law, defect=defect)

    def _lifted_limit(self, limit: LimitState) -> LimitState:
        def lifted(function):
            return lambda values, outputs, **settings: function(self.parameters(values), outputs, **settings)

        modes = {name: lifted(severity) for name, severity in limit.modes.items()}
        return replace(limit, function=lifted(limit.function), modes=modes)

    def _named(self, values):
        return {**{name: jnp.asarray(number) for name, (number, _) in self.fixed.items()}, **values}

    def _unit(self, name):
        return self.fixed[name][1] if name in self.fixed else self.inputs[name].unit

    def _column(self, named, name):
        assert self.members is not None
        return convert_traced(named[name], self._unit(name), self.members.columns[name])


def convert_traced(value, unit: str, to: str):
    """Convert a traced value by the factor between two units."""
    if unit == to:
        return value
    zero, one = (float(convert(x, unit, to)) for x in (0.0, 1.0))
    return zero + (one - zero) * value


def compose(sim: Simulator, members: Members | None, table: ScenarioTable, *, file) -> Scenario:
    """Build a study's scenario from its table.

    Raises
    ------
    StudyError, UnitError, UnknownNameError
        If a simulator parameter is left open, a name is unknown or unused, or a unit does not fit.
    """
    inputs = {
        name: build_parameter(part, file=file, key=f"scenario.parameters.{name}")
        for name, part in table.parameters.items()
    }
    for name in RESERVED & {*inputs, *table.fixed}:
        raise StudyError(
            "a reserved name",
            file=file,
            key=f"scenario.parameters.{name}",
            wanted="a name other than " + ", ".join(sorted(RESERVED)),
            got=f'"{name}"',
            advice="every scenario carries variables of these names; choose a more specific one",
        )
    fixed = {name: _fixed(sim, name, value, file) for name, value in table.fixed.items()}
    calibrated = set(members.priors) if members is not None else set()
    if members is None:
        inputs = {**{n: p for n, p in sim.parameters.items() if n not in fixed and n not in inputs}, **inputs}
    _check_parameters(sim, members, calibrated, inputs, fixed, file)
    units = {
        **{name: p.unit for name, p in inputs.items()},
        **{name: unit for name, (_, unit) in fixed.items()},
    }
    constant, varying = _split_options(sim, table.options, units, file)
    _check_used(sim, members, inputs, fixed, table.options, units, file)
    return Scenario(sim.configure(**constant), members, inputs, fixed, varying)


def _fixed(sim, name, value, file):
    key = f"scenario.fixed.{name}"
    if name in sim.parameters:
        return quantity_in(value, sim.parameters[name].unit, file=file, key=key), sim.parameters[name].unit
    return parse_quantity(value, file=file, key=key)


def _check_parameters(sim, members, calibrated, inputs, fixed, file):
    for name, parameter in sim.parameters.items():
        sources = [
            s
            for s, known in (("calibrate", calibrated), ("parameters", inputs), ("fixed", fixed))
            if name in known
        ]
        if len(sources) != 1:
            raise StudyError(
                f"a parameter of {sim.name} is stated {len(sources)} times",
                file=file,
                key=f"scenario.parameters.{name}",
                wanted="one source: [calibrate.parameters], [scenario.parameters] or [scenario.fixed]",
                got=", ".join(sources) or "none",
                advice="keep one of them"
                if sources
                else f'state it, for example under [scenario.fixed]: {name} = "1 {parameter.unit}"',
            )
        if name in inputs:
            convert(1.0, inputs[name].unit, parameter.unit, file=file, key=f"scenario.parameters.{name}.unit")
    for prior in members.populations.values() if members is not None else ():
        if prior.per is not None:
            _check_column(members, prior.per, inputs, fixed, file)


def _check_column(members, per, inputs, fixed, file):
    key = f"scenario.parameters.{per}"
    if per not in inputs and per not in fixed:
        raise StudyError(
            "a new scenario lacks a column that a calibrated parameter is proportional to",
            file=file,
            key=key,
            wanted=f"a distribution of {per} in {members.columns[per]}",
            got="nothing",
        )
    unit = inputs[per].unit if per in inputs else fixed[per][1]
    convert(1.0, unit, members.columns[per], file=file, key=f"{key}.unit")


def _split_options(sim, options, units, file):
    """Return the options that are the same for all scenarios, and those that depend on the inputs."""
    constant, varying = {}, {}
    for name, spec in options.items():
        if name not in sim.option_specs:
            raise unknown_name(
                "option of " + sim.name, name, sim.option_specs, file=file, key=f"scenario.options.{name}"
            )
        wanted = sim.option_specs[name].unit
        if isinstance(wanted, str):
            read = compile_quantity(spec, wanted, units, file=file, key=f"scenario.options.{name}")
            names = used_names(spec, units)
        else:
            read, names = _parts(name, spec, wanted, units, file)
        if names:
            varying[name] = read
        else:
            constant[name] = read({})
    return constant, varying


def _parts(name, spec, wanted, units, file):
    key = f"scenario.options.{name}"
    if not isinstance(spec, Mapping) or set(spec) != set(wanted):
        raise StudyError(
            "an option with other parts than the simulator's",
            file=file,
            key=key,
            wanted=", ".join(wanted),
            got=str(spec),
        )
    reads = {
        part: compile_quantity(spec[part], unit, units, file=file, key=f"{key}.{part}")
        for part, unit in wanted.items()
    }
    names = set().union(*(used_names(spec[part], units) for part in wanted))
    return (lambda values: {part: read(values) for part, read in reads.items()}), names


def _check_used(sim, members, inputs, fixed, options, units, file):
    used = set(sim.parameters)
    if members is not None:
        used |= {p.per for p in members.populations.values() if p.per}
    for spec in options.values():
        for part in spec.values() if isinstance(spec, Mapping) else [spec]:
            used |= used_names(part, units)
    for name in {**inputs, **fixed}:
        if name not in used:
            raise StudyError(
                "an input of the scenario has no effect",
                file=file,
                key=f"scenario.parameters.{name}",
                wanted="a parameter of the simulator, or a name used in [scenario.options]",
                got=f'"{name}"',
            )

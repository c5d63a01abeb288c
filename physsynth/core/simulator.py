"""The simulator: a pure function from one scenario's parameters to its outputs, with its declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.core.authored import authored
from physsynth.core.constraints import Constraint
from physsynth.core.declaration import check_kinds, check_known
from physsynth.core.equation import Equation
from physsynth.core.errors import ParameterError, unknown_name
from physsynth.core.limits import LimitState
from physsynth.core.space import Parameter, ParameterSpace
from physsynth.core.units import check_unit


@dataclass(frozen=True)
class Coordinate:
    """The coordinate along one dimension of an output, given by a static option of the simulator."""

    option: str
    unit: str
    description: str = ""


@dataclass(frozen=True)
class Output:
    """A named result: unit, meaning and, for arrays, the coordinate along each dimension."""

    unit: str
    description: str = ""
    dims: Mapping[str, Coordinate] = field(default_factory=dict)

    def __post_init__(self):
        check_unit(self.unit)


@dataclass(frozen=True)
class Option:
    """A static choice of a simulator.

    Parameters
    ----------
    default
        Its value unless configured.
    unit : str or mapping of str to str
        Its unit, or the unit of each of its parts, for example ``{"times": "h", "amounts": "mg"}``.
    description : str
        One line for people.
    read : callable
        Turns what a user gives into what the function takes; raises ValueError with the reason. Unless
        given, a list of numbers becomes an array, and anything else stays as it is.
    """

    default: Any
    unit: str | Mapping[str, str] = "1"
    description: str = ""
    read: Callable[[Any], Any] = lambda value: _array_of(value)


def _array_of(value):
    """Return a list of numbers as an array, and anything else as it is."""
    array = np.asarray(value) if isinstance(value, list | tuple) and value else None
    return value if array is None or array.dtype.kind not in "fiu" else array


@dataclass(frozen=True, eq=False)
class Simulator:
    """A pure function with its declaration; `define_simulator` makes one.

    Calling it with one scenario's parameters returns its outputs. It can be jitted, vmapped and
    differentiated unless `differentiable` says otherwise.
    """

    name: str
    function: Callable[..., dict[str, jax.Array]]
    parameters: Mapping[str, Parameter]
    outputs: Mapping[str, Output]
    limit_states: Mapping[str, LimitState]
    constraints: Sequence[Constraint]
    validity: Mapping[str, tuple[float, float]]
    references: Sequence[str]
    option_specs: Mapping[str, Option]
    options: Mapping[str, Any]
    lower_bounds: Mapping[str, Callable[[Mapping[str, jax.Array]], jax.Array]]
    step: str | None
    differentiable: bool
    equation: Equation | None

    def __call__(self, parameters: Mapping[str, Any]) -> dict[str, jax.Array]:
        """Run one scenario.

        Raises
        ------
        UnknownNameError
            If a parameter is missing or not declared.
        SimulationError
            If the function raises; with the line.
        """
        self._check_names(parameters)
        values = {name: jnp.asarray(value) for name, value in parameters.items()}
        with authored("a simulator that breaks", key=self.name, wanted="outputs for the options given"):
            return self.function(values, **self.options)

    def __repr__(self) -> str:
        return f"Simulator({self.name!r}: {', '.join(self.parameters)} -> {', '.join(self.outputs)})"

    @property
    def description(self) -> str:
        """First line of the function's or module's documentation."""
        return (self.function.__doc__ or "").strip().split("\n")[0]

    @cached_property
    def space(self) -> ParameterSpace:
        """The parameter space of the declared distributions, independent of one another."""
        return ParameterSpace(self.parameters)

    @cached_property
    def batched(self) -> Callable[[Mapping[str, jax.Array]], dict[str, jax.Array]]:
        """The simulator over arrays of scenarios, compiled once."""
        return jax.jit(jax.vmap(self.__call__))

    def configure(self, **options: Any) -> Simulator:
        """Return the simulator with other static options.

        Raises
        ------
        UnknownNameError
            If an option is not declared.
        ParameterError
            If its value cannot be read.
        """
        read = {name: self._read_option(name, value) for name, value in options.items()}
        return replace(self, options={**self.options, **read})

    def limit_state(self, name: str, **settings: Any) -> Callable[[Mapping[str, jax.Array]], jax.Array]:
        """Return g as a function of one scenario's parameters.

        Examples
        --------
        >>> import physsynth as ps
        >>> g = ps.simulator("driving/braking").limit_state("collision")
        >>> p = {"speed": 10.0, "reaction_time": 1.0, "deceleration": 5.0, "obstacle_distance": 25.0}
        >>> float(g(p))
        5.0
        """
        if name not in self.limit_states:
            raise unknown_name("limit state", name, self.limit_states, key="limit_state")
        limit = self.limit_states[name]
        numbers = limit.read_settings(settings)

        def g(parameters):
            outputs = self(parameters)
            with authored("a limit state that breaks", key=f"{self.name}, {name}", wanted="a number"):
                return limit(parameters, outputs, **numbers)

        return g

    def _read_option(self, name, value):
        if name not in self.option_specs:
            raise unknown_name("option of " + self.name, name, self.option_specs, key=name)
        try:
            return self.option_specs[name].read(value)
        except (TypeError, ValueError) as reason:
            raise ParameterError(
                f"an option of {self.name} that cannot be read",
                key=name,
                wanted=self.option_specs[name].description,
                got=str(value),
                advice=str(reason),
            ) from reason

    def _check_names(self, parameters):
        for name in parameters:
            if name not in self.parameters:
                raise unknown_name("parameter of " + self.name, name, self.parameters, key=name)
        for name in self.parameters:
            if name not in parameters:
                raise ParameterError(
                    f"a parameter of {self.name} is missing",
                    key=name,
                    wanted=f"a value in {self.parameters[name].unit}",
                    got="only " + ", ".join(parameters),
                )


def define_simulator(
    name: str,
    *,
    parameters: Mapping[str, Parameter],
    outputs: Mapping[str, Output],
    limit_states: Mapping[str, LimitState] | None = None,
    constraints: Sequence[Constraint] = (),
    validity: Mapping[str, tuple[float, float]] | None = None,
    references: Sequence[str] = (),
    options: Mapping[str, Option] | None = None,
    lower_bounds: Mapping[str, Callable[[Mapping[str, jax.Array]], jax.Array]] | None = None,
    step: str | None = None,
    differentiable: bool = True,
    equation: Equation | None = None,
) -> Callable[[Callable[..., dict[str, jax.Array]]], Simulator]:
    """Declare a simulator around a pure function ``function(p, **options)``.

    Parameters
    ----------
    name : str
        "domain/name".
    parameters, outputs, limit_states, constraints
        What goes in, what comes out, where it fails, which laws it obeys.
    validity : mapping of str to (low, high)
        The range of each parameter or output that the model's authors trust; a scenario outside is flagged.
    references : sequence of str
        Where the equations and the distributions come from.
    options : mapping of str to Option
        Static choices, passed to the function by keyword.
    lower_bounds : mapping of str to callable
        For a parameter that only a convention tells from others: the value, as a function of the
        others, that it must exceed. Calibration draws the excess, so that the mirrored mode is out.
    step : str, optional
        The option that holds the step size, which the failure policy "retry" makes smaller.
    differentiable : bool
        Whether gradients flow through the function.
    equation : Equation, optional
        The differential equation behind it, from which a network can be trained in its place.

    Raises
    ------
    ParameterError, UnknownNameError
        If an entry is of the wrong kind, or names a parameter or an option that is not declared.

    Examples
    --------
    >>> import numpyro.distributions as dist
    >>> @define_simulator(
    ...     "mechanics/free_fall",
    ...     parameters={"height": Parameter(dist.Uniform(1.0, 2.0), "m", "height of the drop")},
    ...     outputs={"duration": Output("s", "until the ground")},
    ... )
    ... def free_fall(p):
    ...     return {"duration": jnp.sqrt(2 * p["height"] / 9.81)}
    >>> round(float(free_fall({"height": 4.905})["duration"]), 3)
    1.0
    """
    kinds = (("parameters", parameters, Parameter), ("outputs", outputs, Output))
    kinds += (("limit_states", limit_states or {}, LimitState), ("options", options or {}, Option))
    for argument, given, kind in kinds:
        check_kinds(name, argument, given, kind)
    specs = dict(options or {})
    check_known(name, "lower_bounds", lower_bounds or {}, parameters, "parameter")
    check_known(name, "validity", validity or {}, [*parameters, *outputs], "parameter or output")
    for output, spec in outputs.items():
        check_kinds(name, f"outputs.{output}.dims", spec.dims, Coordinate)
        along = [place.option for place in spec.dims.values()]
        check_known(name, f"outputs.{output}.dims", along, specs, "option")
    check_known(name, "step", [step] if step else [], specs, "option")

    def declare(function):
        return Simulator(
            name=name,
            function=function,
            parameters=dict(parameters),
            outputs=dict(outputs),
            limit_states=dict(limit_states or {}),
            constraints=tuple(constraints),
            validity=dict(validity or {}),
            references=tuple(references),
            option_specs=specs,
            options={option: spec.read(spec.default) for option, spec in specs.items()},
            lower_bounds=dict(lower_bounds or {}),
            step=step,
            differentiable=differentiable,
            equation=equation,
        )

    return declare

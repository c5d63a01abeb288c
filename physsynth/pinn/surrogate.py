"""A network over coordinates and scenario parameters, as a simulator whose every answer knows its error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict, Unpack

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.core.limits import LimitState
from physsynth.core.simulator import Coordinate, Option, Output, Simulator, define_simulator
from physsynth.core.space import ParameterSpace
from physsynth.pinn.ansatz import Ansatz
from physsynth.pinn.budget import Budget
from physsynth.pinn.conditions import Dirichlet, Initial, Symmetry
from physsynth.pinn.domain import Interval
from physsynth.pinn.given import check_key, check_kind
from physsynth.pinn.networks import MLP, Architecture
from physsynth.pinn.problem import Problem
from physsynth.pinn.sampling import Sampling
from physsynth.pinn.solution import Solution
from physsynth.pinn.solve import check_settings, posed, train
from physsynth.pinn.training import Stage

ERROR = "error"
_ERROR = Output("1", "estimated relative L2 error of this query")
_GRID = 33
_REACH = 4.5
_WIDTH, _POINTS = 24, 8000
Read = Callable[[Solution, Mapping[str, jax.Array]], dict[str, jax.Array]]


class Settings(TypedDict, total=False):
    """How a network is trained: what `solve` takes by these names.

    Unless given, an MLP of width 24 and 8,000 points, mirror images included, as it covers parameters too.
    """

    network: Architecture
    stages: Sequence[Stage] | None
    sampling: Sampling
    symmetries: Sequence[Symmetry] | None
    checkpoint: Path | str | None
    progress: bool


@dataclass(frozen=True, eq=False)
class Surrogate(Simulator):
    """A simulator that evaluates a network; its output "error" is the estimated relative error of a query.

    Attributes
    ----------
    solution : Solution
    read : callable
        ``read(names, p, **options)`` computes the outputs of these names, and no others.
    """

    solution: Solution
    read: Callable[..., dict[str, jax.Array]]

    def only(self, *names: str) -> Surrogate:
        """Return the network with some of its outputs, so that nothing else is computed.

        The estimate of the error costs as much as thousands of values of the field.
        """

        def function(p, **options):
            return self.read(names, p, **options)

        return replace(self, function=function, outputs={name: self.outputs[name] for name in names})


def surrogate(
    problem: Problem,
    key: jax.Array,
    budget: Budget | int = 20_000,
    *,
    name: str = "pinn/surrogate",
    units: Mapping[str, str] | None = None,
    outputs: Mapping[str, Output] | None = None,
    read: Read | None = None,
    limit_states: Mapping[str, LimitState] | None = None,
    **settings: Unpack[Settings],
) -> Surrogate:
    """Train one network over all coordinates and parameter ranges of a problem.

    Parameters
    ----------
    problem : Problem
        With at least one parameter that has a distribution.
    key, budget
        As for `solve`.
    name : str
        Of the simulator.
    units : mapping of str to str, optional
        Of fields and coordinates.
    outputs, read : optional
        What a query returns, and how it is read off the solution: ``read(solution, p)`` gives the
        outputs by name. Unless given, all fields on a grid of 33 points a coordinate, which are options.
    limit_states : mapping of str to LimitState, optional
        On these outputs.
    **settings
        See `Settings`.

    Returns
    -------
    Surrogate
        A simulator, to be jitted, mapped and differentiated; beyond the range of a parameter that has a
        bounded support it is as wrong as any extrapolation, and its validity says so.

    Raises
    ------
    ParameterError
        If no parameter has a distribution.

    Examples
    --------
    >>> import numpyro.distributions as dist, physsynth as ps
    >>> from physsynth.pinn import Initial
    >>> rate = {"k": ps.Parameter(dist.Uniform(0.5, 2.0), "1/s", "rate of decay")}
    >>> decay = Problem({"t": (0.0, 1.0)}, lambda u, p: u.t + p["k"] * u, [Initial(1.0)], rate)
    >>> quick = surrogate(decay, jax.random.key(0), budget=800)
    >>> y = quick({"k": 1.0})
    >>> y["u"].shape, bool(jnp.abs(y["u"][-1] - jnp.exp(-1.0)) < 1e-3)
    ((33,), True)
    """
    check_kind("problem", problem, Problem, "a Problem")
    if not problem.ranges:
        raise ParameterError(
            "a surrogate without a range to cover",
            key="parameters",
            wanted="at least one Parameter with a distribution",
            advice="ps.pinn.solve handles fixed parameters",
        )
    units = units or {}
    return as_simulator(
        _trained(problem, key, budget, **settings),
        name,
        units,
        outputs or _grid_outputs(problem, units),
        read or _on_grid,
        limit_states or {},
    )


def emulate(
    simulator: Simulator,
    key: jax.Array,
    budget: Budget | int = 20_000,
    *,
    ranges: Mapping[str, Interval] | None = None,
    **settings: Unpack[Settings],
) -> Surrogate:
    """Train a network that stands in for a simulator, from the simulator's own equation.

    Parameters
    ----------
    simulator : Simulator
        One that declares its `equation`.
    key, budget
        As for `solve`.
    ranges : mapping of str to (low, high), optional
        Of parameters, where they are not to be those of the simulator's distributions: their supports,
        or four and a half standard deviations to both sides.
    **settings
        See `Settings`.

    Returns
    -------
    Surrogate
        With the simulator's parameters, options and limit states, those of its outputs that are read off
        the field, and "error".

    Raises
    ------
    ParameterError
        If the simulator has no equation.
    UnknownNameError
        If a range is given for a parameter that the network does not see.

    Examples
    --------
    >>> import physsynth as ps
    >>> heat = ps.simulator("fields/heat")
    >>> plate = ps.pinn.emulate(heat, jax.random.key(0), 100, sampling=Sampling(points=100))
    >>> p = {"power": 50.0, "conductivity": 30.0, "loss": 10.0, "source_x": 0.5, "source_y": 0.5}
    >>> plate(p)["hot_spot"].shape, plate(p)["profile"].shape
    ((), (9,))
    """
    return in_place_of(simulator, _trained(problem_of(simulator, ranges or {}), key, budget, **settings))


def _trained(problem, key, budget, symmetries=None, **settings) -> Solution:
    check_key(key)
    given = {name: settings.get(name) for name in ("network", "stages", "sampling", "checkpoint")}
    check_settings(**given, symmetries=symmetries)
    whole = posed(problem, None if symmetries is None else tuple(symmetries))
    usual = {
        "network": MLP(width=_WIDTH),
        "stages": None,
        "sampling": Sampling(points=_POINTS // (1 + len(Ansatz(whole).mirrors))),
        "checkpoint": None,
        "progress": False,
    }
    return train(whole, key, Budget.of(budget), **{**usual, **settings}, observe=None)


def problem_of(simulator: Simulator, ranges: Mapping[str, Interval]) -> Problem:
    """Return the problem that a network in place of a simulator solves, over ranges of its parameters."""
    return _problem_of(simulator, tuple((name, tuple(ends)) for name, ends in ranges.items()))


@lru_cache(maxsize=8)
def _problem_of(simulator, given) -> Problem:
    """Return the problem; kept, as trainings are kept by their problem."""
    ranges, equation = dict(given), simulator.equation
    if equation is None:
        raise ParameterError(
            f"{simulator.name} declares no equation",
            key="equation",
            wanted="a simulator of a differential equation",
            advice="give define_simulator an Equation, or train on a Problem with ps.pinn.surrogate",
        )
    varied = [name for name in simulator.parameters if name != equation.proportional]
    for name in ranges:
        if name not in varied:
            raise unknown_name("parameter that the network sees", name, varied, key=f"ranges.{name}")
    covered = {name: ranges.get(name) or _reach(simulator, name) for name in varied}
    parameters: dict[str, Any] = {
        name: replace(simulator.parameters[name], distribution=dist.Uniform(*map(float, covered[name])))
        for name in varied
    }
    if equation.proportional is not None:
        parameters[equation.proportional] = 1.0
    conditions: list[Any] = [Dirichlet(0.0, dict(equation.edges))]
    if equation.start is not None:
        conditions.append(Initial(equation.start))
    return Problem(
        dict(equation.domain), equation.residual, conditions, parameters, features=equation.features
    )


def in_place_of(simulator: Simulator, solution: Solution) -> Surrogate:
    """Return a solution of `problem_of(simulator, ...)` as a simulator."""
    equation, problem = simulator.equation, solution.problem
    assert equation is not None

    def field(p, **coordinates):
        varied = {name: p[name] for name in problem.ranges}
        factor = 1.0 if equation.proportional is None else p[equation.proportional]
        return factor * solution.evaluate({**coordinates, **varied})[problem.fields[0]]

    def read(names, p, **options):
        return {
            name: _largest_error(solution, p) if name == ERROR else equation.read[name](field, p, **options)
            for name in names
        }

    outputs = {name: simulator.outputs[name] for name in emulated(simulator)} | {ERROR: _ERROR}
    base = replace(
        simulator,
        name=f"{simulator.name} (network)",
        function=_function(
            read, outputs, f"Network of {solution.weights.size} weights in place of {simulator.name}."
        ),
        outputs=outputs,
        constraints=(),
        validity={**simulator.validity, **problem.ranges},
    )
    return Surrogate(**_own(base), solution=solution, read=read)


def emulated(simulator: Simulator) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the outputs that are read off the field of a simulator with an equation, with their shapes."""
    assert simulator.equation is not None
    readers = simulator.equation.read

    def nothing(p, **coordinates):
        return jnp.zeros(jnp.broadcast_shapes(*(jnp.shape(value) for value in coordinates.values())))

    p = {name: jnp.ones(p.distribution.event_shape) for name, p in simulator.parameters.items()}
    return {
        name: jax.eval_shape(lambda p, name=name: readers[name](nothing, p, **simulator.options), p)
        for name in simulator.outputs
        if name in readers
    }


def load_emulator(
    path: Path | str, simulator: Simulator, ranges: Mapping[str, Interval] | None = None
) -> Surrogate:
    """Read a network that stands in for a simulator, written by ``emulate(...).solution.save(path)``.

    Parameters
    ----------
    path : path
    simulator, ranges
        As they were given to `emulate`; what the simulator computes is code, so it is not in the file.

    Raises
    ------
    DataError
        If the file holds a solution of another problem.
    """
    return in_place_of(simulator, Solution.load(path, problem_of(simulator, ranges or {})))


def _reach(simulator, name) -> Interval:
    """Return the range of a parameter that rare scenarios reach."""
    space = ParameterSpace({name: simulator.parameters[name]})
    low, high = space.from_normal(jnp.array([[-_REACH], [_REACH]]))[name]
    return float(low), float(high)


def as_simulator(
    solution: Solution,
    name: str,
    units: Mapping[str, str],
    outputs: Mapping[str, Output],
    read: Callable[..., dict[str, jax.Array]],
    limit_states: Mapping[str, LimitState],
) -> Surrogate:
    """Return a solution over parameter ranges as a simulator."""
    problem, every = solution.problem, {**outputs, ERROR: _ERROR}

    def reading(names, p, **options):
        found = read(solution, p, **options)
        return {name: _largest_error(solution, p) if name == ERROR else found[name] for name in names}

    base = define_simulator(
        name,
        parameters=problem.space.parameters,
        outputs=every,
        limit_states=limit_states,
        validity=problem.ranges,
        options=_grid_options(problem, units) if read is _on_grid else {},
    )(_function(reading, every, f"Network of {solution.weights.size} weights in place of a solver."))
    return Surrogate(**_own(base), solution=solution, read=reading)


def _function(read, names, summary):
    """Return the function of a simulator with all outputs."""

    def function(p, **options):
        return read(names, p, **options)

    function.__doc__ = summary
    return function


def _largest_error(solution, p):
    return jnp.max(jnp.stack(list(solution.query_error(p).values())))


def _own(simulator):
    return {f.name: getattr(simulator, f.name) for f in fields(Simulator)}


def _grid_outputs(problem, units):
    dims = {c: Coordinate(c, units.get(c, "1"), f"coordinate {c}") for c in problem.coordinates}
    return {field: Output(units.get(field, "1"), f"field {field}", dims) for field in problem.fields}


def _grid_options(problem, units):
    return {
        name: Option(
            np.linspace(low, high, _GRID),
            units.get(name, "1"),
            f"grid along {name}",
            lambda v: jnp.asarray(v, float),
        )
        for name, (low, high) in problem.domain.intervals.items()
    }


def _on_grid(solution, p, **axes):
    grid = dict(zip(axes, jnp.meshgrid(*axes.values(), indexing="ij"), strict=True))
    return solution.evaluate({**grid, **p})

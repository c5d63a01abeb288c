"""A problem: domain, equation, conditions and parameters, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import constraints

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.core.space import Parameter, ParameterSpace
from physsynth.pinn.checks import check
from physsynth.pinn.conditions import Boundary, Condition, Inequality, Periodic
from physsynth.pinn.domain import Domain, Interval
from physsynth.pinn.field import Field, arguments
from physsynth.pinn.given import check_given, check_values, traced
from physsynth.pinn.indices import Indices, MultiIndex

_TAIL = 3.0


@dataclass(frozen=True, eq=False)
class Problem:
    """A differential equation with its conditions.

    Parameters
    ----------
    domain : Domain or mapping of str to (low, high)
        Named coordinates; kept as a Domain.
    residual : callable
        ``residual(u, p)`` for one field, ``residual(q, p)`` with ``q.u``, ``q.v``, ... for several:
        what must vanish, as an array, or as a dict of arrays by the name of each equation. `p` maps
        every coordinate and parameter to its values.
    conditions : sequence
        See `physsynth.pinn.conditions`.
    parameters : mapping of str to float or Parameter, or ParameterSpace, optional
        A number is fixed; a Parameter is a range that a surrogate covers.
    fields : sequence of str
        The unknowns.
    features : sequence of callable
        Functions of `p` that the network sees besides the coordinates: known layers or singularities.

    Raises
    ------
    ParameterError
        If something given is of the wrong kind, if the domain has no measure, or if the conditions
        contradict one another or leave the problem underdetermined.
    UnknownNameError
        If the residual or a condition names an undeclared coordinate, field or parameter.

    Examples
    --------
    >>> from physsynth.pinn import Dirichlet, Initial
    >>> burgers = Problem(
    ...     {"t": (0.0, 1.0), "x": (-1.0, 1.0)},
    ...     lambda u, p: u.t + u * u.x - p["nu"] * u.xx,
    ...     [Initial(lambda p: -jnp.sin(jnp.pi * p["x"])), Dirichlet(0.0, {"x": (-1.0, 1.0)})],
    ...     parameters={"nu": 0.01 / jnp.pi},
    ... )
    >>> burgers.equations, burgers.orders("u")
    (('equation',), {'t': 1, 'x': 2})
    """

    domain: Any
    residual: Callable
    conditions: Sequence[Condition]
    parameters: Mapping[str, float | Parameter] | ParameterSpace | None = None
    fields: tuple[str, ...] = ("u",)
    features: tuple[Callable, ...] = ()

    def __post_init__(self):
        given = self.parameters or {}
        settings = given.parameters if isinstance(given, ParameterSpace) else given
        check_given(self.residual, self.conditions, settings, self.fields)
        object.__setattr__(self, "domain", Domain.of(self.domain))
        object.__setattr__(self, "parameters", dict(settings))
        object.__setattr__(self, "conditions", tuple(self.conditions))
        object.__setattr__(self, "fields", tuple(self.fields))
        object.__setattr__(self, "features", tuple(self.features))
        check(self)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The coordinates' names in order."""
        return self.domain.coordinates

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """The parameters that have one value."""
        return {k: np.asarray(v, float) for k, v in self._settings.items() if not isinstance(v, Parameter)}

    @property
    def space(self) -> ParameterSpace:
        """The parameters that have a distribution."""
        return ParameterSpace({k: v for k, v in self._settings.items() if isinstance(v, Parameter)})

    @cached_property
    def ranges(self) -> dict[str, Interval]:
        """The range of each parameter that has a distribution: its support, or three standard deviations."""
        return {name: _range(name, parameter) for name, parameter in self.space.parameters.items()}

    @property
    def variables(self) -> dict[str, Interval]:
        """Everything that a network of this problem depends on: coordinates, then parameters."""
        return {**self.domain.intervals, **self.ranges}

    @property
    def periodic(self) -> dict[str, Periodic]:
        """The periodic condition of each coordinate that has one."""
        return {c.along: c for c in self.conditions if isinstance(c, Periodic)}

    def at(self, **values: float) -> Problem:
        """Return the problem with parameters fixed at values.

        Raises
        ------
        UnknownNameError
            If a parameter is not declared.
        ParameterError
            If a value is outside its parameter's range.
        """
        for name, value in values.items():
            self.check_value(name, value)
        return replace(self, parameters={**self._settings, **values})

    def check_value(self, name: str, value: float) -> None:
        """Raise if a parameter is not declared or a value lies outside its range."""
        if name not in self._settings:
            raise unknown_name("parameter", name, self._settings, key=name)
        low, high = self.ranges.get(name, (-np.inf, np.inf))
        if isinstance(value, str) or not low <= value <= high:
            raise ParameterError(
                "a parameter out of range", key=name, wanted=f"{low:g} to {high:g}", got=value
            )

    def evaluate(self, fields: Mapping[str, Field], p: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Return the residual of each equation by name."""
        return _named(self.residual(arguments(fields), p))

    def evaluate_on_faces(
        self, condition: Boundary, fields: Mapping[str, Field], p: Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Return the residual of each equation of a boundary by name."""
        return _named(condition.function(arguments(fields), p))

    @cached_property
    def equations(self) -> tuple[str, ...]:
        """The names of the equations."""
        return self._trace[0]

    @cached_property
    def indices(self) -> Indices:
        """The derivatives that the equations use, of all fields together."""
        return Indices.closure(self.coordinates, set().union(*self._trace[1].values()))

    def inequality_indices(self, condition: Inequality) -> Indices:
        """Return the derivatives that an inequality uses."""
        used = self._record(lambda fields, p: condition.function(arguments(fields), p), condition.name)[1]
        return Indices.closure(self.coordinates, set().union(*used.values()))

    def boundary_indices(self, condition: Boundary) -> Indices:
        """Return the derivatives that the equations of a boundary use."""
        return Indices.closure(self.coordinates, set().union(*self.on_faces(condition)[1].values()))

    def on_faces(self, condition: Boundary) -> tuple[tuple[str, ...], dict[str, set[MultiIndex]]]:
        """Return the names of a boundary's equations, and the derivatives of each field that they use."""
        names, used, shapes = self._record(partial(self.evaluate_on_faces, condition), "Boundary.function")
        check_values(shapes, "Boundary.function")
        return names, used

    def orders(self, field: str) -> dict[str, int]:
        """Return the highest order of the derivatives of a field along each coordinate."""
        used = self._trace[1][field]
        return {
            name: max((index[axis] for index in used), default=0)
            for axis, name in enumerate(self.coordinates)
        }

    def uses(self, field: str, index: MultiIndex) -> bool:
        """Whether the equations use a derivative of a field."""
        return index in self._trace[1][field]

    def enters(self, field: str) -> bool:
        """Whether the equations use a field at all."""
        return bool(self._trace[1][field])

    @property
    def _settings(self) -> dict[str, float | Parameter]:
        return dict(self.parameters or {})  # type: ignore[arg-type]

    @cached_property
    def _trace(self):
        names, used, shapes = self._record(self.evaluate, "residual")
        check_values(shapes)
        return names, used

    def _record(self, function, key):
        """Run a function of fields and p on recorders; return its names, the derivatives read, and shapes."""
        used: dict[str, set[MultiIndex]] = {name: set() for name in self.fields}
        names: list[str] = []

        def recorder(name):
            def read(index):
                used[name].add(index)
                return jnp.zeros(1)

            return Field(name, self.coordinates, read)

        variables = tuple(self.variables)

        def run():
            p = Values({name: jnp.ones(1) for name in variables} | self.constants)
            found = function({name: recorder(name) for name in self.fields}, p)
            names.extend(found if isinstance(found, Mapping) else ())
            return jax.tree.map(jnp.asarray, found)

        shapes = traced(run, key)
        return tuple(names), used, shapes


def _named(found):
    """Return what a residual gives by the name of each equation."""
    if isinstance(found, Mapping):
        return dict(found)
    if isinstance(found, tuple | list):
        return {f"equation {i + 1}": part for i, part in enumerate(found)}
    return {"equation": found}


class Values(dict):
    """Coordinates and parameters by name; an undeclared one is the user's error."""

    def __missing__(self, name):
        raise unknown_name("coordinate or parameter", name, self, key=f'p["{name}"]')


def _range(name, parameter):
    support = parameter.distribution.support
    if isinstance(support, type(constraints.interval(0.0, 1.0))):
        return float(np.asarray(support.lower_bound)), float(np.asarray(support.upper_bound))
    ends = ParameterSpace({name: parameter}).from_normal(jnp.array([[-_TAIL], [_TAIL]]))[name]
    return float(ends[0]), float(ends[1])

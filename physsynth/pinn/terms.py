"""The terms of the loss: the equation inside the domain, and each condition that is not exact.

A term is a residual over points that it draws itself; what it reports is its own mean square.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.conditions import (
    Boundary,
    Data,
    Dirichlet,
    Inequality,
    Initial,
    Integral,
    Neumann,
    Robin,
    Value,
    evaluate,
    faces,
)
from physsynth.pinn.domain import HostPoints
from physsynth.pinn.field import Field, arguments
from physsynth.pinn.indices import Indices
from physsynth.pinn.problem import Problem

EQUATION = "equation"
_ON_FACES = 256


@dataclass(frozen=True, eq=False)
class Term:
    """One part of the loss.

    Attributes
    ----------
    name : str
        What it is reported as.
    indices : Indices
        The derivatives that it reads.
    residual : callable
        Of fields and p: what must vanish, (equation, point).
    draw : callable
        Of generator and count: points (point,), a count of its own where it says so.
    quadrature : array (node,) or None
        Weights that contract each run of as many points to one row, once the residual is taken.
    """

    name: str
    indices: Indices
    residual: Callable[[Mapping[str, Field], Mapping[str, jax.Array]], jax.Array]
    draw: Callable[[np.random.Generator, int], HostPoints]
    quadrature: np.ndarray | None = None


def terms(problem: Problem) -> tuple[Term, ...]:
    """Return the equation's term, then one for each face or condition that is penalised."""
    found = [_equation(problem)]
    for condition in problem.conditions:
        found += _TERMS.get(type(condition), _none)(problem, condition)
    return tuple(found)


def sample(problem: Problem, rng: np.random.Generator, n: int) -> HostPoints:
    """Draw coordinates from the domain and varied parameters from their ranges, uniformly."""
    inside = problem.domain.sample(rng, n)
    return inside | {
        name: _within(interval, rng.uniform(size=n)) for name, interval in problem.ranges.items()
    }


def _within(interval, unit):
    """Spread over an interval, over its logarithm where it spans decades."""
    low, high = interval
    return low * (high / low) ** unit if 0 < low < high / 5 else low + (high - low) * unit


def _equation(problem):
    def residual(fields, p):
        return jnp.stack(list(problem.evaluate(fields, p).values()))

    return Term(EQUATION, problem.indices, residual, lambda rng, n: sample(problem, rng, n))


def _dirichlet(problem, condition):
    if condition.exact:
        return []
    return _on_faces(problem, condition, lambda u, slope, p: u.value - evaluate(condition.value, p))


def _robin(problem, condition):
    def defect(u, slope, p):
        weights = (evaluate(part, p) for part in (condition.a, condition.b, condition.value))
        a, b, value = weights
        return a * u.value + b * slope - value

    return _on_faces(problem, condition, defect)


def _on_faces(problem, condition, defect):
    """Return a term for each face and field; `defect` takes the field and its outward slope."""
    return [
        _on_face(problem, name, position, field, defect, type(condition).__name__)
        for name, position in faces(condition.on, problem.domain.intervals)
        for field in _fields_of(problem, condition)
    ]


def _on_face(problem, name, position, field, defect, what):
    sign = 1.0 if position == problem.domain.intervals[name][1] else -1.0

    def residual(fields, p):
        return defect(fields[field], sign * getattr(fields[field], name), p)[None]

    def draw(rng, n):
        return {**sample(problem, rng, _ON_FACES), name: np.full(_ON_FACES, position)}

    label = f"{what} of {field} at {name} = {position:g}"
    return Term(label, _first(problem, name), residual, draw)


def _boundary(problem, condition):
    """Return a term for each face, with all of its equations."""
    return [
        _equations_on_face(problem, condition, name, position)
        for name, position in faces(condition.on, problem.domain.intervals)
    ]


def _equations_on_face(problem, condition, name, position):
    def residual(fields, p):
        rows = problem.evaluate_on_faces(condition, fields, p).values()
        return jnp.stack([jnp.asarray(row) for row in rows])

    def draw(rng, n):
        return {**sample(problem, rng, _ON_FACES), name: np.full(_ON_FACES, position)}

    # Several may hold on one face.
    number = [c is condition for c in problem.conditions if isinstance(c, Boundary)].index(True) + 1
    label = f"Boundary {number} at {name} = {position:g}"
    return Term(label, problem.boundary_indices(condition), residual, draw)


def _initial(problem, condition):
    if condition.exact:
        return []
    at_start = {condition.along: problem.domain.intervals[condition.along][0]}
    value = Dirichlet(condition.value, at_start, condition.field, exact=False)
    found = _dirichlet(problem, value)
    if condition.rate is None:
        return found
    rate: Value = condition.rate
    return found + _robin(problem, Robin(0.0, 1.0, lambda p: -evaluate(rate, p), at_start, condition.field))


def _data(problem, condition):
    at = {name: np.asarray(values, float) for name, values in condition.at.items()}
    values = np.asarray(condition.values, float)

    def term(field):
        def residual(fields, p):
            return (fields[field].value - p["measured"])[None] / condition.noise

        points = {**at, "measured": values}
        return Term(f"Data of {field}", _value(problem), residual, lambda rng, n: points)

    return [term(field) for field in _fields_of(problem, condition)]


def _integral(problem, condition):
    low, high = problem.domain.intervals[condition.over]
    nodes, weights = np.polynomial.legendre.leggauss(condition.nodes)
    places = low + (high - low) * (nodes + 1.0) / 2.0

    def term(field):
        def residual(fields, p):
            # The weights sum to the length, so that the value is spread evenly over the nodes.
            return (fields[field].value - evaluate(condition.value, p) / (high - low))[None]

        def draw(rng, n):
            rows = sample(problem, rng, _ON_FACES // condition.nodes)
            points = {name: np.repeat(value, condition.nodes) for name, value in rows.items()}
            return {**points, condition.over: np.tile(places, _ON_FACES // condition.nodes)}

        quadrature = weights * (high - low) / 2.0
        return Term(f"Integral of {field} over {condition.over}", _value(problem), residual, draw, quadrature)

    return [term(field) for field in _fields_of(problem, condition)]


def _inequality(problem, condition):
    def residual(fields, p):
        return jnp.atleast_2d(jnp.maximum(condition.function(arguments(fields), p), 0.0))

    def draw(rng, n):
        return sample(problem, rng, 4 * _ON_FACES)

    return [Term(condition.name, problem.inequality_indices(condition), residual, draw)]


def _none(problem, condition):
    return []


_TERMS = {
    Dirichlet: _dirichlet,
    Neumann: lambda problem, condition: _robin(problem, condition.as_robin()),
    Robin: _robin,
    Initial: _initial,
    Boundary: _boundary,
    Data: _data,
    Integral: _integral,
    Inequality: _inequality,
}


def _fields_of(problem, condition):
    return problem.fields if condition.field is None else (condition.field,)


def _first(problem, name):
    index = tuple(int(c == name) for c in problem.coordinates)
    return Indices.closure(problem.coordinates, [index])


def _value(problem):
    return Indices.closure(problem.coordinates, [])

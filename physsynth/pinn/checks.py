"""Is a problem well posed? What can be told before training is told here.

The counts are necessary, not sufficient: a derivative of order k along a coordinate needs k conditions
along it (a periodic coordinate needs none, and points or integrals are trusted to determine the rest).
In a system, a field that appears with first derivatives only needs but something that fixes its level.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.pinn.ansatz import Ansatz
from physsynth.pinn.conditions import (
    Boundary,
    Data,
    Dirichlet,
    Inequality,
    Initial,
    Integral,
    Neumann,
    Periodic,
    Robin,
    Symmetry,
    evaluate,
    faces,
)
from physsynth.pinn.functions import check_functions
from physsynth.pinn.once import once

if TYPE_CHECKING:
    from physsynth.pinn.problem import Problem

_TOLERANCE = 1e-6
_SAMPLE = 64


def check(problem: Problem) -> None:
    """Raise the first thing that is wrong with a problem."""
    _check_names(problem)
    for condition in problem.conditions:
        _check_condition(problem, condition)
    _check_number_of_equations(problem)
    check_functions(problem)
    for field in problem.fields:
        _check_used(problem, field)
        _check_determined(problem, field)
        _check_not_overdetermined(problem, field)
    _check_contradictions(problem)


def _check_names(problem):
    for others, what in ((problem.parameters or {}, "parameter"), (problem.fields, "field")):
        both = set(problem.coordinates) & set(others)
        if both:
            raise ParameterError(
                f"a coordinate and a {what} of the same name", key=min(both), wanted="different names"
            )


def _check_number_of_equations(problem):
    """As many as fields, unless measurements stand in for one."""
    measured = any(isinstance(condition, Data) for condition in problem.conditions)
    if len(problem.equations) < len(problem.fields) and not measured:
        raise ParameterError(
            "fewer equations than fields",
            key="residual",
            wanted=f"{len(problem.fields)}, for " + ", ".join(problem.fields),
            got=len(problem.equations),
        )


def _check_condition(problem, condition):
    field = getattr(condition, "field", None)
    if field is not None and field not in problem.fields:
        raise unknown_name("field", field, problem.fields, key=f"{type(condition).__name__}.field")
    for name in _coordinates_of(problem, condition):
        if name not in problem.coordinates:
            raise unknown_name("coordinate", name, problem.coordinates, key=type(condition).__name__)
    if isinstance(condition, Dirichlet | Neumann | Robin | Boundary):
        _check_faces(problem, condition)
    if isinstance(condition, Data):
        _check_data(problem, condition)
    if isinstance(condition, Initial) and condition.along in problem.periodic:
        raise ParameterError(
            "conditions that contradict each other",
            key=f"Initial and Periodic along {condition.along}",
            wanted="a coordinate that either begins somewhere or repeats",
        )


def _coordinates_of(problem, condition) -> Iterable[str]:
    if isinstance(condition, Data):
        return condition.at
    if isinstance(condition, Dirichlet | Neumann | Robin | Boundary):
        return [name for name, _ in faces(condition.on, problem.domain.intervals)]
    if isinstance(condition, Inequality):
        return ()
    return (condition.over if isinstance(condition, Integral) else condition.along,)


def _check_faces(problem, condition):
    if condition.on is None and problem.domain.without and not getattr(condition, "exact", False):
        raise ParameterError(
            "a penalised condition on the boundary of a cut",
            key=type(condition).__name__,
            wanted="an exact Dirichlet condition, or faces of the box by name",
        )
    for name, position in faces(condition.on, problem.domain.intervals):
        ends = problem.domain.intervals[name]
        if position not in [float(end) for end in ends]:
            raise ParameterError(
                "a condition that is not on the boundary",
                key=f"{type(condition).__name__}.on.{name}",
                wanted=f"{ends[0]:g} or {ends[1]:g}",
                got=f"{position:g}",
                advice="values inside the domain are Data",
            )


def _check_data(problem, data):
    sizes = {name: np.shape(values) for name, values in data.at.items()}
    missing = set(problem.coordinates) - set(sizes)
    if missing or set(sizes.values()) != {np.shape(data.values)}:
        raise ParameterError(
            "data that do not fit together",
            key="Data.at",
            wanted="one value of each coordinate (" + ", ".join(problem.coordinates) + ") a measurement",
            got=", ".join(f"{name}: {shape}" for name, shape in sizes.items()),
        )
    for name, (low, high) in problem.domain.intervals.items():
        values = np.asarray(data.at[name], float)
        slack = _TOLERANCE * (high - low)
        if np.any((values < low - slack) | (values > high + slack) | np.isnan(values)):
            raise ParameterError(
                "data outside the domain",
                key=f"Data.at.{name}",
                wanted=f"{low:g} to {high:g}",
                got=f"{np.min(values):g} to {np.max(values):g}",
            )


def _check_determined(problem, field):
    own = [c for c in problem.conditions if getattr(c, "field", None) in (field, None)]
    if any(isinstance(c, Data | Integral) for c in own):
        return
    for name, order in _counted(problem, field).items():
        count = sum(_count(problem, field, condition, name) for condition in own)
        if count < order:
            raise ParameterError(
                "conditions that leave the problem underdetermined",
                key=f"conditions on {field}",
                wanted=f"{order} along {name}, where the equation has a derivative of order {order}",
                got=str(int(count)),
                advice="add an Initial, Dirichlet, Neumann, Robin, Boundary or Periodic condition",
            )
    _check_level(problem, field, own)


def _check_used(problem, field):
    """A field that no equation reads is whatever it happens to be."""
    measured = any(isinstance(c, Data) and c.field in (field, None) for c in problem.conditions)
    if not problem.enters(field) and not measured:
        raise ParameterError(
            "a field that enters no equation",
            key="residual",
            wanted=f"an equation of {field} or its derivatives",
            got="a residual that is the same for all of its values",
        )


def _check_not_overdetermined(problem, field):
    """A derivative of order k >= 2 takes k values and slopes along its coordinate, not twice as many.

    One more may be known, of what the equation implies anyway: not the value and the slope at both ends.
    """
    own = [c for c in problem.conditions if getattr(c, "field", None) in (field, None)]
    if any(isinstance(c, Data | Integral) for c in own):
        return
    for name, order in _counted(problem, field).items():
        given = {place for condition in own for place in _places(problem, condition, name)}
        given |= {f"Periodic, number {i + 1}" for i in range(order * (name in problem.periodic))}
        if order >= 2 and len(given) >= 2 * order:
            raise ParameterError(
                "conditions that overdetermine the problem",
                key=f"conditions on {field}",
                wanted=f"{order} along {name}, where the equation has a derivative of order {order}",
                got=f"{len(given)}: " + ", ".join(sorted(given)),
                advice="leave some of them out; where they are measurements, give them as Data",
            )


def _places(problem, condition, name):
    """Return what a condition gives along a coordinate, and where."""
    kind = type(condition).__name__
    if isinstance(condition, Initial):
        start = f"{name} = {problem.domain.intervals[name][0]:g}"
        given = [f"Dirichlet at {start}"] + [f"Neumann at {start}"] * (condition.rate is not None)
        return given if condition.along == name else []
    if not isinstance(condition, Dirichlet | Neumann | Robin):
        return []
    ends = faces(condition.on, problem.domain.intervals)
    return [f"{kind} at {name} = {position:g}" for along, position in ends if along == name]


def _counted(problem, field):
    """Return the orders that conditions are counted against; a pressure has none of its own."""
    orders = problem.orders(field)
    return orders if len(problem.fields) == 1 or max(orders.values()) > 1 else {}


def _check_level(problem, field, own):
    """Only derivatives in the equation and no condition on the value: any constant may be added."""
    value = (0,) * len(problem.coordinates)
    fixed = any(isinstance(c, Dirichlet | Initial | Robin) or _reads(problem, c, field, value) for c in own)
    if not problem.uses(field, value) and not fixed:
        raise ParameterError(
            "conditions that leave the problem underdetermined",
            key=f"conditions on {field}",
            wanted=f"something that fixes the level of {field}: only its derivatives appear",
            advice="add a Dirichlet, Data or Integral condition",
        )


def _reads(problem, condition, field, index):
    return isinstance(condition, Boundary) and index in problem.on_faces(condition)[1][field]


def _count(problem, field, condition, name):
    if isinstance(condition, Periodic):
        return np.inf if condition.along == name else 0
    if isinstance(condition, Symmetry | Inequality):
        return 0
    if isinstance(condition, Initial):
        return (1 if condition.rate is None else 2) * (condition.along == name)
    places = sum(along == name for along, _ in faces(condition.on, problem.domain.intervals))
    if isinstance(condition, Boundary):
        equations, used = problem.on_faces(condition)
        return places * len(equations) * bool(used[field])
    return places


def _check_contradictions(problem):
    """The lift meets all exact conditions of a field, unless two of them disagree somewhere."""
    ansatz = Ansatz(problem)
    claims = [(field, *claim) for field in problem.fields for claim in _claims(problem, ansatz, field)]

    def compare(field, name, position, value, what):
        p = _points_on(problem, name, position)
        wanted = evaluate(value, p)
        return jnp.max(jnp.abs(ansatz.lift(field)(p) - wanted)), jnp.max(jnp.abs(wanted))

    found = once(lambda: [compare(*claim) for claim in claims])
    for (field, name, position, _, what), (error, size) in zip(claims, found, strict=True):
        if not np.isfinite(size):
            raise ParameterError(
                "a value that is no number",
                key=f"{what} of {field}",
                wanted="finite values where it is taken, corners among them",
                got="nan or inf",
            )
        if not error <= _TOLERANCE * (1.0 + size):
            raise ParameterError(
                "conditions that contradict each other",
                key=f"{what} of {field} "
                + (f"about {name}" if position is None else f"at {name} = {position:g}"),
                wanted="a value that agrees with the other conditions where they meet",
                got=f"a difference of {float(error):.3g}",
                advice="make one of them agree, or penalise it: exact=False",
            )


def _claims(problem, ansatz, field):
    intervals = problem.domain.intervals
    yield from ((i.along, intervals[i.along][0], i.value, "Initial") for i in ansatz.initials(field))
    yield from ((f.coordinate, f.position, f.value, "Dirichlet") for f in ansatz.faces(field))
    lift = ansatz.lift(field)
    for mirror in ansatz.mirrors:
        yield from _mirror_claims(ansatz, mirror, field)
    for name in problem.periodic:
        low, high = intervals[name]
        yield name, low, lambda p, c=name, end=high: lift({**p, c: jnp.full_like(p[c], end)}), "Periodic"


def _mirror_claims(ansatz, mirror, field):
    """Values and faces must be as symmetric as the field; compared everywhere."""
    name, parity = next(iter(mirror.sums)), mirror.parity(field)
    lift, mask = ansatz.lift(field), ansatz.mask(field)
    if parity:
        yield name, None, lambda p: parity * lift(mirror.image(p)), "Symmetry of the values"
        yield name, None, lambda p: lift(p) + mask(mirror.image(p)) - mask(p), "Symmetry of the faces"


def _points_on(problem, name, position):
    """Return points of a face, or of the box if the position is None.

    A quarter of the values of every variable are at either of its ends.
    """
    unit = np.random.default_rng(0).uniform(size=(len(problem.variables), _SAMPLE))
    p = {
        other: low + (high - low) * row
        for (other, (low, high)), row in zip(
            problem.variables.items(), np.clip(2.0 * unit - 0.5, 0.0, 1.0), strict=True
        )
    }
    p = {name: jnp.asarray(value) for name, value in (p | problem.constants).items()}
    return p if position is None else {**p, name: jnp.full(_SAMPLE, position)}

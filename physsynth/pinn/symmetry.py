"""Mirror images: where a solution must be even or odd, told from its problem.

Let M reflect one coordinate of the domain, x -> a + b - x, and let s be a sign for each field. A derivative
of order n along x of the mirrored fields v = s u(M .) is s (-1)^n times that of u. If on such jets the
residual is again plus or minus what it was, and if every condition is mapped to itself, then v solves the
problem that u solves. Where the solution is unique, u = v: every field is even or odd.

Uniqueness is taken for granted where the problem evolves from an initial state and nothing is said of a
later one. A steady problem is left alone: its solutions may come in mirrored pairs (a pitchfork).

Identities between functions are tested at random points and on random jets, in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.ansatz import Ansatz, Mirror
from physsynth.pinn.conditions import (
    Boundary,
    Data,
    Dirichlet,
    Inequality,
    Initial,
    Integral,
    Neumann,
    Robin,
    Symmetry,
    Value,
    evaluate,
    faces,
)
from physsynth.pinn.evolution import time_of
from physsynth.pinn.field import Field, arguments
from physsynth.pinn.indices import MultiIndex
from physsynth.pinn.once import once
from physsynth.pinn.problem import Problem, Values
from physsynth.pinn.terms import sample

_SAMPLE = 16384
_AMPLITUDES = (1e-2, 1.0, 1e2)
_TOLERANCE = 1e-11


def symmetries(problem: Problem) -> tuple[Symmetry, ...]:
    """Return the symmetries that the solution of a problem must have, besides those declared.

    Examples
    --------
    >>> from physsynth.pinn import Dirichlet, Initial
    >>> box = {"t": (0.0, 1.0), "x": (-1.0, 1.0)}
    >>> conditions = [Initial(lambda p: -jnp.sin(jnp.pi * p["x"])), Dirichlet(0.0, {"x": (-1.0, 1.0)})]
    >>> symmetries(Problem(box, lambda u, p: u.t + u * u.x - 0.1 * u.xx, conditions))
    (Symmetry(along='x', parity=-1, field='u'),)
    >>> symmetries(Problem(box, lambda u, p: u.t + u.x - 0.1 * u.xx, conditions))
    ()
    """
    time = time_of(problem)
    if time is None:
        return ()
    declared = {c.along for c in problem.conditions if isinstance(c, Symmetry)}
    with jax.enable_x64(True):
        return tuple(
            symmetry
            for name in problem.coordinates
            if name not in declared | {time} and _maps_to_itself(problem, name)
            for symmetry in _about(problem, name)
        )


def symmetric(problem: Problem) -> Problem:
    """Return a problem with the symmetries of its solution among its conditions."""
    found = symmetries(problem)
    return replace(problem, conditions=(*problem.conditions, *found)) if found else problem


def in_words(symmetry: Symmetry, problem: Problem) -> str:
    """Return a symmetry as a reader says it: "u is odd about x = 0"."""
    middle = sum(problem.domain.intervals[symmetry.along]) / 2
    what = "even" if symmetry.parity == 1 else "odd"
    return f"{symmetry.field or 'all'} is {what} about {symmetry.along} = {middle:g}"


def _maps_to_itself(problem, name) -> bool:
    total = sum(problem.domain.intervals[name])

    def mirrored(box):
        low, high = box.get(name, problem.domain.intervals[name])
        return {**box, name: (total - high, total - low)}

    cuts = [{**problem.domain.intervals, **box} for box in problem.domain.without]
    return all(mirrored(box) in cuts for box in cuts)


def _about(problem, name) -> tuple[Symmetry, ...]:
    """Return the parity of each field about the middle of a coordinate; nothing if there is none."""
    choices = np.array(list(product((1.0, -1.0), repeat=len(problem.fields))))
    rng = np.random.default_rng(0)
    p = sample(problem, rng, _SAMPLE) | problem.constants
    points = {name: np.broadcast_to(value, _SAMPLE) for name, value in p.items()}

    # What is drawn is handed over: the compiler would fold all that constants lead to.
    def broken(signs, points, normal):
        parities = dict(zip(problem.fields, signs, strict=True))
        return jnp.max(jnp.stack(list(_Reflection(problem, name, parities, points, normal).defects())))

    normal = rng.normal(size=_SAMPLE)
    holds = once(jax.vmap(broken, in_axes=(0, None, None)), choices, points, normal) <= _TOLERANCE
    for signs in choices[holds]:
        pairs = zip(problem.fields, signs, strict=True)
        return tuple(Symmetry(name, int(sign), field) for field, sign in pairs)
    return ()


@dataclass(frozen=True)
class _Reflection:
    """A reflection of one coordinate with a sign for each field, held against a problem at points."""

    problem: Problem
    name: str
    parities: Mapping[str, jax.Array]
    points: Mapping[str, jax.Array]
    normal: jax.Array

    def defects(self) -> Iterator[jax.Array]:
        """Yield, for all that must be symmetric, how far it is from being so, relative to its size."""
        yield from self._of_equations()
        yield from self._of_exact_conditions()
        yield from self._of_walls()
        for condition in self.problem.conditions:
            yield from self._of_condition(condition)

    def _image(self, p):
        return Values(Mirror({self.name: self._total}, ()).image(p))

    @property
    def _total(self):
        return sum(self.problem.domain.intervals[self.name])

    def _of_equations(self):
        """The residual keeps or changes its sign, each equation its own."""
        pairs = list(self._on_jets(self.problem.evaluate))
        for equation in pairs[0][0]:
            of_sign = [
                jnp.max(jnp.stack([_apart(there[equation], s * here[equation]) for here, there in pairs]))
                for s in (1.0, -1.0)
            ]
            yield jnp.minimum(*of_sign)

    def _on_jets(self, function):
        """Yield what a function gives on random jets, small and large, and on their mirror images."""
        for number, amplitude in enumerate(_AMPLITUDES):
            jets = {f: self._jet([number, i], amplitude) for i, f in enumerate(self.problem.fields)}
            images = {field: self._mirrored(jet, self.parities[field]) for field, jet in jets.items()}
            yield (
                function(self._fields(jets), Values(self.points)),
                function(self._fields(images), self._image(self.points)),
            )

    def _jet(self, seed, amplitude):
        """Return a function that gives for each derivative and point a normal number: one draw, shifted."""

        def read(index: MultiIndex):
            shift = np.random.default_rng([*seed, *index]).integers(_SAMPLE)
            return amplitude * jnp.roll(self.normal, shift)

        return read

    def _mirrored(self, jet, parity):
        axis = self.problem.coordinates.index(self.name)
        return lambda index: parity * (-1.0) ** index[axis] * jet(index)

    def _fields(self, jets):
        return {field: Field(field, self.problem.coordinates, jet) for field, jet in jets.items()}

    def _of_exact_conditions(self):
        """Exact conditions stand where the mask vanishes, and say what the lift says."""
        ansatz = Ansatz(self.problem)
        for field in self.problem.fields:
            yield self._unlike(ansatz.lift(field), self.parities[field])
            yield self._unlike(ansatz.mask(field), 1.0)

    def _of_walls(self):
        """What holds on a face holds on its image; outward normals map to outward normals."""
        walls = list(_walls(self.problem))
        for wall in walls:
            image = self._total - wall.position if wall.coordinate == self.name else wall.position
            place = (wall.field, wall.coordinate, image)
            partners = [w for w in walls if (w.field, w.coordinate, w.position) == place]
            defects = [self._between(wall, partner) for partner in partners]
            yield jnp.min(jnp.stack([jnp.asarray(jnp.inf), *defects]))

    def _between(self, wall, partner):
        parity, on = self.parities[wall.field], {wall.coordinate: jnp.full(_SAMPLE, wall.position)}
        parts = [(w.condition.a, w.condition.b, w.condition.value) for w in (wall, partner)]
        pairs = zip(*parts, (1.0, 1.0, parity), strict=True)
        return jnp.max(jnp.stack([self._unlike(a, sign, on, b) for a, b, sign in pairs]))

    def _of_condition(self, condition):
        fields = self.problem.fields if getattr(condition, "field", None) is None else (condition.field,)
        if isinstance(condition, Data | Boundary):
            yield jnp.asarray(jnp.inf)
        if isinstance(condition, Inequality):
            pairs = self._on_jets(lambda fields, p: condition.function(arguments(fields), p))
            yield from (_apart(there, here) for here, there in pairs)
        if isinstance(condition, Initial | Integral):
            values = (condition.value, getattr(condition, "rate", None) or 0.0)
            yield from (self._unlike(value, self.parities[field]) for value in values for field in fields)

    def _unlike(self, value: Value, parity, on: Mapping | None = None, image: Value | None = None):
        """Return how far image(M p) is from parity * value(p), where `image` is `value` unless given."""
        p = {**self.points, **(on or {})}
        return _apart(
            evaluate(value if image is None else image, self._image(p)), parity * evaluate(value, p)
        )


@dataclass(frozen=True)
class _Wall:
    """A condition on one face for one field."""

    field: str
    coordinate: str
    position: float
    condition: Robin


def _walls(problem) -> Iterator[_Wall]:
    for condition in problem.conditions:
        if isinstance(condition, Dirichlet | Neumann | Robin):
            for field in problem.fields if condition.field is None else (condition.field,):
                for coordinate, position in faces(condition.on, problem.domain.intervals):
                    yield _Wall(field, coordinate, position, _as_robin(condition))


def _as_robin(condition) -> Robin:
    if isinstance(condition, Dirichlet):
        return Robin(1.0, 0.0, condition.value, condition.on or {}, condition.field)
    return condition.as_robin() if isinstance(condition, Neumann) else condition


def _apart(found, wanted):
    """Return the largest difference, relative to the largest value; not a number where one is none."""
    difference, size = jnp.max(jnp.abs(found - wanted)), jnp.max(jnp.abs(found)) + jnp.max(jnp.abs(wanted))
    return jnp.where(size == 0.0, 0.0, difference / jnp.where(size == 0.0, 1.0, size))

"""What a solution satisfies besides its equation: boundary, initial and data conditions as objects.

A value is a number or a function of `p`, the mapping from each coordinate and parameter to its values.
`on` names faces of the box: ``{"x": -1.0}``, ``{"x": (-1.0, 1.0)}``; None is the whole boundary.
An exact value with a kink or jump that the equation's derivatives cannot see (a plucked string) is refused
by `solve`: it is to be rounded, or penalised with ``exact=False``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

Value = float | Callable[[Mapping[str, jax.Array]], jax.Array]
Faces = Mapping[str, float | Sequence[float]]


@dataclass(frozen=True)
class Dirichlet:
    """u = value on faces; exact unless `exact` is False.

    `inward`, a function that equals the value there, says how the value continues inside, which helps
    where it is steep along the face: unless given, it is blended linearly to the opposite face.
    """

    value: Value
    on: Faces | None = None
    field: str | None = None
    exact: bool = True
    inward: Value | None = None


@dataclass(frozen=True)
class Initial:
    """u = value, and du/dt = rate if given, at the lower end of `along`; exact unless `exact` is False.

    The value may depend on `along` too: then it also says how the initial state continues, which
    helps where it is not smooth.
    """

    value: Value
    rate: Value | None = None
    along: str = "t"
    field: str | None = None
    exact: bool = True


@dataclass(frozen=True)
class Periodic:
    """All fields repeat along a coordinate; exact: the network sees `harmonics` sines and cosines."""

    along: str
    harmonics: int = 2


@dataclass(frozen=True)
class Symmetry:
    """A field is even (parity 1) or odd (-1) about the middle of a coordinate; exact.

    The network and its mirror image are added, so that each weight serves on both sides. `solve` finds
    those of evolution problems by itself (see `physsynth.pinn.symmetry`).
    """

    along: str
    parity: int = 1
    field: str | None = None


@dataclass(frozen=True)
class Robin:
    """a u + b du/dn = value on faces, n the outward normal; penalised."""

    a: Value
    b: Value
    value: Value
    on: Faces
    field: str | None = None


@dataclass(frozen=True)
class Neumann:
    """du/dn = value on faces, n the outward normal; penalised."""

    value: Value
    on: Faces
    field: str | None = None

    def as_robin(self) -> Robin:
        """Return the same condition as a Robin condition."""
        return Robin(0.0, 1.0, self.value, self.on, self.field)


@dataclass(frozen=True)
class Boundary:
    """An equation that holds on faces, of any derivatives and fields there; penalised.

    Like a problem's residual it gives what must vanish, as an array, or as several in a tuple or dict: of a
    beam's free end ``lambda u, p: (u.xx, u.xxx)``, of an outflow ``lambda q, p: q.p - p["nu"] * q.u.x``.
    Derivatives are along the coordinates, not along the outward normal.
    """

    function: Callable
    on: Faces


@dataclass(frozen=True)
class Data:
    """Measured values at points of the domain; penalised.

    Parameters
    ----------
    at : mapping of str to array (n,)
        Every coordinate of each point.
    values : array (n,)
    noise : float
        Standard deviation of one value, its weight against the equation; 1 if unknown.
    """

    at: Mapping[str, jax.Array]
    values: jax.Array
    field: str | None = None
    noise: float = 1.0


@dataclass(frozen=True)
class Integral:
    """The integral of a field over a coordinate equals a value (conservation); penalised."""

    over: str
    value: Value
    field: str | None = None
    nodes: int = 32


@dataclass(frozen=True)
class Inequality:
    """A function of fields and p is nowhere positive: ``lambda u, p: -u.x`` says that u rises with x."""

    name: str
    function: Callable


Condition = (
    Dirichlet | Initial | Periodic | Symmetry | Robin | Neumann | Boundary | Data | Integral | Inequality
)


def evaluate(value: Value, p: Mapping[str, jax.Array]) -> jax.Array:
    """Return a condition's value at points."""
    shape = jnp.broadcast_shapes(*(jnp.shape(array) for array in p.values()))
    return jnp.broadcast_to(jnp.asarray(value(p) if callable(value) else value, float), shape)


def faces(on: Faces | None, intervals: Mapping[str, tuple[float, float]]) -> list[tuple[str, float]]:
    """Return (coordinate, position) of each face; of all faces if `on` is None.

    Examples
    --------
    >>> faces({"x": (-1.0, 1.0)}, {"x": (-1.0, 1.0)})
    [('x', -1.0), ('x', 1.0)]
    """
    chosen = intervals if on is None else on
    return [(name, float(end)) for name, ends in chosen.items() for end in np.ravel(ends)]

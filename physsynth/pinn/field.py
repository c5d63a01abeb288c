"""A field as a residual sees it: `u` is its value, `u.x` and `u.xxt` are its partial derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace

import jax
import jax.numpy as jnp

from physsynth.core.errors import UnknownNameError, nearest
from physsynth.pinn.indices import MultiIndex


class UnknownDerivativeError(UnknownNameError, AttributeError):
    """A derivative along a coordinate that the domain does not have, or of a field that is not declared."""


class Field:
    """A field with named derivatives.

    Parameters
    ----------
    name : str
        For messages.
    coordinates : tuple of str
        Along which there are derivatives.
    read : callable
        Gives the array of the derivative D^index; where it comes from (a network's jet, a grid, a
        recorder) is not the residual's business.

    Examples
    --------
    >>> u = Field("u", ("t", "x"), lambda index: 10.0 * index[0] + index[1])
    >>> float(u.t + u * u.xx)
    10.0
    """

    def __init__(self, name: str, coordinates: tuple[str, ...], read: Callable[[MultiIndex], jax.Array]):
        self._name, self._coordinates, self._read = name, coordinates, read

    def __getattr__(self, name: str) -> jax.Array:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._read(self._index(name))

    @property
    def value(self) -> jax.Array:
        """The field itself."""
        return self._read((0,) * len(self._coordinates))

    def __jax_array__(self):
        return jnp.asarray(self.value)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """Let ``np.sin(u)`` be that of jax.numpy."""
        function = getattr(jnp, ufunc.__name__, None)
        if method != "__call__" or function is None or kwargs:
            return NotImplemented
        return function(*(_plain(each) for each in inputs))

    def __add__(self, other):
        return self.value + other

    def __sub__(self, other):
        return self.value - other

    def __rsub__(self, other):
        return other - self.value

    def __mul__(self, other):
        return self.value * _plain(other)

    def __truediv__(self, other):
        return self.value / other

    def __rtruediv__(self, other):
        return other / self.value

    def __pow__(self, power):
        return self.value ** _plain(power)

    def __rpow__(self, base):
        return base**self.value

    def __neg__(self):
        return -self.value

    def __pos__(self):
        return self.value

    def __abs__(self):
        return jnp.abs(self.value)

    def __lt__(self, other):
        return self.value < _plain(other)

    def __le__(self, other):
        return self.value <= _plain(other)

    def __gt__(self, other):
        return self.value > _plain(other)

    def __ge__(self, other):
        return self.value >= _plain(other)

    __radd__, __rmul__ = __add__, __mul__

    def _index(self, name):
        found = split(name, self._coordinates)
        if found is None:
            raise UnknownDerivativeError(
                f"a derivative that the field {self._name} does not have",
                key=f"{self._name}.{name}",
                wanted="after the dot only coordinates of the domain: " + ", ".join(self._coordinates),
                got=f'"{name}"',
            )
        return tuple(found.count(coordinate) for coordinate in self._coordinates)


class Fields(SimpleNamespace):
    """Several fields: `q.u`, `q.v`, `q.p`."""

    def __getattr__(self, name: str) -> Field:
        if name.startswith("__"):
            raise AttributeError(name)
        known = list(vars(self))
        raise UnknownDerivativeError(
            "a field that is not declared",
            key=name,
            wanted="one of: " + ", ".join(known),
            got=f'"{name}"',
            advice=nearest(name, known) or 'declare it: Problem(..., fields=("u", "v"))',
        )


def _plain(value):
    return value.value if isinstance(value, Field) else value


def arguments(fields: Mapping[str, Field]) -> Field | Fields:
    """Return what a residual takes: the only field, or all of them by name."""
    return next(iter(fields.values())) if len(fields) == 1 else Fields(**fields)


def split(name: str, coordinates: tuple[str, ...]) -> list[str] | None:
    """Split a derivative's name into coordinates, or return None if it cannot be.

    Examples
    --------
    >>> split("xxtheta", ("x", "theta"))
    ['x', 'x', 'theta']
    """
    if not name:
        return []
    for coordinate in coordinates:
        if name.startswith(coordinate):
            rest = split(name.removeprefix(coordinate), coordinates)
            if rest is not None:
                return [coordinate, *rest]
    return None

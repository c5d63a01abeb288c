"""Jets: truncated Taylor series in several coordinates, with the arithmetic that networks need.

A jet of f carries c_k = D^k f / k! for every multi-index k of a downward-closed set. Sums are sums,
products are Cauchy products, and y = phi(z) follows from its differential equation: tanh from
Dy = (1 - y^2) Dz, sine and cosine from each other. One forward pass so gives all the partial
derivatives of a network, without nested automatic differentiation.

Source: Griewank, Walther (2008), Evaluating Derivatives, 2nd ed., table 13.2 (there in one coordinate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

import jax
import jax.numpy as jnp

from physsynth.pinn.indices import Indices, MultiIndex, minus


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Jet:
    """Taylor coefficients (index, ...) over a set of multi-indices.

    Examples
    --------
    The derivatives of x^2 t at x = 3, t = 2:

    >>> indices = Indices.closure(("t", "x"), [(1, 2)])
    >>> at = {"t": jnp.asarray(2.0), "x": jnp.asarray(3.0)}
    >>> t, x = (taylor(lambda at, name=name: at[name], at, indices) for name in indices.coordinates)
    >>> y = x * x * t
    >>> float(y.derivative((0, 0))), float(y.derivative((0, 2))), float(y.derivative((1, 1)))
    (18.0, 4.0, 6.0)
    """

    coefficients: jax.Array
    indices: Indices = field(metadata={"static": True})

    @property
    def value(self) -> jax.Array:
        """The function itself, without its derivatives."""
        return self.coefficients[0]

    @property
    def parts(self) -> list[jax.Array]:
        """The coefficients one by one; a split, whose transpose is one concatenation, not a sum of pads."""
        pieces = jax.lax.split(self.coefficients, [1] * len(self.indices), axis=0)
        return [piece[0] for piece in pieces]

    def derivative(self, index: MultiIndex) -> jax.Array:
        """Return the partial derivative D^index."""
        return self.coefficients[self.indices.position[index]] * self.indices.factorial(index)

    def __getitem__(self, place) -> Jet:
        return Jet(self.coefficients[(slice(None), *place)], self.indices)

    def __add__(self, other) -> Jet:
        if isinstance(other, Jet):
            return Jet(self.coefficients + other.coefficients, self.indices)
        first, *others = self.parts
        return Jet(jnp.stack([first + other, *others]), self.indices)

    def __sub__(self, other) -> Jet:
        return self + (-1.0) * other

    def __mul__(self, other) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.coefficients * other, self.indices)
        a, b = self.parts, other.parts
        rows = [_total(a[i] * b[j] for i, j in pairs) for pairs in self.indices.products]
        return Jet(jnp.stack(rows), self.indices)

    __radd__, __rmul__ = __add__, __mul__

    def __matmul__(self, matrix: jax.Array) -> Jet:
        return Jet(self.coefficients @ matrix, self.indices)


def tanh(z: Jet) -> Jet:
    """Return the hyperbolic tangent of a jet."""
    c, indices = z.parts, z.indices
    y: list[jax.Array] = [jnp.tanh(c[0])]
    slope: list[jax.Array] = [1.0 - y[0] ** 2]
    for terms, pairs in zip(indices.steps, indices.products[1:], strict=True):
        y.append(_chain(terms, c, slope))
        slope.append(-_square(pairs, y))
    return Jet(jnp.stack(y), indices)


def sin_cos(z: Jet) -> tuple[Jet, Jet]:
    """Return the sine and the cosine of a jet."""
    c, indices = z.parts, z.indices
    sine, cosine = [jnp.sin(c[0])], [jnp.cos(c[0])]
    for terms in indices.steps:
        next_sine, next_cosine = _chain(terms, c, cosine), -_chain(terms, c, sine)
        sine.append(next_sine)
        cosine.append(next_cosine)
    return Jet(jnp.stack(sine), indices), Jet(jnp.stack(cosine), indices)


def taylor(function: Callable[[Mapping], jax.Array], at: Mapping[str, jax.Array], indices: Indices) -> Jet:
    """Return the jet of a closed-form function of the coordinates, point by point.

    Parameters
    ----------
    function : callable
        Of a mapping from coordinate to an array of any shape; elementwise.
    at : mapping of str to array
        The coordinates; further entries (parameters) are passed on.
    """
    derivatives = {indices.members[0]: function}
    for index in indices.members[1:]:
        axis = next(axis for axis, n in enumerate(index) if n)
        name = indices.coordinates[axis]
        lower = minus(index, indices.unit(name))
        derivatives[index] = _partial(derivatives[lower], name)
    shape = jnp.broadcast_shapes(*(jnp.shape(value) for value in at.values()))
    rows = [
        jnp.broadcast_to(derivative(at) / indices.factorial(index), shape)
        for index, derivative in derivatives.items()
    ]
    return Jet(jnp.stack(rows), indices)


def _chain(terms, z, slope):
    return _total(z[j] * slope[i] if share == 1.0 else share * z[j] * slope[i] for share, j, i in terms)


def _square(pairs, y):
    """Return the Cauchy product of y with itself, each mixed pair computed once."""
    return _total((1.0 if i == j else 2.0) * (y[i] * y[j]) for i, j in pairs if i <= j)


def _total(parts: Iterable[jax.Array]) -> jax.Array:
    return reduce(jnp.add, parts)


def _partial(function, name):
    def derivative(at):
        x = jnp.asarray(at[name])
        return jax.jvp(lambda value: function({**at, name: value}), (x,), (jnp.ones_like(x),))[1]

    return derivative

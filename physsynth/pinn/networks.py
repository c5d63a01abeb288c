"""Networks on jets: each maps the jet of its inputs (..., input) to the jet of its outputs (..., output).

A specification (`MLP(width=20, depth=3)`) is plain data; `build` makes the flax module. Sources: modified
MLP, Wang, Teng, Perdikaris (2021), SIAM J. Sci. Comput. 43, A3055; Fourier features, Tancik
et al. (2020), NeurIPS; separable, Cho et al. (2023), NeurIPS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from numbers import Integral as Whole
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.pinn.jet import Jet, sin_cos, tanh


@runtime_checkable
class Architecture(Protocol):
    """The specification of a network."""

    def build(self, inputs: int, outputs: int, rng: np.random.Generator) -> Callable[[Jet], Jet]:
        """Return the network, a flax module, with its weights drawn."""
        ...


class Network(NamedTuple):
    """A network as a function of one vector of weights.

    Attributes
    ----------
    draw : callable
        Gives fresh weights (weight,) from a generator of random numbers.
    apply : callable
        Gives the jet of the outputs from weights and the jet of the inputs.
    shapes : tuple of (rows, columns)
        Of the matrices that lie in the vector one after another; a bias has one row.
    """

    draw: Callable[[np.random.Generator], jax.Array]
    apply: Callable[[jax.Array, Jet], Jet]
    shapes: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(rows * columns for rows, columns in self.shapes)


def build(architecture: Architecture, inputs: int, outputs: int) -> Network:
    """Return a network as functions.

    Examples
    --------
    >>> build(MLP(width=20, depth=3), inputs=2, outputs=1).size
    921
    """
    graph, state = nnx.split(architecture.build(inputs, outputs, np.random.default_rng(0)))
    leaves, structure = jax.tree.flatten(state)
    ends = np.cumsum([leaf.size for leaf in leaves])

    def draw(rng):
        drawn = jax.tree.leaves(nnx.state(architecture.build(inputs, outputs, rng)))
        return jnp.asarray(np.concatenate([np.asarray(leaf).ravel() for leaf in drawn]))

    def apply(theta, z):
        parts = zip(jnp.split(theta, ends[:-1]), leaves, strict=True)
        weights = jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in parts])
        return nnx.merge(graph, weights)(z)

    return Network(draw, apply, tuple((leaf.size // leaf.shape[-1], leaf.shape[-1]) for leaf in leaves))


class _Specification:
    """Plain data: counts, of at least one, and scales."""

    def __post_init__(self):
        for name, value in vars(self).items():
            counted = type(getattr(type(self), name)) is int
            good = isinstance(value, Whole) and int(value) >= 1 if counted else value > 0
            if not good:
                raise ParameterError(
                    "a network that allows nothing",
                    key=f"{type(self).__name__}.{name}",
                    wanted="a whole number, 1 or more" if counted else "> 0",
                    got=repr(value),
                )


@dataclass(frozen=True)
class MLP(_Specification):
    """Dense layers with tanh between them."""

    width: int = 20
    depth: int = 3

    def build(self, inputs: int, outputs: int, rng: np.random.Generator) -> _MLP:
        """Return the network with its weights drawn."""
        return _MLP([inputs, *[self.width] * self.depth, outputs], rng)


@dataclass(frozen=True)
class ModifiedMLP(_Specification):
    """An MLP each of whose layers mixes two gates of the inputs: z <- z U + (1 - z) V."""

    width: int = 20
    depth: int = 3

    def build(self, inputs: int, outputs: int, rng: np.random.Generator) -> _ModifiedMLP:
        """Return the network with its weights drawn."""
        return _ModifiedMLP([inputs, *[self.width] * self.depth, outputs], rng)


@dataclass(frozen=True)
class Fourier(_Specification):
    """An MLP of sines and cosines of the inputs, at frequencies that are drawn and then trained."""

    width: int = 20
    depth: int = 3
    waves: int = 16
    scale: float = 3.0

    def build(self, inputs: int, outputs: int, rng: np.random.Generator) -> _Fourier:
        """Return the network with its weights drawn."""
        return _Fourier(self, inputs, outputs, rng)


@dataclass(frozen=True)
class Separable(_Specification):
    """A sum over `rank` of products of one small MLP an input."""

    width: int = 12
    depth: int = 2
    rank: int = 12

    def build(self, inputs: int, outputs: int, rng: np.random.Generator) -> _Separable:
        """Return the network with its weights drawn."""
        return _Separable(self, inputs, outputs, rng)


NETWORKS = {"mlp": MLP, "modified_mlp": ModifiedMLP, "fourier": Fourier, "separable": Separable}


def as_data(architecture: Architecture) -> dict:
    """Return a specification as plain data."""
    name = next(name for name, kind in NETWORKS.items() if isinstance(architecture, kind))
    return {"network": name, **asdict(architecture)}  # type: ignore[call-overload]


def from_data(data: dict) -> Architecture:
    """Return the specification that `as_data` wrote."""
    settings = dict(data)
    name = settings.pop("network")
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS, key="network")
    return NETWORKS[name](**settings)


class _Dense(nnx.Module):
    """Glorot's normal weights (Glorot, Bengio 2010), no bias to begin with."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator):
        scale = np.sqrt(2.0 / (inputs + outputs))
        self.kernel = nnx.Param(jnp.asarray(scale * rng.normal(size=(inputs, outputs)), float))
        self.bias = nnx.Param(jnp.asarray(np.zeros(outputs), float))

    def __call__(self, z: Jet) -> Jet:
        return z @ self.kernel[...] + self.bias[...]


class _MLP(nnx.Module):
    def __init__(self, sizes: list[int], rng: np.random.Generator):
        self.layers = nnx.List([_Dense(a, b, rng) for a, b in pairwise(sizes)])

    def __call__(self, z: Jet) -> Jet:
        *hidden, last = self.layers
        for layer in hidden:
            z = tanh(layer(z))
        return last(z)


class _ModifiedMLP(nnx.Module):
    def __init__(self, sizes: list[int], rng: np.random.Generator):
        self.gates = nnx.List([_Dense(sizes[0], sizes[1], rng) for _ in range(2)])
        self.layers = nnx.List([_Dense(a, b, rng) for a, b in pairwise(sizes)])

    def __call__(self, z: Jet) -> Jet:
        first, second = (tanh(gate(z)) for gate in self.gates)
        *hidden, last = self.layers
        for layer in hidden:
            z = second + tanh(layer(z)) * (first - second)
        return last(z)


class _Fourier(nnx.Module):
    def __init__(self, spec: Fourier, inputs: int, outputs: int, rng: np.random.Generator):
        self.frequencies = nnx.Param(jnp.asarray(spec.scale * rng.normal(size=(inputs, spec.waves)), float))
        self.body = _MLP([2 * spec.waves, *[spec.width] * spec.depth, outputs], rng)

    def __call__(self, z: Jet) -> Jet:
        sine, cosine = sin_cos(z @ self.frequencies[...])
        both = jnp.concatenate([sine.coefficients, cosine.coefficients], axis=-1)
        return self.body(Jet(both, z.indices))


class _Separable(nnx.Module):
    def __init__(self, spec: Separable, inputs: int, outputs: int, rng: np.random.Generator):
        sizes = [1, *[spec.width] * spec.depth, spec.rank]
        self.factors = nnx.List([_MLP(sizes, rng) for _ in range(inputs)])
        self.last = _Dense(spec.rank, outputs, rng)

    def __call__(self, z: Jet) -> Jet:
        product, *others = (factor(z[..., i : i + 1]) for i, factor in enumerate(self.factors))
        for other in others:
            product = product * other
        return self.last(product)

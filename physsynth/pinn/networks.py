"""Networks on jets: each maps the jet of its inputs (..., input) to the jet of its outputs (..., output).

A specification (`MLP(width=20, depth=3)`) is plain data; `build` makes the flax module. Sources: modified
MLP, Wang, Teng, Perdikaris (2021), SIAM J. Sci. Comput. 43, A3055; Fourier features, Tancik
et al. (2020), NeurIPS; separable, Cho et al. (2023), NeurIPS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax.flatten_util import ravel_pytree

from physsynth.core.errors import unknown_name
from physsynth.pinn.jet import Jet, sin_cos, tanh


class Architecture(Protocol):
    """The specification of a network."""

    def build(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> Callable[[Jet], Jet]:
        """Return the network, a flax module, with its weights drawn."""
        ...


class Network(NamedTuple):
    """A network as a function of one vector of weights.

    Attributes
    ----------
    draw : callable
        Gives fresh weights (weight,) from a key.
    apply : callable
        Gives the jet of the outputs from weights and the jet of the inputs.
    shapes : tuple of (rows, columns)
        Of the matrices that lie in the vector one after another; a bias has one row.
    """

    draw: Callable[[jax.Array], jax.Array]
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
    graph, abstract = nnx.split(nnx.eval_shape(lambda: architecture.build(inputs, outputs, nnx.Rngs(0))))
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), abstract)
    unravel = ravel_pytree(state)[1]

    @jax.jit
    def draw(key):
        return ravel_pytree(nnx.state(architecture.build(inputs, outputs, nnx.Rngs(key))))[0]

    shapes = tuple((leaf.size // leaf.shape[-1], leaf.shape[-1]) for leaf in jax.tree.leaves(state))
    return Network(draw, lambda theta, z: nnx.merge(graph, unravel(theta))(z), shapes)


@dataclass(frozen=True)
class MLP:
    """Dense layers with tanh between them."""

    width: int = 20
    depth: int = 3

    def build(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> _MLP:
        """Return the network with its weights drawn."""
        return _MLP([inputs, *[self.width] * self.depth, outputs], rngs)


@dataclass(frozen=True)
class ModifiedMLP:
    """An MLP each of whose layers mixes two gates of the inputs: z <- z U + (1 - z) V."""

    width: int = 20
    depth: int = 3

    def build(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> _ModifiedMLP:
        """Return the network with its weights drawn."""
        return _ModifiedMLP([inputs, *[self.width] * self.depth, outputs], rngs)


@dataclass(frozen=True)
class Fourier:
    """An MLP of sines and cosines of the inputs, at frequencies that are drawn and then trained."""

    width: int = 20
    depth: int = 3
    waves: int = 16
    scale: float = 3.0

    def build(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> _Fourier:
        """Return the network with its weights drawn."""
        return _Fourier(self, inputs, outputs, rngs)


@dataclass(frozen=True)
class Separable:
    """A sum over `rank` of products of one small MLP an input."""

    width: int = 12
    depth: int = 2
    rank: int = 12

    def build(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> _Separable:
        """Return the network with its weights drawn."""
        return _Separable(self, inputs, outputs, rngs)


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

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        scale = jnp.sqrt(2.0 / (inputs + outputs))
        self.kernel = nnx.Param(scale * jax.random.normal(rngs.params(), (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, z: Jet) -> Jet:
        return z @ self.kernel[...] + self.bias[...]


class _MLP(nnx.Module):
    def __init__(self, sizes: list[int], rngs: nnx.Rngs):
        self.layers = nnx.List([_Dense(a, b, rngs) for a, b in pairwise(sizes)])

    def __call__(self, z: Jet) -> Jet:
        *hidden, last = self.layers
        for layer in hidden:
            z = tanh(layer(z))
        return last(z)


class _ModifiedMLP(nnx.Module):
    def __init__(self, sizes: list[int], rngs: nnx.Rngs):
        self.gates = nnx.List([_Dense(sizes[0], sizes[1], rngs) for _ in range(2)])
        self.layers = nnx.List([_Dense(a, b, rngs) for a, b in pairwise(sizes)])

    def __call__(self, z: Jet) -> Jet:
        first, second = (tanh(gate(z)) for gate in self.gates)
        *hidden, last = self.layers
        for layer in hidden:
            z = second + tanh(layer(z)) * (first - second)
        return last(z)


class _Fourier(nnx.Module):
    def __init__(self, spec: Fourier, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.frequencies = nnx.Param(spec.scale * jax.random.normal(rngs.params(), (inputs, spec.waves)))
        self.body = _MLP([2 * spec.waves, *[spec.width] * spec.depth, outputs], rngs)

    def __call__(self, z: Jet) -> Jet:
        sine, cosine = sin_cos(z @ self.frequencies[...])
        both = jnp.concatenate([sine.coefficients, cosine.coefficients], axis=-1)
        return self.body(Jet(both, z.indices))


class _Separable(nnx.Module):
    def __init__(self, spec: Separable, inputs: int, outputs: int, rngs: nnx.Rngs):
        sizes = [1, *[spec.width] * spec.depth, spec.rank]
        self.factors = nnx.List([_MLP(sizes, rngs) for _ in range(inputs)])
        self.last = _Dense(spec.rank, outputs, rngs)

    def __call__(self, z: Jet) -> Jet:
        product, *others = (factor(z[..., i : i + 1]) for i, factor in enumerate(self.factors))
        for other in others:
            product = product * other
        return self.last(product)

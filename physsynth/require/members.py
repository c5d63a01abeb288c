"""What a new member of a population will tell: a whitened normal summary of its own parameters.

With its parameters psi ~ N(mu, Omega), Omega diagonal with standard deviations exp(log_spread), and its
data worth a Fisher information H = L L' (singular where they leave a direction open),

    z = L' psi + N(0, I),   so that   z | mu, Omega ~ N(L' mu, I + L' Omega L).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float

from physsynth.core.errors import ParameterError
from physsynth.require import arguments

Information = Callable[[jax.Array, jax.Array], Float[Array, "k k"]]


class Members(NamedTuple):
    """Summaries of imagined members: roots L of their information, and whitened data z."""

    root: Float[Array, "member k k"]
    data: Float[Array, "member k"]


def imagine(key: jax.Array, information: Information, truth: Float[Array, " core"], n: int) -> Members:
    """Draw the members that a future under one truth (mu, log_spread) brings."""
    k = len(truth) // 2
    noise, condition = jax.random.split(key)
    normal = jax.random.normal(noise, (2, n, k), truth.dtype)
    psi = truth[:k] + jnp.exp(truth[k:]) * normal[0]
    matrices = jax.vmap(information)(psi, jax.random.split(condition, n))
    values, vectors = jnp.linalg.eigh(matrices)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))[:, None, :]
    data = jnp.einsum("nij,ni->nj", root, psi) + normal[1]
    return Members(root, data)


def log_likelihood(
    root: Float[Array, "k k"], data: Float[Array, " k"], core: Float[Array, "core particle"]
) -> Float[Array, " particle"]:
    """Return log N(z; L' mu, I + L' Omega L) of one member for all particles, up to a constant.

    Written out in scalars over the k x k matrix: for small k a batched factorisation costs a
    hundred times more.
    """
    k = len(data)
    location, variance = core[:k], jnp.exp(2 * core[k:])
    rest = [data[a] - sum(root[j, a] * location[j] for j in range(k)) for a in range(k)]
    matrix = [
        [(a == b) + sum(root[j, a] * root[j, b] * variance[j] for j in range(k)) for b in range(a + 1)]
        for a in range(k)
    ]
    return _log_normal(matrix, rest)


def _log_normal(matrix, rest):
    """Return the log density at `rest` of N(0, matrix), by an elimination that overwrites both."""
    total, determinant = 0.0, 1.0
    for a in range(len(rest)):
        pivot = matrix[a][a]
        determinant = determinant * pivot
        total = total + rest[a] ** 2 / pivot
        for b in range(a + 1, len(rest)):
            ratio = matrix[b][a] / pivot
            rest[b] = rest[b] - ratio * rest[a]
            for c in range(a + 1, b + 1):
                matrix[b][c] = matrix[b][c] - ratio * matrix[c][a]
    return -0.5 * (total + jnp.log(determinant))


def information_at(
    name: str, information: Information, psi: Float[Array, "member k"], key: jax.Array
) -> Float[np.ndarray, "member k k"]:
    """Evaluate an information function for members with the given parameters.

    Raises
    ------
    ParameterError
        If it is not (k, k), finite, symmetric and positive semidefinite everywhere.
    """
    k = psi.shape[1]
    try:
        found = _evaluate(as_partial(information), psi, jax.random.split(key, len(psi)))
    except Exception as reason:
        wanted = f"a JAX function of psi ({k},) and a key, to ({k}, {k})"
        raise arguments.unusable(name, wanted, reason) from reason
    matrices = np.asarray(found, float)
    if matrices.shape[1:] != (k, k):
        raise ParameterError(
            "information of the wrong shape", key=name, wanted=f"({k}, {k})", got=matrices.shape[1:]
        )
    if not _is_information(matrices):
        raise ParameterError(
            "not a Fisher information",
            key=name,
            wanted="a finite, symmetric, positive semidefinite matrix",
            got=matrices[0].tolist(),
        )
    return matrices


def _is_information(matrices):
    """Tell whether all are finite, symmetric and positive semidefinite."""
    size = np.abs(matrices).max(initial=0.0)
    if not np.isfinite(size) or not np.allclose(matrices, matrices.transpose(0, 2, 1), atol=1e-4 * size):
        return False
    return bool(np.linalg.eigvalsh(matrices).min() >= -1e-4 * size)


def as_partial(information: Information) -> Partial:
    """Return the function as a pytree: its arrays, if it is a Partial, are data and not code."""
    return information if isinstance(information, Partial) else Partial(information)


# Run once for each design: compiling with full optimisation would cost more than it saves.
@partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
def _evaluate(information, psi, keys):
    return jax.vmap(information)(psi, keys)

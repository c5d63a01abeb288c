"""Functions outside JAX as black boxes: a solver in NumPy, a program of its own, a service."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.core.errors import ParameterError

Values = Mapping[str, Any]


def external(function: Callable[[dict[str, np.ndarray]], Any], like: Any = 0.0) -> Callable[[Values], Any]:
    """Wrap a function that JAX cannot trace, so that it serves as a limit state or a simulator.

    It is run once for each scenario, with NumPy arrays, and not again for a scenario that it has just seen.
    A run that raises, or returns another shape, is a failed run: NaN, and a warning for the first of them.

    Parameters
    ----------
    function : callable
        From one scenario's parameters (dict of NumPy arrays) to numbers of the shapes of `like`.
    like : number, array, or dict of them
        What it returns, as an example: a number for a limit state, the dict of outputs for a simulator.

    Returns
    -------
    callable
        From one scenario's parameters to the same as JAX arrays; it can be jitted and vmapped. It has no
        gradient: give ``differentiable=False`` wherever one could be asked for.

    Raises
    ------
    ParameterError
        If its gradient is asked for.

    Examples
    --------
    >>> g = external(lambda p: 3.0 - float(p["u"][0]))
    >>> jax.vmap(g)({"u": jnp.array([[1.0], [4.0]])}).tolist()
    [2.0, -1.0]
    """
    box = _Box(function, jax.tree.map(np.shape, like, is_leaf=_is_leaf))

    @jax.custom_jvp
    def run(parameters):
        events = {name: jnp.ndim(value) for name, value in parameters.items()}
        return jax.pure_callback(
            lambda values: box.batch(values, events), box.declared(), parameters, vmap_method="broadcast_all"
        )

    @run.defjvp
    def _(primals, tangents):
        raise ParameterError(
            "a gradient of a function outside JAX",
            key="differentiable",
            wanted="False",
            got="True",
            advice="give differentiable=False: slopes are then taken by differences",
        )

    return lambda parameters: run({name: jnp.asarray(value) for name, value in parameters.items()})


class _Box:
    """The function, the shapes that it returns, and what it returned in the last batch."""

    def __init__(self, function, shapes):
        self.function, self.shapes = function, shapes
        self.last: dict[bytes, Any] = {}
        self.warned = False

    def declared(self):
        """Return what a single run returns, for JAX."""
        return self._over_shapes(lambda shape: jax.ShapeDtypeStruct(shape, jnp.result_type(float)))

    def batch(self, values, events):
        """Run each distinct scenario of a batch (*batch, *event), and stack what they return."""
        arrays = {name: np.asarray(value) for name, value in values.items()}
        name, array = next(iter(arrays.items()))
        outer = array.shape[: array.ndim - events[name]]
        flat = {
            name: array.reshape(prod(outer), *array.shape[len(outer) :]) for name, array in arrays.items()
        }
        rows = [{name: array[i] for name, array in flat.items()} for i in range(prod(outer))]
        keys = [b"".join(array.tobytes() for array in row.values()) for row in rows]
        known = {key: self.last[key] for key in keys if key in self.last}
        for key, row in zip(keys, rows, strict=True):
            if key not in known:
                known[key] = self._once(row)
        self.last = known
        dtype = jnp.result_type(float)
        return jax.tree.map(
            lambda *leaves: np.stack(leaves).reshape(outer + leaves[0].shape).astype(dtype),
            *[known[key] for key in keys],
        )

    def _once(self, row):
        try:
            result = self.function(row)
            leaves = jax.tree.map(lambda leaf: np.asarray(leaf, float), result, is_leaf=_is_leaf)
            if jax.tree.map(np.shape, leaves) != self.shapes:
                raise ValueError(f"shapes {jax.tree.map(np.shape, leaves)}, wanted {self.shapes}")
        except Exception as reason:  # whatever goes wrong outside is a failed run, to be kept and counted
            self._warn(reason)
            return self._over_shapes(lambda shape: np.full(shape, np.nan))
        return leaves

    def _warn(self, reason):
        if not self.warned:
            self.warned = True
            warnings.warn(
                f"a run failed and is NaN, as others like it will be: {type(reason).__name__}: {reason}",
                RuntimeWarning,
                stacklevel=2,
            )

    def _over_shapes(self, function):
        return jax.tree.map(function, self.shapes, is_leaf=lambda node: isinstance(node, tuple))


def _is_leaf(node):
    return isinstance(node, list | tuple)

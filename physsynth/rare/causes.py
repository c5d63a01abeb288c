"""Main causes: which single parameter, put back to its median, would have helped a failing scenario most.

    gain_k = g(u with u_k = 0) - g(u)

A counterfactual of one step: it says what to change, not how the parameters share the blame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from physsynth.core.space import ParameterSpace
from physsynth.rare.evaluator import Evaluator, LimitStateFunction


@dataclass(frozen=True)
class Causes:
    """The main cause of each scenario.

    Attributes
    ----------
    labels : array of str, shape (scenario,)
        Parameter and direction, for example "clearance low".
    gains : array, shape (scenario, parameter)
        Rise of g when the parameter is put back to its median; NaN where that run failed.
    parameters : tuple of str
        Names along the second axis of `gains`.
    """

    labels: np.ndarray
    gains: Float[np.ndarray, "scenario parameter"]
    parameters: tuple[str, ...]

    def shares(self, weight=None) -> dict[str, float]:
        """Return the share of each label, largest first, under the scenarios' weights if given."""
        weight = np.ones(len(self.labels)) if weight is None else np.asarray(weight, float)
        names, index = np.unique(self.labels, return_inverse=True)
        share = np.bincount(index, weight) / weight.sum()
        return {str(names[i]): float(share[i]) for i in np.argsort(-share, kind="stable")}


def causes(limit_state: LimitStateFunction, space: ParameterSpace, values: Mapping[str, jax.Array]) -> Causes:
    """Return the main cause of each failing scenario.

    Parameters
    ----------
    limit_state : callable
        From one scenario's parameters to the scalar g.
    space : ParameterSpace
    values : mapping of str to array (scenario, ...)
        The scenarios; a Dataset's variables will do.

    Returns
    -------
    Causes
        Costs one call of g per scenario and parameter, and one per scenario.

    Examples
    --------
    >>> space = ParameterSpace.standard_normal(2, name="load")
    >>> causes(lambda p: 3.0 - p["load"].sum(), space, {"load": jnp.array([[2.0, 2.0]])}).labels.tolist()
    ['load high']
    """
    arrays = {name: jnp.asarray(values[name]) for name in space.names}
    u = np.asarray(space.to_normal(arrays), float)
    evaluator = Evaluator(limit_state, space, max_calls=0, differentiable=False)
    base, reset = evaluator.values(u), _reset(u, space)
    moved = evaluator.values(reset.reshape(-1, space.dimension)).reshape(len(u), len(space.names))
    gains = moved - base[:, None]
    main = np.argmax(np.where(np.isfinite(gains), gains, -np.inf), axis=1)
    high = np.take_along_axis(_above_median(arrays, u, space), main[:, None], axis=1)[:, 0]
    names = np.array(space.names)[main]
    labels = np.array([f"{name} {'high' if up else 'low'}" for name, up in zip(names, high, strict=True)])
    return Causes(labels, gains, space.names)


def _reset(u, space):
    """Return u with each parameter in turn at its median: (scenario, parameter, dimension)."""
    keep = np.ones((len(space.names), space.dimension))
    for row, part in enumerate(space.slices.values()):
        keep[row, part] = 0.0
    return u[:, None, :] * keep


def _above_median(arrays, u, space):
    """Return whether each parameter is above its median; for a vector, the sum of the cubes."""
    median = space.from_normal(jnp.zeros(space.dimension))
    columns = []
    for name, part in space.slices.items():
        if arrays[name].ndim == 1:
            columns.append(np.asarray(arrays[name] > median[name]))
        else:
            columns.append(np.sum(u[:, part] ** 3, axis=1) > 0)
    return np.stack(columns, axis=1)

"""Main causes: what, put back to its median, would have helped a failing scenario most.

    gain = g(u with u_j = 0 where u_j < 0, or > 0, for the components j of a parameter) - g(u)

A cause is a parameter that is low, or one that is high; a vector may be both, here and there. It is a
counterfactual of one step: it says what to change, not how the parameters share the blame.
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
    gains : array, shape (scenario, cause)
        Rise of g when the cause is taken away; NaN where that run failed.
    names : tuple of str
        The causes along the second axis of `gains`: each parameter's "low", then its "high".
    """

    labels: np.ndarray
    gains: Float[np.ndarray, "scenario cause"]
    names: tuple[str, ...]

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
        Costs two calls of g per scenario and parameter, and one per scenario.

    Examples
    --------
    >>> space = ParameterSpace.standard_normal(2, name="load")
    >>> causes(lambda p: 3.0 - p["load"].sum(), space, {"load": jnp.array([[2.0, 2.0]])}).labels.tolist()
    ['load high']
    """
    u = np.asarray(space.to_normal({name: jnp.asarray(values[name]) for name in space.names}), float)
    names = tuple(f"{name} {side}" for name in space.names for side in ("low", "high"))
    evaluator = Evaluator(limit_state, space, max_calls=0, differentiable=False)
    base, moved = evaluator.values(u), evaluator.values(_taken_away(u, space).reshape(-1, space.dimension))
    gains = moved.reshape(len(u), len(names)) - base[:, None]
    main = np.argmax(np.where(np.isfinite(gains), gains, -np.inf), axis=1)
    return Causes(np.array(names)[main], gains, names)


def _taken_away(u, space):
    """Return u without each cause in turn: (scenario, cause, dimension)."""
    parts = [np.isin(np.arange(space.dimension), np.r_[part]) for part in space.slices.values()]
    return np.stack([np.where(part & side, 0.0, u) for part in parts for side in (u < 0, u > 0)], axis=1)

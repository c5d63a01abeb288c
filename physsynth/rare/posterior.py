"""Epistemic uncertainty: the failure probability under each of many posterior draws, from one sample.

Failing scenarios x_j were drawn under a reference density p0 with weights w_j that sum to P0. Under the
density p( . | theta_s) of posterior draw s

    P_s = sum_j w_j r_sj,      r_sj = p(x_j | theta_s) / p0(x_j)

so no simulator is called again. The standard error of P_s and the effective sample size
(sum w r)^2 / sum (w r)^2 say how far the reference sample carries.

Source: Owen (2013), Monte Carlo theory, methods and examples, chapter 9 (importance weights, reuse).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from physsynth.core.errors import ParameterError

LogDensity = Callable[[Mapping[str, jax.Array], Mapping[str, jax.Array]], jax.Array]


@dataclass(frozen=True)
class OverDraws:
    """The failure probability over posterior draws.

    Attributes
    ----------
    probabilities, standard_errors, effective_sample_sizes : arrays, shape (draw,)
        P_s, its Monte Carlo error, and how many scenarios it rests on.
    weights : array, shape (scenario,)
        Predictive weights: w times the mean ratio over draws.
    probability : float
        Posterior predictive failure probability, the sum of `weights` and the mean of P_s.
    standard_error : float
        Monte Carlo error of `probability`.
    ess : float
        Effective sample size of `weights`.
    """

    probabilities: np.ndarray
    standard_errors: np.ndarray
    effective_sample_sizes: np.ndarray
    weights: np.ndarray
    probability: float
    standard_error: float
    ess: float

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Return the central interval of P_s over the draws: what is not known of the parameters.

        Raises
        ------
        ParameterError
            If the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ParameterError("not a level", key="level", wanted="between 0 and 1", got=level)
        low, high = np.quantile(self.probabilities, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def summary(self) -> dict:
        """Return the numbers as a plain dict for JSON."""
        levels = (0.05, 0.25, 0.5, 0.75, 0.95)
        return {
            "probability": self.probability,
            "standard_error": self.standard_error,
            "ess": self.ess,
            "quantiles": {str(q): float(np.quantile(self.probabilities, q)) for q in levels},
            "median_relative_error": float(
                np.median(self.standard_errors / np.maximum(self.probabilities, 1e-300))
            ),
            "least_ess": float(self.effective_sample_sizes.min()),
        }


def over_draws(
    values: Mapping[str, ArrayLike],
    weights: Float[ArrayLike, " scenario"],
    log_density: LogDensity,
    log_reference: Float[ArrayLike, " scenario"],
    draws: Mapping[str, ArrayLike],
    n: int,
    batch: int = 64,
) -> OverDraws:
    """Reweight failing scenarios to every posterior draw.

    Parameters
    ----------
    values : mapping of str to array (scenario, ...)
        Parameters of the failing scenarios.
    weights : array (scenario,)
        Their weights under the reference density; they sum to its failure probability.
    log_density : callable
        ``log_density(draw, values)``: log density (scenario,) of the parameters under one draw.
    log_reference : array (scenario,)
        Log density of the scenarios under the reference.
    draws : mapping of str to array (draw, ...)
        Posterior draws.
    n : int
        Number of independent draws behind the weights, failing or not (``event.draws``).
    batch : int
        Draws handled at once; memory grows with ``batch * scenario``.

    Returns
    -------
    OverDraws

    Raises
    ------
    ParameterError
        If there is no scenario or no draw, lengths differ, or `n` is less than the scenarios with a weight.

    Examples
    --------
    >>> x, w = {"x": jnp.array([2.0, 2.5])}, jnp.array([0.01, 0.02])
    >>> same = lambda draw, v: -0.5 * (v["x"] - draw["mean"]) ** 2
    >>> round(over_draws(x, w, same, same({"mean": 0.0}, x), {"mean": jnp.zeros(3)}, n=100).probability, 4)
    0.03
    """
    count = _check(values, weights, log_reference, draws, n)
    probabilities, squares, mean_ratio = _reweight(
        log_density, _arrays(values), jnp.asarray(weights), jnp.asarray(log_reference), _arrays(draws), batch
    )
    probabilities, squares = np.asarray(probabilities)[:count], np.asarray(squares)[:count]
    predictive = np.asarray(weights) * np.asarray(mean_ratio)
    total, square = float(predictive.sum()), float(np.sum(predictive**2))
    return OverDraws(
        probabilities=probabilities,
        standard_errors=np.sqrt(np.maximum(squares - probabilities**2 / n, 0.0)),
        effective_sample_sizes=probabilities**2 / np.maximum(squares, 1e-300),
        weights=predictive,
        probability=total,
        standard_error=float(np.sqrt(max(square - total**2 / n, 0.0))),
        ess=total**2 / max(square, 1e-300),
    )


@partial(jax.jit, static_argnums=(0, 5))
def _reweight(log_density, values, weights, log_reference, draws, batch):
    """Scan over blocks of draws: P_s, the sum of squares, and the mean ratio of each scenario."""
    count = next(iter(draws.values())).shape[0]
    blocks = -(-count // batch)
    index = jnp.arange(blocks * batch).reshape(blocks, batch)

    def one(i):
        draw = {name: array[jnp.minimum(i, count - 1)] for name, array in draws.items()}
        ratio = jnp.exp(log_density(draw, values) - log_reference)
        term = weights * ratio
        return term.sum(), jnp.sum(term**2), jnp.where(i < count, ratio, 0.0)

    def block(total, indices):
        probability, square, ratio = jax.vmap(one)(indices)
        return total + ratio.sum(axis=0), (probability, square)

    total, (probability, square) = jax.lax.scan(block, jnp.zeros_like(weights), index)
    return probability.reshape(-1), square.reshape(-1), total / count


def _arrays(values):
    return {name: jnp.asarray(value) for name, value in values.items()}


def _check(values, weights, log_reference, draws, n):
    sizes = {name: np.shape(array)[0] for name, array in values.items()}
    sizes |= {"weights": np.shape(weights)[0], "log_reference": np.shape(log_reference)[0]}
    counts = {name: np.shape(array)[0] for name, array in draws.items()}
    if (
        len(set(sizes.values())) != 1
        or len(set(counts.values())) != 1
        or not min([*sizes.values(), *counts.values()])
    ):
        raise ParameterError(
            "scenarios and draws that cannot be reweighted",
            key="values, weights, log_reference, draws",
            wanted="at least one scenario and one draw, and arrays of one length each",
            got=f"scenarios {sizes}, draws {counts}",
        )
    failing = int(np.count_nonzero(np.asarray(weights)))
    if not n >= max(failing, 1):
        raise ParameterError(
            "fewer draws than scenarios",
            key="n",
            wanted=f"at least {max(failing, 1)}, the draws behind the weights, failing or not (event.draws)",
            got=n,
        )
    return next(iter(counts.values()))

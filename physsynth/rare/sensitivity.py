"""Sensitivity: how the failure probability follows the parameters of the input distributions.

    d ln P / d theta = E[ d ln p(X; theta) / d theta | failure ]

the mean score of the failing scenarios, so no further run is needed. It does not hold where the
support of a distribution moves with theta; such arguments get NaN.

Source: Rubinstein (1986), Mathematics and Computers in Simulation 28 (score functions); Wu (1994), AIAA
Journal 32 (sensitivities of a failure probability).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import xarray as xr

from physsynth.core.space import ParameterSpace

SHIFT, DIFFERENCE = 1e-3, 1e-3
_TRUNCATED = (
    type(dist.TruncatedNormal(low=0.0, high=1.0))
    | type(dist.TruncatedNormal(low=0.0))
    | type(dist.TruncatedNormal(high=0.0))
)


@dataclass(frozen=True)
class Argument:
    """One scalar argument of the distribution of a parameter, for example its scale."""

    parameter: str
    name: str
    value: float

    @property
    def label(self) -> str:
        """For example ``speed.scale``."""
        return f"{self.parameter}.{self.name}"


def sensitivity(
    space: ParameterSpace, values: Mapping[str, jax.Array], weight: np.ndarray, draws: int
) -> xr.Dataset:
    """Return the derivative of ln P with respect to each argument of each distribution.

    Parameters
    ----------
    space : ParameterSpace
    values : mapping of str to array (scenario, ...)
        The failing scenarios.
    weight : array (scenario,)
        Their weights, which sum to P.
    draws : int
        Independent draws behind them.

    Returns
    -------
    xr.Dataset
        Over ``argument``, largest elasticity first: `value` theta, `derivative` d ln P / d theta, its
        Monte Carlo `standard_error`, and `elasticity` d ln P / d ln theta. The attribute `left_out` names
        the parameters whose distribution has no such argument.
    """
    arguments = [a for name in space.names for a in _arguments(name, space.parameters[name].distribution)]
    share = weight / weight.sum()
    scores = (
        np.stack([_scores(space, values, a) for a in arguments]) if arguments else np.empty((0, len(share)))
    )
    derivative = scores @ share
    variance = np.sum(((scores - derivative[:, None]) * share) ** 2, axis=1) * draws / max(draws - 1, 1)
    theta = np.array([a.value for a in arguments])
    columns = {
        "value": (theta, "argument of the distribution"),
        "derivative": (derivative, "d ln P / d argument"),
        "standard_error": (np.sqrt(variance), "Monte Carlo error of the derivative"),
        "elasticity": (theta * derivative, "d ln P / d ln argument"),
    }
    data = {name: ("argument", array, {"long_name": text}) for name, (array, text) in columns.items()}
    order = np.argsort(-np.nan_to_num(np.abs(theta * derivative), nan=-1.0), kind="stable")
    left_out = [name for name in space.names if name not in {a.parameter for a in arguments}]
    coords = {"argument": [a.label for a in arguments]}
    return xr.Dataset(data, coords, {"left_out": left_out}).isel(argument=order)


def _arguments(parameter, distribution):
    """Return the scalar continuous arguments by which a distribution is built; none of a fixed value."""
    core = _core(distribution)
    if isinstance(core, dist.Delta) or not _is_built_by_arguments(core):
        return []
    names = [name for name, kind in core.arg_constraints.items() if not kind.is_discrete]
    known = [name for name in names if np.ndim(getattr(core, name, np.zeros(2))) == 0]
    return [Argument(parameter, name, float(getattr(core, name))) for name in known]


def _core(distribution):
    """Return what is inside; of a truncated distribution the one that is cut, its bounds being fixed."""
    while isinstance(distribution, dist.Independent | dist.ExpandedDistribution | _TRUNCATED):
        distribution = distribution.base_dist
    return distribution


def _is_built_by_arguments(core):
    """Whether all that the distribution needs stands among its arguments (not so for truncated ones)."""
    needed = [
        name
        for name, p in inspect.signature(type(core).__init__).parameters.items()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and name != "self"
    ]
    return all(name in core.arg_constraints for name in needed)


def _scores(space, values, argument):
    """Return d ln p / d theta at each scenario (scenario,); NaN where the support moves."""
    distribution = space.parameters[argument.parameter].distribution
    if _support_moves(distribution, argument):
        return np.full(len(values[argument.parameter]), np.nan)

    def log_prob(theta):
        return _log_prob(space, argument, theta, values)

    try:
        return np.asarray(jax.jvp(log_prob, (argument.value,), (1.0,))[1], float)
    except ValueError:  # how JAX says that a distribution function, of a beta for one, has no such derivative
        step = DIFFERENCE * max(abs(argument.value), DIFFERENCE)
        compiled = jax.jit(log_prob)
        rise = compiled(argument.value + step) - compiled(argument.value - step)
        return np.asarray(rise, float) / (2 * step)


def _log_prob(space, argument, theta, values):
    changed = replace(
        space.parameters[argument.parameter],
        distribution=rebuilt(space.parameters[argument.parameter].distribution, argument.name, theta),
    )
    return ParameterSpace({**space.parameters, argument.parameter: changed}, space.correlation).log_prob(
        values
    )


def rebuilt(distribution: dist.Distribution, name: str, value) -> dist.Distribution:
    """Return the distribution with one argument changed."""
    if isinstance(distribution, dist.Independent):
        return rebuilt(distribution.base_dist, name, value).to_event(distribution.reinterpreted_batch_ndims)
    if isinstance(distribution, dist.ExpandedDistribution):
        return rebuilt(distribution.base_dist, name, value).expand(distribution.batch_shape)
    if isinstance(distribution, _TRUNCATED):
        bounds = {side: getattr(distribution, side) for side in distribution.arg_constraints}
        return type(distribution)(rebuilt(_core(distribution), name, value), **bounds)
    arguments = {
        k: getattr(distribution, k) for k in distribution.arg_constraints if hasattr(distribution, k)
    }
    return type(distribution)(**{**arguments, name: value})


def _support_moves(distribution, argument):
    """Whether the bounds of the support depend on the argument."""
    core = _core(distribution)
    shifted = rebuilt(core, argument.name, argument.value * (1 + SHIFT) + SHIFT)
    return any(
        not jnp.array_equal(getattr(core.support, side, 0.0), getattr(shifted.support, side, 0.0))
        for side in ("lower_bound", "upper_bound")
    )

"""Whether runs already made can be what they are said to be.

For runs drawn from a density q that covers all of p, with w = p / q,

    E[w] = 1,      E[w u] = 0

and E[w] < 1 for one that leaves out part of p, as a density made for the failures alone may. So a mean weight
above 1, or one near 1 beside a mean of w u away from 0, says that the densities are wrong or that runs are
missing. A stated density that is too high looks like one that leaves out a part; it cannot be told so.

Source: Owen (2013), Monte Carlo theory, methods and examples, section 9.2 (the mean weight as a check).
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
import xarray as xr
from jaxtyping import Float

from physsynth.core.errors import ParameterError
from physsynth.core.space import ParameterSpace

# Standard errors; chance goes beyond in one set of runs in 10^9, in 1,000 components in one in 10^6.
SURE = 6.0
NEAR = 3.0
# The middles of a discrete parameter's masses may have a mean of 0.08 in standard normal space.
NOTABLE = 0.1
LEAST = 30
ADVICE = "for ordinary runs log_density is space.log_prob(parameters); hand in all runs, failed or not"


def check_layout(dataset: xr.Dataset, space: ParameterSpace) -> None:
    """Refuse a dataset that lacks a variable, or whose variables do not run over the same scenarios.

    Raises
    ------
    ParameterError
        With the variable at fault.
    """
    if not isinstance(dataset, xr.Dataset):
        raise ParameterError(
            "runs that cannot be read", key="runs", wanted="an xarray Dataset", got=type(dataset).__name__
        )
    missing = [name for name in (*space.names, "g", "log_density") if name not in dataset]
    if missing or "weight" in dataset:
        raise ParameterError(
            "runs that cannot be used",
            key="runs",
            wanted="a Dataset over scenario with every parameter, g and log_density (the log of the density "
            "that the runs were drawn from), all runs in it and no weights",
            got=f"without {', '.join(missing)}" if missing else "failing scenarios of an event, with weights",
            advice=ADVICE,
        )
    events = {name: parameter.distribution.event_shape for name, parameter in space.parameters.items()}
    dim = next(iter(dataset["g"].dims), "scenario")
    for name, event in {"g": (), "log_density": (), **events}.items():
        _check_shape(dataset[name], f"runs.{name}", dim, event)


def _check_shape(variable, key, dim, event):
    if variable.dims[:1] != (dim,) or not variable.size or variable.shape[1:] != event:
        raise ParameterError(
            "runs of the wrong shape",
            key=key,
            wanted=f"one value a run, over ({dim}{', component' if event else ''})"
            + (f", {event[0]} components" if event else ""),
            got=f"dims {variable.dims}, shape {variable.shape}",
        )
    if variable.dtype.kind not in "fiub":
        raise ParameterError("runs that are no numbers", key=key, wanted="numbers", got=str(variable.dtype))


def check_numbers(values: Mapping[str, jax.Array], log_density: Float[np.ndarray, " n"]) -> None:
    """Refuse parameters and densities that are not finite; g may be NaN for a run that failed.

    Raises
    ------
    ParameterError
        With the first such run.
    """
    for name, array in {**values, "log_density": log_density}.items():
        flat = np.asarray(array, float).reshape(len(log_density), -1)
        bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        if len(bad):
            raise ParameterError(
                "a run that is no number",
                key=f"runs.{name}",
                wanted="finite values",
                got=f"NaN or inf in run {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else ""),
            )


def check_density(u: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"]) -> None:
    """Refuse runs whose weights p / q contradict the density that they are said to come from.

    Raises
    ------
    ParameterError
        If none lies in the parameter space, the mean weight is above 1, or the weighted runs are not where
        ordinary scenarios are.
    """
    if not weight.any():
        raise _contradiction("a density above 0 somewhere", "no run that lies in the parameter space")
    if len(weight) < LEAST:
        return
    mean, error = float(weight.mean()), _error(weight)
    if mean - 1 > NOTABLE and mean - 1 > SURE * error:
        raise _contradiction("a mean of p / q of at most 1", f"{mean:.3g} (standard error {error:.1g})")
    moment, spread = _mean(u * weight[:, None]), _error(u * weight[:, None])
    apart = (np.abs(moment) > NOTABLE) & (np.abs(moment) > SURE * spread)
    if abs(mean - 1) <= NEAR * error + 1e-9 and apart.any():
        raise _contradiction(
            "runs that, weighted by p / q, lie where ordinary scenarios do",
            f"a mean of {moment[np.argmax(np.abs(moment))]:.2g} instead of 0 in standard normal space",
        )


def _mean(values):
    return values.mean(axis=0)


def _error(values):
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


def _contradiction(wanted, got):
    return ParameterError(
        "a density from which these runs cannot have been drawn",
        key="runs.log_density",
        wanted=wanted,
        got=got,
        advice=ADVICE,
    )


def check_values(given: Float[np.ndarray, " k"], again: Float[np.ndarray, " k"], index) -> None:
    """Refuse runs in which another limit state was evaluated: `again` is g at some of them, run anew.

    Raises
    ------
    ParameterError
        If a run fails in one and survives in the other.
    """
    other = np.flatnonzero(np.isfinite(again) & ((given <= 0) != (again <= 0)))
    if len(other):
        i = other[0]
        raise ParameterError(
            "runs of another limit state",
            key="runs.g",
            wanted=f"g = {again[i]:.6g} at run {index[i]}, where the limit state was evaluated anew",
            got=f"g = {given[i]:.6g}",
            advice="hand in g of this very limit state, failure where g <= 0",
        )

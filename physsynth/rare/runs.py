"""Runs already made: an estimate of their own, and a place from which to start looking.

    p = (1/n) sum_i w_i 1{g_i <= 0},      w_i = p(x_i) / q(x_i)

for runs drawn from a density q, p being the density of the space. Two independent estimates of one
probability are averaged with weights inverse to their variances.

Source: Owen (2013), Monte Carlo theory, methods and examples, chapter 9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from physsynth.core.errors import ParameterError
from physsynth.core.space import ParameterSpace
from physsynth.core.units import convert
from physsynth.rare.intervals import Weighted
from physsynth.rare.outcome import Estimate, weighted_estimate

ENOUGH = 20


@dataclass(frozen=True)
class Runs:
    """Runs of the limit state: standard normals, g (NaN for a failed run) and weight p / q of each."""

    u: Float[np.ndarray, "n d"]
    g: Float[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]

    @classmethod
    def none(cls, dimension: int) -> Runs:
        """Return no runs."""
        return cls(np.empty((0, dimension)), np.empty(0), np.empty(0))

    @classmethod
    def read(cls, dataset: xr.Dataset, space: ParameterSpace) -> Runs:
        """Return the runs in a dataset over ``scenario``: the parameters, `g` and `log_density`.

        `log_density` is that of the density from which they were drawn, in the parameters' own units:
        ``space.log_prob`` of them if they are ordinary runs. All runs must be there, failed or not.

        Raises
        ------
        ParameterError
            If a variable is missing, has the wrong shape, or a density is no number.
        """
        _check(dataset, space)
        values = {name: jnp.asarray(_in_unit(dataset[name], space, name)) for name in space.names}
        with np.errstate(over="ignore"):
            weight = np.exp(np.asarray(space.log_prob(values), float) - dataset["log_density"].values)
        inside = weight > 0
        u = np.where(inside[:, None], np.asarray(space.to_normal(values), float), 0.0)
        return cls(u, np.where(inside, dataset["g"].values, np.inf), np.where(inside, weight, 0.0))

    def estimate(self, target_cov: float) -> Estimate:
        """Return what the runs say by themselves."""
        fails = self.g <= 0
        spread = Weighted.of(np.where(fails, self.weight, 0.0))
        return weighted_estimate(self.u, self.g, self.weight / max(len(self.g), 1), spread, target_cov)

    def relative_variance(self, probability: float) -> float:
        """Return the squared cov of their estimate where the probability is the one given."""
        failing = self.weight[self.g <= 0]
        typical = np.average(failing, weights=failing) if len(failing) >= ENOUGH else self.weight.max()
        return float(max(typical / probability - 1.0, 0.0) / len(self.g))

    def relaxed(self, target_cov: float) -> float:
        """Return the target left to a second estimate, given these runs' own share of the work."""
        own = self.estimate(target_cov)
        if len(own.u) < ENOUGH:
            return target_cov
        return float(min(0.5, (target_cov**-2 - own.spread.cov**-2) ** -0.5))

    def joined(self, other: Estimate, target_cov: float) -> Estimate:
        """Return the average of the runs' estimate and an independent one."""
        own = self.estimate(target_cov)
        if not other.probability > 0 or not np.isfinite(other.spread.cov):
            return own if own.probability > 0 else other
        ours, theirs = self.relative_variance(other.probability), other.spread.cov**2
        share = theirs / (ours + theirs)
        return _average(own, other, share, max(ours, own.spread.cov**2 if share > 0.5 else 0.0), target_cov)


def _average(own: Estimate, other: Estimate, share: float, ours: float, target_cov: float) -> Estimate:
    """Return share * own + (1 - share) * other, `ours` being the squared cov of `own`."""
    weight = np.concatenate([share * own.weight, (1 - share) * other.weight])
    cov = float(np.sqrt(share**2 * ours + (1 - share) ** 2 * other.spread.cov**2))
    effective = float(weight.sum() ** 2 / np.sum(weight**2))
    spread = Weighted(float(weight.sum()), cov, effective, own.draws + other.draws)
    lacking = () if cov <= target_cov else (f"coefficient of variation {cov:.1%}, wanted {target_cov:.1%}",)
    kept = tuple(text for text in other.warnings if not text.startswith("coefficient of variation"))
    return replace(
        other,
        u=np.concatenate([own.u, other.u]),
        g=np.concatenate([own.g, other.g]),
        weight=weight,
        draws=spread.draws,
        spread=spread,
        converged=not kept and not lacking,
        warnings=kept + lacking,
        unknown_u=np.concatenate([own.unknown_u, other.unknown_u]),
        unknown_weight=np.concatenate([share * own.unknown_weight, (1 - share) * other.unknown_weight]),
    )


def _in_unit(variable: xr.DataArray, space: ParameterSpace, name: str) -> np.ndarray:
    unit = space.parameters[name].unit
    return convert(variable.values, variable.attrs.get("units", unit), unit, key=name)


def _check(dataset, space):
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
            advice="for ordinary runs log_density is space.log_prob(parameters)",
        )
    for name in ("g", "log_density"):
        shape = dataset[name].shape
        if len(shape) != 1 or not shape[0] or shape[0] != dataset[space.names[0]].shape[0]:
            raise ParameterError(
                "runs of unequal shapes", key=f"runs.{name}", wanted="one value a run", got=f"shape {shape}"
            )
    if not np.isfinite(dataset["log_density"].values).all():
        raise ParameterError(
            "a density that is no number", key="runs.log_density", wanted="finite values", got="NaN or inf"
        )

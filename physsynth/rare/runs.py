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

from physsynth.core.space import ParameterSpace
from physsynth.core.units import convert
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.intervals import Weighted
from physsynth.rare.outcome import Estimate, weighted_estimate
from physsynth.rare.run_checks import check_density, check_layout, check_numbers, check_values

# Failing runs below which they are no estimate of their own: their scatter is not known.
ENOUGH = 20
AGAIN = 4
# Standard errors beyond which two estimates contradict, and those of a 95 % interval.
APART, NORMAL = 4.0, 1.96
# Beyond the first, a distribution function in float64 is 1 and its normal infinite; within the second, values
# are had back from their normals.
FARTHEST, TRACEABLE = 8.2, 7.0


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

    @property
    def failed(self) -> int:
        """Number of runs that gave no number."""
        return int(np.isnan(self.g).sum())

    @classmethod
    def read(cls, dataset: xr.Dataset, space: ParameterSpace) -> Runs:
        """Return the runs in a dataset over ``scenario``: the parameters, `g` and `log_density`.

        `log_density` is that of the density from which they were drawn, in the parameters' own units:
        ``space.log_prob`` of them if they are ordinary runs. All runs must be there, failed or not.

        Raises
        ------
        ParameterError
            If a variable is missing, has the wrong shape or is no number, or the runs contradict the density.
        """
        check_layout(dataset, space)
        values = {name: jnp.asarray(_in_unit(dataset[name], space, name)) for name in space.names}
        log_density = np.asarray(dataset["log_density"].values, float)
        check_numbers(values, log_density)
        with np.errstate(over="ignore"):
            weight = np.exp(np.asarray(space.log_prob(values), float) - log_density)
        inside = weight > 0
        u = np.clip(np.asarray(space.to_normal(values), float), -FARTHEST, FARTHEST)
        u, weight = np.where(inside[:, None], u, 0.0), np.where(inside, weight, 0.0)
        check_density(u, weight)
        return cls(u, np.where(inside, np.asarray(dataset["g"].values, float), np.inf), weight)

    def verify(self, evaluator: Evaluator) -> None:
        """Run the limit state again at the deepest and the safest few of the runs.

        Raises
        ------
        ParameterError
            If one of them fails there and survives here: they are runs of another limit state.
        """
        order = np.argsort(self.g, kind="stable")
        order = order[np.isfinite(self.g[order]) & np.all(np.abs(self.u[order]) < TRACEABLE, axis=1)]
        some = np.unique(np.concatenate([order[:AGAIN], order[-AGAIN:]]))[: evaluator.remaining]
        check_values(self.g[some], evaluator.values(self.u[some]), some)

    def estimate(self, target_cov: float) -> Estimate:
        """Return what the runs say by themselves."""
        fails = self.g <= 0
        spread = Weighted.of(np.where(fails, self.weight, 0.0))
        return weighted_estimate(self.u, self.g, self.weight / max(len(self.g), 1), spread, target_cov)

    def relative_variance(self, probability: float) -> float:
        """Return the squared cov of their estimate where the probability is the one given.

        While few fail, that of one run is taken from the largest weight, and not below 1.
        """
        failing = self.weight[self.g <= 0]
        few = len(failing) < ENOUGH
        typical = self.weight.max() if few else np.average(failing, weights=failing)
        return float(max(typical / probability - 1.0, 1.0 if few else 0.0) / len(self.g))

    def relaxed(self, target_cov: float) -> float:
        """Return the target left to a second estimate, given these runs' own share of the work."""
        own = self.estimate(target_cov)
        if len(own.u) < ENOUGH:
            return target_cov
        return float(min(0.5, (target_cov**-2 - own.spread.cov**-2) ** -0.5))

    def joined(self, other: Estimate, target_cov: float) -> Estimate:
        """Return the average of the runs' estimate and an independent one, doubted where they contradict."""
        own = self.estimate(target_cov)
        if not other.probability > 0 or not np.isfinite(other.spread.cov):
            return own if own.probability > 0 else other
        ours, theirs = self.relative_variance(other.probability), other.spread.cov**2
        share = theirs / (ours + theirs)
        both = _average(own, other, share, max(ours, own.spread.cov**2 if share > 0.5 else 0.0), target_cov)
        return _doubted(both, own, other) if _apart(own, other) else both


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


def _apart(own: Estimate, other: Estimate) -> bool:
    """Whether two estimates differ by more than chance would have it."""
    if len(own.u) < ENOUGH:
        return False
    gap = abs(np.log(own.probability / other.probability))
    return bool(gap > APART * np.hypot(own.spread.cov, other.spread.cov))


def _doubted(both: Estimate, own: Estimate, other: Estimate) -> Estimate:
    """Return their average with an interval wide enough for either, and a warning."""
    gap = max(abs(np.log(both.probability / one.probability)) for one in (own, other))
    doubt = (
        f"the runs alone give {own.probability:.3g}, new ones {other.probability:.3g}: the runs' g or "
        "log_density is not what it should be, or one of the two misses failures"
    )
    spread = Weighted(both.probability, max(both.spread.cov, gap / NORMAL), both.draws, both.draws)
    return replace(both, spread=spread, converged=False, warnings=(doubt, *both.warnings))


def _in_unit(variable: xr.DataArray, space: ParameterSpace, name: str) -> np.ndarray:
    unit = space.parameters[name].unit
    return convert(variable.values, variable.attrs.get("units", unit), unit, key=name)

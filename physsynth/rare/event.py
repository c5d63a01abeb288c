"""The result: a failure probability with its uncertainty, failure modes and weighted scenarios."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth.core.errors import ParameterError
from physsynth.core.space import ParameterSpace
from physsynth.rare.modes import Modes
from physsynth.rare.outcome import Estimate
from physsynth.rare.sensitivity import sensitivity
from physsynth.rare.spread import spread_out

RESERVED = ("g", "weight", "mode", "log_density", "plausibility", "status", "scenario")
ORDINARY = 4096
FAILURE, FAILED_RUN = 0, 1
STATUS_ATTRIBUTES = {
    "long_name": "0 for a failure, 1 for a run that gave no number",
    "flag_values": np.array([FAILURE, FAILED_RUN], np.int8),
    "flag_meanings": "failure failed_run",
}


@dataclass(frozen=True)
class Event:
    """A failure event: probability, interval, modes and scenarios.

    Attributes
    ----------
    probability : float
        Estimate of P(g <= 0).
    cov : float
        Its coefficient of variation; infinite if nothing failed.
    calls, gradient_calls : int
        Evaluations of g alone, and of g with its gradient.
    guide_calls : int
        Cost of the guide, a gradient counted as three; 0 without one.
    failed_runs : int
        Evaluations that gave NaN.
    converged : bool
        Whether the wanted coefficient of variation was reached and nothing speaks against it.
    warnings : tuple of str
        What is suspected where it is not.
    """

    space: ParameterSpace = field(repr=False)
    estimate: Estimate = field(repr=False)
    mode_of: Modes = field(repr=False)
    probability: float
    cov: float
    calls: int
    gradient_calls: int
    guide_calls: int
    failed_runs: int
    converged: bool
    warnings: tuple[str, ...]
    key: jax.Array = field(repr=False)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return a confidence interval of the probability.

        Raises
        ------
        ParameterError
            If the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ParameterError("not a confidence level", key="level", wanted="between 0 and 1", got=level)
        low, high = self.estimate.spread.interval(level)
        return low, min(high, 1.0)

    @property
    def draws(self) -> int:
        """Independent draws behind the estimate."""
        return self.estimate.draws

    @property
    def bounds(self) -> tuple[float, float]:
        """The probability with failed runs counted as survivals and as failures: m / N, (m + failed) / N."""
        return self.probability, min(1.0, self.probability + float(self.estimate.unknown_weight.sum()))

    @cached_property
    def modes(self) -> xr.Dataset:
        """Failure modes over ``mode``, largest share first.

        `share` of the probability, `design_point` in standard normal space, `reliability_index` (its
        norm), `nominal_distance` of each parameter from its median in standard deviations of the
        normal behind it, and each parameter's value at the design point as ``<name>_at_design_point``.
        """
        points = self.mode_of.design_points
        distance = np.stack(
            [np.linalg.norm(points[:, part], axis=1) for part in self.space.slices.values()], axis=1
        )
        variables = {
            "share": ("mode", self.mode_of.share, _attributes("1", "share of the failure probability")),
            "design_point": (
                ("mode", "u"),
                points,
                _attributes("1", "nearest failure, standard normal"),
            ),
            "reliability_index": (
                "mode",
                np.linalg.norm(points, axis=1),
                _attributes("1", "distance of the design point from the origin"),
            ),
            "nominal_distance": (
                ("mode", "parameter"),
                distance,
                _attributes("1", "distance from the median"),
            ),
        }
        at = self._parameters(points, "mode", "_at_design_point")
        coords = {"mode": np.arange(len(points)), "parameter": list(self.space.names)}
        return xr.Dataset({**variables, **at}, coords)

    @cached_property
    def scenarios(self) -> xr.Dataset:
        """Failing scenarios over ``scenario``; the weights sum to the probability.

        Each parameter in its unit, `g`, `weight`, `mode` (-1 for none), `log_density` (of the space),
        `plausibility` (percentile of the density among ordinary scenarios) and `status`. Runs that
        gave NaN are kept with weight 0.
        """
        e = self.estimate
        u = np.concatenate([e.u, e.unknown_u])
        unknown = np.zeros(len(e.unknown_u))
        density, plausibility = self._density(u)
        variables = {
            "g": (np.concatenate([e.g, unknown + np.nan]), "1", "limit state, failure where <= 0"),
            "weight": (np.concatenate([e.weight, unknown]), "1", "share of the probability measure"),
            "mode": (np.concatenate([self.mode_of.labels, unknown - 1]).astype(int), "1", "failure mode"),
            "log_density": (density, "1", "log density of the parameter space"),
            "plausibility": (plausibility, "percent", "percentile of the density, of ordinary scenarios"),
        }
        dressed = {
            name: ("scenario", v, _attributes(unit, text)) for name, (v, unit, text) in variables.items()
        }
        status = np.concatenate([np.full(len(e.u), FAILURE), unknown + FAILED_RUN]).astype(np.int8)
        dressed["status"] = ("scenario", status, STATUS_ATTRIBUTES)
        attrs = {"title": "failing scenarios", "probability": self.probability, "draws": self.draws}
        return xr.Dataset({**self._parameters(u, "scenario"), **dressed}, attrs=attrs)

    def sample(self, key: jax.Array, n: int) -> xr.Dataset:
        """Return `n` equal-weight scenarios given failure.

        They are drawn from `scenarios` in proportion to weight; the attribute `ess` is the number of
        independent scenarios that they are worth.

        Raises
        ------
        ParameterError
            If nothing failed, or `n` is not positive.
        """
        if not _is_count(n) or not self.probability > 0:
            raise ParameterError(
                "scenarios given failure cannot be drawn",
                key="n",
                wanted="a positive number, and an event in which something failed",
                got=f"n={n}, probability={self.probability}",
                advice="raise max_calls until a failure is found",
            )
        scenarios = self.scenarios
        weight = scenarios["weight"].values
        place = (float(jax.random.uniform(key)) + np.arange(n)) / n
        index = np.searchsorted(np.cumsum(weight) / weight.sum(), place).clip(max=len(weight) - 1)
        shuffled = np.asarray(jax.random.permutation(jax.random.fold_in(key, 1), jnp.asarray(index)))
        drawn = scenarios.isel(scenario=shuffled)
        drawn["weight"] = ("scenario", np.full(n, 1.0 / n), _attributes("1", "equal weights given failure"))
        ess = min(n, weight.sum() ** 2 / np.sum(weight**2))
        return drawn.assign_attrs(title="equal-weight scenarios given failure", ess=float(ess))

    def sensitivity(self) -> xr.Dataset:
        """Return d ln P / d theta for each argument of the parameters' distributions, over ``argument``.

        The mean score of the failing scenarios, so it costs no run; NaN where the support moves.

        Raises
        ------
        ParameterError
            If nothing failed.
        """
        if not self.probability > 0:
            raise ParameterError(
                "no failure to learn from",
                key="event",
                wanted="an event in which something failed",
                got="probability 0",
                advice="raise max_calls until a failure is found",
            )
        n = len(self.estimate.u)
        values = {name: value[:n] for name, value in self._values(self.estimate.u).items()}
        return sensitivity(self.space, values, self.estimate.weight, self.draws)

    def spread(self, k: int) -> xr.Dataset:
        """Return `k` failing scenarios that differ from one another as much as possible, for test suites.

        The heaviest scenario of each mode comes first, largest mode first; each further one is the
        scenario farthest, in standard normal space and in proportion to the square root of its weight,
        from those already picked. They carry no weights.

        Raises
        ------
        ParameterError
            If fewer than `k` scenarios failed.
        """
        if not _is_count(k) or k > len(self.estimate.u):
            raise ParameterError(
                "too few failing scenarios to pick from",
                key="k",
                wanted=f"between 1 and {len(self.estimate.u)}",
                got=k,
            )
        picked = spread_out(self.estimate.u, self.estimate.weight, self.mode_of.labels, k)
        chosen = self.scenarios.isel(scenario=picked).drop_vars("weight")
        return chosen.assign_attrs(title="representative failing scenarios")

    def summary(self) -> dict:
        """Return the numbers as a plain dict for JSON."""
        low, high = self.interval(0.95)
        return {
            "probability": self.probability,
            "interval": [low, high],
            "bounds": list(self.bounds),
            "cov": self.cov if np.isfinite(self.cov) else None,
            "calls": self.calls,
            "gradient_calls": self.gradient_calls,
            "guide_calls": self.guide_calls,
            "draws": self.draws,
            "failed_runs": self.failed_runs,
            "converged": self.converged,
            "warnings": list(self.warnings),
            "scenarios": len(self.estimate.u),
            "modes": [
                {"share": float(share), "reliability_index": float(np.linalg.norm(point))}
                for share, point in zip(self.mode_of.share, self.mode_of.design_points, strict=True)
            ],
        }

    def _parameters(self, u, dim, suffix=""):
        values = {k: v[: len(u)] for k, v in self._values(u).items()}
        dressed = {}
        for name, parameter in self.space.parameters.items():
            dims = (dim, f"{name}_component") if parameter.distribution.event_shape else (dim,)
            attrs = _attributes(parameter.unit, parameter.description or name)
            dressed[name + suffix] = (dims, np.asarray(values[name]), attrs)
        return dressed

    def _values(self, u):
        """Map (n, dimension) to parameter values, and one more row so that n may be 0."""
        padded = np.concatenate([u, np.zeros((1, self.space.dimension))])
        return self.space.from_normal(jnp.asarray(padded))

    def _density(self, u):
        ordinary = np.sort(self.space.log_prob(self.space.sample(jax.random.fold_in(self.key, 7), ORDINARY)))
        density = np.asarray(self.space.log_prob(self._values(u)), float)[: len(u)]
        return density, 100.0 * np.searchsorted(ordinary, density, side="right") / ORDINARY


def _is_count(n) -> bool:
    """Whether `n` is a whole number of at least 1."""
    return isinstance(n, int | np.integer) and not isinstance(n, bool) and int(n) >= 1


def _attributes(unit, text):
    return {"units": unit, "long_name": text}

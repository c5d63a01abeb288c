"""Which direct measurements would reveal an error of the model where failures lie and nothing was measured.

The conditions that can be chosen are those of failing scenarios: their inputs, and the coordinate at which
the measured output goes furthest beyond what was measured. New members are put there: where most of them go
beyond the data too, their measurements test the model where failures lie, and scatter as members and noise
do. Where no condition brings most of them there, failures can only be counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy import stats

from physsynth import require
from physsynth.calibrate.priors import deviation
from physsynth.core import Simulator
from physsynth.study.predictive import thinned
from physsynth.study.problem import Problem
from physsynth.study.regime import Regime

CONDITIONS, DRAWS, MEMBERS = 12, 20, 10
CALLS = CONDITIONS * DRAWS * MEMBERS
MOST = 0.5
_SHOWN = 12


def revealed(
    need: require.Requirement,
    regime: Regime,
    problem: Problem,
    scenarios: xr.Dataset,
    posterior: Mapping[str, np.ndarray],
    key: jax.Array,
) -> require.Requirement:
    """Return the requirement with the direct measurements that would reveal an error of the model."""
    if need.regime is None or not need.regime.extrapolates:
        return need
    table = problem.study.tables.require
    assert table is not None
    target = math.log(table.factor) / (2 * float(stats.norm.ppf((1 + table.interval) / 2)))
    probability = float(scenarios["weight"].values.sum())
    told = replace(
        need.regime,
        counted=require.reveal_by_counting(
            probability, target, f"new {need.question.counted} in the scenario"
        ),
    )
    margins = _margins(regime, problem, scenarios)
    if margins is None:
        note = (
            "The limit state has another unit than what was measured: only failures can be counted directly."
        )
        return replace(need, regime=replace(told, note=note))
    there = New.at(regime, problem, scenarios, posterior, key)
    most = there.beyond > MOST
    if not most.any():
        return replace(need, regime=replace(told, note=there.too_few(need.question.counted)))
    direct = require.reveal_failures(
        margins,
        scenarios["weight"].values,
        there.scatter[most],
        [name for name, kept in zip(there.names, most, strict=True) if kept],
        target,
        regime.unit,
        f"new {need.question.counted}, each measured once at",
    )
    return replace(need, regime=replace(told, direct=direct))


def _margins(
    regime: Regime, problem: Problem, scenarios: xr.Dataset
) -> Float[np.ndarray, " scenario"] | None:
    """Return by how much the measured output could be off and each scenario still fail; None if unknown.

    A limit state that asks for another output of the same unit, as for a peak, is off by as much.
    """
    g = -scenarios["limit_state"].values
    if regime.slope.any():
        together = np.abs(regime.slope.sum(axis=1))
        return np.where(together > 0, g / np.where(together > 0, together, 1.0), g.max())
    unit = problem.sim.limit_states[problem.study.tables.rare.limit_state].unit
    return g if unit == regime.unit else None


@dataclass(frozen=True)
class New:
    """New members under the conditions of failing scenarios.

    Attributes
    ----------
    names : list of str
        The conditions, for people.
    beyond : array (condition,)
        Share of members whose response is beyond what was measured.
    scatter : array (condition,)
        Standard deviation of one measurement of one member.
    """

    names: list[str]
    beyond: Float[np.ndarray, " condition"]
    scatter: Float[np.ndarray, " condition"]

    @classmethod
    def at(cls, regime: Regime, problem: Problem, scenarios: xr.Dataset, posterior, key) -> New:
        """Put new members under the conditions of some of the scenarios that lie beyond the data."""
        sim = problem.reference(posterior)
        picks = _picks(scenarios["weight"].values * regime.beyond(regime.reached).any(axis=1))
        places = np.nanargmax(regime.excess(regime.reached[picks]), axis=1)
        own = _members(problem, posterior, key)
        inputs = {name: scenarios[name].values[picks] for name in sim.parameters if name not in own}
        whole = [
            _responses(sim, regime.output, own, {name: value[i] for name, value in inputs.items()})
            for i in range(len(picks))
        ]
        responses = np.stack([run[:, place] for run, place in zip(whole, places, strict=True)])
        slopes = np.stack(
            [
                _slopes(run, scenarios[regime.output])[:, place]
                for run, place in zip(whole, places, strict=True)
            ]
        )
        pooled = {name: jnp.asarray(np.median(v)) for name, v in posterior.items() if v.ndim == 1}
        noise = np.asarray(deviation(jnp.asarray(responses), pooled, jnp.asarray(slopes)))
        between = responses.reshape(len(picks), DRAWS, MEMBERS).var(axis=2, ddof=1).mean(axis=1)
        scatter = np.sqrt(between + np.mean(noise**2, axis=1))
        names = [_words(problem, regime, scenarios, inputs, i, place) for i, place in enumerate(places)]
        # A condition at which a run fails is none to measure at.
        beyond = np.where(np.isfinite(scatter), regime.beyond(responses).mean(axis=1), 0.0)
        return cls(names, beyond, scatter)

    def too_few(self, counted: str) -> str:
        """Say that no condition brings most members beyond the data."""
        return (
            f"Under the conditions of failing scenarios at most {self.beyond.max():.0%} of new {counted} go "
            "beyond what was measured. Their mean would test the model where it was tested, so failures "
            "have to be counted."
        )


def _picks(weight):
    """Pick scenarios in proportion to their weight, each at most once."""
    count = min(CONDITIONS, int(np.count_nonzero(weight)))
    cumulated = np.cumsum(weight) / weight.sum()
    return np.unique(np.searchsorted(cumulated, (np.arange(count) + 0.5) / count).clip(max=len(weight) - 1))


def _members(problem, posterior, key):
    """Draw members (draw * member,) of populations that the posterior draws."""
    draws = thinned(problem.population_draws(posterior))
    pick, spread = jax.random.split(key)
    index = jax.random.choice(pick, len(draws["location"]), (DRAWS, 1))
    normal = jax.random.normal(spread, (DRAWS, MEMBERS, draws["location"].shape[1]))
    log_own = draws["location"][index] + jnp.exp(draws["log_spread"][index]) * normal
    columns = jnp.exp(log_own).reshape(DRAWS * MEMBERS, -1).T
    return dict(zip(problem.population_variables, columns, strict=True))


def _responses(sim: Simulator, output: str, own, inputs) -> np.ndarray:
    """Return the measured output (member, value) of members under one scenario's inputs."""
    tiled = {name: jnp.broadcast_to(value, (DRAWS * MEMBERS, *value.shape)) for name, value in inputs.items()}
    return np.asarray(sim.batched({**own, **tiled})[output]).reshape(DRAWS * MEMBERS, -1)


def _slopes(responses, output: xr.DataArray) -> np.ndarray:
    """Return the slope of responses (member, value) along their coordinate, 0 of what has none."""
    if responses.shape[1] < 2 or output.ndim != 2:
        return np.zeros_like(responses)
    return np.gradient(responses, output[output.dims[1]].values, axis=1)


def _words(problem, regime, scenarios, inputs, i, place) -> str:
    """Name a condition: the scenario's inputs, and where along the output it is measured."""
    parts = [_input(problem, scenarios, name, value[i]) for name, value in inputs.items()]
    for dim in scenarios[regime.output].dims[1:]:
        at = scenarios[dim].values[place]
        parts.append(f"{dim} {at:.3g} {scenarios[dim].attrs.get('units', '')}".strip())
    return ", ".join(parts) or "the conditions of the scenario"


def _input(problem, scenarios, name, value) -> str:
    words, unit = name.replace("_", " "), problem.scenario.inputs[name].unit
    shown = " ".join(f"{v:.3g}" for v in np.atleast_1d(value)[:_SHOWN])
    more = " ..." if np.size(value) > _SHOWN else ""
    return f"{words} {shown}{more}{'' if unit == '1' else f' {unit}'}"

"""Whether failures lie where anything was measured, or on the model alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth import require
from physsynth.study.problem import Problem


@dataclass(frozen=True)
class Regime:
    """Range of the measured values, and the values that the limit state rests on in each failing scenario.

    `reached` is (scenario, value), NaN where a value of the measured output has no part in the limit state:
    a level at the time of the dose none in one that asks for the level eight hours later.
    """

    words: str
    unit: str
    low: float
    high: float
    reached: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, problem: Problem, scenarios: xr.Dataset) -> Regime:
        """Compare what was measured with what failing scenarios reach."""
        model = problem.model
        assert model is not None
        design, output = model.experiment.design, model.experiment.output
        measured = np.asarray(design.observed)[np.asarray(design.mask)]
        values = scenarios[output].values.reshape(scenarios.sizes["scenario"], -1)
        return cls(
            output.replace("_", " "),
            problem.sim.outputs[output].unit,
            float(measured.min()),
            float(measured.max()),
            np.where(_rests_on(problem, scenarios, output), values, np.nan),
            scenarios["weight"].values,
        )

    @property
    def share_outside(self) -> float:
        """Share of the failure probability that rests on values outside the measured range."""
        outside = ((self.reached > self.high) | (self.reached < min(self.low, 0.0))).any(axis=1)
        return float(self.weight[outside].sum() / max(self.weight.sum(), 1e-300))

    def placed(self, need: require.Requirement) -> require.Requirement:
        """Return the requirement with its verdict in the light of the regime."""
        asked = float(np.nanmin(self.reached)), float(np.nanmax(self.reached))
        span = min(self.low, 0.0), self.high
        need = require.placed(
            need, require.Regime((require.Axis(self.words, self.unit, span, asked, self.share_outside),))
        )
        return self._explained(need) if need.verdict == "EXTRAPOLATION" else need

    def _explained(self, need):
        line = (
            f"{self.share_outside:.0%} of the failure probability lies where the {self.words} exceeds what "
            f"was ever measured ({self.low:.3g} to {self.high:.3g} {self.unit}); there the number rests on "
            "the model alone. "
            f"Only measurements of {self.words} in that range can show an error of the model."
        )
        return replace(need, assumptions=(line, *need.assumptions[1:]))


def _rests_on(problem, scenarios, output):
    """Return which values (scenario, value) of an output move the limit state.

    All do where it asks for other outputs, as for a peak: how these follow from the values is not known.
    """
    limit = problem.sim.limit_states[problem.study.tables.rare.limit_state]
    y = {name: jnp.asarray(scenarios[name].values) for name in problem.sim.outputs}
    p = {name: jnp.asarray(scenarios[name].values) for name in problem.sim.parameters}

    def margin(values, p, y):
        return limit(p, {**y, output: values}, **problem.settings)

    slope = np.asarray(jax.jit(jax.vmap(jax.grad(margin)))(y[output].astype(float), p, y))
    moves = slope.reshape(len(slope), -1) != 0.0
    return moves | ~moves.any(axis=1, keepdims=True)

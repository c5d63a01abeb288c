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
    a level at the time of the dose none in one that asks for the level eight hours later. `slope` is that of
    the limit state by each value, 0 everywhere where it asks for other outputs.
    """

    output: str
    unit: str
    low: float
    high: float
    reached: np.ndarray
    slope: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, problem: Problem, scenarios: xr.Dataset) -> Regime:
        """Compare what was measured with what failing scenarios reach."""
        model = problem.model
        assert model is not None
        design, output = model.experiment.design, model.experiment.output
        measured = np.asarray(design.observed)[np.asarray(design.mask)]
        values = scenarios[output].values.reshape(scenarios.sizes["scenario"], -1)
        slope = _slope(problem, scenarios, output)
        moves = slope != 0.0
        # As for a peak: how other outputs follow from the measured one is not known, so every value counts.
        moves |= ~moves.any(axis=1, keepdims=True)
        return cls(
            output,
            problem.sim.outputs[output].unit,
            float(measured.min()),
            float(measured.max()),
            np.where(moves, values, np.nan),
            slope,
            scenarios["weight"].values,
        )

    @property
    def words(self) -> str:
        """What was measured, for people."""
        return self.output.replace("_", " ")

    def beyond(self, values: np.ndarray) -> np.ndarray:
        """Tell which values lie outside the measured range."""
        return self.excess(values) > 0

    def excess(self, values: np.ndarray) -> np.ndarray:
        """Return how far values lie outside the measured range, negative inside."""
        return np.maximum(values - self.high, min(self.low, 0.0) - values)

    @property
    def share_outside(self) -> float:
        """Share of the failure probability that rests on values outside the measured range."""
        outside = self.beyond(self.reached).any(axis=1)
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


def _slope(problem, scenarios, output):
    """Return the slope of the limit state by each value (scenario, value) of an output."""
    limit = problem.sim.limit_states[problem.study.tables.rare.limit_state]
    y = {name: jnp.asarray(scenarios[name].values) for name in problem.sim.outputs}
    p = {name: jnp.asarray(scenarios[name].values) for name in problem.sim.parameters}

    def margin(values, p, y):
        return limit(p, {**y, output: values}, **problem.settings)

    slope = np.asarray(jax.jit(jax.vmap(jax.grad(margin)))(y[output].astype(float), p, y))
    return slope.reshape(len(slope), -1)

"""A target that some truths never meet: a mean behind instruments whose offsets differ by an unknown amount.

    y = mean + offset_j + N(0, 1),   offset_j ~ N(0, tau^2),   tau ~ LogNormal,   j = 1, 2, 3

However often each instrument is used, the mean is only known as well as three offsets allow: given tau its sd
stays at about tau / sqrt(3). Whether the target is below that, the pilot tells only in part, and so does all
that follows: tau is learnt from three instruments alone.

Given tau all is linear and normal; tau stands on a grid and is weighted by its marginal likelihood, so that
posteriors are exact up to the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import numpy as np

from physsynth.require import Requirement, precision

INSTRUMENTS, PILOT, MOST = 3, 4, 240
PRIOR_SD, TAU_CENTRE, TAU_SPREAD = 10.0, math.log(0.25), 0.8
TARGET = 0.25
TAUS = np.exp(TAU_CENTRE + TAU_SPREAD * np.linspace(-3, 3, 121))
TAU_WEIGHT = np.exp(-0.5 * np.linspace(-3, 3, 121) ** 2)
DRAWS = 4000


def observe(theta, condition):
    """Return what an instrument shows on average."""
    return theta["mean"] + theta["offset"][condition.astype(int)]


def mean(theta):
    """Return what is wanted."""
    return theta["mean"]


@dataclass(frozen=True)
class Posterior:
    """Exact posterior from each instrument's number and mean of measurements: a mixture over tau."""

    weight: np.ndarray
    centre: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, count: np.ndarray, average: np.ndarray) -> Posterior:
        """Weigh every tau of the grid; theta is (mean, offsets)."""
        design = np.column_stack([np.ones(INSTRUMENTS), np.eye(INSTRUMENTS)])[count > 0]
        prior = np.array([np.diag([PRIOR_SD**2, *[tau**2] * INSTRUMENTS]) for tau in TAUS])
        marginal = design @ prior @ design.T + np.diag(1 / count[count > 0])
        gain = prior @ design.T @ np.linalg.inv(marginal)
        seen = average[count > 0]
        fit = -0.5 * np.einsum("i,tij,j->t", seen, np.linalg.inv(marginal), seen)
        logs = fit - 0.5 * np.linalg.slogdet(marginal)[1] + np.log(TAU_WEIGHT)
        weight = np.exp(logs - logs.max())
        return cls(weight / weight.sum(), gain @ seen, prior - gain @ design @ prior)

    @property
    def sd(self) -> float:
        """The posterior sd of the mean."""
        between = self.weight @ (self.centre[:, 0] - self.weight @ self.centre[:, 0]) ** 2
        return math.sqrt(self.weight @ self.covariance[:, 0, 0] + between)

    def draws(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return draws of the mean and the offsets."""
        picks = rng.choice(len(TAUS), DRAWS, p=self.weight)
        root = np.linalg.cholesky(self.covariance + 1e-15 * np.eye(INSTRUMENTS + 1))
        rows = self.centre[picks] + np.einsum(
            "nij,nj->ni", root[picks], rng.standard_normal((DRAWS, INSTRUMENTS + 1))
        )
        return {"mean": rows[:, 0], "offset": rows[:, 1:]}


def replication(seed: int, futures: int = 100) -> tuple[Requirement, float]:
    """Draw a truth and its pilot, forecast, then measure by the plan until the target is met, if ever."""
    rng = np.random.default_rng(seed)
    tau = math.exp(TAU_CENTRE + TAU_SPREAD * rng.standard_normal())
    level = tau * rng.standard_normal(INSTRUMENTS)
    count = np.full(INSTRUMENTS, PILOT)
    total = PILOT * level + math.sqrt(PILOT) * rng.standard_normal(INSTRUMENTS)
    posterior = Posterior.of(count, total / count)
    places, key = np.arange(float(INSTRUMENTS)), jax.random.key(seed)
    asked = (posterior.draws(rng), observe, mean, 1.0, places, TARGET, key)
    need = precision(*asked, max_n=MOST, replicates=futures, particles=1000)
    if need.verdict == "MET":
        return need, 0.0
    for n, place in enumerate(need.forecast["order"].values):
        count, total = count + (np.arange(INSTRUMENTS) == place), total.copy()
        total[place] += level[place] + rng.standard_normal()
        if Posterior.of(count, total / count).sd <= TARGET:
            return need, n + 1.0
    return need, math.inf

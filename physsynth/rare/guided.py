"""An approximate simulator as guide: it chooses the scenarios, the true simulator decides what counts.

Two-phase sampling. Phase one draws u_1 ... u_N from a mixture q fitted to the guide's failures, with weights
w_i = phi / q, and runs the guide on them; c_i is what is then believed to be the chance of a true failure, a
probit in the guide's value, learnt from pilot runs, and q is fitted again to the failures that it foresees.
Phase two picks m of them, with replacement and with chances pi_i, and runs the true simulator on these alone,
which corrects what was believed:

    p = 1/N sum_i w_i c_i + 1/(N m) sum_j w_j (1{g_j <= 0} - c_j) / pi_j

This is unbiased whatever the guide says, as q and pi are positive everywhere and c is fixed before the picks;
picks that turn out as believed add no variance. Most have pi ~ w sqrt(c), so that failing ones are scenarios
of nearly equal weight, w_j / (N m pi_j), scaled to sum to p; the others are spent where none is foreseen.

Source: Hansen and Hurwitz (1943), Annals of Mathematical Statistics 14; Neyman (1938), JASA 33 (two phases);
Sarndal, Swensson and Wretman (1992), Model Assisted Survey Sampling, section 6.3 (difference estimators);
Peherstorfer, Cui, Marzouk and Willcox (2016), CMAME 300 (importance sampling led by a cheaper model).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from physsynth.rare.auto import Auto
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.fitting import fit_mixture
from physsynth.rare.importance import Importance
from physsynth.rare.intervals import Weighted
from physsynth.rare.mixture import Mixture
from physsynth.rare.outcome import Estimate, weighted_estimate
from physsynth.rare.planes import Planes, diverse, planes_along_rays, planes_from
from physsynth.rare.scout import STARTS, spread_out, starts

ORDINARY = 0.1
CHEAP = 0.4
LEAST_DRAWS = 4000
MOST_DRAWS = 200_000
WIDEST = 1e3
NEAR = 3.0
BEHIND = 0.05
# Picks against the belief that are counted besides those seen.
UNSEEN = 2.0
UNKNOWN = -np.inf


@dataclass(frozen=True)
class Guided:
    """Estimate with a guide.

    Parameters
    ----------
    guide : Evaluator
        The approximate limit state over the same space, with its own budget.
    look : int
        True runs in all directions first, to see failures that the guide does not know of.
    pilot, pilots : int
        True runs of each pilot, which show how far the guide can be believed, and their number; after each
        the density is fitted again.
    least : int
        Fewest picks of the last sample.
    most : int
        Picks above which the guide is given up.
    wary : float
        Share of the picks spent where no failure is foreseen.
    scenarios : int
        Fewest failing picks, for those who reweight the scenarios: the probability needs fewer than they do.
    """

    guide: Evaluator
    look: int = 64
    pilot: int = 40
    pilots: int = 2
    least: int = 100
    most: int = 4000
    wary: float = 0.15
    scenarios: int = 0
    importance: Importance = field(default_factory=Importance)
    otherwise: Auto = field(default_factory=Auto)

    def run(self, evaluator: Evaluator, rng: np.random.Generator, target_cov: float) -> Estimate:
        """Estimate within the evaluator's budget; without the guide where it is of no use."""
        plan = self.importance.prepare(self.guide, rng, target_cov)
        if plan.mixture is None or not plan.probability > 0:
            return self.otherwise.run(evaluator, rng, target_cov)
        if self.guide.remaining < LEAST_DRAWS:
            return self.otherwise.run(evaluator, rng, target_cov)
        drawn = _Drawn.of(plan.mixture, self.guide, rng, LEAST_DRAWS)
        trust = _Trust.unknown(drawn, self._missed(evaluator, rng))
        for _ in range(self.pilots):
            trust = trust.learnt(*self._sample(drawn, trust, evaluator, rng, self.pilot).pairs)
            mixture = drawn.refitted(plan.planes.joined(trust.missed), trust, rng)
            draws = drawn.wanted(trust, mixture, CHEAP * target_cov)
            draws = int(min(max(draws, plan.wanted(CHEAP * target_cov)), MOST_DRAWS))
            if self.guide.remaining < draws:
                break
            drawn = _Drawn.of(mixture, self.guide, rng, draws)
        if drawn.chances(trust, self.wary).foreseen > self.most * target_cov**2:
            return self.otherwise.run(evaluator, rng, target_cov)
        sample = self._sample(drawn, trust, evaluator, rng, self.least)
        while missing := sample.missing(target_cov, self.scenarios, evaluator.remaining):
            sample = sample.more(evaluator, rng, missing)
        result = sample.estimate(target_cov, plan.planes.joined(trust.missed).points)
        if result.converged or not evaluator.remaining:
            return result
        return self.otherwise.run(evaluator, rng, target_cov)

    def _missed(self, evaluator, rng) -> Planes:
        """Return planes through true failures where the guide sees none."""
        u, g = spread_out(evaluator, rng, min(self.look, evaluator.remaining))
        unseen = np.flatnonzero(g <= 0)[self.guide.values(u[g <= 0]) > 0]
        near = u[unseen[np.argsort(np.linalg.norm(u[unseen], axis=1), kind="stable")]]
        found = planes_along_rays(evaluator, diverse(near, STARTS))
        inner = np.concatenate([0.1 * u[: starts(evaluator, 2)], found.points])
        found = found.joined(planes_from(evaluator, inner))
        return found.part(self.guide.values((1.0 + BEHIND) * found.points) > 0)

    def _sample(self, drawn, trust, evaluator, rng, n):
        unknown = np.full(len(drawn.g), UNKNOWN)
        empty = _Sample(drawn, drawn.chances(trust, self.wary), np.zeros(0, int), unknown)
        return empty.more(evaluator, rng, n)


@dataclass(frozen=True)
class _Trust:
    """Belief P(true failure | guide's value h) = Phi(-(shift + slope h) / width), and failures it misses."""

    shift: float
    slope: float
    width: float
    missed: Planes

    @classmethod
    def unknown(cls, drawn: _Drawn, missed: Planes) -> _Trust:
        """Return the belief before any true run: wrong by as much as the guide's failures are deep."""
        fails = drawn.g <= 0
        deep = np.average(np.abs(drawn.g[fails]), weights=drawn.weight[fails]) if fails.any() else 1.0
        return cls(0.0, 1.0, float(deep) + 1e-300, missed)

    def learnt(self, guide: np.ndarray, true: np.ndarray) -> _Trust:
        """Return the belief after true runs: a line through them near the foreseen boundary."""
        near = np.isfinite(guide) & np.isfinite(true)
        near &= np.abs(self.shift + self.slope * guide) <= NEAR * self.width
        if near.sum() < 10 or not np.ptp(guide[near]) > 0:
            return replace(self, width=3 * self.width)
        slope, shift = np.polyfit(guide[near], true[near], 1)
        width = 1.5 * float(np.std(true[near] - shift - slope * guide[near]))
        return replace(self, shift=float(shift), slope=float(slope), width=max(width, 1e-3 * self.width))

    def failure(self, u: np.ndarray, guide: np.ndarray) -> np.ndarray:
        """Return the probability of a true failure; half where the guide gives no number or misses some."""
        chance = ndtr(-(self.shift + self.slope * guide) / self.width)
        behind = self.missed.depth(u).max(axis=1, initial=-np.inf) > 0
        return np.where(behind | np.isnan(guide), np.maximum(np.nan_to_num(chance), 0.5), chance)


@dataclass(frozen=True)
class _Chances:
    """Chance `pick` (N,) of each draw in one pick, what a pick of it stands for, and the belief c (N,)."""

    pick: Float[np.ndarray, " n"]
    value: Float[np.ndarray, " n"]
    belief: Float[np.ndarray, " n"]

    @property
    def believed(self) -> float:
        """The probability by the belief alone."""
        return float(self.pick @ (self.value * self.belief))

    @property
    def foreseen(self) -> float:
        """The squared cov of one pick that the belief foresees."""
        c = self.belief
        return float(self.pick @ (self.value**2 * c * (1.0 - c))) / max(self.believed, 1e-300) ** 2


@dataclass(frozen=True)
class _Drawn:
    """Phase one: points, the guide's values there, and weights phi / q."""

    u: Float[np.ndarray, "n d"]
    g: Float[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, mixture: Mixture, guide: Evaluator, rng: np.random.Generator, n: int) -> _Drawn:
        """Draw from the mixture, and a tenth from the space itself so that nothing is left out."""
        n -= n % 10
        ordinary = round(ORDINARY * n)
        everywhere = rng.standard_normal((ordinary, guide.dimension))
        u = np.concatenate([mixture.sample(rng, n - ordinary), everywhere])
        return cls(u, guide.values(u), _weight(mixture, u))

    def refitted(self, planes: Planes, trust: _Trust, rng: np.random.Generator) -> Mixture:
        """Return the mixture fitted to a sample of the failures that the belief foresees."""
        fails = rng.random(len(self.g)) < trust.failure(self.u, self.g)
        return fit_mixture(planes, self.u[fails], self.weight[fails], float(self.weight[fails].sum()))

    def wanted(self, trust: _Trust, mixture: Mixture, cov: float) -> float:
        """Return the draws of a mixture for which the first phase's own share of the cov is the one given."""
        fails = self.weight * trust.failure(self.u, self.g)
        variance = float(fails @ _weight(mixture, self.u) * len(self.g) / fails.sum() ** 2 - 1.0)
        return max(LEAST_DRAWS, 1.3 * variance / cov**2)

    def chances(self, trust: _Trust, wary: float) -> _Chances:
        """Return the chances: by the belief, and the wary share where it foresees no failure.

        That share goes where the draws are, near failures: a guide that is wrong there is what changes p.
        """
        c = trust.failure(self.u, self.g)
        foreseen, outside = self.weight * np.sqrt(c), 1.0 - c
        pick = (1.0 - wary) * _shares(foreseen) + wary * _shares(outside)
        pick = pick / pick.sum()
        return _Chances(pick, self.weight / (len(c) * pick), c)


def _shares(part: np.ndarray) -> np.ndarray:
    return part / max(part.sum(), 1e-300)


def _weight(mixture: Mixture, u: np.ndarray) -> np.ndarray:
    """Return phi / q where a tenth of q is phi itself."""
    return np.exp(-np.logaddexp(np.log1p(-ORDINARY) + mixture.log_ratio(u), np.log(ORDINARY)))


@dataclass(frozen=True)
class _Sample:
    """Phase two: picks among the draws, and the true g (N,) of the draws run so far."""

    drawn: _Drawn
    chances: _Chances
    index: np.ndarray
    true: np.ndarray

    def more(self, evaluator: Evaluator, rng: np.random.Generator, n: int) -> _Sample:
        """Return the sample after `n` more picks with replacement; no draw is run twice."""
        index = rng.choice(len(self.true), size=int(n), p=self.chances.pick)
        new = np.unique(index[self.true[index] == UNKNOWN])[: evaluator.remaining]
        true = self.true.copy()
        true[new] = evaluator.values(self.drawn.u[new])
        return replace(self, index=np.concatenate([self.index, index[true[index] != UNKNOWN]]), true=true)

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The guide's and the true value of each pick."""
        return self.drawn.g[self.index], self.true[self.index]

    @property
    def value(self) -> np.ndarray:
        """What each pick stands for, w / (N pi)."""
        return self.chances.value[self.index]

    @property
    def correction(self) -> np.ndarray:
        """What each pick adds to what is believed; the mean over picks corrects it."""
        return self.value * ((self.true[self.index] <= 0) - self.chances.belief[self.index])

    def covs(self) -> tuple[float, Weighted]:
        """Return the squared cov of phase one, and the spread of phase two.

        Picks that all turn out as believed do not prove the belief right: two more, that had not, are counted
        in (Agresti and Coull 1998, American Statistician 52, for a share of which none was seen).
        """
        fails, m = self.true[self.index] <= 0, len(self.index)
        failing = Weighted.of(np.where(fails, self.value, 0.0))
        correction, weight = self.correction, self.drawn.weight
        p = self.chances.believed + float(correction.sum()) / max(m, 1)
        if m < 2 or not (fails.any() and p > 0):
            return np.inf, replace(failing, cov=np.inf)
        squares = weight @ (weight * self.chances.belief) / len(weight)
        squares += np.mean(correction * weight[self.index])
        first = max(float(squares) / p**2 - 1.0, 0.0) / len(weight)
        cov = np.sqrt(np.var(correction, ddof=1) / m / p**2 + UNSEEN / m**2)
        return first, replace(failing, probability=p, cov=float(cov))

    def missing(self, target_cov: float, scenarios: int, remaining: int) -> int:
        """Return the picks still wanted, at most twice as many again; none where they cannot help."""
        first, second = self.covs()
        m, left = len(self.index), target_cov**2 - (first if np.isfinite(first) else 0.0)
        few = int(np.sum(self.true[self.index] <= 0)) < scenarios
        if not remaining or left <= 0 or (second.cov**2 <= left and not few):
            return 0
        if not np.isfinite(second.cov):
            return m
        precise = 1.1 * m * second.cov**2 / left
        return int(min(2 * m, max(100, precise - m, 1.1 * self._for_failures(scenarios) - m if few else 0)))

    def _for_failures(self, scenarios: int) -> float:
        """Return the picks that would hold so many failing ones."""
        return scenarios * len(self.index) / max(float(np.sum(self.true[self.index] <= 0)), 1.0)

    def estimate(self, target_cov: float, design_points) -> Estimate:
        """Return the estimate: each scenario once, with the weights of its picks added."""
        first, second = self.covs()
        distinct, back = np.unique(self.index, return_inverse=True)
        weight = np.bincount(back, self.value / len(self.index))
        failing = float(weight[self.true[distinct] <= 0].sum())
        weight *= second.probability / failing if failing > 0 else 1.0
        spread = replace(second, cov=float(np.sqrt(first + second.cov**2)))
        u, g = self.drawn.u[distinct], self.true[distinct]
        result = weighted_estimate(u, g, weight, spread, target_cov, (), design_points)
        return replace(result, draws=len(self.index))

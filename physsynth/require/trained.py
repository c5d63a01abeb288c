"""What a synthetic set is worth for training a model: real training sets of matched risk.

With R(k) the risk of the model trained on k real measurements and R_syn that of the one trained on the
synthetic set, both on held-out real data, n_eq solves R(n_eq) = R_syn. Both are seen at the same held-out
measurements i, so their difference is a mean of

    d_i(k) = loss of a model trained on k real ones at i - loss of the synthetic model at i,

with the variance of a mean over n held-out measurements, plus that of training sets. Of n real measurements
two sets of size k have k / n in common, and the errors of what is fitted are correlated by as much; the risk,
near its least, is quadratic in these errors, so that two sets share (k / n)^2 of the variance T. Splits
differ by the rest of it and by the scatter of their held-out parts, which tells T; as T falls about like
1 / k^2, neighbouring sizes tell it together.

Source: Nadeau and Bengio (2003), Mach. Learn. 52, 239 (variance when training sets overlap); Fieller (1954),
J. R. Stat. Soc. B 16, 175 (the interval is the set of k at which the two cannot be told apart).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy import special

from physsynth.core.errors import ParameterError
from physsynth.require import arguments
from physsynth.require.worth import Finding

Sample = Float[np.ndarray, "n ..."]
FOLDS = 5
_PASSES = 3


@dataclass(frozen=True)
class Trained:
    """A model that is trained, compared by its risk on held-out real measurements.

    Parameters
    ----------
    fit : callable
        ``fit(sample)`` -> model, from an array with one measurement a row.
    loss : callable
        ``loss(model, sample)`` -> losses (n,), one a measurement.
    sizes : sequence of int
        Sizes of real training sets, rising; at most four fifths of the real data.
    repeats : int
        Random splits into five folds.
    seed : int
        Of the splits.
    words : str
        What is trained.

    Raises
    ------
    ParameterError
        If sizes or repeats are no counts.
    """

    fit: Callable[[Sample], Any]
    loss: Callable[[Any, Sample], Float[np.ndarray, " n"]]
    sizes: tuple[int, ...]
    repeats: int = 4
    seed: int = 0
    words: str = "trained model"

    def __post_init__(self):
        for size in self.sizes:
            arguments.count("sizes", size, 1)
        if not len(self.sizes) or not all(np.diff(self.sizes) > 0):
            raise ParameterError(
                "sizes that do not rise", key="sizes", wanted="rising counts", got=self.sizes
            )
        arguments.count("repeats", self.repeats, 1)
        arguments.count("seed", self.seed)

    def compare(self, real: Sample, synthetic: Sample, levels: tuple[float, ...]) -> Finding:
        """Return the sizes of real training sets that match the synthetic model's risk."""
        arguments.count("sizes", (1 - 1 / FOLDS) * len(real) // max(self.sizes), 1)
        rng = np.random.default_rng(self.seed)
        whole, half = (self._losses(part, real) for part in (synthetic, synthetic[::2]))
        gap = self._gap(rng, real, whole)
        still = max(float(np.mean(half) - np.mean(whole)), 0.0)
        return Finding(
            quantiles={level: self._matched(gap, level) for level in levels},
            ceiling=self._crossing(gap.mean + still),
            bias=float(np.mean(whole)) - gap.best,
            tipping=None,
            curve=xr.Dataset(),
            assumptions=(
                "the synthetic set is as it is; another draw of it would have another risk",
                "what more synthetic data would gain falls as one over their number",
                f"beyond {self.sizes[-1]}, the largest real training set tried, sizes cannot be told apart",
            ),
        )

    def _gap(self, rng, real, synthetic_losses):
        """Return how much more a model trained on k real measurements loses than the synthetic one."""
        seen, held_out, splits = np.zeros((len(self.sizes), len(real))), 0.0, []
        for _ in range(self.repeats):
            gaps = np.zeros_like(seen)
            for held in np.array_split(rng.permutation(len(real)), FOLDS):
                rest = rng.permutation(np.setdiff1d(np.arange(len(real)), held))
                losses = [self._losses(real[rest[:k]], real[held]) for k in self.sizes]
                gaps[:, held] = np.array(losses) - synthetic_losses[held]
                splits.append(gaps[:, held].mean(axis=1))
            seen += gaps / self.repeats
            held_out += gaps.var(axis=1, ddof=1) / len(real) / self.repeats
        training = _training_variance(np.array(splits), FOLDS * held_out, np.asarray(self.sizes), len(real))
        variance = seen.var(axis=1, ddof=1) / len(real) + training
        freedom = (len(splits) - 1) * (variance / np.maximum(training, 1e-12 * variance)) ** 2
        best = float(np.mean(synthetic_losses)) + float(seen.mean(axis=1).min())
        return _Gap(seen.mean(axis=1), np.sqrt(variance), freedom, best)

    def _losses(self, trained_on, held):
        """Return the loss at each held-out measurement of the model trained on others."""
        losses = arguments.numbers("loss", self.loss(self.fit(trained_on), held), "one number a measurement")
        if losses.shape != (len(held),):
            raise ParameterError(
                "losses that do not fit the measurements",
                key="loss",
                wanted=f"shape ({len(held)},), one a measurement",
                got=f"shape {losses.shape}",
            )
        return losses

    def _matched(self, gap, level):
        """Return the size at which the gap's quantile closes."""
        size = self._crossing(gap.mean + special.stdtrit(gap.freedom, level) * gap.error)
        if level < 0.5:
            return 0.0 if size == self.sizes[0] else min(size, float(self.sizes[-1]))
        return size

    def _crossing(self, gap):
        """Return where the gap falls to zero, linear in log k; inf where that is beyond the largest size."""
        closed = np.flatnonzero(gap <= 0)
        if not closed.size:
            return math.inf
        place = int(closed[0])
        if place == 0:
            return float(self.sizes[0])
        share = gap[place - 1] / (gap[place - 1] - gap[place])
        low, high = np.log(self.sizes[place - 1 : place + 1])
        return float(np.exp(low + share * (high - low)))


def _training_variance(splits, scatter, sizes, n):
    """Return the variance that training sets of each size leave in a mean over splits (split, size).

    `scatter` is what the splits' held-out parts add. Sizes count by how well they tell T k^2, those within
    about an octave together.
    """
    among, alone = splits.var(axis=0, ddof=1), 1 - (sizes / n) ** 2
    near = np.exp(-0.5 * np.log2(sizes[:, None] / sizes) ** 2)
    seen, expected = (among - scatter) / alone * sizes**2, among
    for _ in range(_PASSES):
        weight = near * (alone / np.maximum(expected * sizes**2, 1e-300)) ** 2
        each = np.maximum(weight @ seen / weight.sum(axis=1), 0.0) / sizes**2
        expected = scatter + alone * each
    return each * (1 - alone + alone / len(splits))


class _Gap(NamedTuple):
    """Gap in risk at each size, its standard error with its degrees of freedom, and the best risk.

    The variance of training sets is told by no more than the splits (Satterthwaite 1946, Biometr. Bull. 2).
    """

    mean: Float[np.ndarray, " size"]
    error: Float[np.ndarray, " size"]
    freedom: Float[np.ndarray, " size"]
    best: float

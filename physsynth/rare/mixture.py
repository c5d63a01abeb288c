"""A mixture of densities: draws in exact proportion, weights, and shares fitted to failing points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from physsynth.rare.components import Component

ROUNDS = 80


@dataclass(frozen=True)
class Mixture:
    """q(u) = sum_k shares_k q_k(u)."""

    components: tuple[Component, ...]
    shares: Float[np.ndarray, " k"]

    def sample(self, rng: np.random.Generator, n: int) -> Float[np.ndarray, "n d"]:
        """Draw `n` points, each component as often as its share says up to rounding, in random order."""
        return self.strata(rng, n)[0]

    def strata(
        self, rng: np.random.Generator, n: int
    ) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
        """Draw `n` points as `sample` does; say also which component drew each."""
        edges = np.floor(np.concatenate([[0.0], np.cumsum(self.shares)]) * n + rng.random())
        counts = np.diff(np.clip(edges, 0, n)).astype(int)
        counts[np.argmax(self.shares)] += n - counts.sum()
        u = np.concatenate([c.sample(rng, m) for c, m in zip(self.components, counts, strict=True)])
        order = rng.permutation(n)
        return u[order], np.repeat(np.arange(len(counts)), counts)[order]

    def log_ratios(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Return log q_k(u) - log phi(u) of each component."""
        return np.stack([c.log_ratio(u) for c in self.components], axis=1)

    def log_ratio(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Return log q(u) - log phi(u)."""
        with np.errstate(divide="ignore"):
            return np.asarray(logsumexp(self.log_ratios(u) + np.log(self.shares), axis=1))


def fitted(
    components: Sequence[Component],
    floor: Float[np.ndarray, " k"],
    u: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"],
) -> Mixture:
    """Return the mixture whose shares give the least variance on weighted points, none below its floor.

    The second moment  sum_j weight_j / sum_k shares_k r_k(u_j)  is convex in the shares; the update
    shares_k <- shares_k sqrt(-d/d shares_k) lowers it at every step (Silvey, Titterington and Torsney 1978).
    """
    k = len(components)
    start = Mixture(tuple(components), np.full(k, 1.0 / k))
    if not len(u) or not weight.sum() > 0:
        return start
    ratios = start.log_ratios(u)
    known = np.isfinite(ratios).any(axis=1)
    if not known.any():
        return start
    scale = ratios[known].max(axis=1)
    ratio, part = np.exp(ratios[known] - scale[:, None]), weight[known] * np.exp(scale.min() - scale)
    free, shares = 1.0 - floor.sum(), start.shares
    for _ in range(ROUNDS):
        density = np.maximum(ratio @ (floor + free * shares), 1e-12)
        shares = shares * np.sqrt((part / density**2) @ ratio)
        shares = shares / shares.sum()
    return Mixture(tuple(components), floor + free * shares)

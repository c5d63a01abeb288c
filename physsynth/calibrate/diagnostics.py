"""Convergence diagnostics of Markov chains: rank-normalised split R-hat and effective sample sizes.

Source: Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), Bayesian Analysis 16, sections 3 and 4;
Betancourt (2016), arXiv:1604.00695, for the energy fraction.
"""

from __future__ import annotations

import numpy as np
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
from scipy.special import ndtri
from scipy.stats import rankdata

Chains = np.ndarray  # (chain, draw)


def r_hat(chains: Chains) -> float:
    """Return the larger of the rank-normalised split R-hat of the draws and of their folded values."""
    folded = np.abs(chains - np.median(chains))
    return max(float(split_gelman_rubin(_normal_scores(x))) for x in (chains, folded))


def bulk_ess(chains: Chains) -> float:
    """Return the effective sample size of the rank-normalised, split chains."""
    return float(effective_sample_size(_normal_scores(_split(chains))))


def tail_ess(chains: Chains) -> float:
    """Return the smaller effective sample size of the indicators of the 5 % and 95 % quantiles."""
    low, high = np.quantile(chains, [0.05, 0.95])
    split = _split(chains)
    return min(float(effective_sample_size(np.asarray(x, float))) for x in (split <= low, split <= high))


def energy_fraction(energy: Chains) -> float:
    """Return the smallest Bayesian fraction of missing information over the chains."""
    return float(np.min(np.mean(np.diff(energy, axis=1) ** 2, axis=1) / np.var(energy, axis=1)))


def _split(chains):
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, -half:]])


def _normal_scores(chains):
    ranks = rankdata(chains, method="average").reshape(chains.shape)
    return ndtri((ranks - 0.375) / (chains.size + 0.25))

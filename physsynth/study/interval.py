"""The Monte Carlo interval of a probability: a mean over replicates of scenarios and over Markov chains.

Scenarios are a sample, and so are the posterior draws: the mean over draws is not that of endless chains.
The error from scenarios is seen in independent replicates, that from chains in means of batches of draws.

Sources: Gupta and Vats (2020), arXiv:2007.04229, for batches of several chains about their common mean;
Satterthwaite (1946), Biometrics Bulletin 2, for the degrees of freedom of a sum of variances.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats

BATCHES = 5


def mean_interval(
    per_draw: Float[np.ndarray, "replicate draw"], chains: int, level: float = 0.95
) -> tuple[float, dict[str, float], tuple[float, float]]:
    """Return the mean, its relative standard errors, and its t interval.

    Parameters
    ----------
    per_draw : array (replicate, draw)
        The probability under each posterior draw, chains laid end to end, from each replicate; a single
        draw where there is no posterior.
    chains : int
        Markov chains, each of which is cut into five batches.
    level : float
        Of the interval.

    Returns
    -------
    mean : float
    errors : dict of str to float
        The relative standard error from "scenarios", and from "posterior draws" where there are several.
    interval : (float, float)

    Examples
    --------
    >>> mean, errors, (low, high) = mean_interval(np.array([[0.1], [0.2], [0.3]]), chains=1)
    >>> round(mean, 3), round(errors["scenarios"], 3), round(high, 3)
    (0.2, 0.289, 0.448)
    """
    samples = {"scenarios": per_draw.mean(axis=1)}
    if per_draw.shape[1] > 1:
        batches = np.array_split(per_draw.mean(axis=0), BATCHES * chains)
        samples["posterior draws"] = np.array([batch.mean() for batch in batches if len(batch)])
    mean = float(per_draw.mean())
    variances = {name: float(v.var(ddof=1)) / len(v) for name, v in samples.items()}
    errors = {name: variance**0.5 / max(mean, 1e-300) for name, variance in variances.items()}
    half = _half_width(variances, {name: len(v) - 1 for name, v in samples.items()}, level)
    return mean, errors, (max(mean - half, 0.0), min(mean + half, 1.0))


def _half_width(variances, freedom, level):
    total = sum(variances.values())
    if not total > 0:
        return 0.0
    effective = total**2 / sum(variances[name] ** 2 / freedom[name] for name in variances)
    return float(stats.t.ppf(0.5 + level / 2, effective)) * total**0.5

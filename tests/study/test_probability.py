"""The interval of a probability that is a mean over Markov chains and over replicates of scenarios."""

import numpy as np

from physsynth.study.interval import mean_interval

RUNS, LEVEL, REPLICATES, CHAINS, DRAWS = 1000, 0.95, 4, 4, 250
CORRELATION, SPREAD, SAMPLING = 0.4, 0.5, 0.05


def chains(draw):
    """Stationary chains of probabilities about 1, each draw remembering the last (chain * draw,)."""
    z = draw.standard_normal((DRAWS, CHAINS))
    for i in range(1, DRAWS):
        z[i] = CORRELATION * z[i - 1] + np.sqrt(1 - CORRELATION**2) * z[i]
    return 1.0 + SPREAD * z.T.reshape(-1)


def test_the_interval_counts_the_error_of_chains_and_of_scenarios():
    draw = np.random.default_rng(0)
    held, errors = [], []
    for _ in range(RUNS):
        factors = 1.0 + SAMPLING * draw.standard_normal((REPLICATES, 1))
        _, error, (low, high) = mean_interval(factors * chains(draw), CHAINS)
        held.append(low <= 1.0 <= high)
        errors.append([error["scenarios"], error["posterior draws"]])
    # Three binomial standard errors.
    assert abs(np.mean(held) - LEVEL) < 3 * np.sqrt(LEVEL * (1 - LEVEL) / RUNS)
    sampling, chain = np.sqrt(np.mean(np.square(errors), axis=0))
    np.testing.assert_allclose(sampling, SAMPLING / np.sqrt(REPLICATES), rtol=0.06)
    # The variance of a mean of an autoregressive chain; batches of 50 draws see all but a few percent of it.
    slow = SPREAD * np.sqrt((1 + CORRELATION) / (1 - CORRELATION) / (CHAINS * DRAWS))
    np.testing.assert_allclose(chain, slow, rtol=0.06)


def test_without_a_posterior_only_the_scenarios_count():
    mean, errors, (low, high) = mean_interval(np.array([[0.1], [0.2], [0.3]]), chains=1)
    assert (round(mean, 12), list(errors)) == (0.2, ["scenarios"])
    # Student's 97.5 % point of two degrees of freedom is 4.3027; a probability is not negative.
    np.testing.assert_allclose((low, high), (0.0, 0.2 + 4.3027 * 0.1 / np.sqrt(3.0)), rtol=1e-4)
    np.testing.assert_allclose(errors["scenarios"], 0.5 / np.sqrt(3.0))

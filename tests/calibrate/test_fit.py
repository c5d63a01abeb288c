"""Posteriors against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import physsynth as ps
from physsynth.core.errors import ParameterError, UnknownNameError

Y = np.array([4.1, 5.3, 4.7, 6.0, 5.1])


def normal_mean(y):
    mean = numpyro.sample("mean", dist.Normal(0.0, 10.0))
    numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)


@pytest.fixture(scope="module")
def posterior():
    return ps.calibrate.fit(normal_mean, jax.random.key(1), jnp.asarray(Y), draws=1000, warmup=500, chains=4)


def test_conjugate_normal_mean(posterior):
    precision = 1 / 100 + len(Y)
    exact = stats.norm(Y.sum() / precision, precision**-0.5)
    draws = posterior.draws["mean"]
    ess = float(posterior.diagnostics["bulk_ess"].min())
    # four standard errors of a mean and of a standard deviation
    assert abs(draws.mean() - exact.mean()) < 4 * exact.std() / np.sqrt(ess)
    assert abs(draws.std() / exact.std() - 1) < 4 / np.sqrt(2 * ess)


def test_the_tree_follows_the_inference_data_schema(posterior):
    assert {"posterior", "sample_stats", "log_likelihood", "posterior_predictive", "observed_data"} <= set(
        posterior.tree.children
    )
    assert posterior.tree["posterior"]["mean"].dims == ("chain", "draw")
    assert "diverging" in posterior.tree["sample_stats"]
    likelihood = posterior.tree["log_likelihood"]["y"].values[0, 0]
    mean = posterior.tree["posterior"]["mean"].values[0, 0]
    np.testing.assert_allclose(likelihood, stats.norm(mean, 1.0).logpdf(Y), rtol=1e-9)


def test_replicates_have_the_predictive_variance(posterior):
    replicates = posterior.tree["posterior_predictive"]["y"].values
    variance = 1.0 + 1.0 / (1 / 100 + len(Y))
    # relative standard error of a variance from 4,000 draws: sqrt(2 / 4000) = 0.022, five columns averaged
    assert replicates.var(axis=(0, 1)).mean() == pytest.approx(variance, rel=0.1)


def test_checks_pass_and_say_what_to_do(posterior):
    checks = posterior.checks()
    assert all(check.passed for check in checks)
    assert {"largest R-hat", "smallest bulk ESS", "divergent transitions"} <= {check.name for check in checks}
    assert all(check.advice for check in checks)


def test_models_that_cannot_be_drawn_from():
    with pytest.raises(ParameterError, match="nothing to sample"):
        ps.calibrate.fit(lambda: None, jax.random.key(0))
    with pytest.raises(ParameterError, match="place to start"):
        ps.calibrate.fit(normal_mean, jax.random.key(0), jnp.array([jnp.nan]), draws=10, warmup=10, chains=1)


def test_chains_in_two_modes_fail_the_checks():
    def two_modes():
        numpyro.sample(
            "x",
            dist.MixtureSameFamily(
                dist.Categorical(probs=jnp.array([0.5, 0.5])), dist.Normal(jnp.array([-30.0, 30.0]), 1.0)
            ),
        )

    found = ps.calibrate.fit(two_modes, jax.random.key(0), draws=200, warmup=200, chains=4)
    spread = np.ptp(found.tree["posterior"]["x"].values.mean(axis=1))
    worst = next(check for check in found.checks() if check.name == "largest R-hat")
    assert worst.passed == (spread < 1.0)


def test_chains_start_apart_and_find_both_signs_of_a_square():
    def square(y):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(a**2, 0.1), obs=y)

    found = ps.calibrate.fit(square, jax.random.key(0), jnp.full(6, 4.0), draws=200, warmup=200, chains=4)
    # The posterior is even in a, so chains that agree have seen half of it.
    signs = np.sign(found.tree["posterior"]["a"].values.mean(axis=1))
    assert {-1.0, 1.0} <= set(signs)
    assert not next(check for check in found.checks() if check.name == "largest R-hat").passed


def test_same_key_same_draws(posterior):
    again = ps.calibrate.fit(normal_mean, jax.random.key(1), jnp.asarray(Y), draws=1000, warmup=500, chains=4)
    np.testing.assert_array_equal(posterior.draws["mean"], again.draws["mean"])


def test_refusals():
    with pytest.raises(ParameterError, match="draws"):
        ps.calibrate.fit(normal_mean, jax.random.key(0), Y, draws=0)
    with pytest.raises(UnknownNameError, match='did you mean "nuts"'):
        ps.calibrate.fit(normal_mean, jax.random.key(0), Y, method="nut")

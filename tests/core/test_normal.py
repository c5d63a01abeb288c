"""The isoprobabilistic transformation against SciPy's quantile functions, tails included."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from physsynth.core.normal import from_normal, to_normal

U = np.array([-6.0, -2.5, -0.3, 0.0, 1.1, 4.0])
LAWS = {
    "normal": (dist.Normal(1.0, 2.0), stats.norm(1.0, 2.0)),
    "lognormal": (dist.LogNormal(0.5, 0.7), stats.lognorm(0.7, scale=np.exp(0.5))),
    "uniform": (dist.Uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    "exponential": (dist.Exponential(2.0), stats.expon(scale=0.5)),
    "gumbel": (dist.Gumbel(1.0, 0.5), stats.gumbel_r(1.0, 0.5)),
    "weibull": (dist.Weibull(2.0, 1.5), stats.weibull_min(1.5, scale=2.0)),
    "half-normal": (dist.HalfNormal(2.0), stats.halfnorm(scale=2.0)),
    "gamma": (dist.Gamma(2.0, 3.0), stats.gamma(2.0, scale=1 / 3)),
    "beta": (dist.Beta(2.0, 3.0), stats.beta(2.0, 3.0)),
    "student": (dist.StudentT(3.0, 1.0, 2.0), stats.t(3.0, 1.0, 2.0)),
    "inverse gamma": (dist.InverseGamma(3.0, 2.0), stats.invgamma(3.0, scale=2.0)),
    "truncated": (dist.TruncatedNormal(1.0, 2.0, low=0.0, high=3.0), stats.truncnorm(-0.5, 1.0, 1.0, 2.0)),
    "laplace": (dist.Laplace(1.0, 2.0), stats.laplace(1.0, 2.0)),
}


def _quantile(law, u):
    """SciPy's quantile, from the nearer tail."""
    return np.where(u < 0, law.ppf(stats.norm.cdf(u)), law.isf(stats.norm.sf(u)))


@pytest.mark.parametrize("name", LAWS)
def test_quantiles_agree_with_scipy(name):
    ours, theirs = LAWS[name]
    np.testing.assert_allclose(from_normal(ours, jnp.asarray(U)), _quantile(theirs, U), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_to_normal_inverts(name):
    ours, _ = LAWS[name]
    u = jnp.linspace(-3.0, 3.0, 7)
    np.testing.assert_allclose(to_normal(ours, from_normal(ours, u)), u, atol=1e-7)


@pytest.mark.parametrize(("law", "u"), [(dist.Exponential(1.0), 9.0), (dist.Gumbel(0.0, 1.0), 9.0)])
def test_the_upper_tail_is_not_rounded_away(law, u):
    # 1 - Phi(9) = 1.1e-19 is below the spacing of floats at 1.
    assert np.isfinite(from_normal(law, jnp.asarray(u)))
    assert from_normal(law, jnp.asarray(u)) > 40.0


def test_gradient_of_a_bisected_quantile():
    # dx/du = phi(u) / f(x), for a distribution without a closed quantile function.
    law, u = dist.Gamma(2.5, 1.0), 1.3
    x = from_normal(law, jnp.asarray(u))
    slope = jax.grad(lambda v: from_normal(law, v))(u)
    np.testing.assert_allclose(slope, stats.norm.pdf(u) / stats.gamma.pdf(x, 2.5), rtol=1e-9)


@pytest.mark.parametrize(
    ("law", "theirs"),
    [
        (dist.Poisson(3.0), stats.poisson(3.0)),
        (dist.Poisson(400.0), stats.poisson(400.0)),
        (dist.Geometric(0.2), stats.geom(0.2, loc=-1)),
    ],
    ids=["Poisson", "many", "geometric"],
)
def test_counts_without_end(law, theirs):
    ours = np.asarray(jax.jit(lambda u: from_normal(law, u))(jnp.asarray(U)))
    np.testing.assert_array_equal(ours, theirs.ppf(stats.norm.cdf(U)))
    np.testing.assert_array_equal(from_normal(law, to_normal(law, jnp.asarray(ours))), ours)


def test_discrete_values_have_their_probabilities():
    law = dist.Categorical(probs=jnp.array([0.05, 0.93, 0.02])).expand([3]).to_event(1)
    n = 40_000
    draws = from_normal(law, jax.random.normal(jax.random.key(1), (n, 3)))
    share = np.bincount(np.asarray(draws).ravel(), minlength=3) / (3 * n)
    # five standard errors of a share of 0.05 among 120,000
    np.testing.assert_allclose(share, [0.05, 0.93, 0.02], atol=5 * np.sqrt(0.05 * 0.95 / (3 * n)))


def test_rare_categories_lie_in_the_tails():
    law = dist.Categorical(probs=jnp.array([0.5, 0.2998, 0.0002, 0.2]))
    rarest = stats.norm.ppf(0.0002)
    np.testing.assert_array_equal(from_normal(law, jnp.array([rarest - 1e-6, rarest + 1e-6, 6.0])), [2, 3, 0])
    every = jnp.arange(4)
    np.testing.assert_array_equal(from_normal(law, to_normal(law, every)), every)
    # One peak: as they are.
    ordered = dist.Categorical(probs=jnp.array([0.05, 0.93, 0.02]))
    np.testing.assert_array_equal(from_normal(ordered, jnp.array([-6.0, 0.0, 6.0])), [0, 1, 2])

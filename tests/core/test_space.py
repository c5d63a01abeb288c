"""Parameter spaces: exact densities, the Gaussian copula, and clear refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import physsynth as ps
from physsynth.core.errors import ParameterError, UnitError, UnknownNameError


def _space(correlation=None):
    return ps.ParameterSpace(
        {
            "load": ps.Parameter(dist.Gumbel(10.0, 2.0), "kN", "largest of a year"),
            "strength": ps.Parameter(dist.LogNormal(3.0, 0.2), "kN"),
            "noise": ps.Parameter(dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
        },
        correlation,
    )


def test_dimension_counts_vector_components():
    assert _space().dimension == 6
    assert _space().slices["noise"] == slice(2, 6)


def test_standard_normal_space():
    space = ps.ParameterSpace.standard_normal(3)
    u = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(space.from_normal(u)["u"], u)
    np.testing.assert_allclose(space.log_prob({"u": u}), stats.norm.logpdf(u).sum(1))


def test_log_density_is_the_sum_of_independent_parts():
    space = _space()
    values = space.sample(jax.random.key(0), 50)
    expected = (
        stats.gumbel_r(10.0, 2.0).logpdf(values["load"])
        + stats.lognorm(0.2, scale=np.exp(3.0)).logpdf(values["strength"])
        + stats.norm.logpdf(values["noise"]).sum(1)
    )
    np.testing.assert_allclose(space.log_prob(values), expected, rtol=1e-9)


def test_gaussian_copula_of_lognormals_is_the_bivariate_lognormal():
    rho = 0.6
    space = ps.ParameterSpace(
        {"a": ps.Parameter(dist.LogNormal(0.0, 1.0)), "b": ps.Parameter(dist.LogNormal(1.0, 0.5))},
        correlation=[[1.0, rho], [rho, 1.0]],
    )
    values = space.sample(jax.random.key(1), 2000)
    logs = np.log(np.stack([values["a"], values["b"]], axis=1))
    joint = stats.multivariate_normal([0.0, 1.0], [[1.0, rho * 0.5], [rho * 0.5, 0.25]])
    np.testing.assert_allclose(space.log_prob(values), joint.logpdf(logs) - logs.sum(1), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(space.from_normal(space.to_normal(values))["b"], values["b"], rtol=1e-9)
    # standard error of a correlation near 0.6 among 2,000 is (1 - 0.36) / sqrt(2000) = 0.014
    assert abs(np.corrcoef(logs.T)[0, 1] - rho) < 5 * 0.014


def test_same_key_same_scenarios():
    first, again = (_space().sample(jax.random.key(3), 10) for _ in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


def test_a_fixed_value_takes_no_standard_normal():
    space = ps.ParameterSpace(
        {"g": ps.Parameter(dist.Delta(9.81), "m/s^2"), "v": ps.Parameter(dist.Normal())}
    )
    assert space.dimension == 1
    np.testing.assert_allclose(space.sample(jax.random.key(0), 3)["g"], [9.81] * 3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ps.Parameter(dist.Normal(), "furlong/blink"), UnitError, "unknown unit"),
        (lambda: ps.Parameter(3.0), ParameterError, "not a distribution"),
        (lambda: ps.Parameter(dist.Normal(jnp.zeros(3))), ParameterError, "to_event"),
        (lambda: _space(np.eye(2)), ParameterError, "correlation matrix"),
        (lambda: _space().from_normal(jnp.zeros(3)), ParameterError, "last axis of length 6"),
        (lambda: _space().log_prob({"load": 1.0}), UnknownNameError, "strength"),
    ],
)
def test_refusals_name_what_was_wanted(make, error, says):
    with pytest.raises(error, match=says):
        make()

"""Sensitivity against closed forms, and scenarios in which one system fails and another does not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import physsynth as ps
from physsynth.core.errors import ParameterError
from physsynth.rare.sensitivity import sensitivity

SPACE = ps.ParameterSpace(
    {
        "load": ps.Parameter(dist.Normal(10.0, 2.0), "kN"),
        "friction": ps.Parameter(dist.Uniform(0.0, 1.0)),
    }
)


def overload(p):
    return 16.0 - p["load"]


@pytest.fixture(scope="module")
def table():
    return ps.rare.estimate(overload, SPACE, jax.random.key(0), 0.02).sensitivity()


@pytest.mark.parametrize(("argument", "factor"), [("load.loc", 1.0), ("load.scale", 3.0)])
def test_derivative_of_a_plane(table, argument, factor):
    # P = Phi(-b), b = (16 - loc) / scale: d ln P / d loc = h(b) / scale, d ln P / d scale = b h(b) / scale
    hazard = stats.norm.pdf(3.0) / stats.norm.sf(3.0)
    row = table.sel(argument=argument)
    assert abs(float(row["derivative"]) - factor * hazard / 2.0) < 4 * float(row["standard_error"])
    assert float(row["standard_error"]) < 0.1 * hazard


def test_elasticity_is_the_derivative_times_the_argument(table):
    np.testing.assert_allclose(table["elasticity"], table["value"] * table["derivative"])


def test_no_score_where_the_support_moves(table):
    assert np.isnan(table.sel(argument="friction.high")["derivative"])


def test_a_common_shift_of_a_vector():
    # g = 3 - sum(u) / 2 in 4 dimensions: a shift of all by s moves the plane by 2 s
    space = ps.ParameterSpace.standard_normal(4)
    event = ps.rare.estimate(lambda p: 3.0 - p["u"].sum() / 2, space, jax.random.key(1), 0.02)
    row = event.sensitivity().sel(argument="u.loc")
    hazard = stats.norm.pdf(3.0) / stats.norm.sf(3.0)
    assert abs(float(row["derivative"]) - 2 * hazard) < 4 * float(row["standard_error"])


def test_correlated_parameters():
    # x + y with correlation 0.5 has variance 3: d ln P / d loc of either is h(b) / sqrt(3)
    space = ps.ParameterSpace(
        {name: ps.Parameter(dist.Normal(0.0, 1.0)) for name in "xy"}, correlation=[[1.0, 0.5], [0.5, 1.0]]
    )
    bound = 3.0 * np.sqrt(3.0)
    event = ps.rare.estimate(lambda p: bound - p["x"] - p["y"], space, jax.random.key(2), 0.02)
    row = event.sensitivity().sel(argument="x.loc")
    hazard = stats.norm.pdf(3.0) / stats.norm.sf(3.0)
    assert abs(float(row["derivative"]) - hazard / np.sqrt(3.0)) < 4 * float(row["standard_error"])


def difference(log_tail, value, step=1e-5):
    return (log_tail(value + step) - log_tail(value - step)) / (2 * step)


CASES = {
    # parameter, its limit, the argument, its value, and ln P as a function of it
    "Normal cut on both sides": (
        dist.TruncatedNormal(1.0, 2.0, low=0.0, high=9.0),
        7.5,
        ("scale", 2.0),
        lambda s: stats.truncnorm.logsf(7.5, -1 / s, 8 / s, 1.0, s),
    ),
    "Normal cut below": (
        dist.TruncatedNormal(1.0, 2.0, low=0.0),
        7.5,
        ("loc", 1.0),
        lambda m: stats.norm.logsf((7.5 - m) / 2) - stats.norm.logcdf(m / 2),
    ),
    "Gamma": (
        dist.Gamma(2.5, 0.5),
        25.0,
        ("concentration", 2.5),
        lambda a: stats.gamma.logsf(25.0, a, scale=2.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_tails_in_closed_form(name):
    distribution, limit, (argument, value), log_tail = CASES[name]
    space = ps.ParameterSpace({"x": ps.Parameter(distribution)})
    table = ps.rare.estimate(lambda p: limit - p["x"], space, jax.random.key(5), 0.02).sensitivity()
    row = table.sel(argument=f"x.{argument}")
    assert abs(float(row["derivative"]) - difference(log_tail, value)) < 4 * float(row["standard_error"])
    assert table.attrs["left_out"] == []


def test_a_correlated_parameter_whose_distribution_function_has_no_derivative():
    # JAX has no derivative of a beta's distribution function in its arguments; x alone decides here.
    space = ps.ParameterSpace(
        {"x": ps.Parameter(dist.Beta(2.0, 5.0)), "y": ps.Parameter(dist.Normal(0.0, 1.0))},
        correlation=[[1.0, 0.5], [0.5, 1.0]],
    )
    rng = np.random.default_rng(0)
    x = stats.beta.isf(rng.random(1000) * stats.beta.sf(0.85, 2.0, 5.0), 2.0, 5.0)
    y = 0.5 * stats.norm.isf(stats.beta.sf(x, 2.0, 5.0)) + np.sqrt(0.75) * rng.standard_normal(1000)
    table = sensitivity(space, {"x": jnp.asarray(x), "y": jnp.asarray(y)}, np.full(1000, 1e-3), 1000)
    row = table.sel(argument="x.concentration0")
    truth = difference(lambda b: stats.beta.logsf(0.85, 2.0, b), 5.0)
    assert abs(float(row["derivative"]) - truth) < 4 * float(row["standard_error"])


def test_nothing_failed_nothing_learnt():
    event = ps.rare.estimate(lambda p: 1.0 + 0.0 * p["load"], SPACE, jax.random.key(3), max_calls=2000)
    with pytest.raises(ParameterError, match="failed"):
        event.sensitivity()


def test_differential_failure_of_two_planes():
    # the old fails behind 2.5, the new behind 3.5: the difference of the two tails
    g = ps.rare.differential(lambda p: 2.5 - p["u"][0], lambda p: 3.5 - p["u"][0])
    event = ps.rare.estimate(g, ps.ParameterSpace.standard_normal(2), jax.random.key(4))
    truth = stats.norm.sf(2.5) - stats.norm.sf(3.5)
    assert abs(event.probability / truth - 1) < 4 * event.cov
    u = event.scenarios["u"].values[:, 0]
    assert np.all((u >= 2.5) & (u < 3.5))


def test_differential_failure_needs_both_runs():
    g = ps.rare.differential(lambda p: jnp.nan * p["u"], lambda p: p["u"])
    assert np.isnan(g({"u": 1.0}))

"""Runs already made are used: as an estimate of their own, and as a start."""

from __future__ import annotations

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from scipy import stats

import physsynth as ps
from physsynth.core.errors import ParameterError

SPACE = ps.ParameterSpace({"load": ps.Parameter(dist.Normal(10.0, 2.0), "kN")})
PROBABILITY = stats.norm.sf(2.0)


def overload(p):
    return 14.0 - p["load"]


def drawn(density, n, key, unit="kN", per=1.0):
    """Runs drawn from a normal density of the load in kN, stored in another unit if asked."""
    load = density.sample(jax.random.key(key), (n,))
    return xr.Dataset(
        {
            "load": ("scenario", np.asarray(load) * per, {"units": unit}),
            "g": ("scenario", np.asarray(14.0 - load)),
            "log_density": ("scenario", np.asarray(density.log_prob(load))),
        }
    )


ORDINARY, SHIFTED = dist.Normal(10.0, 2.0), dist.Normal(14.0, 2.5)


def test_enough_runs_need_no_more():
    event = ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=drawn(SHIFTED, 4000, 1))
    assert event.calls + event.gradient_calls < 100  # modes only
    assert event.converged
    assert abs(event.probability / PROBABILITY - 1) < 4 * event.cov


def test_runs_are_averaged_with_new_ones():
    runs = [drawn(ORDINARY, 6000, 50 + s) for s in range(20)]
    events = [
        ps.rare.estimate(overload, SPACE, jax.random.key(s), runs=r, method="montecarlo")
        for s, r in enumerate(runs)
    ]
    ratio = np.array([event.probability for event in events]) / PROBABILITY
    assert abs(ratio.mean() - 1) < 4 * 0.05 / np.sqrt(20)
    # binomial(20, 0.95): 15 is passed with probability 0.9997
    held = [low <= PROBABILITY <= high for low, high in (event.interval(0.95) for event in events)]
    assert sum(held) >= 15
    # 5 % need (1/p - 1)/0.05^2 = 17,200 ordinary runs, of which 6,000 were there
    assert all(event.calls < 14_500 for event in events)
    assert all(event.draws > event.calls for event in events)


@pytest.mark.parametrize("n", [1, 3])
def test_a_few_runs_that_fail_are_no_estimate(n):
    runs = drawn(SHIFTED, 60, 3)
    few = runs.isel(scenario=np.flatnonzero(runs["g"].values <= 0)[:n])
    event = ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=few)
    assert event.converged
    assert abs(event.probability / PROBABILITY - 1) < 4 * event.cov


def test_units_of_runs_are_converted():
    event = ps.rare.estimate(
        overload, SPACE, jax.random.key(0), runs=drawn(SHIFTED, 4000, 1, unit="N", per=1e3)
    )
    assert abs(event.probability / PROBABILITY - 1) < 4 * event.cov


def test_failed_runs_stay_in_the_bounds():
    runs = drawn(ORDINARY, 20_000, 3)
    runs["g"] = runs["g"].where(runs["load"].values <= 15.0)
    event = ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=runs, target_cov=0.1)
    assert event.failed_runs == int(np.isnan(runs["g"]).sum())
    assert event.bounds[1] == pytest.approx(PROBABILITY, rel=4 * 0.05)
    assert event.probability < event.bounds[1]


@pytest.mark.parametrize("missing", ["load", "g", "log_density"])
def test_missing_variables_are_named(missing):
    with pytest.raises(ParameterError, match=missing):
        ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=drawn(ORDINARY, 10, 0).drop_vars(missing))


def test_failing_scenarios_alone_are_refused():
    event = ps.rare.estimate(overload, SPACE, jax.random.key(0))
    with pytest.raises(ParameterError, match="weights"):
        ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=event.scenarios)


def test_a_density_that_is_no_number_is_refused():
    runs = drawn(SHIFTED, 10, 0)
    runs["log_density"] = runs["log_density"].where(runs["g"] > 0)
    with pytest.raises(ParameterError, match="log_density"):
        ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=runs)


def test_a_density_stated_too_low_is_refused():
    # E[p / q] is at most 1: half the density doubles it, 4,000 weights tell to 2 %
    runs = drawn(SHIFTED, 4000, 1)
    runs["log_density"] = runs["log_density"] - np.log(2)
    with pytest.raises(ParameterError, match=r"log_density(.|\n)*at most 1"):
        ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=runs)


def test_a_density_stated_too_high_is_doubted():
    # 300 runs are too few alone; a thousand new calls contradict them
    runs = drawn(SHIFTED, 300, 1)
    runs["log_density"] = runs["log_density"] + np.log(100)
    event = ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=runs)
    assert not event.converged
    assert "log_density" in event.warnings[0]
    low, high = event.interval(0.95)
    assert low <= PROBABILITY <= high


def test_ordinary_failing_runs_alone_are_refused():
    runs = drawn(ORDINARY, 4000, 1)
    failing = runs.isel(scenario=np.flatnonzero(runs["g"] <= 0))
    with pytest.raises(ParameterError, match="where ordinary scenarios do"):
        ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=failing)


def test_runs_of_another_limit_state_are_refused():
    runs = drawn(SHIFTED, 4000, 1)
    runs["g"] = -runs["g"]
    with pytest.raises(ParameterError, match="another limit state"):
        ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=runs)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.assign(load=1.0), "runs.load"),
        (lambda r: r.assign(load=("other", np.ones(9))), "runs.load"),
        (lambda r: r.assign(load=r["load"].expand_dims(k=2, axis=1)), "runs.load"),
        (lambda r: r.assign(g=("scenario", ["failed"] * r.sizes["scenario"])), "runs.g"),
        (lambda r: r.assign(load=r["load"].where(r["g"] > 0)), "NaN or inf in run"),
    ],
    ids=["a scalar", "another dimension", "one dimension too many", "words", "a parameter that is NaN"],
)
def test_runs_that_cannot_be_read(change, says):
    with pytest.raises(ParameterError, match=says):
        ps.rare.estimate(overload, SPACE, jax.random.key(0), runs=change(drawn(SHIFTED, 100, 0)))


def test_runs_far_out_keep_their_place():
    # Exponential runs ten times too wide reach F(x) = 1 in float64, where the normal behind x is infinite.
    space = ps.ParameterSpace({"wait": ps.Parameter(dist.Exponential(1.0), "s")})
    wide = dist.Exponential(0.1)
    wait = wide.sample(jax.random.key(3), (2000,))
    runs = xr.Dataset(
        {
            "wait": ("scenario", np.asarray(wait)),
            "g": ("scenario", np.asarray(5.0 - wait)),
            "log_density": ("scenario", np.asarray(wide.log_prob(wait))),
        }
    )
    event = ps.rare.estimate(lambda p: 5.0 - p["wait"], space, jax.random.key(0), runs=runs)
    assert np.isfinite(event.modes["design_point"]).all()
    assert abs(event.probability / np.exp(-5.0) - 1) < 4 * event.cov

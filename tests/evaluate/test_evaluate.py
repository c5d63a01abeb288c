"""Predictive checks and laws on cases whose outcome is known."""

import dataclasses

import jax
import numpy as np
import pytest
import xarray as xr

import physsynth as ps
from physsynth.core.errors import DataError


def _arrays(real, replicates):
    return xr.DataArray(real, dims="observation"), xr.DataArray(replicates, dims=("replicate", "observation"))


def test_the_right_model_is_covered_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    found = ps.evaluate.fidelity(*_arrays(rng.normal(size=2000), rng.normal(size=(1000, 2000))))
    for level in (0.5, 0.9):
        share = float(found.coverage["share"].sel(level=level))
        # four binomial standard errors
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / 2000)
    quantiles = np.sort(found.dataset["quantile"].values)
    # Kolmogorov-Smirnov at 0.1 %: 1.95 / sqrt(n)
    assert np.abs(quantiles - (np.arange(2000) + 0.5) / 2000).max() < 1.95 / np.sqrt(2000)
    assert all(check.passed for check in found.checks())


def test_a_model_without_enough_variation_fails():
    rng = np.random.default_rng(1)
    found = ps.evaluate.fidelity(*_arrays(rng.normal(scale=2.0, size=500), rng.normal(size=(1000, 500))))
    assert not any(check.passed for check in found.checks())


def test_the_interval_of_the_coverage_holds_for_members_that_hang_together():
    """200 data sets of 20 members with 10 measurements each; measurements of a member move together."""
    rng = np.random.default_rng(2)
    held, n = 0, 200
    for _ in range(n):
        shared = rng.normal(size=(20, 1)) * np.sqrt(0.8)
        real = (shared + rng.normal(size=(20, 10)) * np.sqrt(0.2)).ravel()
        replicates = rng.normal(size=(400, 200))
        found = ps.evaluate.fidelity(*_arrays(real, replicates), groups=np.repeat(np.arange(20), 10))
        row = found.coverage.sel(level=0.5)
        held += bool(row["low"] <= 0.5 <= row["high"])
    # nominal 95 %, three binomial standard errors and 2 % for twenty members
    assert held / n > 0.95 - 0.02 - 3 * np.sqrt(0.95 * 0.05 / n)


@pytest.mark.parametrize(("members", "each"), [(1, 1), (1, 10), (2, 1), (3, 1), (3, 10)])
def test_the_right_model_is_rarely_blamed_by_few_measurements(members, each):
    rng, n = np.random.default_rng(3), 300
    groups, blamed = np.repeat(np.arange(members), each), 0
    for _ in range(n):
        arrays = _arrays(rng.normal(size=groups.size), rng.normal(size=(400, groups.size)))
        blamed += not all(check.passed for check in ps.evaluate.fidelity(*arrays, groups).checks())
    # Two checks of one side of a 95 % interval, and three binomial standard errors.
    assert blamed / n < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)


def _lines(y, x, rng, draws=400):
    """Means and deviations under draws of the posterior of a line of its own for each row of y."""
    basis = np.linalg.qr(np.vander(x, 2))[0]
    fit = y @ basis
    left = y.size - fit.size
    noise = np.sqrt(np.sum((y - fit @ basis.T) ** 2) / rng.chisquare(left, size=draws))[:, None, None]
    mean = (fit + noise * rng.normal(size=(draws, *fit.shape))) @ basis.T
    return mean.reshape(draws, -1), np.broadcast_to(noise, mean.shape).reshape(draws, -1)


def _left_by_lines(y, x, rng, key=0):
    real = xr.DataArray(y.ravel(), dims="observation")
    along, groups = np.tile(x, len(y)), np.repeat(np.arange(len(y)), x.size)
    return ps.evaluate.residuals(real, *_lines(y, x, rng), jax.random.key(key), along=along, groups=groups)


@pytest.mark.parametrize(("members", "each"), [(1, 12), (6, 12), (5, 6)])
def test_a_line_through_an_exponential_leaves_runs_of_residuals(members, each):
    """Coverage does not see it: the noise is estimated, and grows until the line passes."""
    x, caught = np.linspace(0.0, 1.0, each), 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        y = np.exp(3.0 * x) * (1.0 + 0.1 * rng.normal(size=(members, 1))) + 0.3 * rng.normal(
            size=(members, each)
        )
        caught += not all(check.passed for check in _left_by_lines(y, x, rng).checks())
    assert caught == 10


@pytest.mark.parametrize(("members", "each"), [(1, 30), (5, 6), (12, 11)])
def test_residuals_of_a_right_model_pass_at_the_nominal_rate(members, each):
    x, n = np.linspace(0.0, 1.0, each), 100
    rng = np.random.default_rng(5)
    found = [_left_by_lines(rng.normal(size=(members, each)), x, rng, i) for i in range(n)]
    measures = [
        [getattr(one, name) for one in found] for name in ("neighbours", "places", "largest", "scatter")
    ]
    assert (None in measures[1]) == (members == 1)
    for p in (np.array([alike.p_value for alike in row]) for row in measures if None not in row):
        # Three binomial standard errors above the nominal rates.
        for level in (0.005, 0.05, 0.2):
            assert np.mean(p <= level) <= level + 3.0 * np.sqrt(level * (1.0 - level) / n)
        # Were the fit left out of the law, half of the p-values would lie above 0.8, next to none below 0.2.
        assert np.mean(p <= 0.2) > 0.2 - 3.0 * np.sqrt(0.16 / n)


def test_what_members_share_is_found_where_neighbours_hide_it():
    """One early value too low in every member, by twice the noise, and its neighbours a little too high."""
    x, rng, caught = np.linspace(0.0, 1.0, 8), np.random.default_rng(7), np.zeros(2)
    for _ in range(10):
        y = rng.normal(size=(12, 8))
        y[:, 2] -= 2.0
        found = _left_by_lines(y, x, rng)
        caught += [found.neighbours.p_value <= 0.005, found.places.p_value <= 0.005]
    assert caught[1] >= 9
    assert caught[0] <= 1


def test_a_slip_is_found_that_runs_and_coverage_hide():
    """One of 132 measurements off by 10 sd, as by a slipped decimal point: the noise grows with it."""
    x, rng = np.linspace(0.0, 1.0, 11), np.random.default_rng(3)
    for _ in range(5):
        y = rng.normal(size=(12, 11))
        y[rng.integers(12), rng.integers(11)] += 10.0
        found = _left_by_lines(y, x, rng)
        assert found.largest.p_value <= 0.005
        assert found.neighbours.p_value > 0.005


def test_errors_that_are_larger_at_some_places_are_found():
    """Three times as large at the first third of the places: the noise lies in between."""
    x, rng = np.linspace(0.0, 1.0, 12), np.random.default_rng(4)
    caught = sum(
        _left_by_lines(rng.normal(size=(8, 12)) * np.where(x < 1 / 3, 3.0, 1.0), x, rng).scatter.p_value
        <= 0.005
        for _ in range(10)
    )
    assert caught == 10


def test_residuals_are_taken_in_the_order_of_their_coordinate():
    x, rng = np.linspace(0.0, 1.0, 12), np.random.default_rng(0)
    y = np.exp(3.0 * x)[None] + 0.1 * rng.normal(size=(1, 12))
    mixed = rng.permutation(12)
    mean, noise = _lines(y, x, rng)
    found = [
        ps.evaluate.residuals(
            xr.DataArray(y[0, order], dims="observation"),
            mean[:, order],
            noise[:, order],
            jax.random.key(0),
            along=x[order],
        ).neighbours.statistic
        for order in (np.arange(12), mixed)
    ]
    assert found[0] == pytest.approx(found[1])


def test_members_measured_once_have_no_neighbours():
    real, mean = _arrays(np.zeros(4), np.zeros((5, 4)))
    found = ps.evaluate.residuals(real, mean.values, np.ones((5, 4)), jax.random.key(0), groups=np.arange(4))
    assert found.checks() == []
    with pytest.raises(DataError, match="do not match"):
        ps.evaluate.residuals(real, mean.values, np.ones((5, 3)), jax.random.key(0))
    with pytest.raises(DataError, match="not finite"):
        ps.evaluate.residuals(real, mean.values, np.zeros((5, 4)), jax.random.key(0))


def test_refusals():
    with pytest.raises(DataError, match="do not match"):
        ps.evaluate.fidelity(*_arrays(np.zeros(3), np.zeros((5, 4))))
    with pytest.raises(DataError, match="not finite"):
        ps.evaluate.fidelity(*_arrays(np.array([np.nan]), np.zeros((5, 1))))


@pytest.fixture(scope="module")
def runs():
    return ps.simulate(ps.simulator("driving/braking"), 64, jax.random.key(0))


def test_a_scenario_that_breaks_a_law_is_found(runs):
    sim = ps.simulator("driving/braking")
    tampered = runs.copy(deep=True)
    tampered["stopping_distance"].values[5] *= 1.01
    found = ps.evaluate.plausibility(sim, tampered)
    broken = ~found.dataset["held"].values.all(axis=1)
    assert np.flatnonzero(broken).tolist() == [5]
    assert found.residual.values[5] > 1.0
    assert not all(check.passed for check in found.checks())


def test_a_scenario_that_failed_is_not_held(runs):
    tampered = runs.copy(deep=True)
    tampered["stopping_distance"].values[3] = np.nan
    assert (
        not ps.evaluate.plausibility(ps.simulator("driving/braking"), tampered)
        .dataset["held"]
        .values[3]
        .all()
    )


def test_a_simulator_without_laws_breaks_none(runs):
    lawless = dataclasses.replace(ps.simulator("driving/braking"), constraints=())
    many = xr.concat([runs] * 20, dim="scenario")
    found = ps.evaluate.plausibility(lawless, many)
    assert found.checks() == []
    assert (found.residual == 0).all()


def test_a_missing_variable_is_named(runs):
    with pytest.raises(DataError, match="speed"):
        ps.evaluate.plausibility(ps.simulator("driving/braking"), runs.drop_vars("speed"))

"""Precision forecasts against conjugate results."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.core.errors import ParameterError, UnknownNameError
from physsynth.require import Bernoulli, InHand, precision
from physsynth.require.allocate import Batch, Greedy, Local, Uniform


def standardised(seed, size, columns):
    """Normal draws with mean 0 and covariance exactly I."""
    draws = np.random.default_rng(seed).normal(size=(size, columns))
    draws = draws - draws.mean(0)
    return draws @ np.linalg.inv(np.linalg.cholesky(np.cov(draws, rowvar=False).reshape(columns, columns))).T


def line(theta, x):
    return theta["a"] + theta["b"] * x


def mean(theta, condition=None):
    return theta["mean"]


def slope(theta):
    return theta["b"]


def chance(theta, condition=None):
    return theta["p"]


def test_conjugate_normal_mean_is_exact():
    """1 / target^2 = 1 / prior^2 + n / sigma^2, for any target."""
    draws = {"mean": 3.0 + 0.5 * standardised(0, 1000, 1)[:, 0]}
    for target in (0.3, 0.1, 0.05):
        need = precision(draws, mean, mean, 1.5, [0.0], target, jax.random.key(0), max_n=2000)
        assert need.verdict == "FORECAST"
        assert need.number == math.ceil((1 / target**2 - 1 / 0.25) * 1.5**2 - 1e-9)
        assert need.quantiles[0.05] == need.quantiles[0.95] == need.number


def test_slope_of_a_line_is_learnt_at_the_ends():
    """Greedy puts a straight line's measurements at the ends; uniform over 5 points takes twice as many."""
    a, b = standardised(1, 1000, 2).T
    candidates = [-1.0, -0.5, 0.0, 0.5, 1.0]
    asked = ({"a": a, "b": b}, line, slope, 1.0, candidates, 0.2, jax.random.key(0))
    greedy, uniform = (precision(*asked, max_n=100, allocation=rule) for rule in ("greedy", "uniform"))
    assert greedy.where["count"].values[1:4].sum() <= 1
    assert greedy.number == pytest.approx(24, abs=1)
    assert uniform.number == pytest.approx(48, abs=2)
    assert float(greedy.where["share"].sum()) == pytest.approx(1.0)


def test_a_dear_condition_is_left():
    a, b = standardised(1, 1000, 2).T
    asked = ({"a": a, "b": b}, line, slope, 1.0, [-1.0, 1.0, 1.1], 0.2, jax.random.key(0))
    need = precision(*asked, costs=[1, 1, 10], max_n=100)
    assert need.where["count"].values[2] == 0


def test_a_direction_that_is_never_measured_is_a_floor():
    """At x = 0 a line's slope cannot be seen: its sd stays 1."""
    a, b = standardised(1, 1000, 2).T
    need = precision({"a": a, "b": b}, line, slope, 1.0, [0.0], 0.2, jax.random.key(0), max_n=50)
    assert (need.verdict, need.number, need.probability_never) == ("FLOOR", None, 1.0)
    assert need.floor == pytest.approx(1.0)


def test_bernoulli_rate():
    """Beta(4, 36) after n trials at rate p: sd about sqrt(p (1 - p) / (n + 41)); E p = 0.1."""
    p = np.random.default_rng(0).beta(4, 36, 4000)
    asked = ({"p": p}, chance, chance, Bernoulli(), [0.0], 0.02, jax.random.key(0))
    need = precision(*asked, max_n=1024, replicates=100, particles=400)
    rate = np.quantile(p, [0.05, 0.5, 0.95])
    expected = rate * (1 - rate) / 0.02**2 - 41
    assert need.verdict == "FORECAST"
    np.testing.assert_allclose([need.quantiles[0.5], need.quantiles[0.95]], expected[1:], rtol=0.25)
    assert need.quantiles[0.05] < 0.6 * need.quantiles[0.5]


def test_met_and_pilot():
    a, b = standardised(1, 1000, 2).T
    met = precision({"a": a, "b": b}, line, slope, 1.0, [1.0], 2.0, jax.random.key(0))
    assert (met.verdict, met.number) == ("MET", 0)
    pilot = precision({"a": a[:1], "b": b[:1]}, line, slope, 1.0, [1.0], 2.0, jax.random.key(0))
    assert pilot.verdict == "NEEDS_PILOT"


def test_plans_agree_with_the_normal_posterior():
    """Variance left by a plan: b' (I + sum W)^-1 b, by hand for three measurements."""
    information = np.stack([np.diag([1.0, 0.0]), np.diag([0.0, 2.0])])[None]
    local = Local(np.array([1.0, 1.0]), information, np.ones(2))
    assert Uniform().plan(local, 3).variance == pytest.approx([0.5 + 1, 0.5 + 1 / 3, 1 / 3 + 1 / 3])
    assert Greedy().plan(local, 2).order.tolist() == [1, 0]


def exhaustive(local, n):
    """The least variance of any n measurements, by trying all."""
    designs = itertools.combinations_with_replacement(range(len(local.costs)), n)
    matrices = np.stack([local.information[:, list(design)].sum(1) for design in designs])
    return float(local.variance(matrices).min())


def test_batches_against_all_designs():
    """Straight lines and parabolas at random places: the batch of four is the best of all in nine of ten."""
    rng, best = np.random.default_rng(0), 0
    for _ in range(40):
        places = rng.normal(size=6)
        basis = np.stack([np.ones(6), places, places**2], axis=1) @ np.diag([3.0, 3.0, 1.0])
        local = Local(rng.normal(size=3), np.einsum("ci,cj->cij", basis, basis)[None], np.ones(6))
        batch, greedy = (rule.plan(local, 4).variance[-1] for rule in (Batch(4), Greedy()))
        assert exhaustive(local, 4) <= batch * (1 + 1e-9)
        assert batch <= greedy * (1 + 1e-9)
        best += batch <= exhaustive(local, 4) * (1 + 1e-9)
    assert best >= 36


def test_a_batch_costs_no_more_than_the_greedy_one():
    a, b = standardised(1, 1000, 2).T
    asked = ({"a": a, "b": b}, line, slope, 1.0, [-1.0, -0.7, 0.9, 1.0], 0.2, jax.random.key(0))
    needs = [precision(*asked, costs=[3, 1, 1, 2], max_n=60, allocation=rule) for rule in ("batch", "greedy")]
    first = [np.array([3, 1, 1, 2])[need.forecast["order"].values[:12]].sum() for need in needs]
    assert first[0] <= first[1]
    assert needs[0].quantiles[0.5] <= needs[1].quantiles[0.5]


def test_a_quantity_that_depends_on_no_draw_needs_a_pilot():
    a, b = standardised(1, 200, 2).T
    asked = ({"a": a, "b": b}, line, lambda t: 3.0, 1.0, [0.0], 0.5, jax.random.key(0))
    assert precision(*asked).verdict == "NEEDS_PILOT"


def test_an_exact_number_out_of_reach_says_so():
    """A mean with sd 1 takes 1e6 measurements for 1e-3; no floor, and the failed check says what to do."""
    a = standardised(3, 2000, 1)[:, 0]
    need = precision({"mean": a}, mean, mean, 1.0, [0.0], 1e-3, jax.random.key(0), max_n=100)
    assert (need.verdict, need.number, need.floor) == ("FORECAST", None, 0.0)
    assert "raise max_n" in need.statement()["failed_checks"][0]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"target": 0}, "target"),
        ({"noise": -1.0}, "noise"),
        ({"assurance": 1.0}, "assurance"),
        ({"max_n": 0.5}, "max_n"),
        ({"candidates": []}, "candidates"),
        ({"costs": [1.0]}, "costs"),
        ({"draws": {}}, "draws"),
        ({"draws": {"a": np.ones(5), "b": np.ones(4)}}, 'draws["b"]'),
        ({"quantity": lambda t: jnp.log(t["b"])}, "quantity"),
        ({"observe": lambda t, x: jnp.sqrt(t["b"]) * x}, "observe"),
        ({"observe": lambda t, x: t["c"] * x}, "observe"),
        ({"observe": 3.0}, "observe"),
        ({"quantity": lambda t: jnp.stack([t["a"], t["b"]])}, "quantity"),
        ({"quantity": lambda t: float(t["a"])}, "quantity"),
        ({"noise": lambda t, x: -1.0}, "noise"),
        ({"draws": np.ones(5)}, "draws"),
        ({"draws": {"a": ["many"] * 200}}, 'draws["a"]'),
        ({"draws": {"a": np.ones(5) + 1j}}, 'draws["a"]'),
        ({"candidates": ["hot"]}, "candidates"),
        ({"costs": [1.0, math.inf]}, "costs"),
        ({"direct": [[1.0, 2.0]]}, "direct"),
        ({"in_hand": InHand([[1.0, 2.0]])}, "in_hand.conditions"),
        ({"in_hand": {"conditions": [1.0]}}, "in_hand"),
        ({"key": 0}, "key"),
        ({"particles": 0}, "particles"),
        ({"allocation": Greedy}, "allocation"),
        ({"regime": "inside"}, "regime"),
        ({"groups": [[0, 1]]}, "groups"),
    ],
)
def test_bad_input_is_named(change, key):
    a, b = standardised(1, 200, 2).T
    given = {"draws": {"a": a, "b": b}, "observe": line, "quantity": slope, "noise": 1.0, "target": 0.2}
    given |= {"candidates": [0.0, 1.0], "key": jax.random.key(0)}
    with pytest.raises(ParameterError) as caught:
        precision(**{**given, **change})
    assert caught.value.key == key


def test_unknown_allocation():
    a, b = standardised(1, 200, 2).T
    with pytest.raises(UnknownNameError, match='did you mean "greedy"'):
        precision({"a": a, "b": b}, line, slope, 1.0, [1.0], 0.2, jax.random.key(0), allocation="gredy")

"""What data are worth, where the floor comes from, and where the number is an extrapolation."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.core.errors import ParameterError
from physsynth.require import Regime, precision
from physsynth.require.data_worth import ceilings


def standardised(columns, size=2000, seed=0):
    """Normal draws with mean 0 and covariance exactly I."""
    draws = np.random.default_rng(seed).normal(size=(size, columns))
    draws = draws - draws.mean(0)
    return draws @ np.linalg.inv(np.linalg.cholesky(np.cov(draws, rowvar=False).reshape(columns, columns))).T


def posterior(**sd):
    columns = standardised(len(sd)).T
    return {name: size * column for (name, size), column in zip(sd.items(), columns, strict=True)}


def line(theta, x):
    return theta["level"] + theta["slope"] * x


def ask(draws, quantity, target, observe=line, candidates=(-1.0, 0.0, 1.0), **settings):
    return precision(draws, observe, quantity, 1.0, candidates, target, jax.random.key(0), **settings)


def at_one(theta):
    return theta["level"] + theta["slope"]


def test_added_measurements_and_their_price():
    """One measurement at x of a line with unit variances removes (1 + x)^2 / (2 + x^2) / 2 of Var(a + b)."""
    need = ask(posterior(level=1.0, slope=1.0), at_one, 0.3, costs=[1, 1, 4])
    table = need.where
    np.testing.assert_allclose(table["added"], [0.0, 0.25, 2 / 3], atol=1e-9)
    np.testing.assert_allclose(table["added_per_cost"], [0.0, 0.25, 1 / 6], atol=1e-9)
    # linear-Gaussian information gain: half the log of 1 + (1 + x^2)
    np.testing.assert_allclose(table["information"], 0.5 * np.log([3.0, 2.0, 3.0]), rtol=1e-9)
    assert table["left_out"].max() > 0
    assert table["next"].min() >= 0


def test_groups_stand_beside_their_members():
    """One measurement at each end: information diag(2, 2), so the variance 2 falls to 2 / 3."""
    need = ask(posterior(level=1.0, slope=1.0), at_one, 0.3, groups={"both ends": [0, 2]})
    row = need.where.sel(condition="both ends")
    assert float(row["added"]) == pytest.approx(2 / 3, abs=1e-9)
    assert float(row["count"]) == float(need.where["count"].values[[0, 2]].sum())
    with pytest.raises(ParameterError, match="indices below 3"):
        ask(posterior(level=1.0, slope=1.0), at_one, 0.3, groups={"none": [7]})


def test_ceilings_are_first_order_shares():
    """Of a + 2 b with unit variances: a fifth and four fifths; of a b: nothing alone."""
    rows = standardised(2, size=20_000)
    linear, product = (ceilings(rows, q, "ab")["ceiling"] for q in (rows @ [1, 2], rows[:, 0] * rows[:, 1]))
    np.testing.assert_allclose(linear, [0.2, 0.8], atol=0.02)
    np.testing.assert_allclose(product, 0.0, atol=0.02)
    need = ask(posterior(level=1.0, slope=0.1), at_one, 0.3)
    assert float(need.worth["ceiling"].sel(parameter="level")) == pytest.approx(0.99, abs=0.05)


def with_offset(theta, x):
    return line(theta, x) + theta["offset"]


def with_discrepancy(theta):
    return at_one(theta) + theta["gap"]


@pytest.mark.parametrize(
    ("draws", "observe", "quantity", "candidates", "floor", "cause"),
    [
        # never measured away from 0, so that the slope stays open
        ({"level": 1.0, "slope": 1.0}, line, at_one, (0.0,), 1.0, "slope"),
        # the same offset in every measurement and not in the quantity: Var(level | level + offset) = 1 / 2
        ({"level": 1.0, "slope": 1.0, "offset": 1.0}, with_offset, at_one, (-1.0, 1.0), 0.5**0.5, "offset"),
        # what the model gets wrong about the quantity shows in no measurement
        (
            {"level": 1.0, "slope": 1.0, "gap": 0.5},
            line,
            with_discrepancy,
            (-1.0, 1.0),
            0.5,
            "gap",
        ),
    ],
    ids=["unidentified direction", "shared systematic error", "discrepancy prior"],
)
def test_floors_are_said_to_be_floors(draws, observe, quantity, candidates, floor, cause):
    need = ask(posterior(**draws), quantity, 0.2, observe, candidates)
    assert (need.verdict, need.number) == ("FLOOR", None)
    assert need.floor == pytest.approx(floor, rel=1e-3)
    sentence = need.statement()["floor"]
    assert "no candidate condition" in sentence
    assert cause in sentence or (cause == "offset" and "level" in sentence)


def test_outside_the_measured_range_it_is_an_extrapolation():
    regime = Regime.of({"x": [-1.0, 1.0]}, {"x": [3.0]}, {"x": "m"})
    asked = (posterior(level=1.0, slope=1.0), lambda theta: theta["level"] + 3 * theta["slope"])
    need = ask(*asked, 0.25, regime=regime, direct=[2.0, 3.0])
    assert need.verdict == "EXTRAPOLATION"
    assert need.number is not None
    statement = need.statement()
    assert statement["regime"] == ["x: measured from -1 to 1 m, asked 3 m: 100% outside the data."]
    # the response at 3 is the quantity itself: as precise as 0.25 takes (1 / 0.25)^2 measurements
    assert "16 direct measurements at condition 3.0" in statement["reveal"]
    inside = Regime.of({"x": [-1.0, 5.0]}, {"x": [3.0]})
    assert ask(*asked, 0.25, regime=inside).verdict == "FORECAST"
    assert ask(*asked, 5.0, regime=regime).verdict == "EXTRAPOLATION"


def test_regime_needs_values():
    with pytest.raises(ParameterError, match="not measured"):
        Regime.of({"x": [1.0]}, {"y": [1.0]})
    with pytest.raises(ParameterError, match="no values"):
        Regime.of({"x": []}, {"x": [1.0]})


def logistic(theta, x):
    return jax.nn.sigmoid(theta["level"] + theta["slope"] * x)


def test_moved_draws_agree_with_draws_that_stay(monkeypatch):
    """The same question by both; each median has a Monte Carlo error of about 6 %."""
    from physsynth.require import futures

    asked = (posterior(level=0.5, slope=0.5), partial(logistic, x=0.5), 0.08, logistic)
    numbers = []
    for least in (0.0, math.inf):
        monkeypatch.setattr(futures, "LEAST_SIZE", least)
        numbers.append(ask(*asked, max_n=128, replicates=20, particles=400).quantiles[0.5])
    assert numbers[1] == pytest.approx(numbers[0], rel=0.25)


def test_plan_is_in_order():
    need = ask(posterior(level=1.0, slope=1.0), at_one, 0.3)
    order = need.forecast["order"].values[: need.number]
    np.testing.assert_array_equal(np.bincount(order, minlength=3), need.where["count"])


def test_draws_of_vectors_are_named():
    draws = {"v": jnp.asarray(standardised(2))}
    need = ask(draws, lambda theta: theta["v"][0], 0.3, lambda theta, x: theta["v"][0] + x * theta["v"][1])
    assert need.worth["parameter"].values.tolist() == ["v[0]", "v[1]"]

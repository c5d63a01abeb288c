"""Which of the measurements in hand matter, against refits without them."""

import jax
import numpy as np
import pytest

from physsynth.core.errors import ParameterError
from physsynth.require import InHand, precision

PLACES = np.array([-1.0, 0.0, 0.5, 2.0])
KEY = jax.random.key(0)


def line(theta, x):
    return theta["level"] + theta["slope"] * x


def slope(theta):
    return theta["slope"]


def least_squares(kept, measured):
    """Mean and covariance under standard normal priors and unit noise."""
    basis = np.column_stack([np.ones(len(kept)), PLACES[kept]])
    covariance = np.linalg.inv(np.eye(2) + basis.T @ basis)
    return covariance @ basis.T @ measured[kept], covariance


def standardised(size, columns):
    """Normal draws with mean 0 and covariance exactly I."""
    draws = np.random.default_rng(0).normal(size=(size, columns))
    draws = draws - draws.mean(0)
    return draws @ np.linalg.inv(np.linalg.cholesky(np.cov(draws, rowvar=False))).T


def test_left_out_of_a_straight_line_is_the_refit_without_it():
    measured = np.array([0.3, -0.2, 0.4, 2.1])
    centre, covariance = least_squares(np.arange(4), measured)
    drawn = centre + standardised(2000, 2) @ np.linalg.cholesky(covariance).T
    draws = {"level": drawn[:, 0], "slope": drawn[:, 1]}
    in_hand = InHand(PLACES, measured, {"both ends": [0, 3]})
    need = precision(draws, line, slope, 1.0, [-1.0, 2.0], 0.2, KEY, in_hand=in_hand)
    parts = [[0], [1], [2], [3], [0, 3]]
    refits = [least_squares(np.setdiff1d(np.arange(4), part), measured)[1][1, 1] for part in parts]
    assert set(need.in_hand["method"].values) == {"exact"}
    np.testing.assert_allclose(need.in_hand["sd"] * np.sqrt(1 - 1 / 2000), np.sqrt(refits), rtol=1e-3)
    rows = need.statement()["in_hand"]
    assert max(rows[:4], key=lambda row: row["rise"])["measurement"] == "3: 2.0"


def rate(theta, x):
    return jax.numpy.exp(-theta["decay"] * x)


def half_life(theta):
    return np.log(2) / theta["decay"]


def on_grid(kept, measured):
    """Mean and sd of the half-life by quadrature: decay ~ LogNormal(0, 1/2), noise 0.1."""
    decay = np.exp(np.linspace(-3, 3, 4001))
    logs = -2 * np.log(decay) ** 2
    logs = logs - 50 * ((np.exp(-np.outer(decay, PLACES[kept])) - measured[kept]) ** 2).sum(1)
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    mean = weight @ (np.log(2) / decay)
    return mean, np.sqrt(weight @ (np.log(2) / decay - mean) ** 2), decay, weight


def test_left_out_of_a_curve_is_the_refit_without_it():
    """Draws from a quadrature; the reweighted sd has an error of about 2 % at 5000 draws."""
    places, measured = [1, 2, 3], np.array([1.0, 1.0, 0.55, 0.2])
    mean, _, decay, weight = on_grid(places, measured)
    drawn = decay[np.searchsorted(np.cumsum(weight), (np.arange(5000) + 0.5) / 5000)]
    in_hand = InHand(PLACES[places], measured[places])
    need = precision({"decay": drawn}, rate, half_life, 0.1, [0.5, 2.0], 9.0, KEY, in_hand=in_hand)
    table = need.in_hand
    assert set(table["method"].values) == {"reweighted"}
    for row, part in enumerate(places):
        without, sd, *_ = on_grid([place for place in places if place != part], measured)
        assert float(table["sd"][row]) == pytest.approx(sd, rel=0.06)
        assert float(table["shift"][row]) * drawn.std() == pytest.approx(without - mean, abs=0.3 * sd)
    # at x = 0 nothing is learnt of the decay
    assert float(table["rise"][0]) == pytest.approx(0.0, abs=1e-9)
    unseen = InHand(PLACES[places])
    need = precision({"decay": drawn}, rate, half_life, 0.1, [0.5, 2.0], 9.0, KEY, in_hand=unseen)
    assert set(need.in_hand["method"].values) == {"Fisher"}
    assert np.argmax(need.in_hand["rise"].values) == np.argmax(table["rise"].values)


@pytest.mark.parametrize(
    ("in_hand", "key"),
    [
        (InHand([]), "in_hand.conditions"),
        (InHand([0.0, 1.0], [1.0]), "in_hand.measured"),
        (InHand([0.0], [1.0], {"all": [3]}), "in_hand.groups.all"),
    ],
)
def test_bad_measurements_are_named(in_hand, key):
    level, tilt = standardised(200, 2).T
    with pytest.raises(ParameterError) as caught:
        precision({"level": level, "slope": tilt}, line, slope, 1.0, [0.0, 1.0], 0.2, KEY, in_hand=in_hand)
    assert caught.value.key == key

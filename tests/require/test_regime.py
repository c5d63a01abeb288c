"""Where the quantity lies is found out, or said not to be known; it does not depend on being handed in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.require import InHand, Regime, placed, precision

KEY = jax.random.key(0)


def standardised(size, columns):
    """Normal draws with mean 0 and covariance exactly I."""
    draws = np.random.default_rng(0).normal(size=(size, columns))
    draws = draws - draws.mean(0)
    return draws @ np.linalg.inv(np.linalg.cholesky(np.cov(draws, rowvar=False))).T


def line(theta, x):
    return theta["level"] + theta["slope"] * x


def at(x):
    return lambda theta: line(theta, x)


def slope(theta):
    return theta["slope"]


def contrast(theta):
    return 3 * theta["level"] + theta["slope"]


def ask(quantity, target=0.25, **settings):
    level, tilt = standardised(1000, 2).T
    draws = {"level": level, "slope": tilt}
    return precision(draws, line, quantity, 1.0, [-1.0, 0.0, 1.0], target, KEY, **settings)


@pytest.mark.parametrize(("place", "verdict"), [(0.5, "FORECAST"), (1.0, "FORECAST"), (3.0, "EXTRAPOLATION")])
def test_a_response_is_placed_where_it_is_one(place, verdict):
    """The value of a line at x is the response at x, measured from -1 to 1."""
    need = ask(at(place))
    assert need.verdict == verdict
    (axis,) = need.regime.axes
    assert axis.asked[0] == pytest.approx(place, abs=0.05)
    assert ("direct measurements" in need.statement()["reveal"]) == (verdict == "EXTRAPOLATION")


def test_a_parameter_is_a_forecast_and_needs_no_place():
    need = ask(slope)
    assert need.verdict == "FORECAST"
    assert need.regime.axes == ()
    assert "parameter of the model" in need.statement()["regime"][0]


def test_the_difference_of_two_responses_lies_where_they_are_measured():
    need = ask(lambda theta: line(theta, 1.0) - line(theta, -1.0))
    assert need.verdict == "FORECAST"
    assert need.regime.axes[0].asked == (-1.0, 1.0)
    assert ask(lambda theta: line(theta, 3.0) - line(theta, -1.0)).verdict == "EXTRAPOLATION"


@pytest.mark.parametrize("target", [0.5, 100.0], ids=["unmet", "met"])
def test_what_cannot_be_placed_counts_as_outside_until_it_is(target):
    need = ask(contrast, target)
    assert (need.verdict, need.regime) == ("EXTRAPOLATION", None)
    statement = need.statement()
    assert "not assessed" in statement["verdict"]
    assert any("not assessed" in line for line in statement["assumptions"])
    inside = placed(need, Regime.of({"x": [-1.0, 1.0]}, {"x": [0.5]}))
    assert inside.verdict == ("MET" if target == 100.0 else "FORECAST")
    assert placed(inside, None).summary() == need.summary()


def test_measurements_in_hand_widen_what_is_measured():
    assert ask(at(3.0), in_hand=InHand([-1.0, 4.0])).verdict == "FORECAST"


def test_direct_measurements_name_the_regime():
    """A target that is met is an extrapolation too where the quantity lies elsewhere."""
    need = ask(contrast, 100.0, direct=[2.0, 3.0])
    assert need.verdict == "EXTRAPOLATION"
    assert need.regime.axes[0].asked == (2.0, 3.0)


def oscillation(theta, condition):
    """A damped oscillation of amplitude condition[0] after a time condition[1]."""
    amplitude, time = condition
    return amplitude * jnp.exp(-theta["damping"] * time) * jnp.sin(theta["frequency"] * time)


def peak(amplitude):
    def of(theta):
        ratio = theta["frequency"] / theta["damping"]
        return oscillation(theta, (amplitude, jnp.arctan(ratio) / theta["frequency"]))

    return of


@pytest.mark.parametrize(("amplitude", "verdict"), [(1.0, "MET"), (2.5, "EXTRAPOLATION")])
def test_a_peak_is_placed_by_its_response(amplitude, verdict):
    """The largest response over time goes with the one near its time, at the amplitude it is asked for."""
    rng = np.random.default_rng(1)
    draws = {"damping": np.exp(rng.normal(-1.2, 0.2, 1000)), "frequency": np.exp(rng.normal(0.0, 0.1, 1000))}
    candidates = [(a, t) for a in (0.5, 1.0) for t in (0.5, 1.0, 2.0, 4.0)]
    need = precision(draws, oscillation, peak(amplitude), 0.05, candidates, 1.0, KEY)
    assert need.verdict == verdict
    assert need.regime.axes[0].asked[0] == pytest.approx(amplitude, rel=0.1)

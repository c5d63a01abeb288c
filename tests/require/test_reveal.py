"""Direct measurements that reveal an error: their chance to do so, by simulation."""

import math

import numpy as np
import pytest

from physsynth.core.errors import ParameterError
from physsynth.require import Axis, Question, Regime, Requirement, reveal_by_counting, reveal_failures

TARGET = math.log(3) / (2 * 1.6448536269514722)


def exponential_tail(size=4000, scale=2.0):
    """Margins of failures whose probability falls by e with every `scale` of the response."""
    return -scale * np.log1p(-(np.arange(size) + 0.5) / size)


def test_the_error_found_out_is_the_one_that_moves_the_probability_by_four_targets():
    """A tail of scale 2: log P falls by t where the response is 2 t lower, by 3.96 t at the error."""
    found = reveal_failures(
        exponential_tail(), np.ones(4000), np.array([5.0, 4.0]), ["a", "b"], TARGET, "K", "new plates at"
    )
    assert found.condition == "b"
    assert found.number == math.ceil((4.0 / (2 * TARGET)) ** 2 * (1 - 1e-3))
    assert math.log(found.effect) == pytest.approx(found.error / 2.0, rel=0.01)
    assert found.error == pytest.approx(3.96 * 2 * TARGET, rel=0.01)
    assert "new plates at b would reveal, four times in five" in found.sentence()
    assert " K, which changes the quantity by a factor of 3.8" in found.sentence()


def test_so_many_measurements_find_the_error_out_four_times_in_five():
    """Prediction known within 2 t, mean of the measurements: 20,000 trials have a standard error of 0.003."""
    rng, known = np.random.default_rng(0), 2 * TARGET
    found = reveal_failures(exponential_tail(), np.ones(4000), np.array([9.0]), ["here"], TARGET)
    scatter = 9.0 / math.sqrt(found.number)
    apart = rng.normal(0.0, known, 20_000) + rng.normal(0.0, scatter, 20_000)
    limit = 1.96 * math.hypot(known, scatter)
    assert np.mean(np.abs(apart) > limit) == pytest.approx(0.05, abs=0.01)
    assert np.mean(np.abs(apart + found.error) > limit) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("factor", [1.5, 3.0, 10.0])
def test_counting_finds_a_wrong_probability_out_four_times_in_five(factor):
    """Told by counts in either 2.5 % tail of those that the model makes likely, P known within the target."""
    rng, target = np.random.default_rng(1), math.log(factor) / 3.29
    counted = reveal_by_counting(0.002, target, "stops")
    mean = counted.number * 0.002
    predicted = rng.poisson(mean * np.exp(target * rng.standard_normal(400_000)))
    low, high = np.quantile(predicted, [0.025, 0.975], method="inverted_cdf")
    for wrong in (counted.factor, 1 / counted.factor):
        seen = rng.poisson(mean * wrong, 100_000)
        # Strictly beyond the quantiles: a discrete test at 5 % or less; it need not be the smallest such.
        assert np.mean((seen < low) | (seen > high)) >= 0.79


def test_regime_names_both():
    counted = reveal_by_counting(0.01, TARGET, "new patients")
    found = reveal_failures(exponential_tail(), np.ones(4000), np.array([4.0]), ["here"], TARGET)
    axis = Axis("level", "K", (0.0, 1.0), (2.0, 3.0), 1.0)
    need = Requirement("EXTRAPOLATION", 9, Question("c", "q", "t", "patients"), {})
    both = need.__class__(**{**vars(need), "regime": Regime((axis,), found, counted=counted)})
    assert both.statement()["reveal"] == f"{found.sentence()} {counted.sentence()}"
    assert "not known" in need.statement()["reveal"]
    inside = need.__class__(**{**vars(need), "verdict": "FORECAST", "regime": Regime(())})
    assert inside.statement()["reveal"].startswith("None are asked for")


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"margins": np.array([])}, "weight"),
        ({"weight": np.zeros(3)}, "weight"),
        ({"weight": np.array([1.0, -1.0, 1.0])}, "weight"),
        ({"scatter": np.array([])}, "scatter"),
        ({"scatter": np.array([math.nan])}, "scatter"),
        ({"target": 0.0}, "target"),
    ],
)
def test_bad_input(wrong, key):
    given = {"margins": np.arange(3.0), "weight": np.ones(3), "scatter": np.ones(1), "target": 0.3}
    with pytest.raises(ParameterError, match=key):
        reveal_failures(**{**given, **wrong}, conditions=["here"])
    with pytest.raises(ParameterError, match="probability"):
        reveal_by_counting(0.0, 0.3)

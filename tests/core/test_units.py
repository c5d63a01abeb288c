"""Units and stated quantities."""

import numpy as np
import pytest

from physsynth.core.errors import StudyError, UnitError, UnknownNameError
from physsynth.core.quantities import compile_quantity
from physsynth.core.units import convert, parse_quantity, product_unit, quantity_in


def test_conversions():
    assert convert(50.0, "mile/hour", "m/s") == pytest.approx(22.352)
    assert convert(20.0, "ug/mL", "mg/L") == pytest.approx(20.0)
    assert convert(20.0, "degC", "K") == pytest.approx(293.15)
    assert quantity_in("36 km/h", "m/s") == pytest.approx(10.0)
    assert quantity_in(3, "m") == 3.0
    assert parse_quantity("-1.5e-3 m/s^2") == (-1.5e-3, "m/s^2")


def test_products_carry_their_dimension():
    assert convert(1.0, product_unit(["mg/kg", "kg"]), "mg") == pytest.approx(1.0)
    dose = compile_quantity(["3 mg/kg", "weight", "factor"], "g", {"weight": "kg", "factor": "1"})
    np.testing.assert_allclose(dose({"weight": 70.0, "factor": np.array([0, 1, 2])}), [0.0, 0.21, 0.42])


def test_grids():
    times = compile_quantity({"start": "0 h", "step": "720 min", "count": 3}, "h", {})
    np.testing.assert_allclose(times({}), [0.0, 12.0, 24.0])


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        (["3 mg", "weight"], UnitError, "wrong unit"),
        (["3 mg/kg", "wieght"], UnknownNameError, 'did you mean "weight"'),
        ({"start": "0 h", "step": "1 h"}, StudyError, "start, step and count"),
        ({"start": "0 mg", "step": "1 mg", "count": 0}, StudyError, "no points"),
        ({"start": "0 mg", "step": "1 mg", "count": 10**12}, StudyError, "too many"),
        ({"start": "0 mg", "step": "0 mg", "count": 3}, StudyError, "does not rise"),
        (None, StudyError, "cannot be read"),
        ("3 wibbles", UnitError, "unknown unit"),
    ],
)
def test_refusals(spec, error, says):
    with pytest.raises(error, match=says):
        compile_quantity(spec, "mg", {"weight": "kg"}, key="doses")

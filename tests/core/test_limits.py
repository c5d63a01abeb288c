"""Limit states: settings with units, words, and the way in which a scenario fails."""

import jax.numpy as jnp
import pytest

from physsynth.core import LimitState
from physsynth.core.errors import ParameterError

BEAM = LimitState(
    "kN",
    lambda p, y, strength: strength - jnp.maximum(y["moment"], y["shear"]),
    {"strength": "kN"},
    "it carries more than {strength} kN",
    {"bending": lambda p, y, strength: y["moment"], "shear": lambda p, y, strength: y["shear"]},
)


@pytest.mark.parametrize(("moment", "shear", "way"), [(3.0, 1.0, "bending"), (1.0, 3.0, "shear")])
def test_a_failure_has_the_mode_of_the_largest_severity(moment, shear, way):
    y = {"moment": jnp.asarray(moment), "shear": jnp.asarray(shear)}
    assert list(BEAM.modes)[int(BEAM.mode({}, y, strength="2000 N"))] == way
    assert float(BEAM({}, y, strength="2000 N")) == pytest.approx(-1.0)


@pytest.mark.parametrize("strength", [[1.0, 2.0], True, None, float("inf"), {"start": 1}])
def test_a_setting_is_a_finite_number(strength):
    with pytest.raises(ParameterError, match="strength"):
        BEAM({}, {"moment": 1.0, "shear": 1.0}, strength=strength)

"""The most probable scenario of each mode: found whatever the names of the causes look like."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import physsynth as ps
from physsynth.study.modes import Ways, design_points


def _system(**modes):
    """A resistance and a load, both standard normal; it fails where load - resistance reaches 3."""
    sim = ps.define_simulator(
        "mechanics/rope",
        parameters={
            "rope_strength": ps.Parameter(dist.Normal(0.0, 1.0)),
            "largest_load": ps.Parameter(dist.Normal(0.0, 1.0)),
        },
        outputs={"margin": ps.Output("1")},
        limit_states={"break": ps.LimitState("1", lambda p, y: y["margin"], modes=modes)},
    )(lambda p: {"margin": 3.0 + p["rope_strength"] - p["largest_load"]})
    return Ways(sim, "break", {}, sim.limit_state("break"))


@pytest.mark.parametrize(
    ("modes", "name"),
    [({}, "largest load high"), ({"by_overload": lambda p, y: jnp.asarray(1.0)}, "by overload")],
)
def test_the_design_point_of_a_mode_of_several_words(modes, name):
    # The nearest failure to the origin is (-1.5, 1.5); a point beyond it is moved onto g = 0 along its ray.
    found = design_points(_system(**modes), np.array([[-1.5, 1.6]]), [name])
    np.testing.assert_allclose(found["reliability_index"], 3.0 / 3.1 * np.hypot(1.5, 1.6), rtol=1e-6)
    assert found["mode"].attrs["flag_meanings"] == name.replace(" ", "_")

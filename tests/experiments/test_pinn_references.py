"""Reference solutions against published numbers, and against their own certificates."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "benchmarks"))
from pinn_references import _hopf_cole, reference

WANTED = {"burgers": 1e-10, "allen_cahn": 1e-10}


@pytest.mark.parametrize("name", WANTED)
def test_two_methods_agree(name):
    found = reference(name)
    assert found.certificate < WANTED[name]
    sizes = {array.shape for array in (*found.points.values(), *found.values.values())}
    assert len(sizes) == 1
    assert all(np.isfinite(value).all() for value in found.values.values())


def test_burgers_has_its_published_steepest_slope():
    # Basdevant et al. (1986), Computers and Fluids 14, table 1: 152.00516 at the shock, at pi t = 1.6037.
    h = 1e-5
    ahead, behind = _hopf_cole(np.array([h, -h]), 1.6037 / np.pi, 0.01 / np.pi)
    assert abs(ahead - behind) / (2 * h) == pytest.approx(152.00516, abs=1e-3)


def test_allen_cahn_sharpens_towards_its_two_phases():
    found = reference("allen_cahn")
    late = found.values["u"][found.points["t"] == 1.0]
    # exp(-10) of the distance to -1 and 1 is left after one unit of time, times the start's own distance.
    assert np.abs(late).max() < 1.0
    assert np.sort(np.abs(late))[-100] > 0.99

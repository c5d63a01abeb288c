"""One-compartment models against integration, limits and conservation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, linalg

import physsynth as ps
from physsynth.core import rk4
from physsynth.core.errors import ParameterError

NAME = "pharmacokinetics/oral_one_compartment"
TRANSIT = "pharmacokinetics/oral_transit"
BOTH = pytest.mark.parametrize("name", [NAME, TRANSIT])
P = {"absorption_rate": 1.5, "clearance": 2.8, "volume": 32.0}


def test_closed_form_agrees_with_integration():
    times = np.linspace(0.0, 24.0, 25)
    sim = ps.simulator(NAME, doses=([0.0], [320.0]), times=times)

    def flow(t, y):
        return jnp.array([-1.5 * y[0], 1.5 * y[0] - 2.8 / 32.0 * y[1]])

    path = rk4(flow, jnp.array([320.0, 0.0]), jnp.asarray(times), substeps=200)
    np.testing.assert_allclose(sim(P)["concentration"], path[:, 1] / 32.0, atol=1e-9)


@pytest.mark.parametrize(
    "absorption", [2.8 / 32.0, 2.8 / 32.0 * (1 + 1e-4), 2.8 / 32.0 * (1 + 1e-9), 0.02, 1.5]
)
def test_two_steps_of_absorption_agree_with_the_matrix_exponential(absorption):
    k, doses = 2.8 / 32.0, ([0.0, 3.0, 20.0], [320.0, 80.0, 200.0])
    chain = np.array([[-absorption, 0.0, 0.0], [absorption, -absorption, 0.0], [0.0, absorption / 32.0, -k]])
    times = np.linspace(0.0, 48.0, 97)
    exact = sum(
        np.array([amount * linalg.expm(chain * (t - start))[2, 0] if t > start else 0.0 for t in times])
        for start, amount in zip(*doses, strict=True)
    )
    found = ps.simulator(TRANSIT, doses=doses, times=times)({**P, "absorption_rate": absorption})
    np.testing.assert_allclose(found["concentration"], exact, atol=1e-12)


def test_the_slope_of_the_two_step_peak_is_that_of_its_value():
    doses = (np.arange(4) * 12.0, np.array([210.0, 420, 0, 210]))
    sim = ps.simulator(TRANSIT, doses=doses)
    peak = jax.jit(lambda p: sim(p)["peak_concentration"])
    slope = jax.grad(peak)(P)
    for name, value in P.items():
        step = 1e-6 * value
        beside = [float(peak({**P, name: value + sign * step})) for sign in (1, -1)]
        assert float(slope[name]) == pytest.approx((beside[0] - beside[1]) / (2 * step), rel=1e-6)


def test_single_dose_peak_is_where_calculus_puts_it():
    # t_max = ln(ka / k) / (ka - k), C_max = (D / V) (ka / k)^(-k / (ka - k))
    k = 2.8 / 32.0
    expected = 320.0 / 32.0 * (1.5 / k) ** (-k / (1.5 - k))
    sim = ps.simulator(NAME, doses=([0.0], [320.0]), times=[0.0, 1.0])
    np.testing.assert_allclose(sim(P)["peak_concentration"], expected, rtol=1e-12)


@pytest.mark.parametrize("absorption", [2.8 / 32.0, 2.8 / 32.0 * (1 + 1e-9), 0.02])
def test_equal_and_exchanged_rates(absorption):
    # as ka -> k:  C = (D / V) k t exp(-k t), with its peak D / (V e) at 1 / k; flip-flop is allowed too
    times = np.linspace(0.0, 200.0, 40_001)
    sim = ps.simulator(NAME, doses=([0.0], [320.0]), times=times)
    y = sim({**P, "absorption_rate": absorption})
    np.testing.assert_allclose(y["peak_concentration"], y["concentration"].max(), rtol=1e-6)
    if absorption > 0.05:
        np.testing.assert_allclose(y["peak_concentration"], 10.0 / np.e, rtol=1e-6)


@BOTH
def test_area_under_the_curve_is_dose_over_clearance(name):
    times = np.linspace(0.0, 400.0, 40_001)
    sim = ps.simulator(name, doses=([0.0, 12.0], [200.0, 120.0]), times=times)
    area = integrate.simpson(np.asarray(sim(P)["concentration"]), x=times)
    np.testing.assert_allclose(area, 320.0 / 2.8, rtol=1e-5)


@BOTH
def test_the_peak_over_many_doses_is_the_limit_of_finer_grids(name):
    doses = (np.arange(10) * 12.0, np.array([210.0, 210, 0, 420, 210, 210, 210, 0, 0, 210]))
    sim = ps.simulator(name, doses=doses, times=np.linspace(0.0, 132.0, 4001))
    runs = ps.simulate(sim, 50, jax.random.key(1))
    gap = runs["peak_concentration"] - runs["concentration"].max("time")
    assert gap.min() >= -1e-12
    # At a peak a grid is short by at most C'' h^2 / 8, and C'' <= k_a^2 / V of what was ever taken.
    curvature = runs["absorption_rate"] ** 2 / runs["volume"] * doses[1].sum()
    assert (gap <= curvature * (132.0 / 4000) ** 2 / 8).all()


def test_the_one_step_peak_is_the_limit_of_a_fine_grid():
    doses = (np.arange(10) * 12.0, np.array([210.0, 210, 0, 420, 210, 210, 210, 0, 0, 210]))
    sim = ps.simulator(NAME, doses=doses, times=np.linspace(0.0, 132.0, 20_001))
    runs = ps.simulate(sim, 200, jax.random.key(1), batch=50)
    gap = runs["peak_concentration"] - runs["concentration"].max("time")
    assert gap.min() >= -1e-12
    assert gap.max() < 1e-3


def test_limit_state_in_another_unit():
    sim = ps.simulator(NAME)
    g, same = (sim.limit_state("peak_above", threshold=t) for t in ("20 mg/L", "20 ug/mL"))
    assert float(g(P)) == pytest.approx(float(same(P)), rel=1e-12)
    assert float(g(P)) == pytest.approx(20.0 - float(sim(P)["peak_concentration"]))


@pytest.mark.parametrize("doses", [([0.0, -1.0], [1.0, 1.0]), ([0.0], [-1.0]), ([], []), 3.0])
def test_bad_doses(doses):
    with pytest.raises(ParameterError, match="doses"):
        ps.simulator(NAME, doses=doses)

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
SATURABLE = "pharmacokinetics/oral_saturable"
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


def _integrated(p, doses, times):
    """Concentration and peak by an eighth-order scheme at a tolerance of 1e-12."""
    absorption, rate = p["absorption_rate"], p["clearance"] / p["volume"]

    def flow(_, y):
        first, second, level = y
        eliminated = rate * level / (1 + level / p["half_saturation"])
        inflow = absorption * second / p["volume"] - eliminated
        return [-absorption * first, absorption * (first - second), inflow]

    state, found, peak = np.zeros(3), np.zeros(times.size), 0.0
    ends = np.append(doses[0][1:], times[-1] + 20.0 / absorption)
    for start, end, amount in zip(doses[0], ends, doses[1], strict=True):
        state = state + np.array([amount, 0.0, 0.0])
        run = integrate.solve_ivp(
            flow, (start, end), state, "DOP853", dense_output=True, rtol=1e-12, atol=1e-12
        )
        inside = (times >= start) & (times < end)
        found[inside] = run.sol(times[inside])[2]
        peak, state = max(peak, run.sol(np.linspace(start, end, 20_001))[2].max()), run.y[:, -1]
    return found, peak


@pytest.mark.parametrize("half_saturation", [2.0, 20.0])
@pytest.mark.parametrize("absorption", [0.2, 4.0])
def test_saturable_elimination_agrees_with_integration(absorption, half_saturation):
    doses = (np.array([0.0, 12.0, 24.0, 30.0]), np.array([320.0, 0.0, 640.0, 200.0]))
    times, p = np.linspace(0.0, 200.0, 401), {**P, "absorption_rate": absorption}
    p["half_saturation"] = half_saturation
    exact, peak = _integrated(p, doses, times)
    found = ps.simulator(SATURABLE, doses=doses, times=times)(p)
    np.testing.assert_allclose(found["concentration"], exact, atol=1e-4 * peak)
    np.testing.assert_allclose(found["peak_concentration"], peak, rtol=1e-4)


def test_without_saturation_it_is_the_closed_form():
    doses, times = (np.arange(4) * 12.0, np.array([210.0, 420, 0, 210])), np.linspace(0.0, 60.0, 121)
    linear = ps.simulator(TRANSIT, doses=doses, times=times)(P)
    found = ps.simulator(SATURABLE, doses=doses, times=times)({**P, "half_saturation": 1e9})
    for name, expected in linear.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_area_under_a_saturated_curve():
    # int C / (1 + C / K) dt = D / CL: all of the dose is eliminated at last
    times = np.linspace(0.0, 600.0, 60_001)
    level = ps.simulator(SATURABLE, doses=([0.0], [640.0]), times=times)({**P, "half_saturation": 8.0})
    c = np.asarray(level["concentration"])
    np.testing.assert_allclose(integrate.simpson(c / (1 + c / 8.0), x=times), 640.0 / 2.8, rtol=1e-5)


def test_slopes_of_a_saturated_curve_are_those_of_its_values():
    sim = ps.simulator(SATURABLE, doses=([0.0, 12.0], [320.0, 320.0]), times=[0.5, 2.0, 14.0, 40.0])
    p = {**P, "half_saturation": 20.0}
    slope = jax.jacfwd(sim)(p)
    for name, value in p.items():
        step = 1e-5 * value
        above, below = (sim({**p, name: value + sign * step}) for sign in (1, -1))
        for output in above:
            expected = (above[output] - below[output]) / (2 * step)
            np.testing.assert_allclose(slope[output][name], expected, rtol=1e-4, atol=1e-7)


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

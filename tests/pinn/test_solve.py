"""Equations with known solutions are solved; the error is known; runs repeat and resume to the byte."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth import pinn
from physsynth.core.errors import DataError, ParameterError, UnknownNameError
from physsynth.pinn.objective import Objective
from physsynth.pinn.solve import default_network, default_sampling, default_stages
from physsynth.pinn.trial import Trial

HEAT = pinn.Problem(
    {"t": (0.0, 1.0), "x": (0.0, 1.0)},
    lambda u, p: u.t - p["diffusivity"] * u.xx,
    [pinn.Initial(lambda p: jnp.sin(jnp.pi * p["x"])), pinn.Dirichlet(0.0, {"x": (0.0, 1.0)})],
    parameters={"diffusivity": 0.1},
)
SMALL = {
    "network": pinn.MLP(width=10, depth=2),
    "stages": [pinn.Stage(pinn.Adam(steps=50), rounds=2), pinn.Stage(pinn.Broyden(steps=50))],
    "sampling": pinn.Sampling(points=500),
}
GRID = {"t": np.linspace(0.0, 1.0, 21)[:, None], "x": np.linspace(0.0, 1.0, 31)[None, :]}
EXACT = np.sin(np.pi * GRID["x"]) * np.exp(-0.1 * np.pi**2 * GRID["t"])


@pytest.fixture(scope="module")
def solution(key):
    return pinn.solve(HEAT, key, budget=500, **SMALL)


def _relative(found, wanted):
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_heat_is_solved_and_its_error_is_known(solution):
    error = _relative(solution(**GRID), EXACT)
    assert error < 1e-4
    assert solution.converged
    assert error <= 3.0 * solution.error <= 100.0 * error


def test_the_symmetry_of_the_start_is_found_and_built_in(solution):
    assert solution.summary()["symmetries"] == ["u is even about x = 0.5"]
    np.testing.assert_allclose(solution(t=0.7, x=0.3), solution(t=0.7, x=0.7), atol=1e-15)


def test_derivatives_are_those_of_the_solution(solution):
    u = solution.derivatives({"t": jnp.array([0.5]), "x": jnp.array([0.25])})["u"]
    slope = np.pi * np.cos(np.pi * 0.25) * np.exp(-0.05 * np.pi**2)
    np.testing.assert_allclose(u.x, slope, rtol=1e-3)
    np.testing.assert_allclose(u.t, 0.1 * u.xx, atol=1e-3)


def test_the_same_key_gives_the_same_bytes_and_an_interrupted_run_resumes_to_them(solution, key, tmp_path):
    whole = solution.save(tmp_path / "whole.nc").read_bytes()
    part = tmp_path / "part.nc"
    pinn.solve(HEAT, key, budget=250, checkpoint=part, **SMALL)
    resumed = pinn.solve(HEAT, key, budget=500, checkpoint=part, **SMALL)
    assert resumed.save(tmp_path / "resumed.nc").read_bytes() == whole


def test_a_checkpoint_of_another_run_is_refused(key, tmp_path):
    path = tmp_path / "state.nc"
    pinn.solve(HEAT, key, budget=50, checkpoint=path, **SMALL)
    with pytest.raises(ParameterError, match="another run"):
        pinn.solve(HEAT.at(diffusivity=0.2), key, budget=50, checkpoint=path, **SMALL)
    with pytest.raises(ParameterError, match="another run"):
        pinn.solve(_heated(), key, budget=50, checkpoint=path, **SMALL)


def _heated(start=HEAT.conditions[0], source=1.0):
    """Heat conduction with a source: the same derivatives, another equation."""
    return replace(
        HEAT,
        residual=lambda u, p: u.t - p["diffusivity"] * u.xx - source,
        conditions=[start, HEAT.conditions[1]],
    )


def test_a_saved_solution_reads_back(solution, tmp_path):
    path = solution.save(tmp_path / "heat.nc")
    again = pinn.Solution.load(path, HEAT)
    np.testing.assert_array_equal(again(**GRID), solution(**GRID))
    assert again.summary() == solution.summary()
    assert again.symmetries == solution.symmetries
    with pytest.raises(DataError, match="another problem"):
        pinn.Solution.load(path, HEAT.at(diffusivity=0.2))
    taller = pinn.Initial(lambda p: 1.01 * jnp.sin(jnp.pi * p["x"]))
    for another in (_heated(), _heated(taller, source=0.0)):
        with pytest.raises(DataError, match="another problem"):
            pinn.Solution.load(path, another)


def test_a_network_that_did_not_train_is_reported(key):
    sluggish = [pinn.Stage(pinn.Adam(rate=1e-7, steps=50))]
    stuck = pinn.solve(HEAT, key, budget=100, symmetries=(), **{**SMALL, "stages": sluggish})
    assert stuck.symmetries == ()
    assert stuck.summary()["status"] == "NOT CONVERGED"
    assert stuck.error >= 1.0


ROD = pinn.Problem(
    {"x": (0.0, 1.0)}, lambda u, p: u.xx + jnp.pi**2 * jnp.sin(jnp.pi * p["x"]), [pinn.Dirichlet(0.0)]
)


@pytest.mark.parametrize(("dual", "double"), [(False, True), (True, True), (False, False)])
def test_gauss_newton_solves_a_rod(dual, double):
    with jax.enable_x64(double):
        solution = pinn.solve(
            ROD,
            jax.random.key(0),
            budget=60,
            network=pinn.MLP(10, 1),
            stages=[pinn.Stage(pinn.GaussNewton(steps=20, dual=dual))],
            sampling=pinn.Sampling(points=50),
        )
        x = np.linspace(0.0, 1.0, 50)
        assert solution.weights.dtype == (jnp.float64 if double else jnp.float32)
        assert _relative(solution(x=x), np.sin(np.pi * x)) < (1e-5 if double else 1e-2)


def test_an_error_that_single_precision_cannot_reach_is_told():
    small = {"network": pinn.MLP(10, 1), "sampling": pinn.Sampling(points=50)}
    budget = pinn.Budget(iterations=20, error=1e-6)
    with jax.enable_x64(False), pytest.warns(UserWarning, match="jax_enable_x64"):
        pinn.solve(ROD, jax.random.key(0), budget, stages=[pinn.Stage(pinn.Adam(), rounds=1)], **small)


def test_penalised_conditions_are_balanced_and_met(key):
    conditions = [
        pinn.Neumann(-jnp.pi, {"x": 0.0}),
        pinn.Robin(1.0, 1.0, -jnp.pi, {"x": 1.0}),
        pinn.Integral("x", 2 / jnp.pi),
    ]
    rod = pinn.Problem(ROD.domain, ROD.residual, conditions)
    solution = pinn.solve(rod, key, budget=250, **SMALL)
    x = np.linspace(0.0, 1.0, 50)
    assert _relative(solution(x=x), np.sin(np.pi * x)) < 1e-3
    assert list(solution.summary()["terms"]) == [
        "equation", "Robin of u at x = 0", "Robin of u at x = 1", "Integral of u over x"
    ]  # fmt: skip


def test_a_large_budget_gets_a_larger_network_and_more_points():
    small, large = pinn.Budget(11_999), pinn.Budget(12_000)
    assert default_network(HEAT, small).width < default_network(HEAT, large).width
    assert 2 * default_sampling(HEAT, small).points == default_sampling(HEAT, large).points


def test_parameters_need_a_value_and_coordinates_their_names(solution, key):
    with pytest.raises(UnknownNameError, match="coordinate"):
        solution(t=0.0, y=1.0)
    with pytest.raises(ParameterError, match="missing"):
        solution(t=0.0)
    with pytest.raises(ParameterError, match="without their names"):
        solution(0.0, 1.0)
    for none in (0, "seed", None, jnp.zeros((2, 2), jnp.uint32)):
        with pytest.raises(ParameterError, match="not a JAX key"):
            pinn.solve(HEAT, none, budget=50)
    with pytest.raises(ParameterError, match="allows nothing"):
        pinn.solve(HEAT, key, budget=0)


def test_few_points_begin_one_network_only_where_little_time_may_be_wanted():
    """Windows and surrogates train long: they use all points, and full steps, from the start."""
    budget = pinn.Budget(iterations=3000)
    whole, part = default_sampling(HEAT, budget), default_sampling(HEAT, budget, share=0.5)
    objective = Objective(Trial(HEAT, pinn.MLP(width=3, depth=1)))
    assert whole.early
    assert part.early == pinn.Sampling().early == ()
    *_, far, last = default_stages(objective, whole)
    assert (far.rounds, far.optimiser.predicted, last.optimiser.predicted) == (len(whole.early), True, False)
    assert len(default_stages(objective, part)) == 2

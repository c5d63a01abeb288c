"""The estimate sees what training never showed: errors that grow, and solutions that are not the only one."""

import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from physsynth import pinn

SETTINGS = {
    "network": pinn.MLP(width=10, depth=2),
    "stages": [pinn.Stage(pinn.Adam(steps=50), rounds=1), pinn.Stage(pinn.Broyden(steps=50))],
    "sampling": pinn.Sampling(points=500),
    "march": None,
}
TIMES = np.linspace(0.0, 1.0, 401)


def _solved(residual, conditions, coordinate, key, budget=400):
    problem = pinn.Problem({coordinate: (0.0, 1.0)}, residual, conditions)
    return pinn.solve(problem, key, budget, **SETTINGS)


def _relative(found, wanted):
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_a_perturbation_that_grows_is_not_overlooked(key):
    """u' = 12 (u - cos t) - sin t from u(0) = 1 + d is cos t + d e^(12 t)."""
    solution = _solved(
        lambda u, p: u.t - 12.0 * (u - jnp.cos(p["t"])) + jnp.sin(p["t"]), [pinn.Initial(1.0001)], "t", key
    )
    error = _relative(solution(t=TIMES), np.cos(TIMES) + 1e-4 * np.exp(12.0 * TIMES))
    assert error > 0.5
    assert error <= 3.0 * solution.error
    assert not solution.converged


def test_a_solution_that_is_not_the_only_one_is_reported(key):
    """u'' + π² u = sin 2πx with u(0) = u(1) = 0 says nothing about sin πx."""
    solution = _solved(
        lambda u, p: u.xx + jnp.pi**2 * u - jnp.sin(2.0 * jnp.pi * p["x"]),
        [pinn.Dirichlet(0.0)],
        "x",
        key,
    )
    assert solution.summary()["status"] == "NOT CONVERGED"
    assert "do not determine u" in solution.summary()["reason"]


def test_a_source_narrower_than_the_points_are_apart_is_weighed(key):
    """u'' = -s with s a bell of width 0.002: 500 points, drawn evenly, would meet it five times."""
    width, middle = 2e-3, 0.337

    def source(p):
        return jnp.exp(-0.5 * ((p["x"] - middle) / width) ** 2) / (width * jnp.sqrt(2.0 * jnp.pi))

    solution = _solved(lambda u, p: u.xx + source(p), [pinn.Dirichlet(0.0)], "x", key, budget=800)
    z = (TIMES - middle) / width
    bent = width * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi))
    error = _relative(solution(x=TIMES), TIMES * (1.0 - middle) - bent)
    assert solution.converged
    assert 0.3 * error <= solution.error <= 3.0 * error


def test_systems_and_penalised_conditions_are_linearised_too(key):
    """A rod with a given slope at one end, as two equations of first order: u' = v, v' = -π² sin πx."""
    problem = pinn.Problem(
        {"x": (0.0, 1.0)},
        lambda q, p: {"slope": q.u.x - q.v, "force": q.v.x + jnp.pi**2 * jnp.sin(jnp.pi * p["x"])},
        [pinn.Dirichlet(0.0, {"x": 0.0}, "u"), pinn.Robin(1.0, 0.0, -jnp.pi, {"x": 1.0}, "v")],
        fields=("u", "v"),
    )
    solution = pinn.solve(problem, key, 400, **SETTINGS)
    exact = {"u": np.sin(np.pi * TIMES), "v": np.pi * np.cos(np.pi * TIMES)}
    for name, values in exact.items():
        error = _relative(solution(x=TIMES)[name], values)
        assert 0.5 * error <= solution.estimate.relative[name] <= 3.0 * error

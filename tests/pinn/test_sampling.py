"""Residuals count for what they do: early ones more where errors grow, late ones once it is their turn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth import pinn
from physsynth.core.errors import ParameterError
from physsynth.pinn.objective import BLOCK, Objective
from physsynth.pinn.trial import Trial

PROBLEM = pinn.Problem({"t": (0.0, 1.0)}, lambda u, p: u.t - 3.0 * u, [pinn.Initial(1.0)])
TIMES = {"t": jnp.linspace(0.0, 1.0, 101)}


def _importance(sampling, residual):
    return sampling._importance(PROBLEM, TIMES, residual)


def test_an_error_that_grows_threefold_counts_ninefold():
    weight = _importance(pinn.Sampling(growth=np.log(3.0)), jnp.ones(101))
    np.testing.assert_allclose(weight[0] / weight[-1], 9.0)
    np.testing.assert_allclose(jnp.mean(weight), 1.0)


def test_a_large_early_residual_mutes_later_times():
    residual = jnp.where(TIMES["t"] < 0.2, 10.0, 0.0)
    weight = _importance(pinn.Sampling(causality=1.0), residual)
    assert np.all(np.diff(weight) <= 0)
    assert weight[-1] < 1e-6 * weight[0]


def test_without_either_all_points_count_the_same():
    np.testing.assert_array_equal(_importance(pinn.Sampling(), jnp.ones(101)), 1.0)


def test_few_points_count_alone_and_compile_nothing_anew():
    objective = Objective(Trial(PROBLEM, pinn.MLP(width=3, depth=1)))
    (term,) = objective.terms
    points = term.draw(np.random.default_rng(0), 4 * BLOCK)
    weights = objective.trial.network.draw(np.random.default_rng(1))
    some = {term.name: objective.batch(term, points).shared(0.5)}
    alone = {term.name: objective.batch(term, {name: value[: 2 * BLOCK] for name, value in points.items()})}
    found = objective.evaluate(weights, some)
    objective.evaluate(weights, {term.name: objective.batch(term, points)})
    (compiled,) = objective.cache.values()
    assert compiled._cache_size() == 1
    value, gradient = objective.evaluate(weights, alone)
    np.testing.assert_allclose(found[0], value, rtol=1e-12)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-10)
    normal = objective.normal(weights, some)
    np.testing.assert_allclose(objective.value(weights, some), value, rtol=1e-12)
    np.testing.assert_allclose(normal.value, value, rtol=1e-12)
    np.testing.assert_allclose(2.0 * normal.gradient, gradient, rtol=1e-10)
    r, J = objective.jacobian(weights, some)
    np.testing.assert_allclose(2.0 * J.T @ r, gradient, rtol=1e-10)


def test_the_first_rounds_use_few_points_of_those_drawn():
    objective = Objective(Trial(PROBLEM, pinn.MLP(width=3, depth=1)))
    weights = objective.trial.network.draw(np.random.default_rng(1))
    sampling = pinn.Sampling(points=4 * BLOCK, early=(0.25, 0.5))
    used = []
    for rounds in range(3):
        (batch,) = sampling.draw(
            objective, weights, {"equation": 1.0}, np.random.default_rng(rounds), rounds
        ).values()
        used.append((batch.used, batch.blocks))
    assert used == [(1, 4), (2, 4), (4, 4)]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"points": 0}, "sampling.points"),
        ({"pool": "4"}, "sampling.pool"),
        ({"uniform": float("nan")}, "sampling.uniform"),
        ({"causality": -1.0}, "sampling.causality"),
        ({"early": 0.5}, "sampling.early"),
        ({"early": (0.5, 2.0)}, r"sampling.early\[1\]"),
    ],
)
def test_a_sampling_that_draws_nothing_is_refused(given, key):
    with pytest.raises(ParameterError, match=key):
        pinn.Sampling(**given)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"network": 20}, "network"),
        ({"sampling": 4000}, "sampling"),
        ({"stages": [pinn.Adam()]}, "stages"),
        ({"symmetries": ["x"]}, "symmetries"),
        ({"march": 3}, "march"),
        ({"checkpoint": 5}, "checkpoint"),
        ({"observe": 3}, "observe"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused_before_any_training(settings, key):
    with pytest.raises(ParameterError, match=key):
        pinn.solve(PROBLEM, jax.random.key(0), 100, **settings)

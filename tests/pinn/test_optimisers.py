"""Optimisers find minima that are known."""

from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.pinn.objective import Normal
from physsynth.pinn.optimisers import Adam, Broyden, GaussNewton, Soap
from physsynth.pinn.optimisers.broyden import predicted
from physsynth.pinn.optimisers.wolfe import line_search


@dataclass(frozen=True)
class LeastSquares:
    """The sum of squares of a residual, with the surface of an objective."""

    residual: object

    def value(self, theta, data):
        return jnp.sum(self.residual(theta) ** 2)

    @cached_property
    def evaluate(self):
        return jax.jit(jax.value_and_grad(self.value))

    def compiled(self, name, function):
        return jax.jit(function)

    def jacobian(self, theta, data):
        return self.residual(theta), jax.jacobian(self.residual)(theta)

    def normal(self, theta, data):
        r, J = self.jacobian(theta, data)
        return Normal(J.T @ J, J.T @ r, r @ r)


# Rosenbrock (1960): the minimum is at (1, 1), at the end of a curved valley.
ROSENBROCK = LeastSquares(lambda x: jnp.array([1 - x[0], 10 * (x[1] - x[0] ** 2)]))
SCALES = jnp.logspace(-2, 0, 6)
BOWL = LeastSquares(lambda x: SCALES * (x - 1.0))


def _minimise(optimiser, objective, start):
    return optimiser.run(objective, start, optimiser.start(start), None)


@pytest.mark.parametrize(
    "optimiser", [Broyden(60), Broyden(80, predicted=True), GaussNewton(40), GaussNewton(40, dual=True)]
)
def test_second_order_optimisers_pass_the_valley_of_rosenbrock(optimiser):
    theta, _, losses = _minimise(optimiser, ROSENBROCK, jnp.array([-1.2, 1.0]))
    np.testing.assert_allclose(theta, 1.0, atol=1e-8)
    assert np.all(np.diff(losses) <= 0)


def test_the_predicted_step_ends_at_the_minimum_of_a_parabola_that_falls_as_much():
    """phi(a) = (1 - a / 0.01)^2 falls by 1 to its minimum at 0.01; a full step is 100 times too long."""
    calls = []

    def parabola(x):
        calls.append(1)
        return float((1.0 - x[0] / 0.01) ** 2), np.array([-200.0 * (1.0 - x[0] / 0.01)])

    first = predicted(decrease=1.0, slope=-200.0)
    start = (np.zeros(1), np.ones(1), 1.0, np.array([-200.0]))
    assert first == pytest.approx(0.01, rel=0.02)
    assert line_search(parabola, *start, first).step == first
    assert len(calls) == 1
    line_search(parabola, *start)
    assert len(calls) > 2
    assert predicted(decrease=1.0, slope=-1e-3) == predicted(None, -1.0) == 1.0


def test_broyden_solves_a_quadratic_of_condition_ten_thousand():
    theta, _, _ = _minimise(Broyden(40), BOWL, jnp.zeros(6))
    np.testing.assert_allclose(theta, 1.0, atol=1e-7)


def test_gauss_newton_needs_one_step_for_a_linear_residual_without_damping():
    theta, _, _ = _minimise(GaussNewton(1, damping=1e-14), BOWL, jnp.zeros(6))
    np.testing.assert_allclose(theta, 1.0, atol=1e-8)


@pytest.mark.parametrize("optimiser", [Adam(0.05, 400, 800), Soap(0.05, 400, 800, shapes=((2, 3),))])
def test_first_order_optimisers_reach_the_bottom_of_a_bowl(optimiser):
    _, _, losses = _minimise(optimiser, BOWL, jnp.zeros(6))
    assert losses[-1] < 1e-4 * losses[0]


def test_a_start_at_the_minimum_stays_there():
    theta, _, _ = _minimise(Broyden(5), BOWL, jnp.ones(6))
    np.testing.assert_array_equal(theta, 1.0)

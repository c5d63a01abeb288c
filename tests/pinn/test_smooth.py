"""What is built in may not have a jump that the residual cannot see: a plucked string would stay plucked."""

import jax.numpy as jnp
import pytest

from physsynth.core.errors import ParameterError
from physsynth.pinn import Dirichlet, Domain, Initial, Neumann, Periodic, Problem, solve
from physsynth.pinn.smooth import check_smooth

BOX = {"t": (0.0, 1.0), "x": (0.0, 1.0)}
WALLS = Dirichlet(0.0, {"x": (0.0, 1.0)})


def triangle(p):
    return 1.0 - 2.0 * jnp.abs(p["x"] - 0.5)


def heat(u, p):
    return u.t - u.xx


def advection(u, p):
    return u.t + u.x


@pytest.mark.parametrize(
    ("residual", "conditions", "message"),
    [
        (lambda u, p: u.tt - u.xx, [Initial(triangle, rate=0.0), WALLS], "order 1 at x = 0.5"),
        (heat, [Initial(lambda p: jnp.interp(p["x"], *_table())), WALLS], "order 1"),
        (heat, [Initial(lambda p: p["x"] * (1.0 - p["x"])), Periodic("x")], "where x repeats"),
        (
            heat,
            [Initial(0.0), Dirichlet(lambda p: 1.0 * (p["t"] > 0.3), {"x": 0.0}), Dirichlet(0.0, {"x": 1.0})],
            "jumps at t = 0.3",
        ),
        # Rounded, but on a length that no point of training comes near.
        (
            heat,
            [Initial(lambda p: 0.5 - jnp.sqrt((p["x"] - 0.5) ** 2 + 1e-14)), Neumann(0.0, {"x": (0.0, 1.0)})],
            "order 1 at x = 0.5",
        ),
        (advection, [Initial(lambda p: 1.0 * (p["x"] > 0.25) * (p["x"] < 0.5)), Periodic("x")], "jumps at x"),
    ],
)
def test_a_kink_that_the_residual_cannot_see_is_refused(key, residual, conditions, message):
    with pytest.raises(ParameterError, match=message):
        solve(Problem(BOX, residual, conditions), key, 10)


@pytest.mark.parametrize(
    ("residual", "conditions"),
    [
        # A front of a ten-thousandth is steep, but smooth.
        (
            heat,
            [
                Initial(lambda p: jnp.tanh((p["x"] - 0.4) / 1e-4)),
                Dirichlet(1.0, {"x": 1.0}),
                Dirichlet(-1.0, {"x": 0.0}),
            ],
        ),
        # A kink of an equation of first order is a jump of the residual, which is seen.
        (advection, [Initial(lambda p: triangle({"x": p["x"] % 1.0})), Periodic("x")]),
        (heat, [Initial(triangle, exact=False), WALLS]),
        # It is rounded at once: the heat equation's own continuation of a kink.
        (
            heat,
            [
                Initial(lambda p: jnp.sqrt((p["x"] - 0.5) ** 2 + p["t"]) - 0.5),
                Neumann(0.0, {"x": (0.0, 1.0)}),
            ],
        ),
    ],
)
def test_what_is_steep_rounded_or_seen_is_taken(residual, conditions):
    check_smooth(Problem(BOX, residual, conditions))


def test_a_value_need_not_be_smooth_within_a_cut():
    square = Domain({"x": (-1.0, 1.0), "y": (-1.0, 1.0)}, ({"x": (0.0, 1.0), "y": (-1.0, 0.0)},))

    def branch(p):
        return jnp.where((p["x"] > 0.0) & (p["y"] < 0.0), 5.0, p["x"])

    check_smooth(Problem(square, lambda u, p: u.xx + u.yy, [Dirichlet(branch)]))


def _table():
    nodes = jnp.linspace(0.0, 1.0, 30)
    return nodes, jnp.sin(jnp.pi * nodes)

"""What a user can get wrong is said before training, by name, in one error of ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.core.errors import PhyssynthError
from physsynth.pinn import (
    MLP,
    Budget,
    Data,
    Dirichlet,
    Inequality,
    Initial,
    Integral,
    Neumann,
    Periodic,
    Problem,
    Robin,
    solve,
)
from physsynth.pinn.field import Field

BOX = {"t": (0.0, 1.0), "x": (-1.0, 1.0)}
ENDS = {"x": (-1.0, 1.0)}
START, WALLS = Initial(lambda p: jnp.sin(jnp.pi * p["x"])), Dirichlet(0.0, ENDS)


def heat(u, p):
    return u.t - u.xx


def posed(*conditions, residual=heat, **given):
    return Problem(given.pop("domain", BOX), residual, conditions or (START, WALLS), **given)


def measured(values=(1.0,), **given):
    return posed(START, WALLS, Data({"t": [0.5], "x": [0.0]}, values, **given))


@pytest.mark.parametrize(
    "conditions",
    [
        (Initial(lambda p: p["amp"]), WALLS),
        (Initial(lambda p: p["amp"], exact=False), WALLS),
        (START, Dirichlet(lambda p: p["amp"], ENDS)),
        (START, Neumann(lambda p: p["amp"], ENDS)),
        (START, Robin(lambda p: p["amp"], 1.0, 0.0, ENDS)),
        (START, WALLS, Integral("x", lambda p: p["amp"])),
        (START, WALLS, Inequality("bound", lambda u, p: u - p["amp"])),
    ],
)
def test_a_condition_names_nothing_that_is_not_declared(conditions):
    with pytest.raises(PhyssynthError, match='p\\["amp"\\]'):
        posed(*conditions)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: posed(features=(lambda p: p["amp"],)), "amp"),
        (lambda: posed(residual=lambda u, p: u.t - u.xx + jnp.sin(u)), r"jnp\.sin\(u\.value\)"),
        (lambda: posed(residual=lambda u, p: u.t - u.xx + p.x), "test_given.py, line"),
        (lambda: posed(residual=lambda u, p: u.t - u.xx + jnp.log(p["x"])), "whatever the fields are"),
        (lambda: posed(Initial(lambda t, x: x), WALLS), "a function of p"),
        (lambda: posed(Initial(lambda x: jnp.sin(x)), WALLS), r"Initial\.value"),
        (lambda: posed(Initial(lambda p: jnp.zeros(7)), WALLS), r"Initial\.value"),
        (lambda: posed(Initial(lambda p: np.sin(p["x"])), WALLS), "cannot trace"),
        (lambda: posed(Initial("sin(x)"), WALLS), "a number, or a function of p"),
        (lambda: posed(Initial(np.zeros(50)), WALLS), "a number, or a function of p"),
        (lambda: posed(Initial(lambda p: jnp.log(p["x"] - 5.0)), WALLS), "no number"),
        (lambda: posed(START, Neumann(lambda p: jnp.log(-p["t"]), ENDS)), "no number"),
        (lambda: posed(START, Dirichlet(0.0, "x")), "faces that are none"),
        (lambda: posed(START, Dirichlet(0.0, {"x": "left"})), "faces that are none"),
        (lambda: posed(START, Neumann(0.0, ENDS), Neumann(1.0, {"x": 1.0})), "one slope on a face"),
        (lambda: posed(START, WALLS, Periodic("x")), "overdetermine"),
        (lambda: posed(START, WALLS, Periodic("t")), "begins somewhere or repeats"),
        (lambda: posed(START, Periodic("x", harmonics=0)), "1 or more"),
        (lambda: posed(START, WALLS, Integral("x", 0.0, nodes=0)), "1 or more"),
        (lambda: posed(START, WALLS, Inequality("bound", 3.0)), "not a function"),
        (lambda: measured((float("nan"),)), "no number"),
        (lambda: measured(()), "n >= 1"),
        (lambda: measured(("much",)), "list of numbers"),
        (lambda: measured(noise=np.ones(2)), "one number > 0"),
        (lambda: posed(START, Data(np.zeros((3, 2)), np.zeros(3))), "data without names"),
        (lambda: posed(domain="square"), "without names"),
        (lambda: posed(domain={"t": (0.0, 1.0), "x y": (0.0, 1.0)}), "follow a dot"),
        (lambda: posed(fields="u"), "told apart"),
        (lambda: Budget(iterations="many"), "iterations"),
        (lambda: Budget(error=-1.0), "error"),
        (lambda: Budget.of(True), "neither a budget"),
        (lambda: MLP(0), "1 or more"),
        (lambda: solve(heat, jax.random.key(0)), "a Problem"),
    ],
)
def test_what_is_wrong_is_said_before_training(wrong, message):
    with pytest.raises(PhyssynthError, match=message):
        wrong()


def test_what_is_unusual_but_right_is_taken():
    assert Budget.of(np.int64(20)).iterations == 20
    arrays = posed(START, Dirichlet(0.0, {"x": np.array([-1.0, 1.0])}))
    assert arrays.orders("u") == {"t": 1, "x": 2}
    # A flux that is singular where it begins, and an equation that holds for positive fields only.
    posed(START, Neumann(lambda p: 1.0 / jnp.sqrt(p["t"]), {"x": 1.0}), Dirichlet(0.0, {"x": -1.0}))
    posed(residual=lambda u, p: u.t - u.xx + jnp.log(u.value))


def test_a_field_takes_part_in_arithmetic_like_its_values():
    values = jnp.array([-1.0, 0.5, 2.0])
    u = Field("u", ("x",), lambda index: values)
    for found, wanted in [
        (abs(u), abs(values)),
        (2.0**u, 2.0**values),
        (u**u, values**values),
        (jnp.where(u > 0.7, 1.0, 0.0), jnp.where(values > 0.7, 1.0, 0.0)),
        (np.sin(u), jnp.sin(values)),
        (np.maximum(u, 0.0), jnp.maximum(values, 0.0)),
        (np.ones(3) - u, 1.0 - values),
    ]:
        np.testing.assert_array_equal(found, wanted)

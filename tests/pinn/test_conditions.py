"""Conditions that can be exact are exact for any weights; the others are terms of the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.core.errors import ParameterError, PhyssynthError
from physsynth.pinn import (
    MLP,
    Boundary,
    Data,
    Dirichlet,
    Domain,
    Inequality,
    Initial,
    Integral,
    Neumann,
    Periodic,
    Problem,
    Robin,
    Sampling,
    Symmetry,
    solve,
)
from physsynth.pinn.ansatz import Ansatz
from physsynth.pinn.draws import generator
from physsynth.pinn.indices import Indices
from physsynth.pinn.objective import Objective
from physsynth.pinn.symmetry import symmetries
from physsynth.pinn.trial import Trial

BOX = {"t": (0.0, 2.0), "x": (-1.0, 1.0)}
TIMES = jnp.linspace(0.0, 2.0, 7)
PLACES = jnp.linspace(-1.0, 1.0, 9)


def _heat(u, p):
    return u.t - u.xx


def _wave(u, p):
    return u.tt - u.xx


def _jet(problem, key, **points):
    """The first field, with random weights."""
    return _jets(problem, key, **points)[problem.fields[0]]


def _jets(problem, key, **points):
    """All fields, with random weights."""
    trial = Trial(problem, MLP(width=6, depth=2))
    points = dict(zip(points, jnp.broadcast_arrays(*map(jnp.asarray, points.values())), strict=True))
    indices = Indices.closure(problem.coordinates, [(1,) * len(problem.coordinates)])
    weights = trial.network.draw(generator(key))
    return jax.jit(lambda p: trial.jets(weights, trial.frame(p, indices)))(points)


def test_initial_and_boundary_values_hold(key):
    conditions = [
        Initial(lambda p: jnp.cos(jnp.pi * p["x"])),
        Dirichlet(lambda p: jnp.exp(p["t"]) - 2.0, {"x": -1.0}),
        Dirichlet(lambda p: -jnp.cos(p["t"]), {"x": 1.0}),
    ]
    problem = Problem(BOX, _heat, conditions)
    start = _jet(problem, key, t=0.0, x=PLACES).value
    np.testing.assert_allclose(start, jnp.cos(jnp.pi * PLACES), atol=1e-14)
    left, right = (_jet(problem, key, t=TIMES, x=end).value for end in (-1.0, 1.0))
    np.testing.assert_allclose(left, jnp.exp(TIMES) - 2.0, atol=1e-14)
    np.testing.assert_allclose(right, -jnp.cos(TIMES), atol=1e-14)


def test_values_on_all_sides_of_a_square_hold(key):
    def harmonic(p):
        return jnp.exp(p["x"]) * jnp.cos(p["y"])

    square = {"x": (-1.0, 1.0), "y": (0.0, 2.0)}
    problem = Problem(square, lambda u, p: u.xx + u.yy, [Dirichlet(harmonic)])
    x = jnp.concatenate([PLACES, PLACES, jnp.full(9, -1.0), jnp.full(9, 1.0)])
    y = jnp.concatenate([jnp.zeros(9), jnp.full(9, 2.0), PLACES + 1.0, PLACES + 1.0])
    np.testing.assert_allclose(_jet(problem, key, x=x, y=y).value, harmonic({"x": x, "y": y}), atol=1e-14)


def test_a_value_continues_inside_as_it_is_told(key):
    def wave(p):
        return jnp.sin(jnp.pi * p["x"])

    square = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    lid = Dirichlet(wave, {"y": 1.0}, inward=lambda p: wave(p) * jnp.exp(5.0 * (p["y"] - 1.0)))
    walls = Dirichlet(0.0, {"x": (0.0, 1.0), "y": 0.0})
    problem = Problem(square, lambda u, p: u.xx + u.yy, [walls, lid])
    x = jnp.linspace(0.0, 1.0, 9)
    np.testing.assert_allclose(_jet(problem, key, x=x, y=1.0).value, wave({"x": x}), atol=1e-14)
    for side in ({"x": x, "y": 0.0}, {"x": 0.0, "y": x}, {"x": 1.0, "y": x}):
        np.testing.assert_allclose(_jet(problem, key, **side).value, 0.0, atol=1e-14)
    inside = {"x": x, "y": jnp.full(9, 0.8)}
    # Blended towards the floor, as every face is towards the opposite one.
    np.testing.assert_allclose(Ansatz(problem).lift("u")(inside), 0.8 * wave(inside) * jnp.exp(-1.0))


def test_the_initial_rate_holds(key):
    rest = Initial(lambda p: jnp.sin(jnp.pi * p["x"]), rate=lambda p: 1.0 - p["x"] ** 2)
    jet = _jet(Problem(BOX, _wave, [rest, Dirichlet(0.0, {"x": (-1.0, 1.0)})]), key, t=0.0, x=PLACES)
    np.testing.assert_allclose(jet.derivative((1, 0)), 1.0 - PLACES**2, atol=1e-14)


def test_periodic_values_and_slopes_agree(key):
    problem = Problem(BOX, _heat, [Initial(lambda p: jnp.sin(jnp.pi * p["x"])), Periodic("x")])
    left, right = (_jet(problem, key, t=TIMES, x=end) for end in (-1.0, 1.0))
    np.testing.assert_allclose(left.coefficients, right.coefficients, atol=1e-13)


@pytest.mark.parametrize("parity", [1, -1])
def test_symmetry_holds(parity, key):
    start = {1: lambda p: 1.0 - p["x"] ** 2, -1: lambda p: jnp.sin(jnp.pi * p["x"])}[parity]
    walls = Dirichlet(0.0, {"x": (-1.0, 1.0)})
    problem = Problem(BOX, _heat, [Initial(start), walls, Symmetry("x", parity)])
    here, there = (_jet(problem, key, t=1.0, x=sign * PLACES).value for sign in (1, -1))
    np.testing.assert_allclose(here, parity * there, atol=1e-14)


def test_each_field_has_its_own_parity_and_a_periodic_one_stays_periodic(key):
    problem = Problem(
        BOX,
        lambda q, p: {"u": q.u.t + q.v - q.u.xx, "v": q.v.t - q.u - q.v.xx},
        [Initial(0.0), Periodic("x"), Symmetry("x", -1, "u")],
        fields=("u", "v"),
    )
    u, v = (
        [_jets(problem, key, t=1.0, x=x)[name].value for x in (PLACES, -PLACES, PLACES + 2.0)]
        for name in ("u", "v")
    )
    np.testing.assert_allclose(u[1], -u[0], atol=1e-14)
    np.testing.assert_allclose(u[2], u[0], atol=1e-13)
    assert np.max(np.abs(np.abs(v[1]) - np.abs(v[0]))) > 1e-3


@pytest.mark.parametrize(
    ("start", "walls"),
    [(lambda p: jnp.cos(jnp.pi * p["x"] / 2), (-1.0, 1.0)), (lambda p: 0.0 * p["x"], -1.0)],
)
def test_a_symmetry_that_values_or_faces_break_is_an_error(start, walls):
    conditions = [Initial(start), Dirichlet(0.0, {"x": walls}), Neumann(0.0, {"x": 1.0}), Symmetry("x", -1)]
    with pytest.raises(ParameterError, match="contradict"):
        Problem(BOX, _heat, conditions)


@pytest.mark.parametrize("side", [(-1.0, 0.0), (0.0, 1.0)])
def test_the_boundary_of_an_l_shape_is_met(side, key):
    shape = Domain({"x": (-1.0, 1.0), "y": (-1.0, 1.0)}, ({"x": (0.0, 1.0), "y": side},))
    problem = Problem(shape, lambda u, p: u.xx + u.yy + 1.0, [Dirichlet(0.0)])
    inner = jnp.linspace(0.01, 0.99, 5)
    sign = sum(side)
    for x, y in [(0.0, sign * inner), (inner, 0.0), (-1.0, inner), (-inner, -sign)]:
        np.testing.assert_allclose(_jet(problem, key, x=x, y=y).value, 0.0, atol=1e-14)
    assert shape.volume == 3.0
    points = shape.sample(generator(key), 500)
    assert not np.any((points["x"] > 0) & (sign * points["y"] > 0))


def _terms(problem):
    return Objective(Trial(problem, MLP(width=6, depth=2))).terms


def _violation(problem, name, solution, key):
    """The residual of one term, with a known function in place of the network."""
    from physsynth.pinn.jet import taylor
    from physsynth.pinn.objective import _contract
    from physsynth.pinn.trial import as_fields

    term = next(term for term in _terms(problem) if term.name.startswith(name))
    points = term.draw(generator(key), 100)
    fields = as_fields({"u": taylor(solution, points, term.indices)}, problem.coordinates)
    return _contract(term, term.residual(fields, points))


@pytest.mark.parametrize(
    ("condition", "name", "solution"),
    [
        (Neumann(-1.0, {"x": -1.0}), "Robin", lambda p: p["x"] + 0 * p["t"]),
        (Robin(2.0, 1.0, 5.0, {"x": 1.0}), "Robin", lambda p: p["x"] ** 3 + p["t"] * 0),
        (Dirichlet(lambda p: p["t"], {"x": 1.0}, exact=False), "Dirichlet", lambda p: p["t"] * p["x"]),
        (Integral("x", lambda p: 2.0 * p["t"] / 3.0), "Integral", lambda p: p["t"] * p["x"] ** 2),
        (Data({"t": np.ones(2), "x": np.array([0.0, 1.0])}, np.array([0.0, 1.0])), "Data", lambda p: p["x"]),
        (Inequality("rises", lambda u, p: -u.x), "rises", lambda p: p["x"] ** 3),
    ],
)
def test_penalised_conditions_vanish_on_what_satisfies_them(condition, name, solution, key):
    walls = Dirichlet(0.0, {"x": (-1.0, 1.0)}, exact=False)
    problem = Problem(BOX, _heat, [condition, Initial(0.0, exact=False), walls])
    assert jnp.max(jnp.abs(_violation(problem, name, solution, key))) < 1e-13
    assert jnp.max(jnp.abs(_violation(problem, name, lambda p: 3.0 - 2.0 * p["x"], key))) > 0.1


BEAM = {"x": (0.0, 1.0)}
CLAMPED = [Dirichlet(0.0, {"x": 0.0}), Neumann(0.0, {"x": 0.0})]


def test_a_beam_with_a_free_end_bends_as_it_should(key):
    """Under a uniform load q: w = q x^2 (6 - 4 x + x^2) / 24 for unit length and stiffness."""
    free = Boundary(lambda u, p: {"moment": u.xx, "shear": u.xxx}, {"x": 1.0})
    beam = Problem(BEAM, lambda u, p: u.xxxx - 24.0, [*CLAMPED, free])
    solution = solve(beam, key, 400, network=MLP(10, 2), sampling=Sampling(500))
    x = jnp.linspace(0.0, 1.0, 21)
    wanted = x**2 * (6.0 - 4.0 * x + x**2)
    error = jnp.linalg.norm(solution.evaluate({"x": x})["u"] - wanted) / jnp.linalg.norm(wanted)
    assert error <= 1e-3
    assert error <= 3.0 * solution.error
    assert "Boundary 1 at x = 1" in solution.summary()["terms"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda u, p: u.xx, "underdetermined"),
        (lambda u, p: (u.xx, u.y), "after the dot only coordinates"),
        (lambda u, p: (u.xx, 1.0), "at each point"),
        (lambda p: p["x"], "other arguments"),
    ],
)
def test_an_equation_on_a_face_is_read_like_any_other(function, message):
    with pytest.raises(PhyssynthError, match=message):
        Problem(BEAM, lambda u, p: u.xxxx - 24.0, [*CLAMPED, Boundary(function, {"x": 1.0})])


def test_an_equation_on_a_face_takes_no_part_in_symmetries():
    walls = [Dirichlet(0.0, {"x": (-1.0, 1.0)}), Initial(lambda p: 1.0 - p["x"] ** 2)]
    assert symmetries(Problem(BOX, _heat, walls))
    assert not symmetries(Problem(BOX, _heat, [*walls, Boundary(lambda u, p: u.t, {"x": 1.0})]))

"""A symmetry is found exactly where the equation and every condition have it, and the solution is unique."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from physsynth import pinn
from physsynth.core import Parameter
from physsynth.pinn.symmetry import symmetries

BOX = {"t": (0.0, 1.0), "x": (-1.0, 1.0)}
ENDS = {"x": (-1.0, 1.0)}
SINE = pinn.Initial(lambda p: -jnp.sin(jnp.pi * p["x"]))
BUMP = pinn.Initial(lambda p: p["x"] ** 2 * jnp.cos(jnp.pi * p["x"]))
WALLS = pinn.Dirichlet(0.0, ENDS)


def burgers(u, p):
    return u.t + u * u.x - 0.01 * u.xx


def allen_cahn(u, p):
    return u.t - 1e-4 * u.xx + 5.0 * (u**3 - u)


def heat(u, p):
    return u.t - u.xx


def _parities(residual, conditions, box=BOX, **settings):
    found = symmetries(pinn.Problem(box, residual, conditions, **settings))
    return {(s.field, s.along): s.parity for s in found}


@pytest.mark.parametrize(
    ("residual", "conditions", "parity"),
    [
        (burgers, [SINE, WALLS], -1),
        (burgers, [SINE, pinn.Periodic("x")], -1),
        (burgers, [SINE, pinn.Dirichlet(0.0, ENDS, exact=False)], -1),
        (burgers, [SINE, pinn.Dirichlet(lambda p: p["x"] * p["t"], ENDS)], -1),
        (allen_cahn, [BUMP, pinn.Periodic("x")], 1),
        (heat, [BUMP, pinn.Neumann(lambda p: p["t"], ENDS)], 1),
        (heat, [SINE, pinn.Neumann(lambda p: p["x"], ENDS)], -1),
        (heat, [BUMP, pinn.Robin(1.0, lambda p: 1.0 + p["t"], 0.0, ENDS)], 1),
        (heat, [SINE, WALLS, pinn.Inequality("rises", lambda u, p: -u.x)], -1),
        (lambda u, p: u.t - u.xx + p["x"] * u.x, [BUMP, pinn.Periodic("x"), pinn.Integral("x", 1.0)], 1),
    ],
)
def test_a_symmetry_is_found(residual, conditions, parity):
    assert _parities(residual, conditions) == {("u", "x"): parity}


@pytest.mark.parametrize(
    ("residual", "conditions"),
    [
        # A start that is shifted, that has another mode, or that is not even where the equation asks for it.
        (burgers, [pinn.Initial(lambda p: -jnp.sin(jnp.pi * (p["x"] - 1e-6))), pinn.Periodic("x")]),
        (burgers, [pinn.Initial(lambda p: jnp.cos(jnp.pi * p["x"])), pinn.Periodic("x")]),
        # An equation with another term, however small, or whose coefficient is not even.
        (lambda u, p: burgers(u, p) + 1e-6 * u.x, [SINE, WALLS]),
        (lambda u, p: heat(u, p) + u**2, [SINE, WALLS]),
        (lambda u, p: heat(u, p) + p["x"] * u, [SINE, WALLS]),
        (lambda u, p: u.t + u * u.x + u.xxx, [SINE, pinn.Periodic("x")]),
        # Walls that differ.
        (heat, [SINE, pinn.Dirichlet(lambda p: p["t"] * (1.0 + p["x"]), ENDS)]),
        (heat, [SINE, pinn.Dirichlet(0.0, {"x": -1.0}), pinn.Dirichlet(0.0, {"x": 1.0}, exact=False)]),
        (heat, [SINE, pinn.Dirichlet(0.0, {"x": -1.0}), pinn.Neumann(0.0, {"x": 1.0})]),
        (heat, [BUMP, pinn.Neumann(lambda p: p["x"], ENDS)]),
        # What is measured may not be symmetric, nor what must not be exceeded.
        (heat, [SINE, WALLS, pinn.Data({"t": np.ones(1), "x": np.zeros(1)}, np.zeros(1))]),
        (heat, [SINE, WALLS, pinn.Inequality("negative", lambda u, p: u.value)]),
        # No uniqueness: steady, or given at a later time.
        (lambda u, p: u.tt + u.xx + u**3, [pinn.Dirichlet(0.0)]),
        (heat, [SINE, WALLS, pinn.Dirichlet(0.0, {"t": 1.0}, exact=False)]),
        # Declared already.
        (burgers, [SINE, WALLS, pinn.Symmetry("x", -1)]),
    ],
)
def test_none_is_found(residual, conditions):
    assert _parities(residual, conditions) == {}


def test_it_must_hold_for_every_value_of_a_parameter():
    def drifting(u, p):
        return u.t + p["drift"] * u.x - 0.1 * u.xx

    conditions = [SINE, pinn.Periodic("x")]
    drift = {"drift": Parameter(dist.Uniform(-1.0, 1.0))}
    assert _parities(drifting, conditions, parameters=drift) == {}
    assert _parities(drifting, conditions, parameters={"drift": 0.0}) == {("u", "x"): -1}


def test_each_field_and_coordinate_has_its_own_parity():
    def vortex(q, p):
        """Taylor and Green's, without pressure."""
        return {
            "u": q.u.t + q.u * q.u.x + q.v * q.u.y - q.u.xx - q.u.yy,
            "v": q.v.t + q.u * q.v.x + q.v * q.v.y - q.v.xx - q.v.yy,
        }

    start = [
        pinn.Initial(lambda p: jnp.sin(p["x"]) * jnp.cos(p["y"]), field="u"),
        pinn.Initial(lambda p: -jnp.cos(p["x"]) * jnp.sin(p["y"]), field="v"),
    ]
    box = {"t": (0.0, 1.0), "x": (-np.pi, np.pi), "y": (-np.pi, np.pi)}
    periodic = [pinn.Periodic("x"), pinn.Periodic("y")]
    found = _parities(vortex, [*start, *periodic], box, fields=("u", "v"))
    assert found == {("u", "x"): -1, ("v", "x"): 1, ("u", "y"): 1, ("v", "y"): -1}

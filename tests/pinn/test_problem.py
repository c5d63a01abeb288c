"""A problem reads its equation, and says what is wrong with it before anything is trained."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from physsynth.core import Parameter
from physsynth.core.errors import ParameterError, UnknownNameError
from physsynth.pinn import (
    Data,
    Dirichlet,
    Domain,
    Initial,
    Integral,
    Neumann,
    Periodic,
    Problem,
    Robin,
    Symmetry,
)
from physsynth.pinn.field import split

BOX = {"t": (0.0, 1.0), "x": (-1.0, 1.0)}
ENDS = {"x": (-1.0, 1.0)}
WALLS = Dirichlet(0.0, ENDS)
START = Initial(lambda p: -jnp.sin(jnp.pi * p["x"]))


def burgers(u, p):
    return u.t + u * u.x - p["nu"] * u.xx


def heat(u, p):
    return u.t - u.xx


def test_derivatives_are_found_by_reading_the_equation():
    problem = Problem(BOX, burgers, [START, Dirichlet(0.0, ENDS)], {"nu": 0.1})
    assert problem.orders("u") == {"t": 1, "x": 2}
    assert problem.indices.members == ((0, 0), (0, 1), (1, 0), (0, 2))


def test_several_fields_and_named_equations():
    def stokes(q, p):
        return {
            "x momentum": q.u.xx + q.u.yy - q.p.x,
            "y momentum": q.v.xx + q.v.yy - q.p.y,
            "mass": q.u.x + q.v.y,
        }

    square = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    walls = [Dirichlet(0.0, field="u"), Dirichlet(0.0, field="v"), Integral("x", 0.0, "p")]
    problem = Problem(square, stokes, walls, fields=("u", "v", "p"))
    assert problem.equations == ("x momentum", "y momentum", "mass")
    assert problem.orders("p") == {"x": 1, "y": 1}


def test_names_of_coordinates_may_overlap():
    assert split("xtheta", ("x", "t", "theta")) == ["x", "theta"]
    assert split("xz", ("x", "t")) is None


@pytest.mark.parametrize(
    ("residual", "name"),
    [
        (lambda u, p: u.t - u.yy, "u.yy"),
        (lambda u, p: u.t - p["kappa"] * u.xx, "kappa"),
    ],
)
def test_an_undeclared_coordinate_or_parameter_is_named(residual, name):
    with pytest.raises(UnknownNameError, match=name):
        Problem(BOX, residual, [START, Dirichlet(0.0, ENDS)])


def test_an_undeclared_field_is_named():
    with pytest.raises(UnknownNameError, match="one of: u, v"):
        Problem(BOX, lambda q, p: q.u.t + q.w, [START], fields=("u", "v"))


@pytest.mark.parametrize("interval", [(0.0, 0.0), (1.0, 0.0), (0.0, float("inf"))])
def test_a_domain_of_zero_measure_is_refused(interval):
    with pytest.raises(ParameterError, match="zero measure"):
        Domain({"t": (0.0, 1.0), "x": interval})


@pytest.mark.parametrize(
    "conditions",
    [
        [START, Dirichlet(0.0, ENDS), Dirichlet(1.0, {"x": 1.0})],
        [START, Dirichlet(0.5, ENDS)],
        [Initial(lambda p: p["x"]), Periodic("x")],
    ],
)
def test_conditions_that_contradict_each_other_are_refused(conditions):
    with pytest.raises(ParameterError, match="contradict"):
        Problem(BOX, heat, conditions)


@pytest.mark.parametrize(
    "conditions",
    [[START], [Dirichlet(0.0, ENDS)], [START, Dirichlet(0.0, {"x": -1.0})]],
)
def test_an_underdetermined_problem_is_refused(conditions):
    with pytest.raises(ParameterError, match="underdetermined"):
        Problem(BOX, heat, conditions)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"residual": 3.0}, "not a function"),
        ({"residual": lambda u: u.t - u.xx}, "other arguments"),
        ({"residual": lambda u, p: None}, "at each point"),
        ({"residual": lambda u, p: jnp.sum(u.t - u.xx)}, "at each point"),
        ({"residual": lambda u, p: u.t - u.xx if p["x"] > 0 else u.t}, "JAX cannot trace"),
        ({"residual": lambda u, p: u.t - u.xx - np.sin(p["x"])}, "JAX cannot trace"),
        ({"residual": lambda q, p: q.u.t - q.u.xx - q.v, "fields": ("u", "v")}, "fewer equations"),
        ({"fields": ()}, "told apart"),
        ({"fields": ("x",)}, "same name"),
        ({"conditions": START}, "not a list"),
        ({"conditions": [START, "walls"]}, "not a condition"),
        ({"conditions": [START, Neumann(float("nan"), ENDS)]}, "no number"),
        ({"conditions": [START, Robin(0.0, 0.0, 1.0, ENDS)]}, "on nothing"),
        ({"conditions": [START, Symmetry("x", parity=3)]}, "even nor odd"),
        (
            {"conditions": [Data({"t": jnp.zeros(1), "x": jnp.full(1, 9.0)}, jnp.zeros(1))]},
            "outside the domain",
        ),
        ({"conditions": [Data({"t": jnp.zeros(1), "x": jnp.zeros(1)}, jnp.zeros(1), noise=0.0)]}, "noise"),
        ({"domain": {"t": (0.0, 1.0), "x": (0.0, 1.0, 2.0)}}, "not an interval"),
        ({"parameters": {"nu": "much"}}, "not a number"),
        ({"parameters": {"nu": Parameter(dist.Poisson(2.0))}}, "discrete"),
    ],
)
def test_what_is_of_the_wrong_kind_is_said_at_the_door(given, message):
    right = {"domain": BOX, "residual": heat, "conditions": [START, Dirichlet(0.0, ENDS)]}
    with pytest.raises(ParameterError, match=message):
        Problem(**{**right, **given})


def test_a_parameter_may_have_any_continuous_law():
    problem = Problem(
        BOX, burgers, [START, Dirichlet(0.0, ENDS)], {"nu": Parameter(dist.LogNormal(0.0, 0.5))}
    )
    # Three standard deviations on either side of the median.
    np.testing.assert_allclose(problem.ranges["nu"], np.exp([-1.5, 1.5]), rtol=1e-5)


def test_slopes_alone_do_not_fix_the_level():
    with pytest.raises(ParameterError, match="level of u"):
        Problem({"x": (0.0, 1.0)}, lambda u, p: u.xx, [Neumann(0.0, {"x": (0.0, 1.0)})])


def test_a_condition_inside_the_domain_is_refused():
    with pytest.raises(ParameterError, match="not on the boundary"):
        Problem(BOX, heat, [START, Dirichlet(0.0, {"x": (-1.0, 0.5)})])


def test_data_without_a_coordinate_are_refused():
    with pytest.raises(ParameterError, match=r"Data\.at"):
        Problem(BOX, heat, [Data({"x": jnp.zeros(3)}, jnp.zeros(3))])


def test_a_parameter_out_of_range_is_refused():
    ranged = {"nu": Parameter(dist.Uniform(0.01, 0.1))}
    problem = Problem(BOX, burgers, [START, Dirichlet(0.0, ENDS)], ranged)
    assert problem.at(nu=0.05).constants["nu"] == 0.05
    with pytest.raises(ParameterError, match=r"0\.01 to 0\.1"):
        problem.at(nu=0.2)


def test_value_and_slope_at_both_ends_are_too_many_conditions():
    with pytest.raises(ParameterError, match="overdetermine"):
        Problem(BOX, heat, [START, Dirichlet(0.0, ENDS), Neumann(0.0, ENDS)])


def test_a_beam_takes_values_and_slopes_at_both_ends():
    ends = {"x": (0.0, 1.0)}
    clamped = [Dirichlet(0.0, ends), Neumann(0.0, ends)]
    assert Problem(ends, lambda u, p: u.xxxx - 1.0, clamped).orders("u") == {"x": 4}


def test_a_residual_that_no_field_enters():
    with pytest.raises(ParameterError, match="enters no equation"):
        Problem(BOX, lambda u, p: p["x"] - 1.0, [START, Dirichlet(0.0, ENDS)])
    with pytest.raises(ParameterError, match="equation of v"):
        Problem(BOX, lambda q, p: {"a": q.u.t - q.u.xx, "b": q.u.x}, [START, WALLS], fields=("u", "v"))

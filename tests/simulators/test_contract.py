"""What every registered simulator must keep."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import physsynth as ps


@pytest.fixture(scope="module", params=ps.simulators())
def sim(request):
    return ps.simulator(request.param)


@pytest.fixture(scope="module")
def runs(sim):
    return ps.simulate(sim, 256, jax.random.key(5), batch=256)


def test_it_is_declared_in_full(sim):
    assert sim.description
    assert sim.references
    assert sim.limit_states
    assert sim.constraints
    assert all(parameter.description for parameter in sim.parameters.values())
    assert all(output.description for output in sim.outputs.values())


def test_outputs_are_as_declared(sim, runs):
    for name, output in sim.outputs.items():
        assert runs[name].dims == ("scenario", *output.dims)
        assert runs[name].attrs["units"] == output.unit


def test_most_ordinary_scenarios_lie_in_the_validity_domain(runs):
    assert (runs["status"] == 0).mean() > 0.95


def test_it_obeys_its_constraints(sim, runs):
    for check in ps.evaluate.plausibility(sim, runs).checks():
        assert check.passed, check


def corners(sim):
    """Every combination of the ends and the middle of the validity domain; medians of what it leaves open."""
    medians = sim.space.from_normal(jnp.zeros(sim.space.dimension))
    ends = [
        np.linspace(*sim.validity[name], 3) if name in sim.validity else [np.asarray(medians[name])]
        for name in sim.parameters
    ]
    chosen = list(product(*ends))
    return {name: np.stack([np.asarray(row[i]) for row in chosen]) for i, name in enumerate(sim.parameters)}


def test_it_keeps_its_promises_at_the_ends_of_its_validity_domain(sim):
    runs = ps.simulate(sim, corners(sim), batch=256)
    assert not runs["status"].any()
    for check in ps.evaluate.plausibility(sim, runs).checks():
        assert check.passed, check


def test_batched_and_single_runs_agree(sim, runs):
    single = sim({name: runs[name].values[3] for name in sim.parameters})
    for name in sim.outputs:
        batched = runs[name].values[3]
        np.testing.assert_allclose(single[name], batched, rtol=1e-10, atol=1e-12 * np.abs(batched).max())


def test_gradients_agree_with_differences(sim, runs):
    if not sim.differentiable:
        return
    p = {name: jnp.asarray(runs[name].values[0], float) for name in sim.parameters}
    output = next(iter(sim.outputs))

    def total(values):
        return jnp.sum(sim(values)[output] ** 2)

    slopes = jax.grad(total)(p)
    for name, value in p.items():
        h = 1e-5 * float(jnp.abs(value).max())
        ahead, behind = (total({**p, name: value + step}) for step in (h, -h))
        np.testing.assert_allclose(slopes[name].sum(), (ahead - behind) / (2 * h), rtol=1e-4, atol=1e-6)

"""Time in windows: each starts where the last one ends, a resumed march repeats it, errors are handed on."""

import jax.numpy as jnp
import numpy as np
import pytest

from physsynth import pinn
from physsynth.pinn.estimate import ErrorEstimate, handed_on
from physsynth.pinn.evolution import initial_rate, time_of
from physsynth.pinn.objective import Objective
from physsynth.pinn.trial import Trial

BOX = {"t": (0.0, 1.0), "x": (0.0, 2.0 * np.pi)}
SINE = pinn.Initial(lambda p: jnp.sin(p["x"]))
RING = pinn.Periodic("x", harmonics=1)
SPRING = pinn.Problem({"t": (0.0, 4.0)}, lambda u, p: u.tt + 9.0 * u, [pinn.Initial(1.0, rate=0.0)])
SMALL = {
    "network": pinn.MLP(width=10, depth=1),
    "stages": [pinn.Stage(pinn.Broyden(steps=50))],
    "sampling": pinn.Sampling(points=100),
}
# Nothing is accepted but halves, which are not halved again.
MARCH = pinn.March(turnovers=13.0, probe=50, accept=0.0, shortest=0.5)


@pytest.mark.parametrize(
    ("residual", "conditions", "rate"),
    [
        (lambda u, p: u.t + 50.0 * u.x, [SINE, RING], 50.0),
        (lambda u, p: 2.0 * u.t - 3.0 * u.xx, [SINE, RING], 1.5),
        (lambda u, p: u.tt - 16.0 * u.xx, [pinn.Initial(SINE.value, rate=0.0), RING], 4.0),
        # Nothing to compare with, and a mixed derivative: it cannot be told.
        (lambda u, p: u.t - u.xx - 1.0, [pinn.Initial(0.0), RING], 0.0),
        (lambda u, p: u.t - u.xxt + u.x, [SINE, RING], 0.0),
    ],
)
def test_the_initial_rate_is_that_of_the_equation(residual, conditions, rate):
    # 512 random points: the standard error of the ratio of mean squares of cosine and sine is 6 %.
    assert initial_rate(pinn.Problem(BOX, residual, conditions), "t") == pytest.approx(rate, rel=0.12)


def test_coupled_fields_are_as_fast_as_the_fastest():
    def turning(q, p):
        return {"u": q.u.t + q.v.t + 4.0 * q.v - 2.0 * q.u, "v": q.v.t - 2.0 * q.u}

    start = [pinn.Initial(1.0, field="u"), pinn.Initial(0.5, field="v")]
    problem = pinn.Problem({"t": (0.0, 1.0)}, turning, start, fields=("u", "v"))
    # v_t = 2 u = 2, four times v; u_t = 2 u - 4 v - v_t = -2.
    assert initial_rate(problem, "t") == pytest.approx(4.0)


def test_a_steady_problem_has_no_time():
    rod = pinn.Problem({"x": (0.0, 1.0)}, lambda u, p: u.xx + 1.0, [pinn.Dirichlet(0.0)])
    assert time_of(rod) is None


@pytest.fixture(scope="module")
def marched(key):
    return pinn.solve(SPRING, key, budget=800, march=MARCH, **SMALL)


def test_a_spring_is_followed_through_its_windows(marched):
    t = np.linspace(0.0, 4.0, 201)
    error = np.linalg.norm(marched(t=t) - np.cos(3.0 * t)) / np.linalg.norm(np.cos(3.0 * t))
    assert [part.end for part in marched.windows] == [2.0, 4.0]
    assert marched.history["iterations"][0] == 100
    assert error < 1e-3
    assert error <= 3.0 * marched.error
    assert marched.converged


def test_windows_end_once_the_error_is_small_enough(key):
    found = pinn.solve(SPRING, key, pinn.Budget(2000, error=1e-2), march=MARCH, **SMALL)
    t = np.linspace(0.0, 4.0, 201)
    assert found.history["iterations"][-1] < 2000
    assert np.linalg.norm(found(t=t) - np.cos(3.0 * t)) <= 3e-2 * np.linalg.norm(np.cos(3.0 * t))


def test_value_and_rate_are_handed_over_exactly(marched):
    for before, after in zip(marched.windows, marched.windows[1:], strict=False):
        end = {"t": jnp.array([before.end])}
        old, new = before.derivatives(end)["u"], after.derivatives(end)["u"]
        np.testing.assert_allclose(new.value, old.value, rtol=1e-12)
        np.testing.assert_allclose(new.t, old.t, rtol=1e-10)


def test_derivatives_are_those_of_the_windows(marched):
    t = jnp.linspace(0.1, 3.9, 20)
    u = marched.derivatives({"t": t})["u"]
    np.testing.assert_allclose(u.tt, -9.0 * jnp.cos(3.0 * t), atol=0.1)


def test_a_march_reads_back_and_says_what_it_is(marched, tmp_path):
    again = pinn.Solution.load(marched.save(tmp_path / "spring.nc"), SPRING)
    t = np.linspace(0.0, 4.0, 9)
    np.testing.assert_array_equal(again(t=t), marched(t=t))
    assert again.summary() == marched.summary()
    assert again.summary()["windows"] == len(marched.windows)
    assert again.problem.domain == SPRING.domain


def test_an_interrupted_march_goes_on_to_the_same_bytes(marched, key, tmp_path):
    whole = marched.save(tmp_path / "whole.nc").read_bytes()

    path = tmp_path / "march.nc"
    seen = []

    def stop_in_the_second_window(state):
        seen.append(state.iterations)
        if len(seen) > 1 and seen[-1] < seen[-2]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pinn.solve(SPRING, key, 800, march=MARCH, checkpoint=path, observe=stop_in_the_second_window, **SMALL)
    resumed = pinn.solve(SPRING, key, 800, march=MARCH, checkpoint=path, **SMALL)
    assert resumed.save(tmp_path / "resumed.nc").read_bytes() == whole


def test_windows_share_what_is_compiled_for_the_same_terms():
    """The first window of a penalised start has terms that later ones, which begin exactly, have not."""
    start = pinn.Initial(1.0, rate=0.0, exact=False)
    penalised = pinn.Problem(SPRING.domain, SPRING.residual, [start])
    cache, problems = {}, (penalised, SPRING, SPRING)
    objectives = [Objective(Trial(problem, pinn.MLP(4, 1)), cache) for problem in problems]
    functions = [objective.compiled("loss", objective.value) for objective in objectives]
    assert functions[0] is not functions[1]
    assert functions[1] is functions[2]


def test_errors_are_handed_on_and_amplified():
    """A neutral equation, C = h / sqrt(3), adds errors up; C twice that doubles what it is handed."""
    neutral, unstable = (
        ErrorEstimate({"u": 1e-3}, {"u": factor * 0.5 / np.sqrt(3.0)}, 1.0) for factor in (1.0, 2.0)
    )
    step = np.sqrt(3.0) * 1e-3
    added = handed_on([(0.5, neutral), (0.5, neutral)], {"u": 1}).largest
    assert added == pytest.approx(step * np.sqrt((1.0 + 4.0) / 2.0))
    grown = handed_on([(0.5, neutral), (0.5, unstable)], {"u": 1}).largest
    assert grown == pytest.approx(step * np.sqrt((1.0 + 9.0) / 2.0))
    assert handed_on([(0.5, neutral)], {"u": 1}) is neutral


def test_the_first_window_is_as_long_as_the_rate_suggests():
    assert pinn.March(turnovers=6.0).first(SPRING, "t") == 2.0
    assert pinn.March(turnovers=13.0).first(SPRING, "t") == 4.0


def test_an_error_that_grows_from_window_to_window_is_estimated(key):
    """u' = 3 (u - cos t) - sin t from u(0) = 1 + d is cos t + d e^(3 t): any error grows by e^6 a window."""
    growing = pinn.Problem(
        {"t": (0.0, 4.0)},
        lambda u, p: u.t - 3.0 * (u - jnp.cos(p["t"])) + jnp.sin(p["t"]),
        [pinn.Initial(1.0001)],
    )
    solution = pinn.solve(growing, key, 600, march=MARCH, **{**SMALL, "network": pinn.MLP(10, 2)})
    t = np.linspace(0.0, 4.0, 401)
    exact = np.cos(t) + 1e-4 * np.exp(3.0 * t)
    error = np.linalg.norm(solution.evaluate({"t": t})["u"] - exact) / np.linalg.norm(exact)
    assert len(solution.windows) == 2
    assert error / 3.0 <= solution.error <= 10.0 * error

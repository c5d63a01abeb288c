"""Training ends at the error that is wanted; a network that would not get there grows, the same at first."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth import pinn
from physsynth.pinn.checkpoint import Checkpoint
from physsynth.pinn.growth import Growth, Prospect, Wider, trained
from physsynth.pinn.objective import Objective
from physsynth.pinn.training import Training
from physsynth.pinn.trial import Trial

PROBLEM = pinn.Problem(
    {"t": (0.0, 1.0), "x": (0.0, 1.0)},
    lambda u, p: u.t - 0.1 * u.xx,
    [pinn.Initial(lambda p: jnp.sin(jnp.pi * p["x"])), pinn.Dirichlet(0.0, {"x": (0.0, 1.0)})],
)
STAGES = (pinn.Stage(pinn.Adam(steps=10), rounds=1), pinn.Stage(pinn.Broyden(steps=10)))
SAMPLING = pinn.Sampling(points=250)
GROWTH = Growth(pinn.MLP(width=6, depth=2), SAMPLING)
# Three units a layer do not solve the heat equation to seven digits.
BUDGET = pinn.Budget(iterations=800, error=1e-7)
GRID = {"t": jnp.linspace(0.0, 1.0, 11)[:, None], "x": jnp.linspace(0.0, 1.0, 13)[None, :]}


@pytest.fixture(scope="module")
def training():
    return Training(Objective(Trial(PROBLEM, pinn.MLP(width=3, depth=2))), STAGES, SAMPLING)


def run(training, key, budget, path=None, stop=None):
    seen, store = [], Checkpoint(path, training, key)

    def observe(state, store):
        seen.append(state)
        store.write(state)
        if state.iterations == stop:
            raise KeyboardInterrupt

    return *trained(training, store.restore(), budget, store, GROWTH, observe), seen


@pytest.fixture(scope="module")
def whole(training, key):
    return run(training, key, BUDGET)


def values(training, weights):
    trial = training.objective.trial
    points = {name: value.ravel() for name, value in jax.tree.map(jnp.broadcast_to, GRID, SHAPES).items()}
    frame = trial.frame(points, training.objective.values_only)
    return np.asarray(trial.jets(weights, frame)["u"].value)


SHAPES = dict.fromkeys(GRID, (11, 13))
EXACT = np.exp(-0.1 * np.pi**2 * GRID["t"]) * np.sin(np.pi * GRID["x"])


def test_a_network_that_would_not_get_there_grows_and_is_the_same_function_at_first(training, whole):
    grown, state, seen = whole
    assert grown.objective.trial.architecture == GROWTH.network
    assert state.iterations == BUDGET.iterations
    last = next(s for s in reversed(seen) if s.weights.size == training.objective.trial.network.size)
    first = GROWTH.of(training, last).before
    np.testing.assert_allclose(values(grown, first.weights), values(training, last.weights), atol=1e-14)
    assert last.iterations < BUDGET.iterations
    assert state.loss < 0.1 * last.loss


def test_what_is_known_of_the_curvature_is_kept(training, whole):
    last = next(s for s in reversed(whole[2]) if s.weights.size == training.objective.trial.network.size)
    grown = GROWTH.of(training, last).before
    kept = np.flatnonzero(np.isin(np.asarray(grown.weights), np.asarray(last.weights)))
    gradient = np.zeros(grown.weights.size)
    rng = np.random.default_rng(0)
    gradient[kept] = rng.normal(size=kept.size)
    assert kept.size == last.weights.size
    wanted = np.tril(last.memory.inverse) + np.tril(last.memory.inverse, -1).T
    found = np.tril(grown.memory.inverse) + np.tril(grown.memory.inverse, -1).T
    np.testing.assert_allclose((found @ gradient)[kept], wanted @ gradient[kept], rtol=1e-12)


def test_the_wider_network_sees_the_error_of_the_one_that_it_may_become(training, whole, key):
    last = next(s for s in reversed(whole[2]) if s.weights.size == training.objective.trial.network.size)
    wider = Wider(GROWTH, training.objective)
    quick = Prospect(training.objective, BUDGET, key).estimate(last)
    found = wider.error_of(quick, last, key)
    exact = EXACT.ravel()
    error = np.linalg.norm(values(training, last.weights) - exact) / np.linalg.norm(exact)
    assert 0.5 * error <= found.explained <= found.largest <= 3.0 * error


def test_what_feeds_units_that_nothing_reads_does_not_move_the_fields(training, key):
    wider = Wider(GROWTH, training.objective)
    objective, places = wider.objective, wider.places
    network = objective.trial.network
    weights = places.widened(training.start(key).weights, GROWTH.fresh(network, key))
    still = np.setdiff1d(np.arange(network.size), places.moving)
    moved = np.asarray(weights).copy()
    moved[still] += 1.0
    grown = Training(objective, STAGES, SAMPLING)
    np.testing.assert_array_equal(values(grown, moved), values(grown, weights))
    moved[places.unread] += 1.0
    assert np.max(np.abs(values(grown, moved) - values(grown, weights))) > 0.01


@pytest.mark.parametrize("stop", [100, 600])
def test_an_interrupted_run_grows_and_resumes_to_the_same_bytes(training, whole, key, tmp_path, stop):
    path = tmp_path / "state.nc"
    with pytest.raises(KeyboardInterrupt):
        run(training, key, BUDGET, path, stop)
    _, again, seen = run(training, key, BUDGET, path)
    assert seen[0].iterations == stop + 10
    np.testing.assert_array_equal(again.weights, whole[1].weights)


def test_training_ends_once_the_error_is_small_enough(training, key):
    wanted = pinn.Budget(iterations=800, error=3e-2)
    last, state, seen = run(training, key, wanted)
    assert last is training
    assert state.iterations == len(seen) * 10 < wanted.iterations
    exact = np.exp(-0.1 * np.pi**2 * GRID["t"]) * np.sin(np.pi * GRID["x"])
    error = np.linalg.norm(values(last, state.weights) - exact.ravel()) / np.linalg.norm(exact)
    assert error <= 3.0 * wanted.error


class Told(Prospect):
    """A prospect that is told what the estimates are, of a training whose loss falls as N^-4."""

    quick, exact = 0.0, 0.0

    def estimate(self, state):
        return SimpleNamespace(largest=self.quick)

    def checked(self, state):
        return SimpleNamespace(largest=self.exact)


@pytest.mark.parametrize(
    ("quick", "exact", "grows", "ends"),
    [
        (3e-6, 8e-7, False, True),
        (3e-6, 1.2e-6, False, False),
        (8e-7, 1.2e-6, False, False),
        # 1e-3 would take 142 times the iterations, 3e-6 less than twice as many.
        (1e-3, 3e-6, True, False),
        (1e-3, 1e-3, True, True),
        (1e-3, 1e-3, False, False),
    ],
)
def test_the_linearised_equation_decides_when_to_stop_and_when_to_grow(quick, exact, grows, ends):
    prospect = Told(None, pinn.Budget(iterations=10_000, error=1e-6), None, grows)
    for name, value in {"quick": quick, "exact": exact}.items():
        object.__setattr__(prospect, name, value)
    losses = np.arange(1.0, 46.0) ** -4
    state = SimpleNamespace(history={"loss": list(losses)}, iterations=4500, trail=[None] * 46)
    assert prospect(state) is ends


def test_a_following_stage_of_the_same_kind_keeps_what_was_learned(training, key):
    stages = (pinn.Stage(pinn.Broyden(steps=5), rounds=1), pinn.Stage(pinn.Broyden(steps=10)))
    state = Training(training.objective, stages, SAMPLING).start(key)
    after = Training(training.objective, stages, SAMPLING).advance(state)
    assert (after.stage, after.iterations) == (1, 5)
    assert not after.memory.fresh
    assert state.memory.fresh


def test_the_iterations_that_a_power_law_needs():
    # A loss N^-4 is an error N^-2: ten times less error is sqrt(10) times the iterations.
    rounds = np.arange(1, 401)
    state = SimpleNamespace(history={"loss": list(rounds**-4.0)}, iterations=400)
    prospect = Prospect(None, pinn.Budget(error=1e-6), None)
    assert prospect.needed(state, 1e-5) == pytest.approx(400 * np.sqrt(10.0))
    stuck = SimpleNamespace(history={"loss": [1.0] * 40}, iterations=40)
    assert prospect.needed(stuck, 1e-5) > 1e9

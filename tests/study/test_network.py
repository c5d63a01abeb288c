"""A study through a network: trained on the equation, calibrated in the simulator's place, guide to failures.

A body cools as u' = -k u and is too warm after a second: simple enough that the failure probability under any
posterior draw is an integral over one normal. What is said of it holds however long the chains were.
"""

from importlib.metadata import EntryPoint

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats
from small import run_here, small_study

import physsynth as ps
from physsynth.core import Coordinate, Equation, registry
from physsynth.release import verify

pytestmark = pytest.mark.xdist_group("studies")

TIMES, NOISE, LIMIT, TARGET_COV, REPLICATES = np.linspace(0.25, 1.0, 4), 0.02, 1.0, 0.04, 4
START, SPREAD = 0.0, 0.25


@ps.define_simulator(
    "tests/cooling",
    parameters={
        "start": ps.Parameter(dist.LogNormal(START, SPREAD), "K", "warmth at first"),
        "k": ps.Parameter(dist.LogNormal(0.0, 0.3), "1/s", "rate of cooling"),
    },
    outputs={
        "warmth": ps.Output("K", "over the surroundings", {"t": Coordinate("times", "s", "time")}),
        "last": ps.Output("K", "warmth after a second"),
    },
    limit_states={"warm": ps.LimitState("K", lambda p, y, limit: limit - y["last"], {"limit": "K"})},
    options={"times": ps.Option(TIMES, "s", "times")},
    equation=Equation(
        domain={"t": (0.0, 1.0)},
        residual=lambda u, p: u.t + p["k"] * u,
        edges={},
        start=lambda p: p["start"],
        read={"warmth": lambda u, p, times: u(p, t=times), "last": lambda u, p, times: u(p, t=1.0)},
        proportional="start",
    ),
)
def cooling(p, *, times):
    """Newton's law of cooling."""
    return {"warmth": p["start"] * jnp.exp(-p["k"] * times), "last": p["start"] * jnp.exp(-p["k"])}


STUDY = f"""
[study]
question = "How likely is a body still warm after a second?"
seed = 3
[simulator]
name = "tests/cooling"
[network]
iterations = 400
width = 8
depth = 2
points = 250
ranges = {{ k = ["0.25 1/s", "4 1/s"] }}
[measurements]
file = "bodies.csv"
source = "Simulated in a test"
units = {{ start = "K", t = "s", warmth = "K" }}
groups = "body"
[calibrate]
chains = 2
warmup = 150
draws = 150
[calibrate.parameters.k]
median = {{ distribution = "LogNormal", loc = 0.0, scale = 0.5 }}
spread = {{ distribution = "LogNormal", loc = -1.5, scale = 0.4 }}
[calibrate.noise]
additive = {{ distribution = "LogNormal", loc = -4.0, scale = 0.5 }}
[scenario.parameters]
start = {{ distribution = "LogNormal", loc = {START}, scale = {SPREAD}, unit = "K" }}
[rare]
limit_state = "warm"
limit = "{LIMIT} K"
target_cov = {TARGET_COV}
max_calls = 10_000
scenarios = 100
replicates = {REPLICATES}
"""


def bodies() -> str:
    """Simulated measurements of six bodies."""
    draw = np.random.default_rng(1)
    rows = ["body,start,t,warmth"]
    for body in range(6):
        start, k = draw.uniform(0.8, 1.2), np.exp(0.2 * draw.standard_normal())
        warmth = start * np.exp(-k * TIMES) + NOISE * draw.standard_normal(TIMES.size)
        rows += [f"{body},{start},{t},{u}" for t, u in zip(TIMES, warmth, strict=True)]
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The study, run as if a package had registered the simulator."""
    folder = tmp_path_factory.mktemp("network")
    (folder / "bodies.csv").write_text(bodies())
    study = folder / "cooling.toml"
    study.write_text(STUDY)
    entry = EntryPoint("tests/cooling", f"{__name__}:cooling", registry.GROUP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", lambda: {"tests/cooling": entry})
        return run_here(study)


def exact_probabilities(result) -> np.ndarray:
    """The failure probability under each posterior draw: ln(start) > ln(limit) + k, over k's normal."""
    draws = result.stage("calibrate", "calibration.nc", group="posterior")
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    k = np.exp(np.log(draws["k"].values)[..., None] + draws["k_spread"].values[..., None] * z)
    return stats.norm.sf((np.log(LIMIT) + k - START) / SPREAD) @ weight / weight.sum()


def test_every_stage_runs_and_the_release_verifies(result):
    assert verify(result.out / "release").passed
    assert set(result.stages) == {"network", "calibrate", "rare", "evaluate", "release", "report"}


def test_the_network_is_held_against_the_solver(result):
    found = result.stages["network"]
    assert found["compared"] == 256
    assert 0.0 < found["errors"]["warmth"]["median"] < 3 * found["error"] < 0.1


def test_the_networks_error_enters_the_noise(result):
    # The error that four measurements of a body share, beside the noise: sqrt(4) e |u| / sd.
    checks = {check["name"]: check["value"] for check in result.stages["calibrate"]["checks"]}
    posterior, observed = (
        result.stage("calibrate", "calibration.nc", group=group) for group in ("posterior", "observed_data")
    )
    shared = 2.0 * result.stages["network"]["error"] * float(np.abs(observed["warmth"]).mean())
    noise = float(posterior["additive_noise"].median())
    assert checks["network's error beside the noise"] == pytest.approx(shared / noise, rel=1e-6)
    assert checks["members within the network's ranges"] == 1.0


def test_failures_are_the_solvers_not_the_networks(result):
    rare = result.files["rare_scenarios"]
    exact = rare["start"] * np.exp(-rare["k"])
    np.testing.assert_allclose(rare["last"], exact, rtol=1e-12)
    assert bool((exact >= LIMIT).all())
    assert result.stages["rare"]["guide_calls"] > result.stages["rare"]["calls"] > 0


def test_the_probability_is_the_solvers_under_every_posterior_draw(result):
    exact, found = exact_probabilities(result), result.stages["rare"]["probability"]
    # Four standard errors, of at most twice the target or the run fails its own check.
    assert abs(found / exact.mean() - 1.0) < 4 * TARGET_COV
    errors, (low, high) = (result.stages["rare"][k] for k in ("relative_errors", "monte_carlo_interval_95"))
    assert errors["scenarios"] < 2 * TARGET_COV
    assert high - low > 2 * 1.96 * found * np.hypot(*errors.values())
    each = result.stage("rare", "probability.nc")
    order = np.corrcoef(np.log(exact.ravel()), np.log(each["probability"]))[0, 1]
    assert order > 0.99


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('name = "fields/heat"', 'name = "driving/braking"', "rare.limit_state"),
        ("[network]", '[network]\nrange = { loss = ["1 W/m^2/K", "2 W/m^2/K"] }', "network.range"),
        ('conductivity = ["12 W/m/K"', 'conductivity = ["12 kg"', "network.ranges.conductivity"),
        ("ranges = { conductivity", "ranges = { height", "network.ranges.height"),
        ("ranges = { conductivity", 'ranges = { power = ["1 W", "2 W"], conductivity', "ranges.power"),
        ('limit_state = "overheating"', 'limit_state = "overheating"\nmethod = "subset"', "rare.method"),
    ],
)
def test_what_a_network_cannot_do_is_said_before_it_is_trained(command, tmp_path, old, new, key):
    study = small_study("hot_spot", tmp_path)
    text = study.read_text()
    assert old in text
    study.write_text(text.replace(old, new))
    code, _, words = command("check", study)
    assert code == 2
    assert key in words


def test_the_hot_spot_study_passes_the_check(command, tmp_path):
    assert command("check", small_study("hot_spot", tmp_path))[0] == 0

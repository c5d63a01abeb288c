"""Population requirements against a case with a closed form.

Members measured exactly with known spread 1 and a normal posterior of the mean: after n more members the
posterior sd is (1 / s^2 + n)^(-1/2), whatever the members turn out to be.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physsynth.core.errors import ParameterError, UnknownNameError
from physsynth.require import Regime, population

S, SD, MAX_N = 4000, 0.3, 256
Z90 = 1.6448536269514722


def exact(psi, key):
    return 1e10 * jnp.eye(1)


def mean_and_other(theta):
    return theta["location"][0] + theta["other"][0]


def posterior(other_sd=0.0):
    normal = jax.random.normal(jax.random.key(0), (S, 3))
    normal = (normal - normal.mean(0)) / normal.std(0)
    core = {"location": SD * normal[:, :1], "log_spread": 1e-3 * normal[:, 1:2]}
    return core | {"other": other_sd * normal[:, 2:]}


def factor_at(n, other_sd=0.0):
    """The ratio of the interval's ends after n more members."""
    return math.exp(2 * Z90 * math.sqrt(1 / (1 / SD**2 + n) + other_sd**2))


def noisy(psi, key):
    return jnp.eye(1) / 3.0


def ask():
    return population(
        posterior(),
        exact,
        mean_and_other,
        factor_at(100),
        jax.random.key(1),
        max_n=MAX_N,
        designs={"noise variance 3": noisy},
        costs={"as planned": 2.0, "noise variance 3": 0.4},
        replicates=100,
    )


@pytest.fixture(scope="module")
def forecast():
    return ask()


def test_number_has_the_closed_form(forecast):
    """A width from 1000 draws has a standard error of 2.8 %, so n one of 5.6 %, its median 0.7 %."""
    assert forecast.verdict == "FORECAST"
    assert forecast.quantiles[0.5] == pytest.approx(100, rel=0.05)
    assert forecast.quantiles[0.95] / forecast.quantiles[0.05] < 1.35
    assert forecast.number == pytest.approx(105, abs=6)
    assert forecast.probability_never == 0


def test_present_ratio_and_paths(forecast):
    assert forecast.bound == pytest.approx(factor_at(0), rel=0.05)
    assert forecast.forecast.sizes == {"replicate": 100, "n": 9}
    median = forecast.forecast["width"].median("replicate").values[:7]
    exact_widths = [math.log(factor_at(2**i)) for i in range(7)]
    np.testing.assert_allclose(median, exact_widths, rtol=0.03)


def test_noise_of_variance_three_takes_four_times_as_many(forecast):
    """The spread has variance 1, so a noisy member tells of the mean with information 1 / 4."""
    row = forecast.where.sel(condition="noise variance 3")
    assert float(row["equivalent"]) == pytest.approx(4 * forecast.number, rel=1e-3)
    assert forecast.statement()["where"][1]["condition"] == "noise variance 3"


def test_at_less_than_a_quarter_of_the_cost_noisy_members_are_cheaper(forecast):
    number, statement = forecast.number, forecast.statement()
    counts, costs = ([way[name] for way in statement["where"]] for name in ("count", "cost"))
    assert counts[0] == 0.0
    assert counts[1] == pytest.approx(4 * number, abs=1)
    assert costs == [0.0, pytest.approx(0.4 * counts[1])]
    assert f" instead of {2 * number}." in statement["measure"]


def test_nothing_stands_in_the_way_of_knowing_the_mean(forecast):
    assert forecast.floor == pytest.approx(1.0, abs=1e-3)


def test_same_key_same_answer(forecast):
    again = ask()
    assert again.summary() == forecast.summary()
    assert again.forecast.identical(forecast.forecast)


def test_what_members_do_not_inform_is_a_floor():
    """With a nuisance of sd 0.2 the ratio cannot fall below exp(3.29 * 0.2) = 1.93."""
    floor = math.exp(2 * Z90 * 0.2)
    asked = (posterior(0.2), exact, mean_and_other, floor * 0.95, jax.random.key(2))
    need = population(*asked, max_n=MAX_N, replicates=100)
    assert need.verdict == "FLOOR"
    assert need.number is None
    assert need.probability_never == 1
    assert need.floor == pytest.approx(floor, rel=0.04)
    assert "FLOOR" in need.statement()["verdict"]
    assert "leave other[0] (100%) open" in need.statement()["floor"]


def test_a_quantity_beside_the_means_is_an_extrapolation_until_it_is_placed():
    asked = (posterior(0.2), exact, mean_and_other, factor_at(0, 0.2) * 1.2, jax.random.key(2))
    assert population(*asked).verdict == "EXTRAPOLATION"
    inside = Regime.of({"dose": [1.0, 3.0]}, {"dose": [2.0]})
    assert population(*asked, regime=inside).verdict == "MET"


def test_met_already():
    need = population(posterior(), exact, mean_and_other, factor_at(0) * 1.2, jax.random.key(1))
    assert (need.verdict, need.number) == ("MET", 0)


@pytest.mark.parametrize("scale", [0.0, 1.0], ids=["constant", "few"])
def test_pilot_too_small(scale):
    few = {name: scale * value[:50] for name, value in posterior().items()}
    need = population(few, exact, mean_and_other, 1.5, jax.random.key(1))
    assert need.verdict == "NEEDS_PILOT"
    assert need.number is None
    assert need.failed


def test_a_quantity_that_depends_on_no_draw_needs_a_pilot():
    need = population(posterior(), exact, lambda theta: -3.0, 1.5, jax.random.key(1))
    assert need.verdict == "NEEDS_PILOT"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"factor": 1.0}, "factor"),
        ({"factor": "three"}, "factor"),
        ({"assurance": 80}, "assurance"),
        ({"interval": 0.0}, "interval"),
        ({"max_n": 0}, "max_n"),
        ({"replicates": 2.5}, "replicates"),
        ({"draws": {"location": np.zeros((500, 1))}}, 'draws["log_spread"]'),
        ({"draws": {"location": np.zeros((9, 1)), "log_spread": np.zeros((8, 1))}}, 'draws["log_spread"]'),
        ({"draws": {"location": [[np.nan]], "log_spread": [[0.0]]}}, 'draws["location"]'),
        ({"information": lambda psi, key: jnp.eye(2)}, "information"),
        ({"information": lambda psi, key: -jnp.eye(1)}, "information"),
        ({"information": lambda psi: jnp.eye(1)}, "information"),
        ({"information": lambda psi, key: jnp.nan * jnp.eye(1)}, "information"),
        ({"log_quantity": lambda theta: jnp.log(theta["location"][0])}, "log_quantity"),
        ({"log_quantity": lambda theta: theta["age"]}, "log_quantity"),
        ({"log_quantity": lambda theta: jnp.where(theta["location"][0] > 0, jnp.inf, 0.0)}, "log_quantity"),
        ({"designs": [exact]}, "designs"),
        ({"costs": [1.0]}, "costs"),
        ({"costs": {"as planned": 0.0}}, 'costs["as planned"]'),
        ({"wording": "patients"}, "wording"),
        ({"particles": 0}, "particles"),
    ],
)
def test_bad_input_is_named(change, key):
    given = {"draws": posterior(), "information": exact, "log_quantity": mean_and_other, "factor": 1.5}
    with pytest.raises(ParameterError) as caught:
        population(**{**given, **change}, key=jax.random.key(0))
    assert caught.value.key == key


def test_a_cost_of_no_way_is_refused():
    asked = (posterior(), exact, mean_and_other, 1.5, jax.random.key(0))
    with pytest.raises(UnknownNameError, match="noise variance 3"):
        population(*asked, designs={"noise variance 3": noisy}, costs={"noise variance 4": 1.0})


def one_direction(psi, key):
    """One sum of the two parameters with noise of sd 0.5: a singular information."""
    angle = jnp.where(jax.random.bernoulli(key), 0.3, 1.2)
    direction = jnp.array([jnp.cos(angle), jnp.sin(angle)])
    return jnp.outer(direction, direction) / 0.25


def first_mean(theta):
    return theta["location"][0]


def test_singular_information_from_two_kinds_of_members():
    """Spread known to be 1: each member adds d d' / 1.25 to the precision of the two means.

    A width carries about 6 % of noise, so n about 12 %, and the median of 50 about 2 %.
    """
    normal = np.random.default_rng(0).normal(size=(S, 4))
    normal = (normal - normal.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(normal, rowvar=False))).T
    draws = {"location": 2.0 * normal[:, :2], "log_spread": 1e-4 * normal[:, 2:]}
    angles = np.array([0.3, 1.2])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    per_member = sum(np.outer(d, d) for d in directions) / 2 / 1.25
    variance = np.linalg.inv(np.eye(2) / 4.0 + 64 * per_member)[0, 0]
    target = math.exp(2 * Z90 * math.sqrt(variance))
    need = population(draws, one_direction, first_mean, target, jax.random.key(3), max_n=128, replicates=50)
    assert need.quantiles[0.5] == pytest.approx(64, rel=0.06)

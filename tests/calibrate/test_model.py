"""Models built from simulators: layout of measurements, bounds, and recovery of known parameters."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr
from numpyro.infer import Predictive
from numpyro.infer.util import log_density
from scipy import stats

import physsynth as ps
from physsynth.calibrate import Noise, Population, member_information
from physsynth.core.errors import DataError, ParameterError, StudyError, UnitError, UnknownNameError

SUBJECTS = 12
TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])
TRUTH = {"absorption_rate": 1.5, "clearance": 2.8, "volume": 32.0}
SPREAD = {"absorption_rate": 0.4, "clearance": 0.25, "volume": 0.15}


def _pharmacokinetics():
    """Measurements of 12 simulated subjects on doses between 200 and 420 mg, ragged on purpose."""
    rng = np.random.default_rng(11)
    rows = {"subject": [], "dose": [], "time": [], "concentration": []}
    sim = ps.simulator("pharmacokinetics/oral_one_compartment", times=TIMES)
    for subject in range(SUBJECTS):
        own = {name: TRUTH[name] * np.exp(SPREAD[name] * rng.normal()) for name in TRUTH}
        dose = 200.0 + 20.0 * subject
        curve = np.asarray(sim.configure(doses=([0.0], [dose]))(own)["concentration"])
        kept = TIMES.size - subject % 2
        rows["subject"] += [subject] * kept
        rows["dose"] += [dose] * kept
        rows["time"] += TIMES[:kept].tolist()
        rows["concentration"] += (curve * (1 + 0.05 * rng.normal(size=TIMES.size)))[:kept].tolist()
    units = {"dose": "mg", "time": "h", "concentration": "mg/L"}
    return xr.Dataset(
        {
            name: ("observation", np.array(col), {"units": units[name]} if name in units else {})
            for name, col in rows.items()
        }
    )


PRIORS = {
    "absorption_rate": Population(dist.LogNormal(0.0, 1.0), dist.HalfNormal(0.5)),
    "clearance": Population(dist.LogNormal(1.0, 1.0), dist.HalfNormal(0.5)),
    "volume": Population(dist.LogNormal(3.0, 1.0), dist.HalfNormal(0.5)),
}


def _model(measurements, priors=PRIORS, **changes):
    settings = {
        "groups": "subject",
        "conditions": {"doses": {"times": "0 h", "amounts": "dose"}},
        "noise": Noise(proportional=dist.HalfNormal(0.2)),
        **changes,
    }
    sim = ps.simulator("pharmacokinetics/oral_one_compartment")
    return ps.calibrate.model(sim, measurements, priors, **settings)


@pytest.fixture(scope="module")
def measurements():
    return _pharmacokinetics()


@pytest.fixture(scope="module")
def model(measurements):
    return _model(measurements)


def test_ragged_groups_are_padded_and_masked(model, measurements):
    design = model.experiment.design
    assert design.mask.shape == (SUBJECTS, TIMES.size)
    assert int(design.mask.sum()) == measurements.sizes["observation"]
    assert design.options["doses"]["amounts"].shape == (SUBJECTS, 1)
    observed = np.asarray(design.observed)[np.asarray(design.mask)]
    np.testing.assert_array_equal(observed, measurements["concentration"])


def test_the_density_is_the_hierarchical_model(model):
    """Against the model written out by hand with SciPy."""
    design = model.experiment.design
    medians = {"absorption_rate_excess": 1.4, "clearance": 2.7, "volume": 31.0}
    spreads = {"absorption_rate_excess": 0.5, "clearance": 0.3, "volume": 0.2}
    own = {name: medians[name] * np.exp(0.1 * np.arange(SUBJECTS) / SUBJECTS) for name in medians}
    values = {**medians, **{f"{name}_spread": s for name, s in spreads.items()}, "proportional_noise": 0.06}
    values |= {f"{name}_log_own": np.log(own[name]) for name in own}
    found, _ = log_density(model, (), {}, {name: jnp.asarray(value) for name, value in values.items()})
    prior = {"absorption_rate_excess": (0.0, 1.0), "clearance": (1.0, 1.0), "volume": (3.0, 1.0)}
    total = stats.halfnorm(scale=0.2).logpdf(0.06)
    for name, (loc, scale) in prior.items():
        total += stats.lognorm(scale, scale=np.exp(loc)).logpdf(medians[name])
        total += stats.halfnorm(scale=0.5).logpdf(spreads[name])
        total += stats.norm(np.log(medians[name]), spreads[name]).logpdf(np.log(own[name])).sum()
    sim = ps.simulator("pharmacokinetics/oral_one_compartment", times=TIMES)
    for i in range(SUBJECTS):
        p = {"clearance": own["clearance"][i], "volume": own["volume"][i]}
        p["absorption_rate"] = own["absorption_rate_excess"][i] + p["clearance"] / p["volume"]
        curve = np.asarray(sim.configure(doses=([0.0], [200.0 + 20.0 * i]))(p)["concentration"])
        mask = np.asarray(design.mask[i])
        total += stats.norm(curve, 0.06 * curve).logpdf(np.asarray(design.observed[i]))[mask].sum()
    assert float(found) == pytest.approx(total, rel=1e-9)


def test_known_parameters_are_recovered_and_no_chain_is_mirrored(model):
    found = ps.calibrate.fit(model, jax.random.key(2), draws=400, warmup=400, chains=4)
    draws = found.draws
    elimination = draws["clearance"] / draws["volume"]
    assert (draws["absorption_rate_excess"] > 0).all()
    typical = model.typical({name: jnp.asarray(v) for name, v in draws.items() if v.ndim == 1})
    assert (np.asarray(typical["absorption_rate"]) > elimination).all()
    for name, value in TRUTH.items():
        low, high = np.quantile(np.asarray(typical[name]), [0.001, 0.999])
        assert low < value < high, name
    worst = float(found.diagnostics["r_hat"].max())
    assert worst < 1.05


def test_information_is_the_slope_squared_over_the_variance(model):
    group = model.experiment.design.at(0)
    draw = {"proportional_noise": jnp.asarray(0.05)}
    psi = jnp.log(jnp.array([1.4, 2.8, 32.0]))
    information = member_information(model, group, psi, draw)

    def expected(log_own):
        return model.predict(group, log_own, draw)

    h = 1e-6
    slopes = np.stack([(expected(psi + h * e) - expected(psi - h * e)) / (2 * h) for e in np.eye(3)], axis=1)
    weight = np.where(group.mask, 1 / (0.05 * np.asarray(expected(psi))) ** 2, 0.0)
    np.testing.assert_allclose(information, slopes.T @ (weight[:, None] * slopes), rtol=1e-5)


def test_times_that_err_scatter_measurements_by_the_slope(measurements):
    """Samples at times off by 0.02 h, more than noise of 0.02 mg/L where the curve rises."""
    noise = Noise(dist.HalfNormal(1.0), None, dist.HalfNormal(1.0))
    model = _model(measurements, noise=noise)
    assert model.units["coordinate_noise"] == "h"
    group, psi = model.experiment.design.at(0), jnp.log(jnp.array([1.4, 2.8, 32.0]))
    draw = {"additive_noise": jnp.asarray(0.02), "coordinate_noise": jnp.asarray(0.02)}
    mean, deviation = model.measure(group, psi, draw)

    def drawn(key):
        off, additive = jax.random.normal(key, (2, TIMES.size))
        moved = replace(group, options={**group.options, "times": group.options["times"] + 0.02 * off})
        return model.predict(moved, psi, draw) + 0.02 * additive

    count = 20_000
    measured = jax.vmap(drawn)(jax.random.split(jax.random.key(3), count))
    ratio = np.asarray(((measured - mean) ** 2).mean(axis=0) / deviation**2)
    # Four standard errors of a mean square of normal numbers; the curvature adds less than a thousandth.
    np.testing.assert_allclose(ratio, 1.0, atol=4 * np.sqrt(2 / count) + 1e-3)
    assert deviation[0] > 3 * deviation[-1]


def test_the_density_counts_the_noise_in_times(measurements):
    """Differs from that without by the normal densities alone."""
    noises = Noise(dist.HalfNormal(1.0)), Noise(dist.HalfNormal(1.0), None, dist.HalfNormal(1.0))
    values = {"absorption_rate_excess": 1.4, "clearance": 2.7, "volume": 31.0}
    sites = {**values, **{f"{name}_spread": 0.3 for name in values}, "additive_noise": 0.2}
    sites |= {f"{name}_log_own": np.full(SUBJECTS, np.log(value)) for name, value in values.items()}
    sites["coordinate_noise"] = 0.3
    found = []
    for noise in noises:
        model = _model(measurements, noise=noise)
        given = {name: jnp.asarray(value) for name, value in sites.items()}
        found.append(float(log_density(model, (), {}, given)[0]))
    design = model.experiment.design
    sim = ps.simulator("pharmacokinetics/oral_one_compartment")
    p = {"absorption_rate": 1.4 + 2.7 / 31.0, "clearance": 2.7, "volume": 31.0}
    expected = stats.halfnorm(scale=1.0).logpdf(0.3)
    for i in range(SUBJECTS):
        dosed = sim.configure(doses=([0.0], [200.0 + 20.0 * i]))
        curve, later, sooner = (
            np.asarray(dosed.configure(times=np.asarray(design.options["times"][i]) + h)(p)["concentration"])
            for h in (0.0, 1e-5, -1e-5)
        )
        slope, measured = (later - sooner) / 2e-5, np.asarray(design.observed[i])
        density = stats.norm(curve, np.hypot(0.2, 0.3 * slope)).logpdf(measured)
        density -= stats.norm(curve, 0.2).logpdf(measured)
        expected += density[np.asarray(design.mask[i])].sum()
    assert found[1] - found[0] == pytest.approx(expected, rel=1e-6)


def test_values_per_column(measurements):
    weighed = measurements.assign(
        mass=("observation", 60.0 + measurements["subject"].values, {"units": "kg"})
    )
    priors = {
        **PRIORS,
        "clearance": Population(dist.LogNormal(-3.0, 1.0), dist.HalfNormal(0.5), "mass", "mL/min/kg"),
    }
    model = _model(weighed, priors)
    own = {"absorption_rate_excess": 1.0, "clearance_per_mass": 1.0, "volume": 30.0}
    found = model.members.parameters(own, {"mass": 70.0})
    # 1 mL/min/kg * 70 kg = 4.2 L/h
    assert float(found["clearance"]) == pytest.approx(4.2)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"priors": {"clearence": PRIORS["clearance"]}}, UnknownNameError, 'did you mean "clearance"'),
        ({"priors": {"clearance": PRIORS["clearance"]}}, ParameterError, "volume"),
        ({"groups": "patient"}, UnknownNameError, "patient"),
        ({"noise": Noise()}, StudyError, "no noise"),
        ({"conditions": {"doses": {"times": "0 h", "amounts": "time"}}}, UnitError, "wrong unit"),
        ({"conditions": {"doses": {"amounts": "dose"}}}, StudyError, "other parts"),
        ({"conditions": {"dosses": "dose"}}, UnknownNameError, 'did you mean "doses"'),
        ({"priors": {**PRIORS, "volume": 30.0}}, ParameterError, "not a distribution"),
        ({"priors": {**PRIORS, "volume": dist.Poisson(30.0)}}, ParameterError, "discrete"),
    ],
)
def test_refusals(measurements, changes, error, says):
    with pytest.raises(error, match=says):
        _model(measurements, **changes)


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("concentration", lambda y: np.where(np.arange(y.size) == 3, np.nan, y), "row 4"),
        ("time", lambda t: np.where(np.arange(t.size) == 0, np.inf, t), "time, row 1"),
        ("concentration", lambda y: y.astype(str), "no numbers"),
        ("subject", lambda g: np.where(g == 1, np.nan, g), "no group"),
    ],
)
def test_gaps_in_the_measurements(measurements, column, values, says):
    spoiled = measurements.copy(deep=True)
    spoiled[column] = ("observation", values(spoiled[column].values), spoiled[column].attrs)
    with pytest.raises(DataError, match=says):
        _model(spoiled)


def test_an_empty_table(measurements):
    with pytest.raises(DataError, match="no measurements"):
        _model(measurements.isel(observation=slice(0)))


def test_spreads_and_noises_are_positive():
    for refused in (
        lambda: Population(dist.Normal(0.0, 1.0), dist.HalfNormal(1.0)),
        lambda: Population(dist.LogNormal(0.0, 1.0), dist.Normal(0.0, 1.0)),
        lambda: Noise(additive=dist.Normal(0.0, 1.0)),
    ):
        with pytest.raises(ParameterError, match="negative"):
            refused()


def test_a_column_that_must_not_change_within_a_group(measurements):
    varied = measurements.copy(deep=True)
    varied["dose"].values[0] = 1.0
    with pytest.raises(DataError, match="changes within it"):
        _model(varied)


def test_an_output_that_depends_on_something_unknown(measurements):
    stops = xr.Dataset(
        {
            "speed": ("observation", [5.0, 10.0], {"units": "m/s"}),
            "stopping_distance": ("observation", [7.0, 20.0], {"units": "m"}),
        }
    )
    with pytest.raises(ParameterError, match="deceleration"):
        ps.calibrate.model(
            ps.simulator("driving/braking"),
            stops,
            {"reaction_time": dist.LogNormal(0.0, 0.5)},
            Noise(dist.HalfNormal(1.0)),
        )


def test_noise_in_a_coordinate_that_is_none():
    stops = xr.Dataset(
        {
            "speed": ("observation", [5.0, 10.0], {"units": "m/s"}),
            "stopping_distance": ("observation", [7.0, 20.0], {"units": "m"}),
        }
    )
    priors = {"reaction_time": dist.LogNormal(0.0, 0.5), "deceleration": dist.LogNormal(1.5, 0.5)}
    noise = Noise(additive=dist.HalfNormal(1.0), coordinate=dist.HalfNormal(1.0))
    with pytest.raises(StudyError, match="noise in a coordinate"):
        ps.calibrate.model(ps.simulator("driving/braking"), stops, priors, noise)


class Divergent:
    """Draws from the prior, and says that chains diverged in one of the forms."""

    def __init__(self, centred):
        self.centred = centred

    def __call__(self, model, key, draws, warmup, chains, args, kwargs):
        hidden = numpyro.handlers.block(model, hide=[model.experiment.output])
        sites = Predictive(hidden, num_samples=chains * draws)(key)
        energy = jax.random.normal(key, (chains, draws))
        diverging = jnp.full((chains, draws), model.centred == self.centred)
        shaped = {name: value.reshape(chains, draws, *value.shape[1:]) for name, value in sites.items()}
        return shaped, {"diverging": diverging, "energy": energy}


@pytest.mark.parametrize("centred", [True, False])
def test_chains_that_diverge_are_drawn_in_the_other_form(model, centred):
    assert model.centred
    assert not model.other_form.centred
    found = ps.calibrate.fit(model, jax.random.key(0), draws=500, method=Divergent(centred))
    assert found.mixed
    assert ("clearance_standardised" in found.draws) == centred
    assert ("clearance_log_own" in found.draws) != centred

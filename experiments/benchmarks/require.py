"""Do the forecasts of `physsynth.require` hold? Simulated truth, pilot, forecast, then collect and compare.

    python experiments/benchmarks/require.py [--replications 200] [--only CASE ...] [--first SEED]

Every case draws a pilot from a known truth, computes the posterior in closed form, forecasts how many
more are needed, and then collects one by one until the target is met. Priors are the right Haar priors,
for which the coverage of predictions is the nominal one at every truth; for the Bernoulli rate, which
has none, the truth is drawn from the prior.

It prints, and writes next to this file under results/: the share of replications in which the actual
number lay in the forecast 90 % interval, and in which it did not exceed the forecast's 80 % quantile, by the
randomised probability integral transform, as numbers are whole, and each with its deviation from nominal in
binomial standard errors; the share in which the number to plan with sufficed; the median of log (forecast
median / actual) with its standard error, where both are finite, and that of all with those never met among
them; the median ratio of the interval's ends; the Brier score for "never", beside that of always saying how
often it happens; and, by what was said of "never", how often it was so.

The oscillator is compared with a design that takes its conditions in turn, and with a truth that has a term
that the model misses.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import require_duffing as duffing
import require_never as never
import require_theophylline as theophylline
import require_unseen as unseen
from scipy import stats

import physsynth
from physsynth.require import Bernoulli, Requirement, population, precision

RESULTS = Path(__file__).parent / "results"
ASSURANCE = 0.8
FUTURES = 100


@dataclass(frozen=True)
class Case:
    """A truth whose forecasts can be checked: from a seed to the forecast and what then happened."""

    name: str
    run: Callable[[int], tuple[Requirement, float]]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: str
    first_seed: int
    replications: int
    coverage_90: float
    coverage_z: float
    assurance_80: float
    assurance_z: float
    number_sufficed: float
    median_log_bias: float
    bias_error: float
    median_log_bias_with_never: float
    interval_ratio: float
    brier_never: float
    brier_climatology: float
    share_never: float
    reliability: tuple[dict, ...]
    seconds_each: float


def exact(psi, key):
    """Members whose parameter is measured without error."""
    return 1e8 * jnp.eye(1)


def mean(theta):
    """The log of the population's median."""
    return theta["location"][0]


def tail(theta):
    """The log of the 2.5th percentile, or of what depends on it."""
    return theta["location"][0] - 1.96 * jnp.exp(theta["log_spread"][0])


def normal_posterior(members: np.ndarray, rng: np.random.Generator, draws: int) -> dict[str, np.ndarray]:
    """Draw from the normal-inverse-chi-squared posterior under the prior 1 / sigma."""
    n = len(members)
    sd = members.std(ddof=1) * np.sqrt((n - 1) / rng.chisquare(n - 1, draws))
    location = members.mean() + sd * rng.standard_normal(draws) / math.sqrt(n)
    return {"location": location[:, None], "log_spread": np.log(sd)[:, None]}


def mean_width(members: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the length of the 90 % t interval of the mean after each size."""
    n = sizes.astype(float)
    total, square = np.cumsum(members)[sizes - 1], np.cumsum(members**2)[sizes - 1]
    sd = np.sqrt(np.maximum(square - total**2 / n, 0.0) / (n - 1))
    return sd * mean_factor(sizes)


def mean_factor(sizes: np.ndarray) -> np.ndarray:
    """Return the length of the 90 % t interval of the mean, per sample sd."""
    n = sizes.astype(float)
    return 2 * stats.t.ppf(0.95, n - 1) / np.sqrt(n)


@cache
def tail_widths(largest: int, draws: int = 20_000) -> np.ndarray:
    """Return the 90 % interval's length of mean - 1.96 sd, per sample sd, after n = 2 ... members."""
    rng = np.random.default_rng(0)
    normal, uniform = rng.standard_normal(draws), rng.random(draws)
    widths = np.full(largest + 1, np.inf)
    for n in range(2, largest + 1):
        sd = np.sqrt((n - 1) / stats.chi2.ppf(uniform, n - 1))
        low, high = np.quantile(sd * (normal / math.sqrt(n) - 1.96), [0.05, 0.95])
        widths[n] = high - low
    return widths


def tail_width(members: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the length of the 90 % interval of mean - 1.96 sd after each size."""
    return mean_width(members, sizes) / mean_factor(sizes) * tail_widths(int(sizes[-1]))[sizes]


def of_population(name, pilot, wanted, log_quantity, width, spread, max_n: int = 512) -> Case:
    """A population with unknown mean and spread, its members measured exactly.

    The target is the interval that `wanted` more members would reach on average; `spread` is the
    quantity's standard deviation per member.
    """
    target = 2 * stats.norm.ppf(0.95) * spread / math.sqrt(wanted + pilot)

    def run(seed):
        rng = np.random.default_rng(seed)
        members = rng.standard_normal(pilot + max_n)
        draws = normal_posterior(members[:pilot], rng, 4000)
        asked = (draws, exact, log_quantity, math.exp(target), jax.random.key(seed), ASSURANCE)
        need = population(*asked, max_n=max_n, replicates=FUTURES)
        widths = width(members, np.arange(pilot, pilot + max_n + 1))
        return need, first(widths <= target)

    return Case(f"population: {name}, pilot {pilot}", run)


def first(met: np.ndarray) -> float:
    """Return how many more it took, inf if they did not suffice."""
    return float(np.argmax(met)) if met.any() else math.inf


def response(theta, condition=None):
    """The only unknown that is measured."""
    return theta["mean"]


def scatter(theta, condition):
    """The unknown sd of one measurement."""
    return theta["sd"]


def normal_mean(pilot: int, wanted: float, max_n: int = 512) -> Case:
    """A normal mean with unknown sd; its posterior sd is that of a t distribution."""
    target = 1 / math.sqrt(wanted + pilot)

    def run(seed):
        rng = np.random.default_rng(seed)
        measured = rng.standard_normal(pilot + max_n)
        drawn = normal_posterior(measured[:pilot], rng, 4000)
        draws = {"mean": drawn["location"][:, 0], "sd": np.exp(drawn["log_spread"][:, 0])}
        asked = (draws, response, response, scatter, [0.0], target, jax.random.key(seed), ASSURANCE)
        need = precision(*asked, max_n=max_n, replicates=FUTURES)
        n = np.arange(pilot, pilot + max_n + 1)
        scale = mean_width(measured, n) / mean_factor(n) / np.sqrt(n)
        return need, first(scale * np.sqrt((n - 1) / (n - 3)) <= target)

    return Case(f"precision: normal mean, unknown sd, pilot {pilot}", run)


def bernoulli_rate(pilot: int, target: float, max_n: int = 512) -> Case:
    """A rate drawn from Beta(2, 18); its posterior stays a Beta."""

    def run(seed):
        rng = np.random.default_rng(seed)
        seen = np.cumsum(rng.random(pilot + max_n) < rng.beta(2, 18))
        n = np.arange(pilot, pilot + max_n + 1)
        a, b = 2 + seen[n - 1], 18 + n - seen[n - 1]
        draws = {"mean": rng.beta(a[0], b[0], 4000)}
        asked = (draws, response, response, Bernoulli(), [0.0], target, jax.random.key(seed), ASSURANCE)
        need = precision(*asked, max_n=max_n, replicates=FUTURES)
        return need, first(np.sqrt(a * b / (a + b) ** 2 / (a + b + 1)) <= target)

    return Case(f"precision: Bernoulli rate, pilot {pilot}", run)


def linear_gaussian(pilot: int, wanted: int, max_n: int = 512) -> Case:
    """A straight line with known sd and a normal prior: the number is exact."""
    places = np.array([-1.0, 0.0, 1.0])

    def run(seed):
        rng = np.random.default_rng(seed)
        x = np.column_stack([np.ones(pilot), rng.uniform(-1, 1, pilot)])
        precise = np.eye(2) + x.T @ x
        ends = np.column_stack([np.ones(2), [-1.0, 1.0]])
        target = math.sqrt(np.linalg.inv(precise + wanted / 2 * ends.T @ ends)[1, 1])
        centre = np.linalg.solve(precise, x.T @ (x @ rng.standard_normal(2) + rng.standard_normal(pilot)))
        normal = rng.standard_normal((2000, 2))
        normal = (normal - normal.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(normal.T))).T
        drawn = centre + normal @ np.linalg.cholesky(np.linalg.inv(precise)).T
        draws = {"level": drawn[:, 0], "slope": drawn[:, 1]}
        need = precision(draws, straight, slope, 1.0, places, target, jax.random.key(seed), max_n=max_n)
        conditions = places[need.forecast["order"].values]
        rows = np.column_stack([np.ones(max_n), conditions])
        grown = precise + np.cumsum(rows[:, :, None] * rows[:, None, :], axis=0)
        return need, first(np.linalg.inv(grown)[:, 1, 1] <= target**2 * (1 + 1e-9)) + 1

    return Case(f"precision: line, known sd, pilot {pilot}", run)


def straight(theta, condition):
    """A straight line."""
    return theta["level"] + theta["slope"] * condition


def slope(theta):
    """Its slope."""
    return theta["slope"]


DUFFING_TARGET = 0.008
TAIL_SPREAD = math.sqrt(1 + 1.96**2 / 2)
# Seeds from here on: others than those that anything was chosen with.
FIRST = 60_000
CASES = [
    *(normal_mean(pilot, 60) for pilot in (5, 10, 20)),
    bernoulli_rate(20, 0.025),
    linear_gaussian(10, 40),
    Case("precision: mean behind instruments, perhaps never", never.replication),
    Case("precision: Duffing oscillator", lambda seed: duffing.replication(seed, DUFFING_TARGET)),
    *(Case(f"unseen: {name}", partial(unseen.replication, case)) for name, case in unseen.PROBLEMS.items()),
    *(of_population("mean, unknown spread", pilot, 60, mean, mean_width, 1.0) for pilot in (5, 10, 20)),
    of_population("tail, unknown spread", 10, 60, tail, tail_width, TAIL_SPREAD),
    Case(
        "population: theophylline with refits, vague prior",
        lambda seed: theophylline.replication(seed, theophylline.vague, 5.0),
    ),
    Case(
        "population: theophylline with refits, truths from the prior",
        lambda seed: theophylline.replication(seed, theophylline.informed, 5.0),
    ),
]


def compare(case: Case, replications: int, first_seed: int = FIRST) -> Row:
    """Run the case and hold its forecasts against what happened."""
    start = time.process_time()
    outcomes = [case.run(seed) for seed in range(first_seed, first_seed + replications)]
    seconds = (time.process_time() - start) / replications
    needs, actual = [need for need, _ in outcomes], np.array([n for _, n in outcomes])
    low, middle, high = (np.array([need.quantiles[q] for need in needs]) for q in (0.05, 0.5, 0.95))
    planned = np.array([math.inf if need.number is None else need.number for need in needs])
    said = np.array([need.probability_never for need in needs])
    place = np.array([transform(need, n, seed) for seed, (need, n) in enumerate(outcomes)])
    inside, enough = np.mean((place > 0.05) & (place <= 0.95)), np.mean(place <= ASSURANCE)
    both = np.isfinite(middle) & np.isfinite(actual) & (actual > 0) & (middle > 0)
    bias = np.log(middle[both] / actual[both])
    spans = np.isfinite(high) & (low > 0)
    return Row(
        case=case.name,
        first_seed=first_seed,
        replications=replications,
        coverage_90=float(inside),
        coverage_z=_deviation(inside, 0.9, replications),
        assurance_80=float(enough),
        assurance_z=_deviation(enough, ASSURANCE, replications),
        number_sufficed=float(np.mean(actual <= planned)),
        median_log_bias=float(np.median(bias)),
        bias_error=float(1.2533 * np.std(bias) / math.sqrt(len(bias))),
        median_log_bias_with_never=float(np.quantile(log_ratio(middle, actual), 0.5, method="nearest")),
        interval_ratio=float(np.median(high[spans] / low[spans])),
        brier_never=float(np.mean((said - np.isinf(actual)) ** 2)),
        brier_climatology=float(np.var(np.isinf(actual))),
        share_never=float(np.mean(np.isinf(actual))),
        reliability=reliability(said, np.isinf(actual)),
        seconds_each=seconds,
    )


def log_ratio(forecast: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return log (forecast / actual), infinite where one of them alone is 0 or never, 0 where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(forecast) - np.log(actual)
    return np.where(forecast == actual, 0.0, ratio)


def reliability(said: np.ndarray, happened: np.ndarray) -> tuple[dict, ...]:
    """Return, by what was said of "never", how often it was so; nothing where it never or always is."""
    if happened.all() or not happened.any():
        return ()
    ends = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
    place = np.clip(np.searchsorted(ends, said, side="right") - 1, 0, len(ends) - 2)
    groups = [place == i for i in range(len(ends) - 1) if np.any(place == i)]
    return tuple(
        {
            "forecasts": int(group.sum()),
            "said": float(said[group].mean()),
            "happened": float(happened[group].mean()),
            "error": float(math.sqrt(np.mean(said[group] * (1 - said[group])) / group.sum())),
        }
        for group in groups
    )


def transform(need: Requirement, actual: float, seed: int) -> float:
    """Return the forecast's distribution function at what happened, randomised within its steps."""
    if need.number == 0 and "needed" not in need.forecast:
        return float(np.random.default_rng(seed).random())
    needed = need.forecast["needed"].values
    share = np.random.default_rng([seed, 1]).random()
    return float(np.mean(needed < actual) + share * np.mean(needed == actual))


def _deviation(share, nominal, n):
    return float((share - nominal) / math.sqrt(nominal * (1 - nominal) / n))


def designs(replications: int) -> dict:
    """Compare designs of the oscillator: greedy, in batches, and its conditions in turn."""
    rows = []
    for seed in range(FIRST, FIRST + replications):
        rng = np.random.default_rng(seed)
        truth = duffing.Truth.drawn(rng)
        posterior = duffing.Posterior.of(truth.measured(duffing.PILOT, rng), duffing.PILOT, rng)
        row = []
        for rule in ("greedy", "batch", "uniform"):
            draws = np.random.default_rng(seed)
            need = duffing.forecast(posterior, draws, seed, DUFFING_TARGET, allocation=rule)
            row += [need.quantiles[0.5], duffing.collected(need, truth, posterior, DUFFING_TARGET, seed)]
        rows.append(row)
    said, took = (np.maximum(np.array(rows)[:, i::2], 1.0) for i in (0, 1))
    logs = np.log(took / took[:, :1])
    return {
        "uniform over greedy, forecast, median": float(np.median(said[:, 2] / said[:, 0])),
        "uniform over greedy, collected, median": float(np.median(took[:, 2] / took[:, 0])),
        "batch over greedy, forecast, median": float(np.median(said[:, 1] / said[:, 0])),
        "batch over greedy, collected, geometric mean": float(np.exp(logs[:, 1].mean())),
        "its standard error": float(logs[:, 1].std() / math.sqrt(replications)),
        "replications": replications,
    }


OUTSIDE_TARGET = 0.0225


def outside(replications: int, quadratic: float = 0.15, noise: float = duffing.NOISE) -> dict:
    """Leave quadratic damping out of the model, and ask for a peak outside the measured regime.

    The forecast is not told where the quantity lies: it has to find that out.
    """
    impulse = 2.5
    verdicts, numbers, found = {}, [], []
    inside: dict[int, list[bool]] = {n: [] for n in (0, 16, 64, 256)}
    for seed in range(FIRST, FIRST + replications):
        rng = np.random.default_rng(seed)
        truth = duffing.Truth.drawn(rng, quadratic, noise)
        pilot = truth.measured(duffing.PILOT, rng)
        posterior = duffing.Posterior.of(pilot, duffing.PILOT, rng, noise)
        need = duffing.forecast(posterior, rng, seed, OUTSIDE_TARGET, impulse)
        verdicts[need.verdict] = verdicts.get(need.verdict, 0) + 1
        if "order" not in need.forecast:
            continue
        order = need.forecast["order"].values
        measured = truth.measured(order, rng)

        def after(n, pilot=pilot, order=order, measured=measured, rng=rng):
            places = np.concatenate([duffing.PILOT, order[:n]])
            return duffing.Posterior.of(np.concatenate([pilot, measured[:n]]), places, rng, noise)

        for n, hits in inside.items():
            low, high = after(n).interval(1)
            hits.append(bool(low <= truth.peak(impulse) <= high))
        if need.regime is None or need.regime.direct is None:
            continue
        numbers.append(need.regime.direct.number)
        found.append(duffing.found_out(need, after(int(need.number or duffing.MAX_N)), truth, rng))
    return {
        "quadratic damping": quadratic,
        "noise": noise,
        "replications": replications,
        "verdicts": verdicts,
        "coverage of the peak's 90 % interval after n more": {
            n: float(np.mean(h)) for n, h in inside.items()
        },
        "direct measurements, quartiles": np.quantile(numbers, [0.25, 0.5, 0.75]).tolist(),
        "model found out by them": float(np.mean(found)),
    }


def others(replications: int) -> dict:
    """Ask, with the term missing, for a parameter, and for a force that is no response of the model."""
    verdicts = {}
    for seed in range(FIRST, FIRST + replications):
        rng = np.random.default_rng(seed)
        truth = duffing.Truth.drawn(rng, 0.15)
        posterior = duffing.Posterior.of(truth.measured(duffing.PILOT, rng), duffing.PILOT, rng)
        draws = posterior.draws(rng)
        for name, quantity in (("stiffness", duffing.stiffness), ("largest force", duffing.largest_force)):
            target = 0.6 * float(np.std(jax.vmap(quantity)(draws)))
            asked = (draws, duffing.observe, quantity, duffing.NOISE, duffing.CANDIDATES, target)
            need = precision(*asked, jax.random.key(seed), max_n=duffing.MAX_N, replicates=20)
            verdicts[f"{name}: {need.verdict}"] = verdicts.get(f"{name}: {need.verdict}", 0) + 1
    return {"verdicts": verdicts, "replications": replications}


def sensitivity(replications: int) -> dict:
    """The same with damping and noise changed by 30 % either way."""
    changed = [(0.15 * a, duffing.NOISE * b) for a, b in ((0.7, 1), (1.3, 1), (1, 0.7), (1, 1.3))]
    return {f"damping {d:.3g}, noise {s:.3g}": outside(max(replications // 5, 1), d, s) for d, s in changed}


def within(replications: int) -> dict:
    """Ask for a peak inside the measured regime, without saying so: how often is it called outside?"""
    verdicts = {}
    for seed in range(FIRST, FIRST + replications):
        rng = np.random.default_rng(seed)
        truth = duffing.Truth.drawn(rng)
        posterior = duffing.Posterior.of(truth.measured(duffing.PILOT, rng), duffing.PILOT, rng)
        need = duffing.forecast(posterior, rng, seed, DUFFING_TARGET)
        placed = "not assessed" if need.regime is None else "assessed"
        verdicts[f"{need.verdict}, {placed}"] = verdicts.get(f"{need.verdict}, {placed}", 0) + 1
    return {"verdicts": verdicts, "replications": replications}


def write(rows: list[Row], studies: dict) -> Path:
    """Write the table with the versions that made it; rows of other cases stay."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "require.json"
    versions = {"physsynth": physsynth.__version__, "jax": jax.__version__}
    versions["python"] = platform.python_version()
    old = json.loads(path.read_text()) if path.exists() else {}
    known = {row["case"]: row for row in old.get("rows", [])} | {row.case: asdict(row) for row in rows}
    table = {"versions": versions, "rows": list(known.values()), "studies": old.get("studies", {}) | studies}
    path.write_text(json.dumps(table, indent=2) + "\n")
    return path


STUDIES = {
    "oscillator, design": designs,
    "oscillator, missing term": outside,
    "oscillator, missing term, changed": sensitivity,
    "oscillator, inside": within,
    "theophylline, refits against NUTS": lambda replications: theophylline.against_nuts(),
    "theophylline, real data against NUTS": lambda replications: theophylline.on_real_data(),
    "oscillator, missing term, other quantities": others,
}


def main():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--replications", type=int, default=200, help="a quarter of them for the two studies")
    parser.add_argument("--first", type=int, default=FIRST, help="seed of the first replication of a case")
    parser.add_argument("--only", nargs="*", default=[], help="words that the name of a case must contain")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows, studies = [], {}
    for case in CASES:
        if all(word in case.name for word in arguments.only):
            rows.append(compare(case, arguments.replications, arguments.first))
            line = [f"{name} {_short(value)}" for name, value in asdict(rows[-1]).items()]
            print("  ".join(line), flush=True)
    for name, study in STUDIES.items():
        if all(word in name for word in arguments.only):
            studies[name] = study(max(arguments.replications // 4, 1))
            print(name, studies[name], flush=True)
    print("wrote", write(rows, studies))


def _short(value):
    return f"{value:.3g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()

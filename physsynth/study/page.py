"""The report of a study: what its stages found, as a document of verdict, sections and figures."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import numpy as np

from physsynth.core.units import convert
from physsynth.report import (
    Check,
    Checks,
    Code,
    Document,
    Fact,
    Facts,
    Figure,
    Quantity,
    Section,
    Table,
    Text,
    Verdict,
    figures,
    percent,
    significant,
)
from physsynth.report.document import Block
from physsynth.report.numbers import MISSING
from physsynth.study import fits
from physsynth.study.lineage import lineage
from physsynth.study.signals import signal_sections, threshold_line, typical_curves
from physsynth.study.stage import Job

MEANING = {
    "MET": "the data in hand suffice",
    "FORECAST": "a forecast of the data still needed",
    "EXTRAPOLATION": "a forecast that rests on the model outside the measured range",
    "FLOOR": "no amount of such data suffices",
    "NEEDS_PILOT": "too little is known to forecast",
    "FAILED": "a check failed; do not rely on the numbers below before it is mended",
    "PASSED": "all checks passed",
}
MODES = {
    "main cause": "The main cause of a failing scenario is the input whose return to its median would have "
    "helped most.",
    "way to fail": "The simulator tells apart the ways in which its limit state can be reached.",
}
PERCENTILE = "The percentile says how many ordinary scenarios are less likely than that mode's likeliest one."
INDEX = (
    "The reliability index is the distance of the mode's most probable scenario from the median of all "
    "inputs together, in standard deviations."
)


def compose_page(job: Job) -> Document:
    """Return the document of a study whose stages are done."""
    study = job.study.tables.study
    return Document(
        title=study.title or job.study.name,
        question=study.question,
        verdict=_verdict(job),
        sections=[section for make in SECTIONS for section in make(job)],
        meta={
            "study": job.study.path.name,
            "seed": study.seed,
            "precision": study.precision,
            "physsynth": version("physsynth"),
        },
    )


def _verdict(job) -> Verdict:
    rare, failed = job.summary("rare"), _failed(job)
    need = job.summary("require") if "require" in job.inputs else None
    status = "FAILED" if failed else need["verdict"] if need else "PASSED"
    sentences = [MEANING.get(status, status).capitalize() + "."]
    if need:
        sentences += [
            need["statement"]["number"],
            *need["assumptions"][: int(need["verdict"] == "EXTRAPOLATION")],
        ]
    sentences += [f"Failed check: {name}." for name in failed] + rare["warnings"]
    return Verdict(status, _headline(job, rare, need), sentences, _key_numbers(rare, need))


def _headline(job, rare, need):
    event = event_words(job)
    lead = f"The probability that {event} is {percent(rare['probability'])}"
    span = rare["posterior"]
    if span is None:
        low, high = map(percent, rare["monte_carlo_interval_95"])
        return f"{lead} ({low} to {high} with 95 % confidence)."
    ends = span["with_monte_carlo_error"]
    low, high = percent(ends["q05"]), percent(ends["q95"])
    known = f"{lead}; what is not known of the population leaves {low} to {high} open"
    return f"{known}. {_more(job, need)}".strip() if need else f"{known}."


def _more(job, need):
    """Say how many more members would narrow the probability, and on what condition."""
    if not need["number"] or need["verdict"] == "MET":
        return ""
    factor = job.study.tables.require.factor
    lead = f"About {need['number']:,.0f} more {need['counted']} would narrow that to a factor of {factor:g}"
    return (
        f"{lead}, if the model holds beyond what was measured."
        if need["verdict"] == "EXTRAPOLATION"
        else f"{lead}."
    )


def event_words(job: Job) -> str:
    """Say what the failure is, with its numbers."""
    name = job.study.tables.rare.limit_state
    return job.problem.sim.limit_states[name].words(job.problem.settings) or name


def _failed(job):
    summaries = [job.summary(name) for name in job.inputs]
    return [
        check["name"] for summary in summaries for check in summary.get("checks", []) if not check["passed"]
    ]


def _key_numbers(rare, need):
    low, high = rare["monte_carlo_interval_95"]
    note = "posterior predictive" if rare["posterior"] else ""
    facts = [Fact("failure probability", Quantity(rare["probability"], form=percent), note)]
    facts.append(
        Fact("Monte Carlo error", Quantity(rare["probability"], "", low, high, percent), "95 % interval")
    )
    if rare["posterior"]:
        ends = rare["posterior"]["with_monte_carlo_error"]
        value = Quantity(ends["q50"], "", ends["q05"], ends["q95"], percent)
        facts.append(Fact("over the posterior", value, "median, 5 to 95 %"))
    if need and need["number"] is not None:
        ends = [_or_never(need["quantiles"].get(level)) for level in ("0.05", "0.95")]
        facts.append(
            Fact(
                f"{need['counted']} still needed",
                Quantity(need["number"], "", *ends, form=_count),
                "90 % forecast interval",
            )
        )
    return facts


def _or_never(x):
    """Return infinity for the number of a future that never suffices, which JSON has no place for."""
    return np.inf if x is None else x


def _count(x):
    return MISSING if x is None else "never" if np.isinf(x) else f"{x:,.0f}"


STATED = (
    *("claim", "quantity", "target", "verdict", "number", "measure", "floor"),
    *("reveal", "stopping_rule", "looks_used"),
)
LISTED = ("credit", "regime", "failed_checks")


def _requirement(job) -> Iterator[Section]:
    if "require" not in job.inputs:
        return
    need = job.summary("require")
    statement = need["statement"]
    rows = [Fact(name.replace("_", " "), statement[name]) for name in STATED if name in statement]
    rows += [Fact(name.replace("_", " "), " ".join(statement[name]) or "none") for name in LISTED]
    rows += [Fact(name, text) for name, text in statement["context_of_use"].items()]
    rows += [Fact(f"data in hand: {name}", text) for name, text in statement["data_in_hand"].items()]
    blocks: list[Block] = [Facts(rows)]
    forecast = job.dataset("require", "forecast")
    if forecast.sizes.get("n"):
        blocks.append(_fan(need, forecast))
    blocks += _worth(need)
    blocks.append(Text(["What the number takes for granted:", *statement["assumptions"]]))
    yield Section(
        "Real data still needed", "How many more, how sure that is, and which are worth most.", blocks
    )


def _fan(need, forecast):
    width = forecast["width"].values
    target = forecast.attrs["target"]
    filled = np.exp(np.where(np.isnan(width), target, np.maximum(width, target)))
    levels = (0.05, 0.5, 0.8, 0.95)
    quantiles = {level: np.quantile(filled, level, axis=0) for level in levels}
    spec = figures.fan(
        forecast["n"].values,
        quantiles,
        target=float(np.exp(target)),
        planned=need["number"],
        x=f"further {need['counted']}",
    )
    caption = "How the interval of the probability narrows: 5, 50, 80 and 95 % of the imagined futures."
    return Figure(
        "requirement-fan", caption, spec, f"Width of the interval against further {need['counted']}."
    )


def _worth(need):
    rows = [row for row in need["where"] if row["condition"] != "as planned"]
    if not rows:
        return []
    spec = figures.bars(
        [row["condition"] for row in rows],
        [max(row["extra"] or 0.0, 0.0) for row in rows],
        x=f"further {need['counted']} it would take instead",
        form=significant,
    )
    table = Table(
        [
            "way of measuring",
            f"{need['counted']} in the cheapest plan",
            "cost",
            "share of the reduction",
            "variance if all are measured so",
            f"{need['counted']} if all are measured so",
        ],
        [
            [
                *(row["condition"], row["count"], row["cost"], Quantity(row["share"], form=percent)),
                *(row["variance_ratio"], row["equivalent"]),
            ]
            for row in need["where"]
        ],
        "A Fisher screen averaged over the posterior: the cheapest plan that does as much as the number "
        "planned, and each way by itself.",
    )
    caption = f"What each way of measuring costs beside the planned one, in further {need['counted']}."
    return [Figure("worth", caption, spec, "Bars of the worth of each way of measuring.", table)]


def _probability(job) -> Iterator[Section]:
    rare = job.summary("rare")
    value, (low, high) = rare["probability"], rare["monte_carlo_interval_95"]
    rows = [figures.Row("Monte Carlo error (95 %)", value, low, high, "what more computing would remove")]
    blocks = []
    if rare["posterior"]:
        ends = rare["posterior"]["alone"]
        both = rare["posterior"]["with_monte_carlo_error"]
        rows += [
            figures.Row(
                "posterior (5 to 95 %)", ends["q50"], ends["q05"], ends["q95"], "what more data would remove"
            ),
            figures.Row("both", both["q50"], both["q05"], both["q95"]),
        ]
        spec = figures.distribution(job.dataset("rare", "probability")["probability"].values)
        caption = "The probability under each posterior draw of the population."
        blocks = [Figure("posterior-probability", caption, spec, "Histogram of the failure probability.")]
    bounds = rare["failed_runs_bounds"]
    facts = [
        Fact("event", event_words(job)),
        Fact("simulator calls", rare["calls"]),
        Fact("with gradients", rare["gradient_calls"]),
        Fact("independent replicates", rare["replicates"]),
        *(
            Fact(f"standard error from {source}", Quantity(error, form=percent), "of the probability")
            for source, error in rare["relative_errors"].items()
        ),
        Fact("failed runs", rare["failed_runs"], "kept and flagged"),
        Fact("probability, failed runs as survivals", Quantity(bounds[0], form=percent)),
        Fact("probability, failed runs as failures", Quantity(bounds[1], form=percent)),
    ]
    alt = "Failure probability with its Monte Carlo error and its posterior range."
    first = Figure(
        "probability",
        "The failure probability and what its uncertainty comes from.",
        figures.interval_rows(rows),
        alt,
    )
    blocks = [first, *blocks, Facts(facts), _checks(rare)]
    yield Section("Failure probability", "Monte Carlo error and lack of data, shown apart.", blocks)


def _checks(summary, caption=""):
    return Checks([Check(**row) for row in summary["checks"]], caption)


def _modes(job) -> Iterator[Section]:
    modes = job.summary("rare")["modes"]
    if not modes:
        return
    spec = figures.bars([m["name"] for m in modes], [m["share"] for m in modes], colours=figures.MODE_COLOURS)
    meaning = job.summary("rare")["mode_meaning"]
    indexed = any(m["reliability_index"] is not None for m in modes)
    rows = [
        [
            m["name"],
            Quantity(m["share"], form=percent),
            m["scenarios"],
            Quantity(m["plausibility_percent"] / 100, form=percent),
            *([m["reliability_index"]] if indexed else []),
        ]
        for m in modes
    ]
    columns = [meaning, "share", "scenarios", "percentile", *(["reliability index"] if indexed else [])]
    figure = Figure("modes", f"Share of each {meaning}.", spec, "Bars of the share of each failure mode.")
    text = Text([f"{MODES[meaning]} {PERCENTILE} {INDEX if indexed else ''}".strip()])
    yield Section("Failure modes", "Why the rare scenarios fail.", [text, figure, Table(columns, rows)])


def _curves(job) -> Iterator[Section]:
    model = job.problem.model
    if "mode" not in job.dataset("rare", "scenarios"):
        return
    if model is None:
        yield from signal_sections(job)
        return
    make = _time_curves if model.experiment.along is not None else _against_condition
    figure = make(job, model)
    if figure is not None:
        yield Section(
            "Rare scenarios over the measured data", "What fails, beside what was measured.", [figure]
        )


def _time_curves(job, model):
    scenarios = job.dataset("rare", "scenarios")
    output = scenarios[model.experiment.output]
    dim = output.dims[1]
    curves = typical_curves(scenarios, output)
    threshold, label = threshold_line(job, output.attrs["units"])
    spec = figures.curves_over_data(
        scenarios[dim].values,
        curves,
        _observed(job, model),
        threshold,
        x=f"{dim} [{scenarios[dim].attrs['units']}]",
        y=f"{model.experiment.output} [{output.attrs['units']}]",
        threshold_label=label,
    )
    caption = "Failing scenarios by main cause, picked in proportion to weight, over the measurements."
    return Figure("curves", caption, spec, "Curves of failing scenarios over the measured points.")


def _observed(job, model):
    """Return each member's measured coordinates and values."""
    design, mask = model.experiment.design, np.asarray(model.experiment.design.mask)
    where = np.asarray(design.options[model.experiment.along])
    observed = np.asarray(design.observed)
    return {
        str(label): (where[i][mask[i]], observed[i][mask[i]])
        for i, label in enumerate(model.experiment.labels)
    }


def _against_condition(job, model):
    """Draw measurements and predictive bands of new members against the known parameter."""
    known = {name: np.asarray(values).ravel() for name, values in model.experiment.design.parameters.items()}
    if not known:
        return None
    name, x = next(iter(known.items()))
    checked = job.dataset("evaluate", "new_members")
    order = np.argsort(x, kind="stable")
    bands = {
        float(level): tuple(checked[end].sel(level=level).values[order] for end in ("low", "high"))
        for level in checked["level"].values
    }
    output = model.sim.outputs[model.experiment.output]
    spec = figures.xy_over_data(
        x[order],
        bands,
        x,
        checked["real"].values,
        median=checked["median"].values[order],
        marks=_asked(job, name),
        x=f"{name} [{model.sim.parameters[name].unit}]",
        y=f"{model.experiment.output} [{output.unit}]",
    )
    caption = (
        "Measurements over the predictive bands of a new member; the marked point is the case in question."
    )
    return Figure("condition", caption, spec, "Measured points over predictive bands.")


def _asked(job, name):
    """Mark the stated condition and limit, where both are fixed numbers."""
    fixed = job.problem.scenario.fixed
    others = [other for other in fixed if other != name]
    if name not in fixed or len(others) != 1:
        return {}
    (value, unit), (limit, limit_unit) = fixed[name], fixed[others[0]]
    parameters = job.problem.sim.parameters
    return {
        others[0].replace("_", " "): (
            float(convert(value, unit, parameters[name].unit)),
            float(convert(limit, limit_unit, parameters[others[0]].unit)),
        )
    }


def _calibration(job) -> Iterator[Section]:
    if "calibrate" not in job.inputs:
        return
    found = job.summary("calibrate")
    rows = [
        [
            name.replace("_", " "),
            row["mean"],
            row["sd"],
            row["q05"],
            row["q50"],
            row["q95"],
            found["units"].get(name, ""),
        ]
        for name, row in found["parameters"].items()
        if "[" not in name
    ]
    typical = [
        [
            name.replace("_", " "),
            row["q05"],
            row["q50"],
            row["q95"],
            job.problem.sim.parameters[name].unit,
        ]
        for name, row in found["typical"].items()
        if name in job.problem.sim.parameters
    ]
    columns = ["parameter", "mean", "sd", "5 %", "50 %", "95 %", "unit"]
    blocks = [
        _checks(found),
        Table(columns, rows, "The population: medians, spread of the logarithm between members, noise."),
        Table(
            [columns[0], *columns[3:]],
            typical,
            "The simulator's parameters of a typical member.",
        ),
    ]
    if found["bounded"]:
        names = ", ".join(name.replace("_", " ") for name in found["bounded"])
        blocks.append(
            Text(
                [
                    f"Exchanging rates would describe the data equally well; so {names} is its lower bound "
                    "plus a positive excess, and the excess is what is calibrated. The mirrored mode has no "
                    "prior probability."
                ]
            )
        )
    if job.problem.model.experiment.along is not None:
        blocks.append(_panels(job))
    lede = f"{found['measurements']} measurements of {found['members']} {_members(job)}."
    yield Section("Calibration", lede, blocks)


def _members(job):
    """Return what the study calls those who were measured."""
    groups = job.study.tables.measurements.groups
    return f"{groups}s" if groups else "members"


def _panels(job):
    model = job.problem.model
    checked = job.dataset("evaluate", "same_members")
    observed = _observed(job, model)
    panels = []
    for i, (label, (x, y)) in enumerate(observed.items()):
        own = checked.isel(observation=np.flatnonzero(checked["member"].values == i))
        bands = {
            float(level): (own["low"].sel(level=level).values, own["high"].sel(level=level).values)
            for level in own["level"].values
        }
        panels.append(figures.Panel(label, x, bands, x, y, own["median"].values))
    (dim, place), *_ = model.sim.outputs[model.experiment.output].dims.items()
    unit = model.sim.outputs[model.experiment.output].unit
    spec = figures.predictive_panels(
        panels, x=f"{dim} [{place.unit}]", y=f"{model.experiment.output} [{unit}]"
    )
    caption = (
        "Each member's measurements inside the 50 and 90 % bands of simulated measurements of that member."
    )
    return Figure("predictive", caption, spec, "Small multiples of measurements and predictive bands.")


def _evaluation(job) -> Iterator[Section]:
    found = job.summary("evaluate")
    measured = "Do simulated members look like the measured ones, and do" if job.problem.model else "Do"
    lede = f"{measured} all scenarios obey the laws?"
    yield Section("Evaluation", lede, [_checks(found), *_noise(found), *_residuals(job)])


def _noise(found) -> Iterator[Checks]:
    """Yield the checks of the noise, where measurements were looked at."""
    if found.get("noise"):
        caption = (
            "Are errors everywhere as large as the noise says? Where not, that stands on the statement too; "
            "the study does not fail by it: the curve and the coverage of its bands are checked above."
        )
        yield _checks({"checks": found["noise"]}, caption)


def _residuals(job) -> Iterator[Figure]:
    """Yield a figure of the residuals in each order that they were looked at."""
    if job.problem.model is None:
        return
    experiment = job.problem.model.experiment
    units = {**experiment.sim.parameters, **experiment.sim.outputs[experiment.output].dims}
    caption = (
        f"What the calibrated {experiment.output.replace('_', ' ')} leaves of the measurements, in units of "
        "the noise. The mean at each place, were the model right, would lie in the band 95 times in 100."
    )
    for name in fits.orders(experiment):
        left, words = job.dataset("evaluate", f"residuals_{name}"), name.replace("_", " ")
        spec = figures.residuals(
            (left["coordinate"].values, left["residual"].values),
            (left["middle"].values, left["mean"].values),
            (left["low"].values, left["high"].values),
            x=f"{words} [{units[name].unit}]",
        )
        yield Figure(f"residuals-{name.replace('_', '-')}", caption, spec, f"Residuals over {words}.")


def _lineage(job) -> Iterator[Section]:
    origin, files = lineage(job), job.summary("release")["files"]
    facts = [
        Fact(name.replace("_", " "), str(value))
        for name, value in origin.items()
        if not isinstance(value, dict | list)
    ]
    facts += [Fact(f"measurements: {name}", text) for name, text in origin.get("measurements", {}).items()]
    facts += [Fact("reference", text) for text in origin["references"]]
    table = Table(
        ["file of the release", "sha256"], [[name, entry["sha256"]] for name, entry in sorted(files.items())]
    )
    command = Code(job.command, "The command that reproduces this page.")
    verify = Code("physsynth verify release", "The command that verifies the release, beside this page.")
    yield Section(
        "Lineage",
        "Where the numbers come from.",
        [command, verify, Facts(facts), table, _checks(job.summary("release"))],
    )


SECTIONS = (_requirement, _probability, _modes, _curves, _calibration, _evaluation, _lineage)

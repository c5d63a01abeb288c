"""The real-data requirement statement: one page of plain sections, rendered elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from physsynth.require.plain import plain, rows
from physsynth.require.regime import MARK

if TYPE_CHECKING:
    from physsynth.core.checks import Check
    from physsynth.require.requirement import Requirement

CONTEXT = ("question of interest", "context of use", "model influence", "decision consequence")
FAN = (0.05, 0.5, 0.8, 0.95)


@dataclass(frozen=True)
class Round:
    """An earlier forecast of the same claim, and what happened.

    Parameters
    ----------
    label : str
        For example the date, or the size of the data then.
    number, low, high : float
        What was forecast: the number to plan with and its 90 % interval.
    actual : float or None
        What it took; None while it is not known.
    """

    label: str
    number: float
    low: float
    high: float
    actual: float | None = None

    @classmethod
    def of(cls, label: str, forecast: Requirement, actual: float | None = None) -> Round:
        """Keep what a forecast said, for the record of the next statement."""
        number = math.inf if forecast.number is None else forecast.number
        return cls(label, number, forecast.quantiles[0.05], forecast.quantiles[0.95], actual)

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON, with whether the actual number lay in the interval."""
        kept = None if self.actual is None else self.low <= self.actual <= self.high
        return {**{name: plain(value) for name, value in vars(self).items()}, "inside": kept}


def compose(
    requirement: Requirement,
    meaning: str,
    context: Mapping[str, str],
    data: Mapping[str, str],
    earlier: Sequence[Round],
) -> dict[str, Any]:
    """Return the sections of the statement in reading order; what nobody stated says so."""
    question, regime = requirement.question, requirement.regime
    return {
        "claim": question.claim,
        "quantity": question.quantity,
        "target": question.target,
        "context_of_use": {term: context.get(term, "not stated") for term in CONTEXT} | dict(context),
        "data_in_hand": dict(data) or {"data": "not stated"},
        "verdict": _verdict(requirement, meaning),
        "number": _number(requirement),
        "measure": _measure(requirement),
        "where": rows(requirement.where, "condition"),
        "worth": rows(requirement.worth, "parameter"),
        "in_hand": rows(requirement.in_hand, "measurement"),
        "credit": _credit(requirement),
        "floor": _floor(requirement),
        "regime": regime.sentences() if regime else ["Not assessed."],
        "reveal": _reveal(requirement),
        "stopping_rule": requirement.stopping,
        "looks_used": _looks(earlier),
        "earlier_forecasts": [one.summary() for one in earlier],
        "assumptions": list(requirement.assumptions),
        "failed_checks": [_failed(check) for check in requirement.failed],
        "figures": _figures(requirement, earlier),
    }


def number_text(n: float | None) -> str:
    """Write a count for people: thousands apart, whole where it is large, "never" for infinity.

    Examples
    --------
    >>> number_text(274838740.0), number_text(22), number_text(math.inf)
    ('274,838,740', '22', 'never')
    """
    if n is None or math.isinf(n):
        return "never"
    return f"{n:,.0f}" if n >= 10 or float(n).is_integer() else f"{n:.3g}"


def _verdict(requirement, meaning):
    """Say the verdict, and beside it what stands on no ground."""
    open_ends = [f"{line[0].upper()}{line[1:]}." for line in requirement.assumptions if line.startswith(MARK)]
    return " ".join([f"{requirement.verdict}: {meaning}.", *open_ends])


def _number(requirement):
    question = requirement.question
    if requirement.verdict == "MET":
        return f"No more {question.counted} are needed."
    if requirement.verdict == "NEEDS_PILOT":
        return "No number can be given yet."
    words = {"number": number_text(requirement.number), "counted": question.counted}
    lead = question.reading.format(**words)
    if requirement.number is None:
        lead = f"No number of {question.counted} within reach can be planned with"
    return f"{lead}{_interval(requirement)}."


def _measure(requirement):
    """Say where the number is measured, or which ways of measuring are cheapest."""
    where = requirement.where
    if "count" not in where or not len(where["count"]):
        return "Not assessed."
    table = where.sel(condition=where["count"].values > 0)
    counts = dict(zip(table["condition"].values.tolist(), table["count"].values.tolist(), strict=True))
    if "compared_at" in where.attrs:
        return _cheapest(where, counts, requirement.question.counted)
    if where.sizes["condition"] == 1:
        return "All under the one condition that there is."
    taken = [f"{n:g} at {place}" for place, n in counts.items()]
    return f"{', '.join(taken)}." if taken else "Nowhere."


def _cheapest(where, counts, counted):
    """Say which mixture of ways does as much as the number measured as planned, and what it costs."""
    planned, spent = where.attrs["compared_at"], where.attrs["planned_cost"]
    if list(counts) == where["condition"].values[:1].tolist():
        return "As planned: no other way that was compared, and no mixture of them, costs less."
    taken = ", ".join(f"{number_text(n)} {way}" for way, n in counts.items())
    cost, cheaper = float(where["cost"].sum()), ""
    if not math.isclose(cost, sum(counts.values())) or not math.isclose(spent, planned):
        cheaper = f", at a cost of {number_text(cost)} instead of {number_text(spent)}"
    return f"{taken}: these {counted} do as much as {number_text(planned)} as planned{cheaper}."


def _reveal(requirement):
    """Say which direct measurements would reveal an error of the model, or why none are named."""
    regime = requirement.regime
    if regime is not None and regime.reveal:
        return regime.reveal
    if requirement.verdict == "NEEDS_PILOT":
        return "Not assessed before there is a pilot."
    if regime is not None and regime.extrapolates:
        return "Cannot be said: no condition is known at which the quantity's own regime could be measured."
    if requirement.verdict == "EXTRAPOLATION":
        return "Cannot be said: where the quantity lies is not known, so not where to measure it directly."
    return "None are asked for: the number does not rest on a model outside what is measured."


def _looks(earlier):
    """Count the looks at the data: each forecast on record, and this one."""
    if not earlier:
        return "1: this one; no earlier forecast is on record."
    return f"{len(earlier) + 1}: {len(earlier)} on record, and this one."


def _interval(requirement):
    low, high = (requirement.quantiles.get(level) for level in (0.05, 0.95))
    if low is None or high is None or low == high:
        return ""
    ends = f"{number_text(low)} to {number_text(high)}"
    if not requirement.question.awaited:
        return f" (90 % interval {ends})"
    share = f"probability that they never suffice {requirement.probability_never:.0%}"
    return f" (90 % forecast interval {ends}; {share})"


def _floor(requirement):
    if requirement.floor is None:
        return "Not assessed."
    best, target = f"{requirement.floor:.3g}", requirement.question.target
    lead = f"The best that any amount of such data can reach: {best} (target: {target})."
    causes = [line for line in requirement.assumptions if line.startswith("floor:")]
    return " ".join([lead, *causes])


def _credit(requirement):
    credit = requirement.credit
    if credit is None:
        return ["No simulation was handed in."]
    low, high = (number_text(end) for end in credit.interval)
    lines = [
        f"Simulation counts as {number_text(credit.equivalents)} real {requirement.question.counted} "
        f"({low} to {high}); no amount of it counts as more than {_most(credit.ceiling)} ({credit.method})."
    ]
    if credit.refused:
        lines = [f"No credit is given: {credit.refused}."]
    if credit.number_without is not None:
        without = number_text(credit.number_without)
        lines.append(f"Without simulation: {without}; with it: {number_text(requirement.number)}.")
    if credit.bound_without is not None and requirement.bound is not None:
        lines.append(
            f"Bound today without simulation: {credit.bound_without:.3g}; with it: {requirement.bound:.3g}."
        )
    if credit.bias is not None:
        lines.append(f"Bias of the simulator ({credit.bias_means}): {credit.bias:.3g}.")
    if credit.tipping is not None:
        lines.append(f"The claim tips where that bias is {credit.tipping:.3g}.")
    return lines


def _most(ceiling):
    return "any number that can be named" if math.isinf(ceiling) else number_text(ceiling)


def _failed(check: Check) -> str:
    return f"{check.name}: {check.value:.3g}, wanted {check.threshold}. {check.advice}".strip()


def _figures(requirement, earlier):
    """Return the data of the figures that there are data for."""
    fan, credit = _fan(requirement), requirement.credit
    curve = rows(credit.curve, "bias") if credit else []
    known = [one.summary() for one in earlier if one.actual is not None]
    return {
        **({"fan": fan} if fan else {}),
        **({"tipping": {"curve": curve, "tipping": plain(credit.tipping)}} if curve else {}),
        **({"forecast_against_actual": known} if known else {}),
    }


def _fan(requirement):
    """Return quantiles of the width over the imagined futures; one that met the target stays there."""
    forecast = requirement.forecast
    if "n" not in forecast.dims:
        return None
    target, width = forecast.attrs["target"], forecast["width"].values
    reached = np.where(np.isnan(width), target, width)
    back = np.exp if forecast.attrs.get("scale") == "log" else np.asarray
    with np.errstate(over="ignore"):
        fan = back(np.quantile(reached, FAN, axis=0, method="inverted_cdf"))
        target = float(back(target))
    return {
        "n": forecast["n"].values.tolist(),
        "quantiles": {f"{level:g}": [plain(v) for v in line] for level, line in zip(FAN, fan, strict=True)},
        "target": plain(target),
        "floor": plain(requirement.floor),
        "width": str(forecast["width"].attrs.get("long_name", "width")).split(";")[0],
        "counted": requirement.question.counted,
        "planned": plain(requirement.number),
    }

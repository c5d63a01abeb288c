"""The real-data requirement statement: one page of plain text sections, rendered elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physsynth.core.checks import Check
    from physsynth.require.requirement import Requirement

CONTEXT = ("question of interest", "context of use", "model influence", "decision consequence")


def compose(
    requirement: Requirement,
    meaning: str,
    where: list[dict[str, Any]],
    context: Mapping[str, str],
    data: Mapping[str, str],
) -> dict[str, Any]:
    """Return the sections of the statement in reading order; what nobody stated says so."""
    question = requirement.question
    return {
        "claim": question.claim,
        "quantity": question.quantity,
        "target": question.target,
        "context_of_use": {term: context.get(term, "not stated") for term in CONTEXT} | dict(context),
        "data_in_hand": dict(data) or {"data": "not stated"},
        "verdict": f"{requirement.verdict}: {meaning}.",
        "number": _number(requirement),
        "where": where,
        "floor": _floor(requirement.floor),
        "assumptions": list(requirement.assumptions),
        "failed_checks": [_failed(check) for check in requirement.failed],
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


def _number(requirement):
    counted = requirement.question.counted
    if requirement.verdict == "MET":
        return f"No more {counted} are needed."
    if requirement.verdict == "NEEDS_PILOT":
        return "No number can be given yet."
    lead = f"{number_text(requirement.number)} more {counted}"
    if requirement.number is None:
        lead = f"No number of {counted} within reach can be planned with"
    return f"{lead}{_interval(requirement)}."


def _interval(requirement):
    low, high = (requirement.quantiles.get(level) for level in (0.05, 0.95))
    if low is None or high is None or low == high:
        return ""
    share = f"; probability that they never suffice {requirement.probability_never:.0%}"
    return f" (90 % forecast interval {number_text(low)} to {number_text(high)}{share})"


def _floor(floor):
    if floor is None:
        return "Not assessed."
    return f"The best that any amount of such data can reach: {floor:.3g}."


def _failed(check: Check) -> str:
    return f"{check.name}: {check.value:.3g}, wanted {check.threshold}. {check.advice}".strip()

"""Ways of measuring new members: what each is worth, and the cheapest plan that mixes them.

Each way leaves about the variance v(n) of `screen`. Held against one another are every way by itself and a
greedy plan, which takes member by member the way that removes most variance per cost; the cheapest of those
that leave no more variance than n members measured as planned is the plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from physsynth.require.allocate import Greedy, Local
from physsynth.require.screen import Screen

_LENGTHS = (1, 4, 32)
_ROUNDING = 1 + 1e-9


class Plan(NamedTuple):
    """How many members each way takes, and the share of the reduction in variance that comes with them."""

    count: Float[np.ndarray, " way"]
    share: Float[np.ndarray, " way"]


def compare(
    screen: Screen,
    matrices: Mapping[str, Float[np.ndarray, "c c"]],
    n: float,
    costs: Float[np.ndarray, " way"] | None = None,
) -> xr.Dataset:
    """Compare ways of measuring new members with the first of them.

    Parameters
    ----------
    screen : Screen
    matrices : mapping of str to array
        `member_information` of each way by name, the planned one first.
    n : float
        Number of members at which they are compared.
    costs : array (way,), optional
        Of one member measured each way; 1 unless given.

    Returns
    -------
    xr.Dataset
        Over ``condition``: members of this way in the cheapest plan that does as much as n of the planned
        way, their cost, and the share of the plan's reduction in variance that comes with them; for n members
        of that way alone the sd of the log quantity, its variance relative to the planned way, and the share
        of the present variance that they remove; members of that way that do as much as n of the planned
        one, and how many more than n these are.
    """
    known = list(matrices.values())
    each = np.ones(len(known)) if costs is None else np.asarray(costs, float)
    present = screen.variance(known[0], 0.0)
    variances = np.array([screen.variance(matrix, n) for matrix in known])
    equivalent = np.array([screen.members(matrix, variances[0]) for matrix in known])
    plan = _cheapest(screen.local(known, each), equivalent, n)
    columns = {
        "count": (plan.count, f"members of the cheapest plan that does as much as {n:.0f} as planned"),
        "cost": (plan.count * each, "cost of these"),
        "share": (plan.share, "share of the plan's reduction in variance that comes with them"),
        "sd": (np.sqrt(variances), f"sd of the log quantity after {n:.0f} members"),
        "variance_ratio": (variances / variances[0], "variance relative to members measured as planned"),
        "removed": (1 - variances / present, f"share of the present variance that {n:.0f} members remove"),
        "equivalent": (equivalent, f"members that do as much as {n:.0f} measured as planned; inf if none do"),
        "extra": (equivalent - n, "members more than as planned; negative where members are saved"),
    }
    return xr.Dataset(
        {
            name: ("condition", value, {"units": "1", "long_name": text})
            for name, (value, text) in columns.items()
        },
        {"condition": list(matrices)},
        {"compared_at": n, "planned_cost": float(n * each[0])},
    )


def _cheapest(local: Local, equivalent: Float[np.ndarray, " way"], n: float) -> Plan:
    """Return the cheapest plan; of equally cheap ones the first way by itself, and no mixture."""
    plans = [_alone(way, equivalent) for way in range(len(equivalent)) if math.isfinite(equivalent[way])]
    mixed = _mixed(local, n)
    plans += [] if mixed is None else [mixed]
    spent = [float(plan.count @ local.costs) for plan in plans]
    return next(plan for plan, cost in zip(plans, spent, strict=True) if cost <= min(spent) * _ROUNDING)


def _alone(way: int, equivalent) -> Plan:
    count, share = np.zeros(len(equivalent)), np.zeros(len(equivalent))
    count[way], share[way] = math.ceil(equivalent[way] / _ROUNDING), 1.0
    return Plan(count, share)


def _mixed(local: Local, n: float) -> Plan | None:
    """Return the greedy plan up to the target; None where it takes too many members."""
    before, size = float(local.direction @ local.direction), math.ceil(n)
    target = float(local.variance(n * local.information[:, 0]))
    for length in _LENGTHS:
        order, variance = Greedy().plan(local, length * size)
        reached = variance <= target * _ROUNDING
        if reached.any():
            taken = int(np.argmax(reached)) + 1
            gains = -np.diff(np.concatenate([[before], variance[:taken]]))
            ways, order = len(local.costs), order[:taken]
            count, share = np.bincount(order, minlength=ways), np.bincount(order, gains / gains.sum(), ways)
            return Plan(count.astype(float), share)
    return None

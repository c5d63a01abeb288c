"""What data are worth: measurements added, left out, next and in groups; and the ceiling of each parameter.

The ceiling of a parameter is the share of the quantity's variance that its perfect knowledge would remove on
average, Var(E[q | theta_i]) / Var(q), from the draws alone: by bins of equal count along theta_i.

Source: White, Fienen and Doherty (2016), Environ. Model. Softw. 85, 217 (data worth by its usual names);
Lindley (1956), Ann. Math. Stat. 27, 986 (information gain); Sobol' (2001), Math. Comput. Simul. 55, 271
(first-order index).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from physsynth.require import arguments
from physsynth.require.allocate import Local, Plan
from physsynth.require.screen import Screen

EVERYTHING = 1e12
_PER_BIN, _MOST_BINS = 50, 40
_NOTABLE, _NOTHING = 0.2, 1e-4


def table(
    local: Local, plan: Plan, labels: Sequence[str], n: float, groups: Mapping[str, Sequence[int]]
) -> xr.Dataset:
    """Return, over ``condition``, what each candidate and each group gets out of `n` measurements, and gives.

    Raises
    ------
    ParameterError
        If a group names a candidate that there is not.
    """
    order = plan.order[: max(math.ceil(n), 1)]
    before = float(local.direction @ local.direction)
    gains = -np.diff(np.concatenate([[before], plan.variance[: len(order)]]))
    each = [[c] for c in range(len(local.costs))]
    together = [arguments.places(f"groups.{name}", members, len(each)) for name, members in groups.items()]
    count = np.bincount(order, minlength=len(each))
    shares = np.bincount(order, gains, len(each)) / max(gains.sum(), np.finfo(float).tiny)
    information = local.information.swapaxes(0, 1)
    planned = np.einsum("c,cmij->mij", count, information)
    left = float(local.variance(planned))
    rows = [
        {
            "count": count[places].sum(),
            "cost": (count * local.costs)[places].sum(),
            "share": shares[places].sum(),
            "added": 1 - float(local.variance(information[places].sum(0))) / before,
            "added_per_cost": 0.0,
            "information": _information_gain(information[places].sum(0)),
            "next": 1 - float(local.variance(planned + information[places].sum(0))) / left,
            "left_out": float(local.variance(planned - _sum(count, information, places))) / left - 1,
        }
        for places in (*each, *together)
    ]
    for row, places in zip(rows, (*each, *together), strict=True):
        row["added_per_cost"] = row["added"] / local.costs[places].sum()
    texts = _texts(len(order))
    return xr.Dataset(
        {
            name: ("condition", [row[name] for row in rows], {"units": "1", "long_name": text})
            for name, text in texts.items()
        },
        {"condition": [*labels, *groups]},
    )


def _sum(count, information, places):
    return np.einsum("c,cmij->mij", count[places], information[places])


def _information_gain(matrices):
    """Return half the log determinant of 1 + W, averaged over the draws; exact where all is normal."""
    return float(np.mean(0.5 * np.linalg.slogdet(np.eye(matrices.shape[-1]) + matrices)[1]))


def _texts(n):
    return {
        "count": f"measurements at this condition among {n}",
        "cost": "cost of these",
        "share": "share of the reduction in variance that comes with them",
        "added": "share of the present variance that one measurement here removes",
        "added_per_cost": "the same per cost",
        "information": "expected information gain of one measurement here, in nats",
        "next": f"share of the variance after {n} that one more here removes",
        "left_out": f"by how much the variance after {n} rises where these are left out",
    }


def ceilings(
    rows: Float[np.ndarray, "draw d"], values: Float[np.ndarray, " draw"], names: Sequence[str]
) -> xr.Dataset:
    """Return, over ``parameter``, the largest share of the variance that knowing each could remove."""
    share = [_explained(column, values) for column in rows.T]
    text = "share of the quantity's variance that perfect knowledge of the parameter would remove"
    return xr.Dataset(
        {"ceiling": ("parameter", share, {"units": "1", "long_name": text})}, {"parameter": list(names)}
    )


def _explained(column, values):
    """Return the correlation ratio of the values on one parameter."""
    if np.ptp(column) == 0 or np.ptp(values) == 0:
        return 0.0
    bins = int(np.clip(len(values) // _PER_BIN, 2, _MOST_BINS))
    parts = np.array_split(values[np.argsort(column, kind="stable")], bins)
    within = np.average([np.var(part, ddof=1) for part in parts], weights=[len(part) for part in parts])
    return float(np.clip(1 - within / np.var(values, ddof=1), 0.0, 1.0))


def floor(local: Local) -> float:
    """Return the share of the sd that stays however often every condition is measured."""
    everything = EVERYTHING * local.information.sum(1)
    share = math.sqrt(float(local.variance(everything)) / float(local.direction @ local.direction))
    return share if share > _NOTHING else 0.0


def floor_causes(screen: Screen, local: Local, names: Sequence[str]) -> tuple[str, ...]:
    """Say which parameters hold the variance that no candidate condition removes."""
    inner = np.eye(len(local.direction)) + EVERYTHING * local.information.sum(1)
    left = screen.root @ np.mean(np.linalg.inv(inner), axis=0) @ screen.root.T
    parts = screen.slope * (left @ screen.slope)
    share = parts / max(float(parts.sum()), np.finfo(float).tiny)
    held = [f"{names[i]} ({share[i]:.0%})" for i in np.argsort(-share) if share[i] >= _NOTABLE]
    return (
        f"floor: no candidate condition tells {', '.join(held)} apart from the rest; "
        "a measurement that does would lower it",
    )

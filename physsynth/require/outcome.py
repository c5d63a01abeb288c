"""From the widths along imagined futures to the verdict, the number and what stands behind them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from physsynth.core.checks import Check
from physsynth.require.engine import first_crossings, sizes
from physsynth.require.requirement import LEVELS, Question, Requirement, quantiles_of
from physsynth.require.statement import number_text

LEAST_SIZE = 30.0
LARGEST_ERROR = 0.15
RARELY = 0.05
NOTABLE_FLOOR = 0.3
KEPT_PER_OCTAVE = 4


@dataclass(frozen=True)
class Aim:
    """What a forecast is held against.

    Parameters
    ----------
    question : Question
    width : str
        What the width of the quantity is, in words.
    present, target : float
        The width today and the one that is wanted.
    assurance : float
        Wanted probability that the number suffices.
    reported : callable
        From a width to the number that is shown for it.
    scale : {"linear", "log"}
        Of the width: a difference, or the log of a ratio.
    """

    question: Question
    width: str
    present: float
    target: float
    assurance: float
    reported: Callable[[float], float] = float
    scale: str = "linear"


@dataclass(frozen=True)
class Futures:
    """Widths (replicate, size) at the sizes `grid`, NaN after the end, and smallest effective sizes."""

    widths: Float[np.ndarray, "replicate size"]
    least_sizes: Float[np.ndarray, " replicate"]
    grid: tuple[int, ...]


def needs_pilot(question: Question, checks: tuple[Check, ...]) -> Requirement:
    """Return the answer where too little is known to forecast."""
    never = dict.fromkeys(LEVELS, math.inf)
    return Requirement("NEEDS_PILOT", None, question, never, probability_never=1.0, checks=checks)


def met(aim: Aim, assumptions: tuple[str, ...], checks: tuple[Check, ...]) -> Requirement:
    """Return the answer where the data in hand suffice."""
    none = dict.fromkeys(LEVELS, 0.0)
    bound = aim.reported(aim.present)
    return Requirement("MET", 0, aim.question, none, bound=bound, assumptions=assumptions, checks=checks)


def forecast(
    aim: Aim, futures: Futures, floor: float, assumptions: tuple[str, ...], checks: tuple[Check, ...]
) -> Requirement:
    """Return the answer from imagined futures.

    Parameters
    ----------
    floor : float
        The width that a linear view of the model says no amount of data goes below; where some futures
        never meet the target, what these level off at counts instead.
    """
    needed = np.ceil(first_crossings(futures.widths, futures.grid, aim.target) - 1e-9)
    planned = quantiles_of(needed, (aim.assurance,))[aim.assurance]
    reached = math.isfinite(planned)
    floor = _levelled(futures, aim.present, aim.target, floor)
    looked_at = (
        _size_check(float(np.quantile(futures.least_sizes, RARELY))),
        reach_check(planned, aim.assurance, futures.grid[-1]),
        _error_check(_monte_carlo_error(needed, aim.assurance)),
    )
    return Requirement(
        verdict="FORECAST" if reached or floor <= aim.target else "FLOOR",
        number=math.ceil(planned - 1e-9) if reached else None,
        question=aim.question,
        quantiles=quantiles_of(needed),
        probability_never=float(np.mean(np.isinf(needed))),
        bound=aim.reported(aim.present),
        floor=aim.reported(floor),
        forecast=_paths(aim, futures, needed),
        assumptions=assumptions,
        checks=(*checks, *looked_at),
    )


def planning_size(requirement: Requirement, max_n: int) -> float:
    """Return the size at which conditions are compared: the number, or the largest one looked at."""
    return float(requirement.number or max_n)


def _levelled(futures, present, target, otherwise):
    """Return the width f that futures which miss the target level off at.

    Beyond it information grows with n, w^2 = f^2 + 1 / (1 / (w_0^2 - f^2) + c n); three widths tell f. What
    comes out far below the last width is too little to be told from none.
    """
    widths, grid = futures.widths, futures.grid
    unmet = widths[:, -1] > target
    quarter = int(np.argmin(np.abs(np.log(np.asarray(grid) * 4.0 / grid[-1]))))
    if unmet.mean() < RARELY or quarter == len(grid) - 1:
        return otherwise
    late, early = (float(np.median(widths[unmet, place] ** 2)) for place in (-1, quarter))
    start = present**2
    # Where futures that miss the target began wider than that, the limit of an endless start holds.
    gained = (start - early, start - late) if math.isfinite(start) and start > early else (1.0, 1.0)
    whole, part = grid[-1] * gained[0], grid[quarter] * gained[1]
    squared = (whole * late - part * early) / (whole - part) if whole > part else 0.0
    return math.sqrt(squared) if squared > NOTABLE_FLOOR**2 * late else otherwise


def _monte_carlo_error(needed, assurance):
    """Return the relative standard error of the number, from the order statistics one error away."""
    step = math.sqrt(assurance * (1 - assurance) / len(needed))
    levels = (max(assurance - step, 0.0), min(assurance + step, 1.0))
    low, high = quantiles_of(needed, levels).values()
    return 0.5 * math.log(high / low) if math.isfinite(low) else 0.0


def _error_check(error):
    name = "relative Monte Carlo error of the number"
    return Check(name, error, f"<= {LARGEST_ERROR:g}", error <= LARGEST_ERROR, "raise replicates")


def _size_check(size):
    return Check(
        "effective particles in the thinnest twentieth of the futures",
        size,
        f">= {LEAST_SIZE:g}",
        size >= LEAST_SIZE,
        "hand in more posterior draws and raise particles",
    )


def reach_check(planned: float, assurance: float, max_n: int) -> Check:
    """Check that the number lies within the largest one looked at."""
    return Check(
        f"number at assurance {assurance:g} within the largest one looked at",
        planned,
        f"<= {number_text(max_n)}",
        math.isfinite(planned),
        f"the target takes more than {number_text(max_n)}; raise max_n, or ask for less",
    )


def _paths(aim, futures, needed):
    """Return the numbers needed, and the widths on the way there at a few of the sizes."""
    counted = aim.question.counted
    kept = np.isin(futures.grid, sizes(futures.grid[-1], KEPT_PER_OCTAVE))
    return xr.Dataset(
        {
            "needed": (
                "replicate",
                needed,
                {"units": "1", "long_name": f"{counted} needed; inf if never"},
            ),
            "width": (
                ("replicate", "n"),
                futures.widths[:, kept],
                {"units": "1", "long_name": f"{aim.width}; NaN once the target is met"},
            ),
        },
        {"n": ("n", np.asarray(futures.grid)[kept], {"units": "1", "long_name": f"{counted} added"})},
        {"target": aim.target, "present": aim.present, "scale": aim.scale},
    )

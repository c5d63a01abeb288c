"""Where a quantity lies: the condition at which the model's own response is the quantity.

A quantity such as a peak at a higher load is, to the posterior in hand, a response at some condition x: over
the draws the two differ by little beside the quantity's own sd,

    E (r(x) - q)^2 <= 0.4^2 Var q.

If there is such an x within the range of the conditions that are measured, the quantity lies inside; if there
is one only outside, it rests on the model there, where no measurement at the candidates can show an error.
A parameter of the model lies nowhere; the difference of two responses lies where these are measured. Any
other quantity that is no response cannot be placed.

Source: Rubinstein (1999), Methodol. Comput. Appl. Probab. 1, 127 (the search).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import special
from scipy.stats import qmc

from physsynth.require.case import Case
from physsynth.require.draws import is_parameter
from physsynth.require.in_hand import InHand
from physsynth.require.measurement import Measurement, tabulate
from physsynth.require.regime import Regime
from physsynth.require.reveal import reveal

DRAWS, MOST_PAIRED = 32, 200
CLOSE = 0.4
REACH = 4.0
_LOG_POINTS, _ROUNDS, _KEPT, _WIDER = 9, 12, 24, 2.0
_ENOUGH, _SETTLED, _NEGLIGIBLE = 0.25, 0.01, 0.05
_ALIKE = 1e-6


class _Sought(NamedTuple):
    measurement: Measurement
    rows: Float[Array, "draw d"]
    values: Float[np.ndarray, " draw"]
    shape: tuple[int, ...]
    sd: float


def assess(
    case: Case,
    regime: Regime | None,
    in_hand: InHand | None,
    direct: Float[Array, "d ..."] | None,
    target: float,
) -> Regime | None:
    """Return where the quantity lies beside what is measured, and what would reveal an error there.

    Parameters
    ----------
    case : Case
    regime : Regime or None
        As the caller states it; assessed unless given.
    in_hand : InHand or None
        What was measured, beside the candidates.
    direct : array (D, ...) or None
        Conditions in the quantity's own regime; those that `locate` finds unless given.
    target : float
        Wanted sd of the quantity.

    Returns
    -------
    Regime or None
        None where it cannot be told.
    """
    measured = case.conditions
    if in_hand is not None:
        measured = jnp.concatenate([in_hand.checked()[0].reshape(-1, *measured.shape[1:]), measured])
    asked = direct
    if asked is None and regime is None:
        asked = difference(case.measurement, case.rows, case.values, measured)
    if asked is None and (regime is None or regime.extrapolates):
        place = locate(case.measurement, case.rows, case.values, measured)
        asked = None if place is None else jnp.asarray(place).reshape(1, *measured.shape[1:])
    if asked is None and regime is None and is_parameter(case.rows, case.values):
        return Regime.of_a_parameter()
    if asked is None:
        return regime
    regime = Regime.of_conditions(measured, asked) if regime is None else regime
    if direct is None and not regime.extrapolates:
        return regime
    return replace(regime, direct=reveal(case.measurement, case.rows, case.values, asked, target))


def difference(
    measurement: Measurement,
    rows: Float[np.ndarray, "draw d"],
    values: Float[np.ndarray, " draw"],
    conditions: Float[Array, "condition ..."],
) -> Float[Array, "2 ..."] | None:
    """Return two conditions whose responses differ by the quantity; None if there are none, or too many."""
    if len(conditions) > MOST_PAIRED or is_parameter(rows, values):
        return None
    some = np.linspace(0, len(rows) - 1, DRAWS).astype(int)
    seen = np.asarray(tabulate(measurement, jnp.asarray(rows[some]), conditions), float).T
    gap = np.abs(seen[:, None] - seen - values[some]).max(axis=-1)
    pair = np.unravel_index(np.argmin(gap), gap.shape)
    return conditions[np.array(pair)] if gap[pair] <= _ALIKE * np.abs(values[some]).max() else None


def locate(
    measurement: Measurement,
    rows: Float[np.ndarray, "draw d"],
    values: Float[np.ndarray, " draw"],
    conditions: Float[Array, "condition ..."],
) -> Float[np.ndarray, " axis"] | None:
    """Return the condition (axis,) at which the response is the quantity; None where there is none in reach.

    Parameters
    ----------
    measurement : Measurement
    rows, values : array
        Posterior draws, and the quantity at each.
    conditions : array (C, ...)
        Those measured, or to be measured; their number of axes is that of a condition.
    """
    some = np.linspace(0, len(rows) - 1, DRAWS).astype(int)
    drawn, quantity = jnp.asarray(rows[some]), values[some]
    seen = np.asarray(tabulate(measurement, drawn, conditions), float)
    if is_parameter(rows, values) and not np.isclose(seen.T, quantity, rtol=1e-6).all(axis=1).any():
        return None
    sought = _Sought(measurement, drawn, quantity, conditions.shape[1:], float(quantity.std()))
    flat = np.asarray(conditions, float).reshape(len(conditions), -1)
    box = np.stack([flat.min(0), flat.max(0)])
    within = _nearest(sought, box)
    if within is not None:
        return within
    beyond = _nearest(sought, _wider(box))
    if beyond is None:
        return None
    return np.where(
        np.abs(beyond - np.clip(beyond, *box)) <= _NEGLIGIBLE * np.ptp(box, axis=0),
        np.clip(beyond, *box),
        beyond,
    )


def _nearest(sought: _Sought, box):
    """Return the condition in a box at which the response is the quantity, or None.

    Of conditions spread over the box the better ones say where to look next, as a normal distribution a
    little wider than they are (the cross-entropy method). Axes of positive values are searched in logs.
    """
    positive = box[0] > 0
    ends = np.where(positive, np.log(np.where(positive, box, 1.0)), box)
    unit = qmc.Sobol(box.shape[1], scramble=False).random_base2(_LOG_POINTS) + 0.5**_LOG_POINTS / 2
    normal, points = special.ndtri(unit), ends[0] + unit * np.ptp(ends, axis=0)
    least, place = np.inf, ends[0]
    for _ in range(_ROUNDS):
        gap = _gaps(sought, np.where(positive, np.exp(np.where(positive, points, 0.0)), points))
        best = np.argsort(gap)[:_KEPT]
        if gap[best[0]] < least:
            least, place = float(gap[best[0]]), points[best[0]]
        if least <= _ENOUGH * CLOSE * sought.sd or np.ptp(gap[best]) <= _SETTLED * sought.sd:
            break
        values, vectors = np.linalg.eigh(np.cov(points[best], rowvar=False).reshape(2 * (len(place),)))
        root = vectors * np.sqrt(_WIDER * np.maximum(values, 0.0))
        points = np.clip(points[best].mean(0) + normal @ root.T, *ends)
    found = np.where(positive, np.exp(np.where(positive, place, 0.0)), place)
    return found if least <= CLOSE * sought.sd else None


def _gaps(sought: _Sought, points):
    """Return the root mean square difference of response and quantity at each condition."""
    conditions = jnp.asarray(points.reshape(len(points), *sought.shape))
    responses = np.asarray(tabulate(sought.measurement, sought.rows, conditions), float)
    gap = np.sqrt(np.mean((responses - sought.values[:, None]) ** 2, axis=0))
    return np.where(np.isfinite(gap), gap, np.finfo(float).max)


def _wider(box):
    """Return a box `REACH` times as wide; an axis of positive values stays positive."""
    low, high = box
    span = np.ptp(box, axis=0)
    below = np.where(low > 0, low / REACH, np.where(low == 0, 0.0, low - REACH * span))
    return np.stack([below, np.where(low > 0, np.maximum(high * REACH, high + span), high + REACH * span)])

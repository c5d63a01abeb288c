"""At which conditions to measure next: a plan made from Fisher information averaged over the posterior.

With the posterior covariance C = R R', the quantity's slope g and the information I_c of one measurement
at condition c (at each of some posterior draws m), n_c measurements leave about the variance

    v_m = b' (1 + sum_c n_c W_mc)^-1 b,   W_mc = R' I_mc R,   b = R' g.

Source: Chaloner and Verdinelli (1995), Stat. Sci. 10, 273, section 2.2 (c-optimality; averaged over a prior,
section 4); Fedorov (1972), Theory of Optimal Experiments (exchanges).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Local:
    """The view that a plan is made from, in coordinates where the posterior has unit covariance.

    Parameters
    ----------
    direction : array (d,)
        b, with b' b the present variance.
    information : array (draw, condition, d, d)
        W, for one measurement.
    costs : array (condition,)
    """

    direction: Float[np.ndarray, " d"]
    information: Float[np.ndarray, "draw condition d d"]
    costs: Float[np.ndarray, " condition"]

    def variance(self, matrices: Float[np.ndarray, "*batch draw d d"]) -> Float[np.ndarray, "*batch"]:
        """Return the remaining variance, averaged over the draws, once this information is in."""
        inner = np.eye(len(self.direction)) + matrices
        direction = np.broadcast_to(self.direction, inner.shape[:-1])[..., None]
        return np.mean((np.linalg.solve(inner, direction) * direction).sum((-2, -1)), axis=-1)


class Plan(NamedTuple):
    """Which condition each measurement takes, in order, and the variance that should then remain."""

    order: Int[np.ndarray, " n"]
    variance: Float[np.ndarray, " n"]


@runtime_checkable
class Allocation(Protocol):
    """A rule that spreads measurements over conditions."""

    def plan(self, local: Local, n: int) -> Plan:
        """Return the conditions of `n` measurements."""
        ...


@dataclass(frozen=True)
class Greedy:
    """Each measurement goes where it lowers the variance most per cost.

    Parameters
    ----------
    stride : int
        Once n exceeds `stride`, n / stride measurements are placed at a time.
    """

    stride: int = 30

    def plan(self, local: Local, n: int) -> Plan:
        """Return the conditions of `n` measurements."""
        known, chosen = np.zeros_like(local.information[:, 0]), []
        while len(chosen) < n:
            unit = 1 + len(chosen) // self.stride
            best = _best(local, known, unit, np.arange(len(local.costs)))
            known = known + unit * local.information[:, best]
            chosen += [best] * unit
        return _with_variance(local, np.array(chosen[:n]))


@dataclass(frozen=True)
class Batch:
    """Measurements are chosen together, a batch at a time: greedily, then exchanged for one another.

    An exchange puts one measurement of the batch at another condition; the one that leaves least variance is
    made, as long as there is one and the batch costs no more than the greedy one. So a batch is never worse
    than the greedy one from the same start. Within a batch the order is greedy.

    Parameters
    ----------
    size : int
        Measurements in a batch; beyond three batches each of them stands for several.
    """

    size: int = 12

    def plan(self, local: Local, n: int) -> Plan:
        """Return the conditions of `n` measurements."""
        known, chosen = np.zeros_like(local.information[:, 0]), []
        while len(chosen) < n:
            unit = 1 + len(chosen) // (3 * self.size)
            count = min(self.size, -((len(chosen) - n) // unit))
            batch = _in_order(local, known, unit, self._chosen(local, known, unit, count))
            known = known + unit * local.information[:, batch].sum(1)
            chosen += np.repeat(batch, unit).tolist()
        return _with_variance(local, np.array(chosen[:n]))

    def _chosen(self, local, known, unit, count):
        """Return one batch on top of what is known: the greedy one, exchanged until nothing is gained."""
        batch, total = np.empty(count, int), known
        for place in range(count):
            batch[place] = _best(local, total, unit, np.arange(len(local.costs)))
            total = total + unit * local.information[:, batch[place]]
        budget, better = local.costs[batch].sum(), True
        while better:
            batch, total, better = _exchanged(local, unit, batch, total, budget)
        return batch


def _best(local, known, unit, places):
    """Return the condition, among `places`, at which `unit` measurements gain most per cost."""
    left = local.variance(known + unit * local.information[:, places].swapaxes(0, 1))
    return int(places[np.argmax((local.variance(known) - left) / local.costs[places])])


def _exchanged(local, unit, batch, total, budget):
    """Make the best exchange, if one gains; return the batch, what is then known, and whether it gained."""
    information = unit * local.information.swapaxes(0, 1)
    present, best = float(local.variance(total)), None
    for out in np.unique(batch):
        affordable = local.costs <= (budget - local.costs[batch].sum() + local.costs[out]) * (1 + 1e-12)
        left = np.where(affordable, local.variance(total - information[out] + information), np.inf)
        if left.min() < present * (1 - 1e-9):
            present, best = float(left.min()), (int(np.argmax(batch == out)), int(np.argmin(left)))
    if best is None:
        return batch, total, False
    place, new = best
    total = total - information[batch[place]] + information[new]
    return np.where(np.arange(len(batch)) == place, new, batch), total, True


def _in_order(local, known, unit, batch):
    """Put the measurements of a batch in greedy order."""
    left, order = list(batch), []
    while left:
        order.append(_best(local, known, unit, np.unique(left)))
        left.remove(order[-1])
        known = known + unit * local.information[:, order[-1]]
    return np.array(order)


@dataclass(frozen=True)
class Uniform:
    """The conditions in turn."""

    def plan(self, local: Local, n: int) -> Plan:
        """Return the conditions of `n` measurements."""
        return _with_variance(local, np.arange(n) % local.information.shape[1])


RULES = {"greedy": Greedy, "batch": Batch, "uniform": Uniform}


def _with_variance(local, order):
    """Follow the plan measurement by measurement."""
    known, variance = np.zeros_like(local.information[:, 0]), np.empty(len(order))
    for place, condition in enumerate(order):
        known = known + local.information[:, condition]
        variance[place] = local.variance(known)
    return Plan(order, variance)

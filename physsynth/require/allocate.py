"""At which conditions to measure next: a plan made from Fisher information averaged over the posterior.

With the posterior covariance C = R R', the quantity's slope g and the information I_c of one measurement
at condition c (at each of some posterior draws m), n_c measurements leave about the variance

    v_m = b' (1 + sum_c n_c W_mc)^-1 b,   W_mc = R' I_mc R,   b = R' g.

Source: Chaloner and Verdinelli (1995), Stat. Sci. 10, 273, section 2.2 (c-optimality; averaged over a prior,
section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

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
        information = local.information.swapaxes(0, 1)
        while len(chosen) < n:
            batch = 1 + len(chosen) // self.stride
            left = local.variance(known + batch * information)
            best = int(np.argmax((local.variance(known) - left) / local.costs))
            known = known + batch * information[best]
            chosen += [best] * batch
        return _with_variance(local, np.array(chosen[:n]))


@dataclass(frozen=True)
class Uniform:
    """The conditions in turn."""

    def plan(self, local: Local, n: int) -> Plan:
        """Return the conditions of `n` measurements."""
        return _with_variance(local, np.arange(n) % local.information.shape[1])


RULES = {"greedy": Greedy, "uniform": Uniform}


def _with_variance(local, order):
    """Follow the plan measurement by measurement."""
    known, variance = np.zeros_like(local.information[:, 0]), np.empty(len(order))
    for place, condition in enumerate(order):
        known = known + local.information[:, condition]
        variance[place] = local.variance(known)
    return Plan(order, variance)

"""How wrong is a solution? The residual times a stability constant that training itself has measured.

Two trial solutions v, w of an equation obey L (v - w) = r(v) - r(w), with L the equation linearised
between them. So every earlier state of the network gives a lower bound of the stability constant,

    C >= |v - w| / |r(v) - r(w)|   (L2 norms, fresh points),

in the directions that the network really explores, and the error of the last state is close to C |r|.
For a linear equation and exact conditions the constant of all directions would make this a bound; those
that training never took are looked at in `physsynth.pinn.linearised`, which costs more. An
estimate above 5 % says that the linearisation does not hold: it is then raised to 1, the error of u = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.domain import HostPoints
from physsynth.pinn.objective import Objective
from physsynth.pinn.once import SELDOM
from physsynth.pinn.terms import EQUATION

POINTS = 4000
STATES = 16
LARGEST_ERROR = 0.05
_FARTHEST = 1e4


@dataclass(frozen=True)
class ErrorEstimate:
    """What is known of a solution's error.

    Attributes
    ----------
    relative : dict of str to float
        Estimated relative L2 error of each field; at least 1 unless converged.
    stability : dict of str to float
        Constant of each field: its absolute error a unit of residual.
    residual : float
        Root mean square of the residual of all terms, on fresh points.
    freedom : float
        The largest relative change of the fields that the residual, as small as it is, does not exclude,
        within what the network can reach; 0 if that was not looked at.
    explained : float
        The largest relative error that the linearised equation finds; what is estimated beyond it stands for
        the residual that it leaves. 0 if that was not looked at.
    """

    relative: dict[str, float]
    stability: dict[str, float]
    residual: float
    freedom: float = 0.0
    explained: float = 0.0

    @property
    def largest(self) -> float:
        """The largest relative error of a field."""
        return max(self.relative.values())

    @property
    def converged(self) -> bool:
        """Whether this is a solution: not trivial, not stuck, and the only one."""
        return bool(np.isfinite(self.largest) and self.largest <= LARGEST_ERROR and self.determined)

    @property
    def determined(self) -> bool:
        """Whether the equation and its conditions, as well as they are met, determine the fields."""
        return self.freedom < 1.0

    @property
    def reason(self) -> str | None:
        """Why this is no solution; None if it is one."""
        if self.converged:
            return None
        if not self.determined:
            return (
                f"the equation and its conditions do not determine {', '.join(self.relative)}: at this "
                "residual, a change as large as the solution itself would not show"
            )
        return "the network did not train" if np.isinf(self.largest) else "the error is large"

    def checked(self) -> ErrorEstimate:
        """Return the estimate; raised to 1, the error of u = 0, where it says that nothing is known."""
        if self.converged:
            return self
        return replace(self, relative={name: _nothing_known(error) for name, error in self.relative.items()})


def estimate(
    objective: Objective,
    trail: Sequence[jax.Array],
    scales: Mapping[str, float],
    rng: np.random.Generator,
    at: Mapping[str, float] | None = None,
) -> ErrorEstimate:
    """Estimate the error of the last of the weights that training passed through.

    Parameters
    ----------
    objective : Objective
    trail : sequence of array (weight,)
        The weights after each round.
    scales : dict of float
        The weight of each term against the equation.
    rng : generator
        Fresh points are drawn from it.
    at : mapping of str to float, optional
        Values of varied parameters, which are drawn from their ranges otherwise.
    """
    chosen = np.stack([trail[i] for i in _spread(len(trail))])
    draws = {term.name: fixed(term.draw(rng, POINTS), at or {}) for term in objective.terms}
    data = {term.name: objective.batch(term, draws[term.name], scales[term.name]) for term in objective.terms}
    fields, rows = _measured(objective, chosen, data)
    residual = float(np.linalg.norm(rows[-1]))
    constants = {name: _stability(values, rows) for name, values in fields.items()}
    relative = {name: constants[name] * residual / _rms(fields[name][-1]) for name in fields}
    return ErrorEstimate(relative, constants, residual).checked()


def fixed(points: HostPoints, at: Mapping[str, float]) -> HostPoints:
    """Return points at which some variables have one value."""
    return {name: np.broadcast_to(at.get(name, value), value.shape) for name, value in points.items()}


def _measured(objective, states, data):
    """Return the fields (state, point) and residuals (state, row), so that their squares sum to the loss."""

    def measured(states, data):
        def one(weights):
            inside = data[EQUATION].frames
            jets = jax.lax.map(lambda frame: objective.trial.jets(weights, frame), inside)
            fields = {name: jet.coefficients[:, 0].reshape(-1) for name, jet in jets.items()}
            return fields, jnp.concatenate(list(objective.all_rows(weights, data)))

        return jax.lax.map(one, states)

    return jax.tree.map(np.asarray, objective.compiled("measured", measured, SELDOM)(states, data))


def handed_on(parts: Sequence[tuple[float, ErrorEstimate]], orders: Mapping[str, int]) -> ErrorEstimate:
    """Return the estimate for windows of time one after another, each begun where the last one ended.

    With a constant residual r an error grows as r t, to sqrt(3) times its mean by the end of a window. A
    first-order equation with |u| / |r| = C over a window of length h so amplifies by about sqrt(3) C / h what
    it is handed, and at least hands it on.

    Parameters
    ----------
    parts : sequence of (float, ErrorEstimate)
        The length of each window, and the estimate for it as if its beginning were exact.
    orders : mapping of str to int
        Of each field's time derivative.
    """
    if len(parts) == 1:
        return parts[0][1]
    found = ErrorEstimate(
        {name: _handed_on(parts, name, order) for name, order in orders.items()},
        {name: max(part.stability[name] for _, part in parts) for name in orders},
        float(np.sqrt(np.average([p.residual**2 for _, p in parts], weights=[h for h, _ in parts]))),
        max(part.freedom for _, part in parts),
    )
    return found.checked()


def _handed_on(parts, name, order):
    arrived, at_ends = 0.0, []
    for length, part in parts:
        growth = max(1.0, np.sqrt(3.0) * part.stability[name] / length) if order == 1 else 1.0
        arrived = growth * arrived + np.sqrt(3.0) * part.relative[name]
        at_ends.append(arrived)
    return float(np.sqrt(np.average(np.square(at_ends), weights=[length for length, _ in parts])))


def _nothing_known(error):
    return max(error, 1.0) if np.isfinite(error) else np.inf


def _spread(count):
    """Return the places of `STATES` rounds, denser towards the last, which ends them.

    With fewer rounds than that, some of them more than once: so nothing is compiled anew.
    """
    back = np.round(np.geomspace(1, count, STATES)).astype(int)
    return [count - int(steps) for steps in back[::-1]]


def _stability(field, rows):
    """Return the largest ratio of a change of the field to the change of the residual."""
    residual = np.linalg.norm(rows, axis=1)
    apart = np.linalg.norm(rows[:-1] - rows[-1], axis=1)
    moved = np.sqrt(np.mean((field[:-1] - field[-1]) ** 2, axis=1))
    near = (residual[:-1] <= _FARTHEST * residual[-1]) & (apart >= residual[-1])
    # A network that never moved away from where it is has measured nothing.
    return float(np.max(moved[near] / np.maximum(apart[near], 1e-300))) if np.any(near) else np.inf


def _rms(values):
    return float(np.sqrt(np.mean(values**2)))

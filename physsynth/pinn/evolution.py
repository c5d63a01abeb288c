"""Problems that evolve from an initial state: along which coordinate, and how fast at first."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.ansatz import Ansatz
from physsynth.pinn.conditions import Boundary, Dirichlet, Initial, Neumann, Robin, faces
from physsynth.pinn.field import Field
from physsynth.pinn.jet import taylor
from physsynth.pinn.once import once
from physsynth.pinn.problem import Problem, Values
from physsynth.pinn.terms import sample

_SAMPLE = 512


def time_of(problem: Problem) -> str | None:
    """Return the coordinate along which a problem evolves from initial states alone, if there is one.

    Examples
    --------
    >>> from physsynth.pinn import Initial
    >>> time_of(Problem({"t": (0.0, 1.0)}, lambda u, p: u.t + u, [Initial(1.0)]))
    't'
    """
    starts = [c for c in problem.conditions if isinstance(c, Initial)]
    along = {c.along for c in starts}
    if len(along) != 1 or along & (set(problem.periodic) | _with_walls(problem)):
        return None
    (time,) = along
    given = {name: _given(starts, name) for name in problem.fields}
    return time if all(given[name] >= problem.orders(name)[time] for name in problem.fields) else None


def _with_walls(problem):
    walls = (c for c in problem.conditions if isinstance(c, Dirichlet | Neumann | Robin | Boundary))
    return {name for c in walls for name, _ in faces(c.on, problem.domain.intervals)}


def _given(starts, field):
    """Return how many orders of time derivative the initial conditions of a field determine."""
    own = [c for c in starts if c.field in (field, None)]
    return max((1 if c.rate is None else 2 for c in own), default=0)


def initial_rate(problem: Problem, time: str) -> float:
    """Return how fast the fields change at first, per unit of time; 0 if it cannot be told.

    The equations, linear in the highest time derivatives, give these at the start: |u_t| / |u|, or
    (|u_tt| / |u|)^(1/2) (root mean squares over the domain), the largest over the fields.
    """
    orders = {name: problem.orders(name)[time] for name in problem.fields}
    if not all(orders.values()) or len(problem.equations or ("",)) != len(problem.fields):
        return 0.0
    with jax.enable_x64(True):
        rest, slopes, sizes = once(lambda: _at_start(problem, time, orders))
    try:
        highest = np.linalg.solve(np.moveaxis(slopes, -1, 0), -rest.T[..., None])[..., 0].T
    except np.linalg.LinAlgError:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = (np.sqrt(np.mean(highest**2, axis=1)) / sizes) ** (1.0 / np.array([*orders.values()]))
    return float(np.max(np.where(np.isfinite(rates), rates, 0.0)))


def _at_start(problem, time, orders):
    """Return the residual (equation, point) but for the highest time derivatives, its slopes by them, |u|."""
    start = {time: problem.domain.intervals[time][0]}
    values = sample(problem, np.random.default_rng(0), _SAMPLE) | problem.constants | start
    points = {name: jnp.broadcast_to(value, _SAMPLE) for name, value in values.items()}
    ansatz = Ansatz(problem)
    jets = {name: taylor(ansatz.lift(name), points, problem.indices) for name in problem.fields}

    def residual(highest):
        fields = {
            name: Field(name, problem.coordinates, _with_highest(jet, time, orders[name], value))
            for (name, jet), value in zip(jets.items(), highest, strict=True)
        }
        return jnp.stack(list(problem.evaluate(fields, Values(points)).values()))

    none = jnp.zeros((len(orders), _SAMPLE))
    size = len(orders)
    units = jnp.eye(size)[:, :, None] * jnp.ones(_SAMPLE)
    rest = residual(none)
    slopes = jnp.stack([residual(unit) - rest for unit in units], axis=1)
    return rest, slopes, jnp.stack([_rms(jet.value) for jet in jets.values()])


def _with_highest(jet, time, order, value):
    """Read a jet, but for the highest derivative along time; mixed ones with it are not known."""
    axis = jet.indices.coordinates.index(time)

    def read(index):
        if index[axis] < order:
            return jet.derivative(index)
        return value if sum(index) == order else jnp.full_like(value, jnp.nan)

    return read


def _rms(values):
    return jnp.sqrt(jnp.mean(values**2))

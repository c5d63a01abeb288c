"""Numbers that tell an equation and its conditions from others that use the same derivatives.

Functions cannot be compared, but their values can: residuals of fixed smooth fields, and lifts, at
fixed points.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.ansatz import Ansatz
from physsynth.pinn.jet import taylor
from physsynth.pinn.once import once
from physsynth.pinn.terms import sample, terms
from physsynth.pinn.trial import as_fields

if TYPE_CHECKING:
    from physsynth.pinn.problem import Problem

_POINTS = 64
_TOLERANCE = 1e-5


@lru_cache(maxsize=16)
def fingerprint(problem: Problem) -> tuple[float, ...]:
    """Return mean and root mean square of each residual, then of each lift."""
    with jax.enable_x64(True):
        found = once(lambda: _values(problem))
    return tuple(float(value) for row in found for value in (np.mean(row), np.sqrt(np.mean(row**2))))


def agree(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two fingerprints are of the same problem, rounding aside."""
    if len(first) != len(second):
        return False
    pairs = np.array([first, second]).reshape(2, -1, 2)
    size = np.abs(pairs).max(axis=(0, 2), initial=1e-12)[None, :, None]
    return bool(np.allclose(pairs[0] / size, pairs[1] / size, rtol=0.0, atol=_TOLERANCE, equal_nan=True))


def _values(problem):
    rows = []
    for term in terms(problem):
        points = _with_constants(problem, term.draw(np.random.default_rng(0), _POINTS))
        jets = {
            name: taylor(_wave(problem, number), points, term.indices)
            for number, name in enumerate(problem.fields)
        }
        rows += list(term.residual(as_fields(jets, problem.coordinates), points))
    inside = _with_constants(problem, sample(problem, np.random.default_rng(0), _POINTS))
    return rows + [Ansatz(problem).lift(name)(inside) for name in problem.fields]


def _with_constants(problem, points):
    from physsynth.pinn.problem import Values

    shape = next(iter(points.values())).shape
    return Values({name: jnp.broadcast_to(v, shape) for name, v in (points | problem.constants).items()})


def _wave(problem, number):
    """Return a smooth positive function of all coordinates, another one for each field."""

    def wave(p):
        parts = [
            jnp.sin((1.0 + place + number) * (p[name] - low) / (high - low) + number)
            for place, (name, (low, high)) in enumerate(problem.domain.intervals.items())
        ]
        return jnp.exp(sum(parts))

    return wave

"""Windows of time: a problem on a part of its time interval, begun where an earlier solution ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import jax
import jax.numpy as jnp

from physsynth.pinn.conditions import Initial
from physsynth.pinn.domain import Domain, Interval
from physsynth.pinn.problem import Problem


class Earlier(Protocol):
    """A solution up to some time."""

    def continued(self, variables: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Return each field by its last network."""
        ...


def window(problem: Problem, time: str, interval: Interval, before: Earlier | None = None) -> Problem:
    """Return a problem on a part of its time interval.

    Its initial state is that of the problem, or the last one of the solution before, exactly: values and,
    where the problem gives them, rates.
    """
    domain = Domain({**problem.domain.intervals, time: interval}, problem.domain.without)
    if before is None:
        return replace(problem, domain=domain)
    others = [c for c in problem.conditions if not isinstance(c, Initial)]
    return replace(problem, domain=domain, conditions=(*_handed_over(problem, time, before), *others))


def _handed_over(problem, time, before):
    for start in (c for c in problem.conditions if isinstance(c, Initial)):
        for field in problem.fields if start.field is None else (start.field,):
            value, rate = _state(problem, time, field, before)
            yield Initial(value, None if start.rate is None else rate, time, field)


def _state(problem, time, field, before):
    """Return value and rate of a field, as functions of p whose time is the window's beginning."""

    def at(p, when):
        return before.continued({**{name: p[name] for name in problem.variables}, time: when})[field]

    def value(p):
        return at(p, jnp.full_like(p[time], before.end))

    def rate(p):
        when = jnp.full_like(p[time], before.end)
        return jax.jvp(lambda when: at(p, when), (when,), (jnp.ones_like(when),))[1]

    return value, rate

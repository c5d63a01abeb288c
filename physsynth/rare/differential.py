"""Differential failure: scenarios where one system fails and another does not."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from physsynth.rare.evaluator import LimitStateFunction


def differential(failing: LimitStateFunction, surviving: LimitStateFunction) -> LimitStateFunction:
    """Return the limit state of failing where the other survives.

        g = max(g_failing, -g_surviving),   and above 0 where g_surviving = 0

    Parameters
    ----------
    failing, surviving : callable
        From one scenario's parameters to g; two simulators, or two variants of one. Give both in
        comparable units, so that neither hides the other.

    Returns
    -------
    callable
        A limit state for `estimate`; NaN where either run failed.

    Examples
    --------
    Old brakes fail behind u = 2, new ones behind u = 3:

    >>> g = differential(lambda p: 2.0 - p["u"], lambda p: 3.0 - p["u"])
    >>> [bool(g({"u": u}) <= 0) for u in (1.5, 2.5, 3.5)]
    [False, True, False]
    """

    def g(parameters: dict[str, jax.Array]) -> jax.Array:
        fails, survives = jnp.asarray(failing(parameters)), jnp.asarray(surviving(parameters))
        least = jnp.finfo(jnp.result_type(fails, survives, float)).tiny
        return jnp.maximum(fails, jnp.where(survives == 0, least, -survives))

    return g

"""Whether JAX can trace a limit state, said before anything is run."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from physsynth.core.errors import ParameterError
from physsynth.core.space import ParameterSpace

NOT_A_NUMBER = "a limit state that is not a real scalar"
UNTRACEABLE = (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError)


def check_traceable(limit_state: Callable, space: ParameterSpace) -> None:
    """Refuse a limit state that is no function of JAX arrays to one number.

    Raises
    ------
    ParameterError
        If it is not callable, leaves JAX, or returns something else than a real scalar.
    """
    if not callable(limit_state):
        raise _error("not a limit state", "a function of one scenario's parameters", repr(limit_state))
    scenario = jax.eval_shape(space.from_normal, jax.ShapeDtypeStruct((space.dimension,), float))
    try:
        g = jax.eval_shape(lambda p: _number(limit_state(p)), scenario)
    except UNTRACEABLE as reason:
        raise _error(
            "a limit state that JAX cannot trace",
            "jax.numpy throughout, and jnp.where instead of if",
            str(reason).split(". ")[0].split("\n")[0],
            "wrap it, ps.external(limit_state), and give differentiable=False",
        ) from reason
    if g.shape or jnp.issubdtype(g.dtype, jnp.complexfloating):
        raise _error(NOT_A_NUMBER, "one number, shape ()", f"shape {g.shape}, {g.dtype}")


def _number(result):
    if not isinstance(result, int | float | complex) and not hasattr(result, "dtype"):
        raise _error(NOT_A_NUMBER, "one number, shape ()", type(result).__name__)
    return jnp.asarray(result)


def _error(problem, wanted, got, advice=None):
    return ParameterError(problem, key="limit_state", wanted=wanted, got=got, advice=advice)

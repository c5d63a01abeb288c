"""The limit state as a function of standard normals, in batches, with its calls counted.

g(u) = limit_state(x(u)), u ~ N(0, I). Batches are padded to fixed shapes, one for many points and one
for a few, so that nothing is compiled again when the number of points varies.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from physsynth.core.errors import ParameterError
from physsynth.core.space import ParameterSpace

BLOCK = 512
SMALL_BLOCK = 32
GRADIENT_BLOCK = 64
GRADIENT_COST = 3
DIFFERENCE = 0.03
LimitStateFunction = Callable[[dict[str, jax.Array]], jax.Array]


class Known(Protocol):
    """Points of standard normal space where g is known already."""

    @property
    def u(self) -> Float[np.ndarray, "n dimension"]:
        """The points."""
        ...

    @property
    def g(self) -> Float[np.ndarray, " n"]:
        """The limit state there."""
        ...


class Evaluator:
    """Evaluates g over arrays of standard normals and keeps count.

    Parameters
    ----------
    limit_state : callable
        From one scenario's parameters to the scalar g; failure where g <= 0, NaN for a failed run.
    space : ParameterSpace
    max_calls : int
        Budget in calls of g; a value with its gradient counts three.
    differentiable : bool
        Whether JAX gradients may be asked for; slopes are forward differences if not.
    known : Known, optional
        Runs already made, from which a search may start.
    """

    def __init__(
        self,
        limit_state,
        space: ParameterSpace,
        max_calls: int,
        differentiable: bool = True,
        known: Known | None = None,
    ):
        self.space, self.max_calls = space, max_calls
        self.known_u = known.u if known else np.empty((0, space.dimension))
        self.known_g = known.g if known else np.empty(0)
        self.continuous = _continuous(space)
        self.differentiable = differentiable and bool(self.continuous.any())
        self.calls = self.gradient_calls = self.failed_runs = 0
        self.held_back = 0
        self._value, self._slope = _compiled(limit_state, space)

    @property
    def dimension(self) -> int:
        """Number of standard normals behind one scenario."""
        return self.space.dimension

    @property
    def cost(self) -> int:
        """Calls so far, a gradient counted as three."""
        return self.calls + GRADIENT_COST * self.gradient_calls

    @property
    def slope_cost(self) -> int:
        """Calls that one value with its slope costs."""
        return GRADIENT_COST if self.differentiable else 1 + int(self.continuous.sum())

    @property
    def remaining(self) -> int:
        """Calls that the budget still allows, but for those held back for what comes after the estimate."""
        return max(0, self.max_calls - self.held_back - self.cost)

    @cached_property
    def origin_fails(self) -> bool:
        """Whether the origin of standard normal space fails."""
        return bool(self.values(np.zeros((1, self.dimension)))[0] <= 0)

    def values(self, u: Float[np.ndarray, "n dimension"]) -> Float[np.ndarray, " n"]:
        """Return g at each row; NaN where the run failed."""
        self.calls += len(u)
        g = _in_blocks(self._value, u, BLOCK if len(u) > SMALL_BLOCK else SMALL_BLOCK)[0]
        self.failed_runs += int(np.isnan(g).sum())
        return g

    def slopes(self, u: Float[np.ndarray, "n dimension"], wanted: Callable | None = None):
        """Return g (n,) and its gradient (n, dimension) at each row.

        Black boxes are differentiated by forward differences over 0.03 standard deviations: wide enough for
        the noise of an adaptive solver, and as good as exact for a direction to sample along. They are spared
        the rows that `wanted`, from g to True or False at each row, does not want; the slope is zero there.
        """
        if not self.differentiable:
            return self._differences(u, wanted)
        self.gradient_calls += len(u)
        g, slope = _in_blocks(self._slope, u, GRADIENT_BLOCK)
        self.failed_runs += int(np.isnan(g).sum())
        return g, slope

    def _differences(self, u, wanted):
        g, slope = self.values(u), np.zeros(u.shape)
        axes = self.continuous
        rows = np.flatnonzero(np.isfinite(g) if wanted is None else wanted(g))
        moved = u[rows, None, :] + DIFFERENCE * np.eye(u.shape[1])[axes]
        beside = self.values(moved.reshape(-1, u.shape[1])).reshape(len(rows), int(axes.sum()))
        slope[np.ix_(rows, np.flatnonzero(axes))] = (beside - g[rows, None]) / DIFFERENCE
        return g, slope


def _continuous(space):
    """Return which standard normals stand behind continuous parameters (dimension,)."""
    discrete = np.zeros(space.dimension, bool)
    for name, part in space.slices.items():
        discrete[part] = space.parameters[name].distribution.is_discrete
    return ~discrete


def _compiled(limit_state, space):
    try:
        return _compile(limit_state, space)
    except TypeError:
        return _compile.__wrapped__(limit_state, space)


@lru_cache(maxsize=32)
def _compile(limit_state: LimitStateFunction, space: ParameterSpace):
    def g(u):
        value = jnp.asarray(limit_state(space.from_normal(u)), float)
        if value.shape != ():
            raise ParameterError(
                "a limit state that is not a scalar",
                key="limit_state",
                wanted="shape ()",
                got=f"shape {value.shape}",
            )
        return value

    return jax.jit(jax.vmap(lambda u: (g(u),))), jax.jit(jax.vmap(jax.value_and_grad(g)))


def _in_blocks(function, u, block):
    parts = [function(_padded(u[i : i + block], block)) for i in range(0, max(len(u), 1), block)]
    columns = zip(*parts, strict=True)
    return tuple(np.concatenate([np.asarray(part, float) for part in column])[: len(u)] for column in columns)


def _padded(u, block):
    return np.concatenate([u, np.zeros((block - len(u), u.shape[1]))]) if len(u) < block else u

"""What is measured, what is wanted, and what is known of both: the arguments of `precision`, checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physsynth.core.errors import ParameterError
from physsynth.require import arguments
from physsynth.require.allocate import Local
from physsynth.require.draws import Layout, Reader, Rows, Theta, in_logs
from physsynth.require.measurement import Measurement, information, own_densities
from physsynth.require.noise import FunctionOfCondition, Gaussian, Noise
from physsynth.require.screen import Screen

PLANNED_AT = 32


@dataclass(frozen=True)
class View:
    """The linear view of the posterior, and what plans are made from."""

    screen: Screen
    local: Local

    @classmethod
    def of(cls, measurement, rows, values, conditions, costs) -> View:
        """Linearise about some of the draws.

        Raises
        ------
        ParameterError
            If a response has no finite slope.
        """
        screen = Screen.of(rows, values)
        at = rows[np.linspace(0, len(rows) - 1, PLANNED_AT).astype(int)]
        matrices = np.asarray(information(measurement, at, conditions), float)
        if not np.all(np.isfinite(matrices)):
            raise ParameterError(
                "a response without a finite slope at some posterior draw",
                key="observe",
                wanted="finite, differentiable responses and a positive sd at every candidate",
            )
        if not np.all(np.isfinite(own_densities(measurement, at, conditions))):
            raise ParameterError(
                "a scatter that gives measurements no density",
                key="noise",
                wanted="a positive sd at every candidate, under every posterior draw",
            )
        whitened = screen.root.T @ matrices @ screen.root
        return cls(screen, Local(screen.root.T @ screen.slope, whitened, costs))


@dataclass(frozen=True)
class Case:
    """A posterior in rows, the measurements that could be taken, and the quantity.

    Parameters
    ----------
    measurement : Measurement
    read : Reader
        The quantity of a row.
    rows : array (draw, d)
    values : array (draw,)
        The quantity at each.
    conditions : array (C, ...)
        The candidates.
    costs : array (C,)
    """

    measurement: Measurement
    read: Reader
    rows: Rows
    values: Float[np.ndarray, " draw"]
    conditions: Float[Array, "condition ..."]
    costs: Float[np.ndarray, " condition"]

    @classmethod
    def of(
        cls,
        rows: Rows,
        layout: Layout,
        observe: Callable[[Theta, jax.Array], jax.Array],
        quantity: Callable[[Theta], jax.Array],
        noise: float | FunctionOfCondition | Noise,
        conditions: Float[Array, "condition ..."],
        costs: Float[np.ndarray, " condition"],
    ) -> Case:
        """Evaluate the quantity.

        Raises
        ------
        ParameterError
            If it is not finite, or the noise is no positive number.
        """
        noise = noise_of(noise)
        _try(layout, rows, conditions, observe, quantity, noise)
        read = Reader(quantity, layout)
        values = np.asarray(_values(read, rows), float)
        if not np.isfinite(values).all():
            raise ParameterError(
                "a quantity that is not finite at some posterior draw",
                key="quantity",
                wanted="finite numbers",
            )
        return cls(Measurement(observe, noise, layout), read, rows, values, conditions, costs)

    @property
    def sd(self) -> float:
        """The quantity's posterior sd."""
        return float(np.std(self.values, ddof=1))

    @cached_property
    def view(self) -> View:
        """The linear view of the candidates."""
        return self.view_of(self.conditions, self.costs)

    def view_of(self, conditions: Float[Array, "c ..."], costs: Float[np.ndarray, " c"]) -> View:
        """Return the linear view of other conditions."""
        return View.of(self.measurement, self.rows, self.values, conditions, costs)

    def in_logs(self) -> Case:
        """Return the same with entries that are positive in every draw in logs."""
        rows, layout = in_logs(self.rows, self.measurement.layout)
        read, measurement = replace(self.read, layout=layout), replace(self.measurement, layout=layout)
        return Case(measurement, read, rows, self.values, self.conditions, self.costs)

    def is_linear_gaussian(self, local: Local) -> bool:
        """Tell whether information is the same at every draw, and the quantity linear and normal."""
        matrices, values = local.information, self.values
        steady = np.allclose(matrices, matrices[:1], rtol=1e-6, atol=1e-9 * np.abs(matrices).max())
        linear = math.isclose(local.direction @ local.direction, np.var(values, ddof=1), rel_tol=1e-9)
        standard = (values - values.mean()) / values.std()
        error = 4 / math.sqrt(len(values))
        symmetric = abs(np.mean(standard**3)) < error * math.sqrt(6)
        mesokurtic = abs(np.mean(standard**4) - 3) < error * math.sqrt(24)
        return bool(steady and linear and symmetric and mesokurtic)


def _try(layout, rows, conditions, observe, quantity, noise):
    """Evaluate a caller's functions once.

    Raises
    ------
    ParameterError
        If one cannot be evaluated, or is no scalar.
    """
    names = ", ".join(layout.kinds)
    wanted = f"a JAX function of a draw, which holds {names}, to a scalar"
    further = f"a JAX function of a draw, which holds {names}, and of a condition, to a scalar"
    theta, at = layout.split(jnp.asarray(rows[0])), conditions[0]
    arguments.scalar("quantity", quantity, wanted, theta)
    arguments.scalar("observe", observe, further, theta, at)
    density = partial(noise.log_density, jnp.asarray(0.0))
    arguments.scalar("noise", density, further, jnp.asarray(0.5), theta, at)


@partial(jax.jit, static_argnames="read")
def _values(read, rows):
    return jax.vmap(read)(rows)


def noise_of(noise: float | FunctionOfCondition | Noise) -> Noise:
    """Return the strategy that a number or a function of the condition stands for."""
    if isinstance(noise, Noise):
        return noise
    if isinstance(noise, FunctionOfCondition):
        return Gaussian(noise)
    return Gaussian(_Constant(arguments.positive("noise", noise)))


@dataclass(frozen=True)
class _Constant:
    """One sd at every condition."""

    sd: float

    def __call__(self, theta: Theta, condition: jax.Array) -> jax.Array:
        return jnp.asarray(self.sd)

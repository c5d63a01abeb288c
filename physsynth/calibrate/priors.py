"""What is believed of a simulator's parameters before the data: pooled values, populations, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from physsynth.core import Simulator
from physsynth.core.errors import ParameterError, unknown_name
from physsynth.core.space import check_distribution
from physsynth.core.units import convert, product_unit

KEY = "calibrate.parameters"
LEAST = 1e-12  # the least standard deviation, so that logarithms and slopes of it stay finite


@dataclass(frozen=True)
class Population:
    """A parameter that varies log-normally between the members of a population.

    Member i has the value ``median * exp(spread * z_i)`` with z_i standard normal.

    Parameters
    ----------
    median : Distribution
        Prior of the population median, positive.
    spread : Distribution
        Prior of the standard deviation of the logarithm between members.
    per : str, optional
        Column of the measurements that the parameter is proportional to, for example body weight.
    unit : str, optional
        Unit of the median; the simulator's unit (divided by that of `per`) unless given.

    Raises
    ------
    ParameterError
        If a prior is no distribution of positive numbers.
    """

    median: dist.Distribution
    spread: dist.Distribution
    per: str | None = None
    unit: str | None = None

    def __post_init__(self):
        check_positive(self.median, "median")
        check_positive(self.spread, "spread")


@dataclass(frozen=True)
class Noise:
    """Combined error model: a measurement has standard deviation sqrt(a^2 + (b f)^2 + (c f')^2 + n (e f)^2).

    Where the coordinate of a measurement errs by c, as a time of sampling that was noted, not kept, the
    measurement errs by the slope f' of the output times as much: more where a curve is steep.

    The simulator's own error e is one that all n measurements of a member share, and that they cannot average
    away. As an independent error of variance n (e f)^2 it leaves the estimate at least as uncertain as any
    such error can shift it (Cauchy and Schwarz).

    Parameters
    ----------
    additive : Distribution, optional
        Prior of a, in the output's unit.
    proportional : Distribution, optional
        Prior of b, without unit.
    coordinate : Distribution, optional
        Prior of c, in the unit of the coordinate along the output; small beside the time in which the slope
        changes, for f' c is of first order.
    simulator : float
        The simulator's own relative error e, known beforehand, as that of a network in a solver's place.

    Raises
    ------
    ParameterError
        If a prior is no distribution of positive numbers.

    References
    ----------
    Karlsson, Beal and Sheiner (1995), Journal of Pharmacokinetics and Biopharmaceutics 23, for errors that
    grow with the slope.
    """

    additive: dist.Distribution | None = None
    proportional: dist.Distribution | None = None
    coordinate: dist.Distribution | None = None
    simulator: float = 0.0

    def __post_init__(self):
        for name, prior in self.priors.items():
            check_positive(prior, f"calibrate.noise.{name}")

    @property
    def priors(self) -> dict[str, dist.Distribution]:
        """The priors that are given, by name."""
        given = {name: getattr(self, name) for name in ("additive", "proportional", "coordinate")}
        return {name: prior for name, prior in given.items() if prior is not None}


def check_continuous(prior: dist.Distribution, key: str) -> None:
    """Raise unless a prior is a distribution that chains can draw from by gradients."""
    check_distribution(prior, key=key)
    if prior.is_discrete:
        raise ParameterError(
            "a discrete prior",
            key=key,
            wanted="a continuous distribution: chains move along gradients",
            got=type(prior).__name__,
        )


def check_positive(prior: dist.Distribution, key: str) -> None:
    """Raise unless a prior is a continuous distribution of positive numbers."""
    check_continuous(prior, key)
    lowest = getattr(prior.support, "lower_bound", -np.inf)
    if not np.all(np.asarray(lowest) >= 0.0):
        raise ParameterError(
            "a prior that allows negative values",
            key=key,
            wanted="a distribution of positive numbers, such as LogNormal or HalfNormal",
            got=type(prior).__name__,
        )


def deviation(
    prediction: jax.Array, noise: Mapping[str, jax.Array], slope: jax.Array | float = 0.0
) -> jax.Array:
    """Return the standard deviation of a measurement under posterior noise values.

    Parameters
    ----------
    prediction : array
        The expected measurements.
    noise : mapping
        Noise values by their posterior names.
    slope : array or float
        The output's slope along its coordinate, where a coordinate's noise is among the values.
    """
    absent = jnp.zeros(())
    additive = noise.get("additive_noise", absent)
    relative = noise.get("proportional_noise", absent) ** 2 + noise.get("simulator_noise", absent) ** 2
    along = noise.get("coordinate_noise", absent)
    return jnp.sqrt(jnp.maximum(additive**2 + relative * prediction**2 + (along * slope) ** 2, LEAST**2))


@dataclass(frozen=True)
class Members:
    """How the members of a population get a simulator's parameters.

    A bounded parameter (`Simulator.lower_bounds`) is its bound plus a positive excess, and the
    excess is what varies; this parameterisation leaves no mirrored mode. A parameter `per` a column
    is that column times a value per unit of it.

    Parameters
    ----------
    sim : Simulator
    priors : mapping of str to Population or Distribution
        By the simulator's parameter.
    columns : mapping of str to str
        Units of the columns that `per` may name.
    """

    sim: Simulator
    priors: Mapping[str, Population | dist.Distribution]
    columns: Mapping[str, str]

    def __post_init__(self):
        for name, prior in self.priors.items():
            if name not in self.sim.parameters:
                raise unknown_name(
                    "parameter of " + self.sim.name, name, self.sim.parameters, key=f"{KEY}.{name}"
                )
            if not isinstance(prior, Population):
                check_continuous(prior, f"{KEY}.{name}")
            per = prior.per if isinstance(prior, Population) else None
            if per is not None and per not in self.columns:
                raise unknown_name("column", per, self.columns, key=f"{KEY}.{name}.per")
            self.scale(name)

    @property
    def populations(self) -> dict[str, Population]:
        """The parameters that vary between members."""
        return {name: prior for name, prior in self.priors.items() if isinstance(prior, Population)}

    @property
    def variables(self) -> dict[str, str]:
        """The name of what varies, by parameter: itself, its excess, or its value per column."""
        return {name: self.variable(name) for name in self.priors}

    def variable(self, name: str) -> str:
        """Return the name of what varies behind a parameter."""
        excess = "_excess" if name in self.sim.lower_bounds else ""
        per = self._per(name)
        return name + excess + (f"_per_{per}" if per else "")

    def unit(self, name: str) -> str:
        """Return the unit of what varies behind a parameter."""
        prior, own = self.priors[name], self.sim.parameters[name].unit
        if isinstance(prior, Population) and prior.unit is not None:
            return prior.unit
        per = self._per(name)
        return f"{own}/{self.columns[per]}" if per else own

    def scale(self, name: str) -> float:
        """Return the factor from what varies (times its column) to the simulator's unit."""
        per = self._per(name)
        unit = product_unit([self.unit(name), self.columns[per]]) if per else self.unit(name)
        return float(convert(1.0, unit, self.sim.parameters[name].unit, key=f"{KEY}.{name}.unit"))

    def parameters(
        self, own: Mapping[str, jax.Array], columns: Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Return a member's simulator parameters from what varies and the member's columns."""
        values: dict[str, jax.Array] = {}
        for name in sorted(self.priors, key=lambda name: name in self.sim.lower_bounds):
            per = self._per(name)
            value = self.scale(name) * own[self.variable(name)] * (columns[per] if per else 1.0)
            bound = self.sim.lower_bounds.get(name)
            values[name] = value if bound is None else bound(values) + value
        return values

    def _per(self, name):
        prior = self.priors[name]
        return prior.per if isinstance(prior, Population) else None

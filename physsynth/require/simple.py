"""Precision forecasts that need no simulator: a mean, a rate and a straight line, with conjugate posteriors.

    mean of normal measurements, unknown sd:    (mean - m) sqrt(n) / s ~ t(n - 1)
    rate of failures, k of n:                   Beta(k + 1/2, n - k + 1/2)
    line y = a + b x + sd e:                    normal about least squares, sd^2 ~ (n - 2) s^2 / chi^2(n - 2)

The priors are the right Haar prior 1 / sd, whose intervals have their nominal coverage, and Jeffreys'.

Source: Gelman et al. (2013), Bayesian Data Analysis, 3rd ed. (conjugate posteriors).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from physsynth.core.checks import Check
from physsynth.core.errors import ParameterError
from physsynth.require import arguments
from physsynth.require.noise import Bernoulli, FunctionOfCondition, Noise
from physsynth.require.outcome import needs_pilot
from physsynth.require.pilots import least_check, varies_check
from physsynth.require.precision import asked, precision
from physsynth.require.regime import Regime
from physsynth.require.requirement import Requirement

DRAWS = 4000
LEAST_REPEATED, LEAST_ON_LINE = 4, 5


@dataclass(frozen=True)
class Pilot:
    """A pilot as `precision` wants it.

    Parameters
    ----------
    name : str
        What the quantity is called.
    draws : mapping of str to array
        Posterior draws; empty where the checks fail.
    observe, quantity, noise, candidates
        As `precision` takes them.
    checks : tuple of Check
        Whether there is enough to forecast from.
    regime : Regime or None
    """

    name: str
    draws: Mapping[str, np.ndarray]
    observe: FunctionOfCondition
    quantity: Callable[[Mapping[str, jax.Array]], jax.Array]
    noise: FunctionOfCondition | Noise
    candidates: np.ndarray
    checks: tuple[Check, ...]
    regime: Regime | None = None

    def precision(self, target: float, key: jax.Array, **settings) -> Requirement:
        """Return how many more measurements it takes; `settings` as `precision` takes them.

        Raises
        ------
        ParameterError
            As `precision`.
        """
        if not all(check.passed for check in self.checks):
            return needs_pilot(asked(self.name, target), self.checks)
        given = (self.draws, self.observe, self.quantity, self.noise, self.candidates)
        return precision(*given, target, key, name=self.name, regime=self.regime, **settings)


def repeated(values: ArrayLike, key: jax.Array, name: str = "mean") -> Pilot:
    """Return the pilot of a mean; of a rate where all values are 0 or 1.

    Parameters
    ----------
    values : array (n,)
    key : jax.Array
        JAX key of the posterior draws.
    name : str

    Raises
    ------
    ParameterError
        If the values are no finite numbers.
    """
    measured = _numbers("values", values)
    if np.isin(measured, (0.0, 1.0)).all():
        failed = measured.sum()
        u = np.asarray(jax.random.uniform(key, (DRAWS,)), float)
        chance = special.betaincinv(failed + 0.5, len(measured) - failed + 0.5, u)
        checks = (least_check("outcomes in the pilot", len(measured), 1),)
        return Pilot(f"rate of {name}", {"mean": chance}, _mean, _mean, Bernoulli(), np.zeros(1), checks)
    checks = _checks(measured, LEAST_REPEATED)
    draws = _draws(key, np.ones((len(measured), 1)), measured) if all(c.passed for c in checks) else {}
    return Pilot(f"mean {name}", draws, _level, _level, _sd, np.zeros(1), checks)


def line(
    x: ArrayLike, y: ArrayLike, key: jax.Array, at: float | None = None, name: str = "response"
) -> Pilot:
    """Return the pilot of a straight line, measured anew at the conditions of the pilot.

    Parameters
    ----------
    x, y : array (n,)
        Conditions and measurements.
    key : jax.Array
        JAX key of the posterior draws.
    at : float, optional
        The line's value there is the quantity; its slope unless given.
    name : str

    Raises
    ------
    ParameterError
        If x and y are no finite numbers, or not equally many.
    """
    place, measured = _numbers("x", x), _numbers("y", y)
    if len(place) != len(measured):
        raise ParameterError("x and y differ in number", key="y", wanted=f"{len(place)}", got=len(measured))
    checks = (*_checks(measured, LEAST_ON_LINE), varies_check("condition", place))
    basis = np.column_stack([np.ones_like(place), place])
    draws = _draws(key, basis, measured) if all(check.passed for check in checks) else {}
    quantity = _slope if at is None else lambda theta: _level(theta) + theta["slope"] * at
    words = f"slope of {name}" if at is None else f"mean {name} at {at:g}"
    regime = None if at is None else Regime.of({"condition": place}, {"condition": [at]})
    return Pilot(words, draws, _straight, quantity, _sd, np.unique(place), checks, regime)


def _numbers(name, values):
    wanted = "a list of finite numbers"
    numbers = arguments.numbers(name, values, wanted)
    if numbers.ndim != 1 or not numbers.size:
        raise ParameterError("not numbers", key=name, wanted=wanted, got=repr(values))
    return arguments.moderate(name, numbers)


def _checks(values, least):
    return (least_check("measurements in the pilot", len(values), least), varies_check("measured", values))


def _draws(key, basis, measured):
    """Draw coefficients and sd of a linear model."""
    n, k = basis.shape
    fitted, *_ = np.linalg.lstsq(basis, measured, rcond=None)
    scatter = float(np.sum((measured - basis @ fitted) ** 2))
    root = np.linalg.cholesky(np.linalg.inv(basis.T @ basis))
    spread, turn = jax.random.split(key)
    u = np.asarray(jax.random.uniform(spread, (DRAWS,)), float)
    sd = np.sqrt(scatter / (2 * special.gammaincinv((n - k) / 2, u)))
    coefficients = fitted + sd[:, None] * (np.asarray(jax.random.normal(turn, (DRAWS, k))) @ root.T)
    names = ("level", "slope")[:k]
    return {**{name: coefficients[:, i] for i, name in enumerate(names)}, "sd": sd}


def _mean(theta, condition=None):
    return theta["mean"]


def _level(theta, condition=None):
    return theta["level"]


def _slope(theta):
    return theta["slope"]


def _sd(theta, condition):
    return theta["sd"]


def _straight(theta, condition):
    return theta["level"] + theta["slope"] * condition

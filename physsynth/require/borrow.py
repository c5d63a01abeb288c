"""Upper bounds of a failure rate that borrow strength from simulation, by way of paired outcomes.

With y the real outcome and f the simulated one of the same scenario, and q = P(f = 1) known from many more
simulations, the failure rate is

    p = q P(y = 1 | f = 1) + (1 - q) P(y = 1 | f = 0)          (control variate, at its best coefficient)
    p = q + P(y = 1, f = 0) - P(y = 0, f = 1)                  (prediction-powered)

Each probability on the right has an exact one-sided confidence distribution (a beta); their quantiles are
combined as if they were independent, which keeps the promise of exact bounds where normal approximations of
rare events break it.

Source: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic (2023), Science 382, 669, and Angelopoulos, Duchi
and Zrnic (2023), arXiv:2311.01453 (the estimates); Fay, Proschan and Brittain (2015), Biometrics 71, 146
(melding); Ibrahim and Chen (2000), Stat. Sci. 15, 46 (power priors).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy import special
from scipy.stats import qmc

from physsynth.core.errors import unknown_name
from physsynth.require.arguments import fraction, positive, strategy
from physsynth.require.pairs import Counts, Pairs, Simulations

_LOG_POINTS = 7
_U = qmc.Sobol(3, scramble=False).random_base2(_LOG_POINTS) + 2.0 ** -(_LOG_POINTS + 1)
LEAST_FAILURES = 5
TAKEN_BY_LUCK = 0.6


@runtime_checkable
class Borrowing(Protocol):
    """A way to bound the real failure rate with simulation's help."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def taken(self) -> float:
        """Share of the cases in which it gives the lower bound, at least; 1 where luck has no part in it."""
        ...

    def bound(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the upper bound of the real failure rate."""
        ...


@dataclass(frozen=True)
class ControlVariate:
    """Real failures counted apart where simulation fails and where it passes, at simulation's shares.

    For a simulated outcome of 0 or 1 the regression on it is saturated, so that the control variate at its
    best coefficient is the post-stratified estimate.
    """

    name: str = "control variate"
    taken: float = TAKEN_BY_LUCK

    def bound(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the upper bound of q P(y | f) + (1 - q) P(y | not f)."""
        caught = upper(pairs.both, pairs.both + pairs.simulated_only, _U[:, 0])
        missed = upper(pairs.real_only, pairs.real_only + pairs.neither, _U[:, 1])
        share = upper(simulated.failures, simulated.trials, _U[:, 2])
        return _quantile(share * caught + (1 - share) * missed, confidence)


@dataclass(frozen=True)
class PredictionPowered:
    """Simulation's failure rate, rectified by what the pairs show it to miss and to cry in vain."""

    name: str = "prediction-powered"
    taken: float = TAKEN_BY_LUCK

    def bound(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the upper bound of q + P(y, not f) - P(not y, f)."""
        share = upper(simulated.failures, simulated.trials, _U[:, 2])
        return _quantile(share + _rectifier(pairs), confidence)


@dataclass(frozen=True)
class PowerPrior:
    """Simulated trials as real ones of a weight learnt from the pairs.

    The weight is the largest at which the bias that the pairs cannot rule out moves the posterior mean by no
    more than `cost` posterior standard deviations; at 0.1 that costs a 95 % bound at most 1.1 points.

    Parameters
    ----------
    cost : float
    ruled_out : float
        Confidence with which larger biases are ruled out.

    Raises
    ------
    ParameterError
        If a number is outside its domain.
    """

    cost: float = 0.1
    ruled_out: float = 0.95
    name: str = "power prior"
    taken: float = 1.0

    def __post_init__(self):
        positive("cost", self.cost)
        fraction("ruled_out", self.ruled_out)

    def bound(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the posterior quantile under a uniform initial prior."""
        weight = self.equivalents(pairs, simulated)
        share = simulated.failures / simulated.trials
        failed, passed = pairs.failures + weight * share, pairs.trials - pairs.failures + weight * (1 - share)
        return special.betaincinv(1 + failed, passed, confidence)

    def equivalents(self, pairs: Pairs, simulated: Simulations) -> Counts:
        """Return n_eq, the root of n_eq b = cost sqrt(v (n + n_eq)), b the largest bias left open."""
        bias = np.maximum(_quantile(_rectifier(pairs), self.ruled_out), 1e-12)
        rate = (pairs.failures + 0.5) / (pairs.trials + 1)
        scaled = self.cost**2 * rate * (1 - rate)
        root = np.sqrt(scaled**2 + 4 * bias**2 * scaled * pairs.trials)
        return np.minimum((scaled + root) / (2 * bias**2), simulated.trials)


METHODS: dict[str, type] = {
    "control_variate": ControlVariate,
    "prediction_powered": PredictionPowered,
    "power_prior": PowerPrior,
}


def method(credit: str | Borrowing) -> Borrowing:
    """Return the method that a name stands for; a method is taken as it is.

    Raises
    ------
    UnknownNameError, ParameterError
        If there is no such method.
    """
    if isinstance(credit, str):
        if credit not in METHODS:
            raise unknown_name("credit", credit, METHODS, key="credit")
        return METHODS[credit]()
    return strategy("credit", credit, Borrowing, " or ".join(METHODS))


def chosen(borrowing: Borrowing, confidence: float) -> float:
    """Return the confidence at which a bound that is taken only where it is the lower one keeps its promise.

    P(miss | taken) is at most P(miss) / P(taken), and a sharper bound of the same rate is the lower one in
    about three cases of five or more.
    """
    return 1 - borrowing.taken * (1 - confidence)


class Comparison(NamedTuple):
    """Upper bounds with and without simulation, and each over the same bound at a confidence of one half.

    Simulation that tells next to nothing lowers a bound by luck alone, and the lower of two bounds covers too
    rarely. So credit is given only where the bound with simulation is also the sharper one: closer to its own
    middle. And as the lower bound is taken, it is computed at the `chosen` confidence.
    """

    failures: np.ndarray
    bound: np.ndarray
    without: np.ndarray
    spread: np.ndarray
    spread_without: np.ndarray

    @classmethod
    def of(cls, borrowing: Borrowing, pairs: Pairs, simulated: Simulations, confidence: float) -> Comparison:
        """Compare bounds at a confidence."""
        bound, same, middle = (
            np.asarray(borrowing.bound(pairs, simulated, level))
            for level in (chosen(borrowing, confidence), confidence, 0.5)
        )
        real = upper(pairs.failures, pairs.trials, np.array([confidence, 0.5]))
        spread = np.where(middle > 0, same / np.maximum(middle, 1e-300), np.inf)
        failures = np.asarray(pairs.failures)
        return cls(failures, bound, real[..., 0], spread, real[..., 0] / real[..., 1])

    @property
    def sharper(self) -> np.ndarray:
        """Tell where simulation narrows what is open."""
        return np.asarray(np.abs(np.log(self.spread)) < np.abs(np.log(self.spread_without)))

    @property
    def given(self) -> np.ndarray:
        """Tell where credit is given: enough real failures, and a bound that gains by it and is sharper."""
        return np.asarray((self.failures >= LEAST_FAILURES) & (self.bound < self.without) & self.sharper)


def upper(failures: Counts, trials: Counts, u: Float[np.ndarray, " u"]) -> np.ndarray:
    """Return quantiles (..., u) of Clopper and Pearson's upper confidence distribution of a probability."""
    failures, trials = (np.asarray(part, float)[..., None] for part in (failures, trials))
    passed = trials - failures
    return np.where(passed > 0, special.betaincinv(failures + 1, np.maximum(passed, 1e-9), u), 1.0)


def lower(failures: Counts, trials: Counts, u: Float[np.ndarray, " u"]) -> np.ndarray:
    """Return quantiles (..., u) of their lower confidence distribution."""
    failures, trials = (np.asarray(part, float)[..., None] for part in (failures, trials))
    passed = trials - failures
    return np.where(failures > 0, special.betaincinv(np.maximum(failures, 1e-9), passed + 1, u), 0.0)


def _rectifier(pairs):
    """Return quantiles of P(y, not f) - P(not y, f), high where the rate is."""
    missed = upper(pairs.real_only, pairs.trials, _U[:, 1])
    return missed - lower(pairs.simulated_only, pairs.trials, _U[:, 0])


def _quantile(values, confidence):
    return np.quantile(values, confidence, axis=-1)

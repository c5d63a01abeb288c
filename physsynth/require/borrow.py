"""Upper bounds of a failure rate that borrow strength from simulation, by way of paired outcomes.

With y the real outcome and f the simulated one of the same scenario, and q = P(f = 1) known from many more
simulations, the failure rate is

    p = q P(y = 1 | f = 1) + (1 - q) P(y = 1 | f = 0)          (control variate, at its best coefficient)
    p = w q + P(y = 1, f = 0) + (1 - w) P(y = 1, f = 1) - w P(y = 0, f = 1)      (prediction-powered)

Each probability on the right has an exact one-sided confidence distribution (a beta); their quantiles are
combined as if they were independent, which keeps the promise of exact bounds where normal approximations of
rare events break it. What the twins do in simulation counts towards q, too. At the weight of least variance,
w = P(y = 1 | f = 1) - P(y = 1 | f = 0), what is left to the pairs goes with f no longer.

Whether simulation counts is settled by what says next to nothing of the rate: whether its outcomes go with
the real ones, whether it would lower the bound if its twins failed exactly as often as all simulations do,
whether they fail about as often. Then its bound stands, be it the lower one or not; the lower of two bounds
covers too rarely, with simulation as without.

Source: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic (2023), Science 382, 669, and Angelopoulos, Duchi
and Zrnic (2023), arXiv:2311.01453 (the estimates); Fay, Proschan and Brittain (2015), Biometrics 71, 146
(melding); Ibrahim and Chen (2000), Stat. Sci. 15, 46 (power priors).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy import special
from scipy.stats import qmc

from physsynth.core.errors import unknown_name
from physsynth.require.arguments import fraction, strategy
from physsynth.require.pairs import Counts, Pairs, Simulations

_LEAST_LOG_POINTS, _MOST_LOG_POINTS, _BEYOND = 7, 11, 20
_NODES, _LEAST_SHARE = 20, 1e-250
LEAST_FAILURES = 5
BY_CHANCE = 1e-3
_LARGEST_PART = 0.2


@runtime_checkable
class Borrowing(Protocol):
    """A way to bound the real failure rate with simulation's help."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def bound(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the upper bound of the real failure rate."""
        ...

    def equivalents(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return how many more real tests would narrow the rate as simulation does; 0 or less where none."""
        ...


@dataclass(frozen=True)
class ControlVariate:
    """Real failures counted apart where simulation fails and where it passes, at simulation's shares.

    For a simulated outcome of 0 or 1 the regression on it is saturated, so that the control variate at its
    best coefficient is the post-stratified estimate.
    """

    name: str = "control variate"

    def bound(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the upper bound of q P(y | f) + (1 - q) P(y | not f)."""
        u = _even(confidence)
        caught = upper(pairs.both, pairs.both + pairs.simulated_only, u[:, 0])
        missed = upper(pairs.real_only, pairs.real_only + pairs.neither, u[:, 1])
        failed, trials = _all_simulated(pairs, simulated)
        share = upper(failed, trials, u[:, 2])
        return _quantile(share * caught + (1 - share) * missed, confidence)

    def equivalents(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the real tests saved, by the variance of the estimate over that of a share."""
        seen, passed = pairs.simulated_failures, pairs.real_only + pairs.neither
        caught, missed = _share(pairs.both, seen), _share(pairs.real_only, passed)
        failed, trials = _all_simulated(pairs, simulated)
        q = failed / trials
        within = q**2 * _share(_scatter(caught), seen) + (1 - q) ** 2 * _share(_scatter(missed), passed)
        variance = within + (caught - missed) ** 2 * _scatter(q) / trials
        return _tests(q * caught + (1 - q) * missed, variance) - pairs.trials


@dataclass(frozen=True)
class PredictionPowered:
    """Simulation's failure rate at a weight, rectified by what pairs show it to miss and to cry in vain."""

    name: str = "prediction-powered"

    def bound(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the upper bound of w q + P(y, not f) + (1 - w) P(y, f) - w P(not y, f)."""
        failed, trials = _all_simulated(pairs, simulated)
        u, weight = _even(confidence), np.asarray(_trusted(pairs))[..., None]
        simulation = weight * upper(failed, trials, u[:, 2])
        caught = (1 - weight) * upper(pairs.both, pairs.trials, u[:, 3])
        return _quantile(simulation + caught + _rectifier(pairs, u, weight), confidence)

    def equivalents(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the real tests saved, by the variance of the estimate over that of a share."""
        failed, trials = _all_simulated(pairs, simulated)
        q, n, weight = failed / trials, pairs.trials, _trusted(pairs)
        missed, caught, cried = (part / n for part in (pairs.real_only, pairs.both, pairs.simulated_only))
        rest = missed + (1 - weight) * caught - weight * cried
        square = missed + (1 - weight) ** 2 * caught + weight**2 * cried
        variance = weight**2 * _scatter(q) / trials + (square - rest**2) / n
        return _tests(weight * q + rest, variance) - n


@dataclass(frozen=True)
class PowerPrior:
    """Simulated trials as real ones of a weight learnt from the pairs, where that lowers the bound.

    The weight is the largest at which the bias that the pairs leave open costs the bound no more coverage
    than it may: `cost`, and no more than a fifth of one less the confidence. As rarely is the bias larger.

    Parameters
    ----------
    cost : float
        Coverage that the bias may cost.

    Raises
    ------
    ParameterError
        If it is no fraction.
    """

    cost: float = 0.01
    name: str = "power prior"

    def __post_init__(self):
        fraction("cost", self.cost)

    def bound(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return the posterior quantile under a uniform initial prior, or the bound without if lower."""
        weight = self.equivalents(pairs, simulated, confidence)
        share = simulated.failures / simulated.trials
        failed, passed = pairs.failures + weight * share, pairs.trials - pairs.failures + weight * (1 - share)
        without = _without(pairs, confidence)
        return np.minimum(special.betaincinv(1 + failed, np.maximum(passed, 1e-9), confidence), without)

    def equivalents(self, pairs: Pairs, simulated: Simulations, confidence: float) -> Counts:
        """Return n_eq, the root of n_eq b = d sqrt(v (n + n_eq)), b the largest bias left open.

        A shift by d posterior standard deviations costs the coverage Phi(z) - Phi(z - d).
        """
        lost = min(self.cost, _LARGEST_PART * (1 - confidence))
        shift = special.ndtri(confidence) - special.ndtri(confidence - lost)
        bias = np.maximum(_quantile(_rectifier(pairs, _even(confidence)), 1 - lost), 1e-12)
        rate = (pairs.failures + 0.5) / (pairs.trials + 1)
        scaled = shift**2 * rate * (1 - rate)
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


class Comparison(NamedTuple):
    """Upper bounds with and without simulation, and what tells whether simulation counts.

    Parameters
    ----------
    failures, simulated_failures : array
        Of the pairs.
    bound, without : array
        Upper bounds with simulation and without.
    equivalents : array
        Real tests that simulation is worth.
    typical : array
        Bound with simulation over the one without, if the twins failed in simulation exactly as often as all
        simulations do, and in reality as often as simulation and pairs together say: with no luck either way.
    unrelated : array
        How likely so many coincidences, or so few, are where simulation tells nothing of the real outcome.
    unlike : array
        How likely the twins fail so much more often in simulation than the larger set, or so much less, where
        both are drawn alike.
    """

    failures: np.ndarray
    simulated_failures: np.ndarray
    bound: np.ndarray
    without: np.ndarray
    equivalents: np.ndarray
    typical: np.ndarray
    unrelated: np.ndarray
    unlike: np.ndarray

    @classmethod
    def of(cls, borrowing: Borrowing, pairs: Pairs, simulated: Simulations, confidence: float) -> Comparison:
        """Compare bounds at a confidence."""
        twins, given = pairs.simulated_failures, (pairs, simulated, confidence)
        share = _share(*_all_simulated(pairs, simulated))
        level, like = pairs.at_share(share), simulated._replace(failures=share * simulated.trials)
        return cls(
            failures=np.asarray(pairs.failures),
            simulated_failures=np.asarray(twins),
            bound=np.asarray(borrowing.bound(*given)),
            without=_without(pairs, confidence),
            equivalents=np.asarray(borrowing.equivalents(*given)),
            typical=np.asarray(borrowing.bound(level, like, confidence)) / _without(level, confidence),
            unrelated=_tail(pairs.both, twins, pairs.failures / pairs.trials),
            unlike=_tail(twins, twins + simulated.failures, pairs.trials / (pairs.trials + simulated.trials)),
        )

    @property
    def enough(self) -> np.ndarray:
        """Tell where the pairs hold failures enough, real and simulated, to tell how the two go together."""
        return np.asarray(np.minimum(self.failures, self.simulated_failures) >= LEAST_FAILURES)

    @property
    def related(self) -> np.ndarray:
        """Tell where real and simulated outcomes go together, or apart, beyond chance."""
        return np.asarray(self.unrelated < BY_CHANCE)

    @property
    def alike(self) -> np.ndarray:
        """Tell where the twins may be drawn like the larger set."""
        return np.asarray(self.unlike >= BY_CHANCE)

    @property
    def narrower(self) -> np.ndarray:
        """Tell where simulation narrows what is open."""
        return np.asarray(self.equivalents > 0)

    @property
    def sharper(self) -> np.ndarray:
        """Tell where simulation lowers the bound, luck left aside."""
        return np.asarray(self.typical <= 1)

    @property
    def given(self) -> np.ndarray:
        """Tell where credit is given."""
        return np.asarray(self.enough & self.related & self.alike & self.narrower & self.sharper)


def _tail(count, trials, chance):
    """Return twice the smaller binomial tail, at most 1."""
    count, trials, chance = (np.asarray(part, float) for part in (count, trials, chance))
    rest = trials - count
    many = np.where(count > 0, special.betainc(np.maximum(count, 1e-9), rest + 1, chance), 1.0)
    few = np.where(rest > 0, special.betainc(np.maximum(rest, 1e-9), count + 1, 1 - chance), 1.0)
    return np.minimum(2 * np.minimum(many, few), 1.0)


def upper(failures: Counts, trials: Counts, u: Float[np.ndarray, " u"]) -> np.ndarray:
    """Return quantiles (..., u) of Clopper and Pearson's upper confidence distribution of a probability."""
    return _distinct(_upper, failures, trials, u)


def lower(failures: Counts, trials: Counts, u: Float[np.ndarray, " u"]) -> np.ndarray:
    """Return quantiles (..., u) of their lower confidence distribution."""
    return _distinct(_lower, failures, trials, u)


def _distinct(quantiles, failures, trials, u):
    """Evaluate quantiles once for each pair of counts, of which many are the same among replications."""
    counts = np.stack(np.broadcast_arrays(np.asarray(failures, float), np.asarray(trials, float)))
    pairs, places = np.unique(counts.reshape(2, -1), axis=1, return_inverse=True)
    found = _interpolated(quantiles, pairs[0, :, None], pairs[1, :, None], u)
    return found[places.reshape(-1)].reshape(*counts.shape[1:], len(u))


def _interpolated(quantiles, failures, trials, u):
    """Return quantiles (pair, u) from a few nodes: their log odds are smooth in the normal quantile of u.

    Those so close to 0 or 1 that they have no log odds are left to the function itself.
    """
    if len(u) <= _NODES:
        return quantiles(failures, trials, u)
    z = special.ndtri(u)
    low, high = z.min(), z.max()
    known = quantiles(failures, trials, special.ndtr((low + high + (high - low) * _chebyshev()) / 2))
    usual = np.all((known > _LEAST_SHARE) & (known < 1), axis=1)
    found = np.empty((len(known), len(u)))
    found[~usual] = quantiles(failures[~usual], trials[~usual], u)
    place = (2 * z - low - high) / (high - low)
    found[usual] = special.expit(special.logit(known[usual]) @ _polynomials(place))
    return found


def _chebyshev():
    return np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)


def _polynomials(place):
    """Return the values (node, place) of the polynomials that are 1 at one Chebyshev node and 0 at others."""
    orders = np.arange(_NODES)[:, None]
    twice = np.where(orders, 2, 1) / _NODES
    inside = np.arccos(np.clip(place, -1, 1))
    return (twice * np.cos(orders * np.arccos(_chebyshev()))).T @ np.cos(orders * inside)


def _upper(failures, trials, u):
    passed = trials - failures
    return np.where(passed > 0, special.betaincinv(failures + 1, np.maximum(passed, 1e-9), u), 1.0)


def _lower(failures, trials, u):
    passed = trials - failures
    return np.where(failures > 0, special.betaincinv(np.maximum(failures, 1e-9), passed + 1, u), 0.0)


def _without(pairs, confidence):
    """Return Clopper and Pearson's upper bound from the real outcomes alone."""
    return upper(pairs.failures, pairs.trials, np.array([confidence]))[..., 0]


def _all_simulated(pairs, simulated):
    """Return failures and trials of the larger set with the twins' simulations."""
    return pairs.simulated_failures + simulated.failures, pairs.trials + simulated.trials


def _share(part, whole):
    """Return part / whole, 0 where there is nothing."""
    return np.where(np.asarray(whole) > 0, part / np.maximum(whole, 1e-300), 0.0)


def _scatter(share):
    return share * (1 - share)


def _tests(rate, variance):
    """Return after how many tests the share of failures has that variance; 0 for what is no rate."""
    return np.where(rate > 0, _scatter(rate) / np.maximum(variance, 1e-300), 0.0)


def _trusted(pairs):
    """Return P(y | f) - P(y | not f), the weight of simulation that leaves least variance; at least 0."""
    caught = _share(pairs.both, pairs.simulated_failures)
    return np.maximum(caught - _share(pairs.real_only, pairs.real_only + pairs.neither), 0.0)


def _rectifier(pairs, u, weight: Counts = 1.0):
    """Return quantiles of P(y, not f) - w P(not y, f), high where the rate is."""
    missed = upper(pairs.real_only, pairs.trials, u[:, 1])
    return missed - weight * lower(pairs.simulated_only, pairs.trials, u[:, 0])


@cache
def _even(confidence: float) -> Float[np.ndarray, "u 4"]:
    """Return points spread evenly over the unit cube, twenty beyond a quantile of up to 0.99."""
    log_points = max(_LEAST_LOG_POINTS, math.ceil(math.log2(_BEYOND / (1 - confidence))))
    points = qmc.Sobol(4, scramble=False).random_base2(min(log_points, _MOST_LOG_POINTS))
    return points + 0.5 / len(points)


def _quantile(values, confidence):
    return np.quantile(values, confidence, axis=-1)

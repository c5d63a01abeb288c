"""Demonstrate a failure rate: the exposure without a further failure that supports "rate <= r".

With k failures in exposure n, the exact one-sided upper confidence bound u solves

    binomial (per trial):         P(X <= k | n, u) = 1 - C      (Clopper and Pearson 1934)
    Poisson (per mile, hour):     P(X <= k | n u)  = 1 - C      (Garwood 1936)

and the claim holds at confidence C once u <= r. For k = 0 this is the success-run theorem,
n = ln(1 - C) / ln(1 - r), and n = -ln(1 - C) / r for a rate. A belief replaces the bound by a posterior's;
simulation with real twins may lower it (`borrow`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from physsynth.core.checks import Check
from physsynth.core.errors import ParameterError
from physsynth.require.arguments import strategy
from physsynth.require.belief import Belief, Exact
from physsynth.require.borrow import BY_CHANCE, LEAST_FAILURES, Borrowing, Comparison, lower, method, upper
from physsynth.require.credit import Credit
from physsynth.require.failures import Binomial, Exposure, check_test, exposure_kind, further
from physsynth.require.pairs import Pairs, Simulations
from physsynth.require.requirement import LEVELS, Question, Requirement
from physsynth.require.statement import number_text

STOPPING = "one look, planned in advance; for a bound that holds at every look use monitor"
AGAINST = (
    "simulation speaks against the claim: its bound is the higher one, and stands; the lower of two bounds, "
    "taken because it is lower, covers too rarely"
)
_RESAMPLES = 200


def demonstration(
    rate: float,
    confidence: float,
    failures: int = 0,
    exposure: float = 0,
    simulated: tuple[int, int] | ArrayLike | None = None,
    paired: Mapping[str, int] | ArrayLike | None = None,
    belief: Belief | None = None,
    model: str | Exposure = "binomial",
    unit: str | None = None,
    credit: str | Borrowing = "control_variate",
) -> Requirement:
    """Return how much more exposure without a failure demonstrates a failure rate at a confidence.

    Parameters
    ----------
    rate : float
        The failure rate to demonstrate, per trial or per unit of exposure.
    confidence : float
        For example 0.95; one-sided.
    failures : int
        Failures seen so far.
    exposure : float
        Trials, miles or hours so far, those failures included.
    simulated : (failures, trials), or array of 0 and 1, optional
        Outcomes of a larger simulated set, drawn like the real tests, whose own simulations are not among
        them; for a rate (failures, exposure).
    paired : array (n, 2) or mapping, optional
        Real and simulated outcome of each real test, 1 for a failure; or their counts by the names
        "both", "real_only", "simulated_only", "neither". For a rate the exposure that was run and simulated
        again, and the failures in it: "both" where simulation failed with the real run, "real_only",
        "simulated_only", "exposure". They are the real tests: leave `failures` and `exposure` out.
    belief : Belief, optional
        `Prior` for a conjugate prior, `PartialBelief` for conservative Bayesian inference; without one
        the statement is the exact frequentist one.
    model : {"binomial", "poisson"} or Exposure
        Independent trials, or failures at a constant rate per mile or hour.
    unit : str, optional
        What exposure is counted in, in the plural: "miles".
    credit : {"control_variate", "prediction_powered", "power_prior"} or Borrowing
        How simulation earns its credit.

    Returns
    -------
    Requirement
        ``number`` is the further exposure; ``bound`` the present upper bound of the rate. MET if
        that bound does not exceed `rate`. With simulation, ``credit`` holds number and bound without it;
        CREDIT_REFUSED below five failures of either kind among the pairs, where simulation tells nothing of
        the real outcome, narrows nothing or would not lower the bound, where twins and simulated set are not
        drawn alike, or where the real tests refute the claim whatever simulation says. Otherwise the bound
        with simulation stands, higher or lower.

    Raises
    ------
    ParameterError, UnknownNameError
        If an argument is outside its domain, or the model or method unknown.

    Examples
    --------
    >>> demonstration(0.01, 0.95).number
    299
    >>> demonstration(1.09e-8, 0.95, model="poisson", unit="miles").number / 1e6  # doctest: +ELLIPSIS
    274.8...
    >>> pairs = {"both": 18, "real_only": 2, "simulated_only": 4, "neither": 976}
    >>> need = demonstration(0.03, 0.95, paired=pairs, simulated=(2200, 100_000))
    >>> need.verdict, need.bound < need.credit.bound_without
    ('MET', True)

    Source: Clopper and Pearson (1934), Biometrika 26, 404; Garwood (1936), Biometrika 28; Kalra and
    Paddock (2016), Driving to Safety, RAND RR-1478, table 1.
    """
    kind, held, borrowing = exposure_kind(model, unit), _belief(belief), method(credit)
    if paired is None and simulated is None:
        return _real(kind, held, rate, confidence, failures, exposure)
    twins = _borrowed(kind, held, failures, exposure, paired, simulated)
    tested = float(twins.pairs.trials / twins.windows)
    without = _real(kind, held, rate, confidence, int(twins.pairs.failures), tested)
    return _with_simulation(kind, without, rate, confidence, twins, borrowing)


def _real(kind, held, rate, confidence, failures, exposure) -> Requirement:
    """Return the answer from real data alone."""
    check_test(kind, rate, confidence, failures, exposure)
    bound = held.bound(kind, confidence, failures, exposure)

    def lacking(more):
        return held.confidence(kind, rate, failures, exposure + more) - confidence

    more = 0 if bound <= rate else further(kind, rate, lacking)
    return Requirement(
        verdict="MET" if more == 0 else "FORECAST",
        number=more,
        question=_question(rate, confidence, kind, held.sort),
        quantiles=dict.fromkeys(LEVELS, float(more)),
        bound=bound,
        assumptions=(
            kind.assumption,
            "no further failure occurs; each one calls for a new computation with the failures counted",
            *held.assumptions(),
        ),
        stopping=STOPPING,
    )


def _belief(belief):
    if belief is None:
        return Exact()
    return strategy("belief", belief, Belief, "Prior, PartialBelief or None")


def _question(rate, confidence, kind, sort):
    rarity = f"one failure in {number_text(1 / rate)} {kind.unit}"
    return Question(
        claim=f"There is at most {rarity}, with {confidence:g} {sort}.",
        quantity=f"failure rate, per one of the {kind.unit}",
        target=f"upper bound at {sort} {confidence:g} of at most {rate:.3g}",
        counted=kind.unit,
    )


def _borrowed(kind, held, failures, exposure, paired, simulated) -> _Twins:
    """Return pairs and simulations, once they fit together and with the rest."""
    for name, value in (("paired", paired), ("simulated", simulated)):
        if value is None:
            raise ParameterError(
                "simulation without its pairs, or pairs without the larger simulation",
                key=name,
                wanted="both, paired and simulated",
                advice="what a simulator is worth shows only where real tests are simulated as well",
            )
    if failures or exposure:
        raise ParameterError(
            "real tests stated twice", key="exposure", wanted="the pairs alone, which are the real tests"
        )
    if not isinstance(held, Exact):
        raise ParameterError(
            "credit for simulation beside a belief about the real rate alone",
            key="belief",
            wanted="no belief, or no simulation",
            advice="such a belief does not say how the simulator and the real system go together; among the "
            "priors that agree with it are some under which simulation tells nothing, and a conservative "
            "inference has to reckon with those",
        )
    if isinstance(kind, Binomial):
        return _Twins(Pairs.of(paired), Simulations.of(simulated))
    pairs, windows = Pairs.at_rate(paired)
    return _Twins(pairs, Simulations.at_rate(simulated, windows), windows)


class _Twins(NamedTuple):
    """Pairs and further simulations, as trials; how many trials there are in a unit of exposure."""

    pairs: Pairs
    simulated: Simulations
    windows: float = 1.0


def _with_simulation(
    kind: Exposure,
    without: Requirement,
    rate: float,
    confidence: float,
    twins: _Twins,
    borrowing: Borrowing,
) -> Requirement:
    """Set the bound with simulation beside the one without, and refuse it where it does not hold or help."""
    assert without.bound is not None
    pairs, simulated, windows = twins

    def bound(more: float) -> float:
        return windows * float(borrowing.bound(pairs.extended(windows * more), simulated, confidence))

    comparison = Comparison.of(borrowing, pairs, simulated, confidence)
    credited = windows * float(comparison.bound)
    share = windows * float(upper(simulated.failures, simulated.trials, np.array([confidence]))[0])
    checks = _credit_checks(twins, rate, confidence, comparison, share)
    rates = simulated.failures / simulated.trials, pairs.failures / pairs.trials
    credit = Credit(
        method=borrowing.name,
        number_without=without.number,
        bound_without=without.bound,
        bias=float(rates[0] / rates[1]) if pairs.failures else None,
        tipping=share / rate,
        bias_means="its failure rate over the real one; below 1 it is too kind",
        curve=_tipping_curve(share, rate),
        refused="; ".join(check.name for check in checks if not check.passed),
        **_equivalents(borrowing, twins, confidence),
    )
    common: dict[str, Any] = {"credit": credit, "checks": checks}
    lines = (*without.assumptions, "the simulated set is drawn from the same scenarios as the pairs")
    if credit.refused:
        verdict = "MET" if without.verdict == "MET" else "CREDIT_REFUSED"
        return replace(without, verdict=verdict, assumptions=lines, **common)
    more = 0 if credited <= rate else further(kind, rate, lambda m: rate - bound(m))
    if comparison.bound > comparison.without:
        lines = (*lines, AGAINST)
    return replace(
        without,
        verdict="MET" if more == 0 else "FORECAST",
        number=more,
        quantiles=dict.fromkeys(LEVELS, float(more)),
        bound=credited,
        assumptions=lines,
        **common,
    )


def _credit_checks(twins, rate, confidence, comparison, share):
    pairs = twins.pairs
    least = twins.windows * float(lower(pairs.failures, pairs.trials, np.array([1 - confidence]))[0])
    highest = share / least if least > 0 else np.inf
    return (
        Check(
            "real failures among the pairs",
            float(pairs.failures),
            f">= {LEAST_FAILURES}",
            bool(pairs.failures >= LEAST_FAILURES),
            "what simulation misses shows only in real failures; test more, or do without credit",
        ),
        Check(
            "simulated failures among the pairs",
            float(comparison.simulated_failures),
            f">= {LEAST_FAILURES}",
            bool(comparison.simulated_failures >= LEAST_FAILURES),
            "what simulation catches shows only in its failures; test more, or do without credit",
        ),
        Check(
            "probability of so many coincidences, or so few, by chance",
            float(comparison.unrelated),
            f"< {BY_CHANCE:g}",
            bool(comparison.related),
            "the simulated outcome tells nothing of the real one: simulate better, or test more",
        ),
        Check(
            "probability of twins that fail so unlike the larger set, both drawn alike",
            float(comparison.unlike),
            f">= {BY_CHANCE:g}",
            bool(comparison.alike),
            "draw the simulated set from the same scenarios as the real tests",
        ),
        Check(
            "real exposure that simulation is worth",
            float(comparison.equivalents) / twins.windows,
            "> 0",
            bool(comparison.narrower),
            "simulation narrows nothing: simulate more, or better",
        ),
        Check(
            "bound with simulation over the one without, luck left aside",
            float(comparison.typical),
            "<= 1",
            bool(comparison.sharper),
            "so few simulations cost the bound more than they tell: simulate more, or better",
        ),
        Check(
            "bias of the simulator, at its kindest, beyond the tipping point",
            highest,
            f">= {share / rate:.3g}",
            bool(highest >= share / rate),
            "the real tests alone refute the claim",
        ),
    )


def _tipping_curve(share, rate):
    """Return the failure rate that simulation stands for, over the bias that it may have."""
    tipping = share / rate
    bias = np.geomspace(min(0.1, tipping / 2), max(2.0, 2 * tipping), 41)
    return xr.Dataset({"bound": ("bias", share / bias)}, {"bias": bias})


def _equivalents(borrowing, twins, confidence) -> dict[str, Any]:
    """Return the real exposure that simulation saves, its interval, and the most that it could save."""
    rng, (pairs, simulated, windows) = np.random.default_rng(0), twins
    n = int(pairs.trials)
    chances = (np.array(pairs) + 0.25) / (n + 1)
    resampled = Pairs(*rng.multinomial(n, chances, size=_RESAMPLES).T.astype(float))
    endless = Simulations(simulated.failures * 1e6, simulated.trials * 1e6)

    def saved(pairs, simulated):
        return np.maximum(borrowing.equivalents(pairs, simulated, confidence), 0.0) / windows

    low, high = np.quantile(saved(resampled, simulated), [0.05, 0.95])
    return {
        "equivalents": float(saved(pairs, simulated)),
        "interval": (float(low), float(high)),
        "ceiling": float(saved(pairs, endless)),
    }

"""The door: from a limit state and a parameter space to an event."""

from __future__ import annotations

import jax
import numpy as np
import xarray as xr

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.core.space import ParameterSpace
from physsynth.rare.auto import Auto
from physsynth.rare.evaluator import Evaluator, LimitStateFunction
from physsynth.rare.event import RESERVED, Event
from physsynth.rare.guided import Guided
from physsynth.rare.importance import Importance
from physsynth.rare.modes import Modes, find_modes
from physsynth.rare.montecarlo import MonteCarlo
from physsynth.rare.outcome import Estimate, Method
from physsynth.rare.runs import ENOUGH, Runs
from physsynth.rare.subset import Subset
from physsynth.rare.tracing import check_traceable

GUIDE_CALLS = 20
# Share of the budget that an estimate leaves to the search for modes and their design points.
FOR_MODES = 0.04
METHODS: dict[str, Method] = {
    "auto": Auto(),
    "montecarlo": MonteCarlo(),
    "subset": Subset(),
    "importance": Importance(),
}


def estimate(
    limit_state: LimitStateFunction,
    space: ParameterSpace,
    key: jax.Array,
    target_cov: float = 0.05,
    max_calls: int = 100_000,
    method: str | Method = "auto",
    differentiable: bool = True,
    guide: LimitStateFunction | None = None,
    runs: xr.Dataset | None = None,
    scenarios: int = 0,
) -> Event:
    """Estimate the probability that a limit state is not positive, and sample the scenarios where it is not.

    Parameters
    ----------
    limit_state : callable
        From one scenario's parameters (dict of arrays) to the scalar g. Failure where g <= 0; NaN for
        a run that failed. Must be traceable by JAX; ``ps.external`` makes it so of any function.
    space : ParameterSpace
        The joint distribution of the parameters; discrete ones, counts without end too, are allowed.
    key : jax.Array
        JAX key; the same key gives the same event.
    target_cov : float
        Wanted coefficient of variation of the probability.
    max_calls : int
        Budget of the search and of the estimate, in calls of g; a call with gradient counts three.
    method : str or Method
        "auto", "montecarlo", "subset", "importance", or an object of your own.
    differentiable : bool
        False for a limit state whose gradient does not exist or is not to be used: slopes are then taken
        by differences, at one call and another for every continuous parameter.
    guide : callable, optional
        An approximate limit state (a network, a coarse step) that chooses the scenarios on which
        `limit_state` is run. The estimate stays unbiased whatever its error; its calls are counted in
        ``event.guide_calls``.
    runs : xr.Dataset, optional
        Runs already made, over ``scenario``: every parameter, `g`, and `log_density`, the log of the density
        from which they were drawn. They enter the estimate, and the search starts from them.
    scenarios : int
        Fewest failing scenarios that an estimate with a guide is to draw, where they will be reweighted: its
        probability needs fewer than they do. Without a guide there are about 1 / target_cov^2, or more.

    Returns
    -------
    Event
        `converged` is False, and `warnings` say why, where the target was not reached.

    Raises
    ------
    ParameterError
        If a number is out of range, a parameter's name is reserved, or g is not a scalar or cannot be traced.
    UnknownNameError
        If the method is unknown.

    Notes
    -----
    The search follows g. A mode that g does not foretell, behind a jump of g or a rare value of a discrete
    input, and beside another towards which g falls smoothly, may be missed without a warning: the more so the
    more dimensions there are. Where such a mode is possible, give `runs` that fail in it.

    Examples
    --------
    >>> from physsynth.core.space import ParameterSpace
    >>> event = estimate(lambda p: 2.0 - p["u"][0], ParameterSpace.standard_normal(2), jax.random.key(0))
    >>> event.converged, round(event.probability, 3)
    (True, 0.023)
    """
    _check(space, key, target_cov, max_calls, scenarios)
    for function in (limit_state, guide):
        if function is not None:
            check_traceable(function, space)
    known = Runs.none(space.dimension) if runs is None else Runs.read(runs, space)
    evaluator = Evaluator(limit_state, space, int(max_calls), differentiable, known)
    helper = evaluator if guide is None else Evaluator(guide, space, GUIDE_CALLS * int(max_calls))
    strategy = _method(method) if guide is None else _guided(method, helper, scenarios)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    evaluator.held_back = 0 if isinstance(strategy, MonteCarlo) else int(FOR_MODES * max_calls)
    result = _with_runs(known, strategy, evaluator, rng, target_cov)
    evaluator.held_back = 0
    modes = find_modes(result, helper, rng)
    evaluator.failed_runs += known.failed
    return _event(space, result, modes, evaluator, key, helper.cost if guide is not None else 0)


def _with_runs(known: Runs, method: Method, evaluator, rng, target_cov) -> Estimate:
    """Return the runs' own estimate if it will do, else that of the method, both together."""
    if not len(known.g):
        return method.run(evaluator, rng, target_cov)
    known.verify(evaluator)
    own = known.estimate(target_cov)
    if own.converged and len(own.u) >= ENOUGH:
        return own
    return known.joined(method.run(evaluator, rng, known.relaxed(target_cov)), target_cov)


def _event(space, result: Estimate, modes: Modes, evaluator: Evaluator, key, guide_calls) -> Event:
    return Event(
        space=space,
        estimate=result,
        mode_of=modes,
        probability=result.probability,
        cov=result.spread.cov,
        calls=evaluator.calls,
        gradient_calls=evaluator.gradient_calls,
        guide_calls=guide_calls,
        failed_runs=evaluator.failed_runs,
        converged=result.converged,
        warnings=(*result.warnings, *_failed(result, evaluator)),
        key=key,
    )


def _failed(result: Estimate, evaluator: Evaluator) -> tuple[str, ...]:
    """Warn of failed runs beside no estimate, and where they may carry more than the interval holds."""
    n, runs = evaluator.failed_runs, evaluator.calls + evaluator.gradient_calls + len(evaluator.known_g)
    most = result.probability + float(result.unknown_weight.sum())
    if not n or (result.converged and most <= result.spread.interval(0.95)[1]):
        return ()
    return (f"{n} of {runs} runs gave no number, counted as survivals: see bounds",)


def _method(method):
    if isinstance(method, str):
        if method not in METHODS:
            raise unknown_name("method", method, METHODS, key="method")
        return METHODS[method]
    return method


def _guided(method, guide: Evaluator, scenarios: int) -> Method:
    if method != "auto":
        raise ParameterError(
            "a guide beside a method", key="guide", wanted='method="auto"', got=f"method={method!r}"
        )
    return Guided(guide, scenarios=int(scenarios))


def _check(space, key, target_cov, max_calls, scenarios):
    if not isinstance(space, ParameterSpace) or not space.dimension:
        raise ParameterError(
            "no space of random parameters",
            key="space",
            wanted="a ParameterSpace of at least one random parameter",
            got=repr(space),
            advice="of a simulator it is sim.space",
        )
    if not _is_key(key):
        raise ParameterError("not a key", key="key", wanted="one JAX key, jax.random.key(0)", got=repr(key))
    if not isinstance(target_cov, float | int | np.floating) or not 0 < target_cov < 1:
        raise ParameterError(
            "a target out of range", key="target_cov", wanted="between 0 and 1", got=target_cov
        )
    if max_calls < 1:
        raise ParameterError("no calls allowed", key="max_calls", wanted="at least 1", got=max_calls)
    if not isinstance(scenarios, int | np.integer) or scenarios < 0:
        raise ParameterError("no count", key="scenarios", wanted="a whole number, 0 or more", got=scenarios)
    taken = [name for name in space.names if name in RESERVED]
    if taken:
        raise ParameterError(
            "a parameter with a reserved name",
            key=taken[0],
            wanted="a name other than " + ", ".join(RESERVED),
            got=taken[0],
            advice="rename it: the scenarios of an event use this name",
        )


def _is_key(key):
    try:
        return jax.random.key_data(key).ndim == 1
    except TypeError:
        return False

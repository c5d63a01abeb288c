"""Draw from the posterior of any NumPyro model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import xarray as xr
from numpyro import handlers
from numpyro.infer import MCMC, NUTS
from numpyro.infer.initialization import init_to_sample
from numpyro.infer.util import initialize_model

from physsynth.calibrate.calibration import Calibration
from physsynth.core.errors import ParameterError, unknown_name

# Draws of the prior for each chain, and one in how many, the likeliest, may be a start.
STARTS, LIKELIER = 16, 4
_STATS = {
    "diverging": "diverging",
    "energy": "energy",
    "num_steps": "n_steps",
    "accept_prob": "acceptance_rate",
    "potential_energy": "potential_energy",
}


class Sampler(Protocol):
    """Draws chains from a model: returns site values and statistics, both shaped (chain, draw, ...)."""

    def __call__(
        self, model: Callable, key: jax.Array, draws: int, warmup: int, chains: int, args: tuple, kwargs: dict
    ) -> tuple[dict, dict]:
        """Run the chains."""
        ...


@dataclass(frozen=True)
class NoUTurn:
    """The no-U-turn sampler (Hoffman and Gelman, 2014), chains side by side in one compiled loop.

    Each chain starts from a draw of the prior far from those of the others: chains that start alike agree,
    and diagnostics pass, on one mode of several (Gelman and Rubin, 1992, section 2.1). Only the likelier
    quarter of many draws counts, since a simulator far from its data leads nowhere.

    Parameters
    ----------
    target_acceptance : float
    correlated : tuple of str
        Sites that share a dense block of the mass matrix; all others have a diagonal one.
    """

    target_acceptance: float = 0.9
    correlated: tuple[str, ...] = ()

    def __call__(self, model, key, draws, warmup, chains, args, kwargs):
        """Run the chains."""
        dense: Any = [self.correlated] if self.correlated else False
        kernel = NUTS(model, target_accept_prob=self.target_acceptance, dense_mass=dense)
        mcmc = MCMC(
            kernel,
            num_warmup=warmup,
            num_samples=draws,
            num_chains=chains,
            chain_method="vectorized",
            progress_bar=False,
        )
        start_key, run_key = jax.random.split(key)
        starts = _starts(model, start_key, chains, args, kwargs)
        mcmc.run(run_key, *args, extra_fields=tuple(_STATS), init_params=starts or None, **kwargs)
        stats = mcmc.get_extra_fields(group_by_chain=True)
        return mcmc.get_samples(group_by_chain=True), {_STATS[name]: value for name, value in stats.items()}


def _starts(model, key, chains, args, kwargs):
    """Return a start of each chain: draws of the prior, of the likelier of many, unconstrained."""
    draw_key, pick_key = jax.random.split(key)
    try:
        found = initialize_model(
            jax.random.split(draw_key, STARTS * chains),
            model,
            init_strategy=init_to_sample,
            model_args=args,
            model_kwargs=kwargs,
        ).param_info
    except RuntimeError as reason:
        if "initial parameters" not in str(reason):
            raise
        raise ParameterError(
            "a posterior without a place to start from",
            key="model",
            wanted="a finite density at draws of the prior",
            got="none: the data may be impossible under the model, or not finite",
        ) from reason
    likelier = jnp.argsort(found.potential_energy)[: STARTS * chains // LIKELIER]
    likelier = np.asarray(jax.random.permutation(pick_key, likelier))
    columns = [np.asarray(z, float).reshape(len(z), -1)[likelier] for z in found.z.values()]
    chosen = likelier[_far_apart(np.concatenate(columns, axis=1), chains)] if columns else likelier
    return jax.tree.map(lambda z: z[chosen] if chains > 1 else z[chosen[0]], found.z)


def _far_apart(points, n):
    """Return the first of some points (m, d), and then again and again the one farthest from those chosen."""
    scale = points.std(axis=0)
    unit = points / np.where(scale > 0, scale, 1.0)
    chosen, near = [0], np.linalg.norm(unit - unit[0], axis=1)
    while len(chosen) < n:
        chosen.append(int(np.argmax(near)))
        near = np.minimum(near, np.linalg.norm(unit - unit[chosen[-1]], axis=1))
    return np.array(chosen)


METHODS: dict[str, Sampler] = {"nuts": NoUTurn()}


def fit(
    model: Callable,
    key: jax.Array,
    *args: Any,
    draws: int = 1000,
    warmup: int = 1000,
    chains: int = 4,
    method: str | Sampler = "nuts",
    **kwargs: Any,
) -> Calibration:
    """Draw from the posterior of a NumPyro model.

    Where the chains of a `SimulatorModel` diverge or disagree, it is drawn in its other form too, and the
    better of the two is returned: how many measurements a member has does not tell how much they say.

    Parameters
    ----------
    model : callable
        Any NumPyro model; `physsynth.calibrate.model` builds one from a simulator.
    key : jax.Array
    *args, **kwargs
        Passed to the model.
    draws, warmup, chains : int
        Kept draws and warm-up steps of each chain, and how many chains.
    method : str or Sampler
        "nuts", or an object that draws chains.

    Returns
    -------
    Calibration

    Raises
    ------
    ParameterError
        If a count is not positive, or the model has nothing to sample.

    Examples
    --------
    >>> import jax, numpyro, numpyro.distributions as dist
    >>> def coin(heads, n):
    ...     p = numpyro.sample("p", dist.Beta(1.0, 1.0))
    ...     numpyro.sample("heads", dist.Binomial(n, p), obs=heads)
    >>> posterior = fit(coin, jax.random.key(0), 7, 10, draws=200, warmup=200, chains=2)
    >>> bool(abs(posterior.draws["p"].mean() - 8 / 12) < 0.1)
    True
    """
    for name, value, least in (("draws", draws, 4), ("warmup", warmup, 1), ("chains", chains, 1)):
        if value < least:
            raise ParameterError("too few", key=name, wanted=f"at least {least}", got=value)
    if isinstance(method, str):
        if method not in METHODS:
            raise unknown_name("calibration method", method, METHODS, key="method")
        method = METHODS[method]

    def drawn(form):
        return _drawn(form, method, key, (draws, warmup, chains), args, kwargs)

    first, other = drawn(model), getattr(model, "other_form", None)
    if other is None or first.mixed:
        return first
    return max(first, drawn(other), key=lambda found: found.quality)


def _drawn(model, method, key, lengths, args, kwargs):
    """Draw from a model as it stands."""
    sample_key, predict_key = jax.random.split(key)
    sites, stats = method(model, sample_key, *lengths, args, kwargs)
    if not sites:
        raise ParameterError("nothing to sample", key="model", wanted="a site without data", got="none")
    groups = {"posterior": sites, "sample_stats": stats}
    groups |= _predictive(model, predict_key, sites, args, kwargs)
    return Calibration(_tree(groups, _observed(model, key, args, kwargs)))


def _observed(model, key, args, kwargs):
    trace = handlers.trace(handlers.seed(model, key)).get_trace(*args, **kwargs)
    return {name: site["value"] for name, site in trace.items() if _is_observed(site)}


def _is_observed(site):
    """Tell whether a site holds data; a factor is a term of the density without any."""
    return site["type"] == "sample" and site["is_observed"] and not isinstance(site["fn"], dist.Unit)


def _predictive(model, key, sites, args, kwargs):
    """Replicate the observed sites and score them under every draw, in one pass over the draws."""

    def one(inputs):
        key, values = inputs
        seeded = handlers.seed(handlers.substitute(model, values), key)
        trace = handlers.trace(seeded).get_trace(*args, **kwargs)
        observed = {name: site for name, site in trace.items() if _is_observed(site)}
        keys = dict(zip(observed, jax.random.split(key, max(len(observed), 1)), strict=False))
        replicated = {name: site["fn"].sample(keys[name]) for name, site in observed.items()}
        return replicated, {name: site["fn"].log_prob(site["value"]) for name, site in observed.items()}

    chains, draws = next(iter(sites.values())).shape[:2]
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), sites)
    results = jax.lax.map(one, (jax.random.split(key, chains * draws), flat), batch_size=256)
    shaped = jax.tree.map(lambda x: x.reshape(chains, draws, *x.shape[1:]), results)
    return dict(zip(("posterior_predictive", "log_likelihood"), shaped, strict=True)) if shaped[0] else {}


def _tree(groups, observed):
    datasets = {name: _dataset(values, ("chain", "draw")) for name, values in groups.items()}
    if observed:
        datasets["observed_data"] = _dataset(observed, ())
    return xr.DataTree.from_dict(datasets)


def _dataset(values, leading):
    variables = {}
    for name, value in values.items():
        array = np.asarray(value)
        dims = [f"{name}_dim_{axis}" for axis in range(array.ndim - len(leading))]
        variables[name] = ((*leading, *dims), array)
    return xr.Dataset(variables)

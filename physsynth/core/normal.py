"""Isoprobabilistic transformation between a random variable x and a standard normal u.

    x = F^-1(Phi(u)),      u = Phi^-1(F(x))

Written so that both tails keep their precision where a closed form allows it: 1 - Phi(6) must not
be rounded away in a library about rare events. Categories whose probabilities do not rise and then fall
are laid out by their probability, the rarest lowest.

Source: Rosenblatt (1952); Lebrun and Dutfoy (2009), Probabilistic Engineering Mechanics 24.
"""

from __future__ import annotations

from functools import singledispatch
from math import prod

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr, ndtr, ndtri

from physsynth.core.errors import ParameterError

_SYMMETRIC = (dist.StudentT, dist.Cauchy, dist.Laplace, dist.Logistic)
_BISECTIONS = 80
_FEWEST_COUNTS, _MOST_COUNTS = 32, 2**20


def normal_size(distribution: dist.Distribution) -> int:
    """Return how many standard normals drive one draw (0 for a fixed value)."""
    if isinstance(_innermost(distribution), dist.Delta):
        return 0
    return prod(distribution.event_shape)


@singledispatch
def from_normal(distribution: dist.Distribution, u: jax.Array) -> jax.Array:
    """Map standard normals to the distribution; the last axes of `u` are its event axes.

    Raises
    ------
    ParameterError
        If the distribution has neither a quantile function nor a distribution function.
    """
    if distribution.is_discrete:
        return _discrete_quantile(distribution, u)
    if isinstance(distribution, _SYMMETRIC):
        return jnp.asarray(_symmetric_quantile(distribution, u))
    return _continuous_quantile(distribution, u)


@singledispatch
def to_normal(distribution: dist.Distribution, x: jax.Array) -> jax.Array:
    """Map values of the distribution to standard normals; an atom maps to the middle of its mass."""
    if distribution.is_discrete:
        values, cumulative, mass = _atoms(distribution)
        index = jnp.argmin(jnp.abs(jnp.asarray(x)[..., None] - values), axis=-1)
        return ndtri(cumulative[index] - 0.5 * mass[index])
    return ndtri(distribution.cdf(x))


@from_normal.register(dist.Normal)
def _(distribution, u):
    return distribution.loc + distribution.scale * u


@to_normal.register(dist.Normal)
def _(distribution, x):
    return (x - distribution.loc) / distribution.scale


@from_normal.register(dist.Delta)
def _(distribution, u):
    return jnp.broadcast_to(jnp.asarray(distribution.v), jnp.shape(u)[:-1] + jnp.shape(distribution.v))


@from_normal.register(dist.Exponential)
def _(distribution, u):
    return -log_ndtr(-u) / distribution.rate


@from_normal.register(dist.Gumbel)
def _(distribution, u):
    return distribution.loc - distribution.scale * jnp.log(-log_ndtr(u))


@from_normal.register(dist.Weibull)
def _(distribution, u):
    return distribution.scale * (-log_ndtr(-u)) ** (1.0 / distribution.concentration)


@from_normal.register(dist.HalfNormal)
def _(distribution, u):
    return -distribution.scale * ndtri(0.5 * ndtr(-u))


@from_normal.register(dist.MultivariateNormal)
def _(distribution, u):
    return distribution.loc + jnp.einsum("...ij,...j->...i", distribution.scale_tril, u)


@to_normal.register(dist.MultivariateNormal)
def _(distribution, x):
    tril = jnp.broadcast_to(distribution.scale_tril, jnp.shape(x) + jnp.shape(x)[-1:])
    return jax.scipy.linalg.solve_triangular(tril, (x - distribution.loc)[..., None], lower=True)[..., 0]


@from_normal.register(dist.Independent)
def _(distribution, u):
    return from_normal(distribution.base_dist, u)


@to_normal.register(dist.Independent)
def _(distribution, x):
    return to_normal(distribution.base_dist, x)


@from_normal.register(dist.ExpandedDistribution)
def _(distribution, u):
    return from_normal(distribution.base_dist, u)


@to_normal.register(dist.ExpandedDistribution)
def _(distribution, x):
    return to_normal(distribution.base_dist, x)


@from_normal.register(dist.TransformedDistribution)
def _(distribution, u):
    u = _direction(distribution) * u
    return jnp.asarray(_push(distribution, from_normal(distribution.base_dist, u)))


@to_normal.register(dist.TransformedDistribution)
def _(distribution, x):
    for transform in reversed(distribution.transforms):
        x = transform.inv(x)
    return _direction(distribution) * to_normal(distribution.base_dist, x)


def _push(distribution, x):
    for transform in distribution.transforms:
        x = transform(x)
    return x


def _direction(distribution):
    """+1 where the transforms increase, -1 where they decrease (so that u and x rise together)."""
    low, high = (
        _push(distribution, from_normal(distribution.base_dist, jnp.asarray(z))) for z in (-0.5, 0.5)
    )
    return jnp.where(high >= low, 1.0, -1.0)


def _symmetric_quantile(distribution, u):
    """Take both tails from the lower one, which keeps its precision."""
    below = _continuous_quantile(distribution, -jnp.abs(u))
    return distribution.loc + jnp.sign(u) * (distribution.loc - below)


def _continuous_quantile(distribution, u):
    try:
        return distribution.icdf(ndtr(u))
    except (NotImplementedError, ImportError, AttributeError):  # how NumPyro says that it knows no inverse
        return _inverted_cdf(distribution, u)


def _inverted_cdf(distribution, u):
    """Bisect the distribution function, then take one Newton step that carries the gradient."""
    probability = ndtr(u)
    stretch = _stretch(distribution)
    try:
        fixed = jax.lax.stop_gradient(probability)
        frozen = jax.tree.map(jax.lax.stop_gradient, distribution)

        def halve(_, bracket):
            low, high = bracket
            middle = 0.5 * (low + high)
            below = frozen.cdf(stretch(middle)) < fixed
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        edge = 700.0 if probability.dtype == jnp.float64 else 80.0
        start = jnp.full(jnp.shape(probability), edge, probability.dtype)
        low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (-start, start))
    except NotImplementedError as reason:
        raise ParameterError(
            "a distribution that cannot be mapped from a standard normal",
            wanted="a distribution with an inverse or a cumulative distribution function",
            got=type(distribution).__name__,
            advice="use a TransformedDistribution of one that has",
        ) from reason
    x = jax.lax.stop_gradient(stretch(0.5 * (low + high)))
    density = jnp.exp(frozen.log_prob(x))
    step = (distribution.cdf(x) - probability) / jnp.where(density > 0, density, 1.0)
    return x - jnp.where(jnp.isfinite(step) & (density > 0), step, 0.0)


def _stretch(distribution):
    """Return a monotone map from the bisection's line onto the support."""
    support = distribution.support
    if support is dist.constraints.unit_interval:
        return jax.nn.sigmoid
    if support in (dist.constraints.positive, dist.constraints.nonnegative):
        return jnp.exp
    return jnp.sinh


def _discrete_quantile(distribution, u):
    values, cumulative, _ = _atoms(distribution)
    index = jnp.sum(ndtr(u)[..., None] > cumulative[:-1], axis=-1)
    return values[index]


def _atoms(distribution):
    """Return the values of a discrete distribution, their cumulative probability and their mass."""
    try:
        values = distribution.enumerate_support(expand=False).reshape(-1)
    except NotImplementedError as reason:
        if distribution.support is not dist.constraints.nonnegative_integer:
            raise ParameterError(
                "a discrete distribution without a list of values",
                wanted="Bernoulli, Categorical, Binomial, DiscreteUniform, Poisson or Geometric",
                got=type(distribution).__name__,
            ) from reason
        values = _counts(distribution)
    mass = jnp.exp(distribution.log_prob(values))
    if isinstance(_innermost(distribution), dist.CategoricalProbs | dist.CategoricalLogits):
        order = _rare_outside(mass)
        values, mass = values[order], mass[order]
    return values, jnp.cumsum(mass), mass


def _rare_outside(mass):
    """Return an order of categories in which the rare ones lie in the tails: as they are, else by mass.

    Between common ones a rare category would be a thin slice of u, which no search for failures meets.
    """
    rises = jnp.diff(mass) > 0.0
    single_peak = ~jnp.any(~rises[:-1] & rises[1:])
    return jnp.where(single_peak, jnp.arange(mass.size), jnp.argsort(mass))


def _counts(distribution):
    """Return 0, 1, 2, ... as far as the mass beyond is rounding."""
    n, rounding = _FEWEST_COUNTS, float(jnp.finfo(jnp.result_type(float)).eps)
    with jax.ensure_compile_time_eval():
        while n < _MOST_COUNTS and jnp.exp(distribution.log_prob(jnp.arange(n))).sum() < 1 - n * rounding:
            n *= 2
    return jnp.arange(2 * n)


def _innermost(distribution):
    while isinstance(distribution, dist.Independent | dist.ExpandedDistribution):
        distribution = distribution.base_dist
    return distribution

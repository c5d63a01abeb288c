"""Parameters and the space they span: named random inputs with units, mapped from standard normals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from physsynth.core.errors import ParameterError, unknown_name
from physsynth.core.normal import from_normal, normal_size, to_normal
from physsynth.core.units import check_unit

Values = Mapping[str, jax.Array]


@dataclass(frozen=True)
class Parameter:
    """A named random input: its distribution, unit and meaning.

    Parameters
    ----------
    distribution : numpyro.distributions.Distribution
        Event shape () or (d,): 200 white-noise increments are one parameter.
    unit : str
        For example "m/s"; "1" for none.
    description : str
        One line for people.

    Raises
    ------
    ParameterError
        If it is no distribution, or its shape is neither () nor (d,).
    UnitError
        If the unit cannot be read.

    Examples
    --------
    >>> import numpyro.distributions as dist
    >>> Parameter(dist.Uniform(5.0, 40.0), "m/s", "speed when the obstacle comes into view").unit
    'm/s'
    """

    distribution: dist.Distribution
    unit: str = "1"
    description: str = ""

    def __post_init__(self):
        check_unit(self.unit)
        check_distribution(self.distribution)

    @property
    def size(self) -> int:
        """Number of standard normals behind one draw."""
        return normal_size(self.distribution)


def check_distribution(distribution: dist.Distribution, *, file=None, key=None) -> dist.Distribution:
    """Return the distribution if it is one of scalars or of vectors.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if not isinstance(distribution, dist.Distribution):
        raise ParameterError(
            "not a distribution",
            file=file,
            key=key,
            wanted="a numpyro distribution, for example dist.Normal(0.0, 1.0)",
            got=repr(distribution),
        )
    if distribution.batch_shape or len(distribution.event_shape) > 1:
        raise ParameterError(
            "a distribution of the wrong shape",
            file=file,
            key=key,
            wanted="batch shape () and event shape () or (d,)",
            got=f"batch shape {distribution.batch_shape}, event shape {distribution.event_shape}",
            advice="for a vector use .expand([d]).to_event(1)",
        )
    low, high = _bounds(distribution)
    if not distribution.is_discrete and not _rises(low, high):
        raise ParameterError(
            "a distribution of no values",
            file=file,
            key=key,
            wanted="a lower bound below the upper one",
            got=f"{np.asarray(low).tolist()} and {np.asarray(high).tolist()}",
        )
    return distribution


def _rises(low, high):
    try:
        return bool(np.all(np.less(low, high)))
    except jax.errors.TracerArrayConversionError:  # bounds that JAX traces are not known yet
        return True


def _bounds(distribution):
    """Return where the support begins and ends; infinite where it does not say."""
    support = distribution.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return getattr(support, "lower_bound", -np.inf), getattr(support, "upper_bound", np.inf)


class ParameterSpace:
    """The joint distribution of named parameters.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        Independent unless `correlation` is given.
    correlation : array (dimension, dimension), optional
        Correlation matrix of the underlying standard normals (Gaussian copula), in the order of
        the parameters; only for continuous parameters.

    Raises
    ------
    ParameterError
        If a parameter is no Parameter, or the matrix is no correlation matrix of the right size.

    Examples
    --------
    >>> space = ParameterSpace.standard_normal(3)
    >>> space.dimension, space.sample(jax.random.key(0), 5)["u"].shape
    (3, (5, 3))
    """

    def __init__(self, parameters: Mapping[str, Parameter], correlation=None):
        for name, parameter in parameters.items():
            if not isinstance(parameter, Parameter):
                raise ParameterError("not a parameter", key=name, wanted="a Parameter", got=repr(parameter))
        self.parameters: dict[str, Parameter] = dict(parameters)
        self.correlation = None if correlation is None else self._checked_correlation(correlation)
        # Compiled as a whole: run operation by operation, each new shape would compile dozens of kernels.
        self._to_values = jax.jit(self._map_normals)
        self._to_normals = jax.jit(self._map_values)
        self._log_density = jax.jit(self._sum_log_densities)

    @classmethod
    def standard_normal(cls, d: int, name: str = "u") -> ParameterSpace:
        """Return the space of one vector-valued parameter of `d` independent standard normals."""
        return cls({name: Parameter(dist.Normal(0.0, 1.0).expand([d]).to_event(1))})

    def __repr__(self) -> str:
        inside = ", ".join(f"{name} [{p.unit}]" for name, p in self.parameters.items())
        return f"ParameterSpace({inside}; dimension {self.dimension})"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names in order."""
        return tuple(self.parameters)

    @cached_property
    def dimension(self) -> int:
        """Number of standard normals behind one scenario."""
        return sum(p.size for p in self.parameters.values())

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each parameter's standard normals stand in u."""
        ends = np.cumsum([p.size for p in self.parameters.values()])
        return {
            name: slice(int(end) - p.size, int(end))
            for (name, p), end in zip(self.parameters.items(), ends, strict=True)
        }

    def sample(self, key: jax.Array, n: int) -> dict[str, jax.Array]:
        """Draw `n` scenarios: a dict of arrays of shape (n, ...)."""
        return self.from_normal(jax.random.normal(key, (n, self.dimension)))

    def from_normal(self, u: Float[Array, "*batch dimension"]) -> dict[str, jax.Array]:
        """Map standard normals (..., dimension) to parameter values (..., *event)."""
        u = jnp.asarray(u)
        if u.shape[-1:] != (self.dimension,):
            raise ParameterError(
                "standard normals of the wrong size",
                key="u",
                wanted=f"last axis of length {self.dimension}",
                got=f"shape {u.shape}",
            )
        return self._to_values(u)

    def to_normal(self, values: Values) -> Float[Array, "*batch dimension"]:
        """Map parameter values to standard normals; the inverse of `from_normal`."""
        return self._to_normals(self._arrays(values))

    def log_prob(self, values: Values) -> Float[Array, "*batch"]:
        """Return the log density of scenarios in the parameters' own units."""
        return self._log_density(self._arrays(values))

    def _map_normals(self, u):
        if self.correlation is not None:
            u = u @ jnp.linalg.cholesky(jnp.asarray(self.correlation, u.dtype)).T
        return {name: self._component(u, name) for name in self.parameters}

    def _map_values(self, values):
        z = self._marginal_normals(values)
        if self.correlation is None:
            return z
        lower = jnp.linalg.cholesky(jnp.asarray(self.correlation, z.dtype))
        flat = z.reshape(-1, self.dimension).T
        return jax.scipy.linalg.solve_triangular(lower, flat, lower=True).T.reshape(z.shape)

    def _sum_log_densities(self, values):
        total = sum(p.distribution.log_prob(values[name]) for name, p in self.parameters.items())
        if self.correlation is not None:
            z = self._marginal_normals(values)
            zero = jnp.zeros(self.dimension, z.dtype)
            copula = dist.MultivariateNormal(zero, covariance_matrix=jnp.asarray(self.correlation, z.dtype))
            total = total + copula.log_prob(z) - dist.Normal(0.0, 1.0).log_prob(z).sum(-1)
        return jnp.asarray(total)

    def _component(self, u, name):
        parameter = self.parameters[name]
        part = u[..., self.slices[name]]
        scalar = parameter.distribution.event_shape == () and parameter.size == 1
        return from_normal(parameter.distribution, part[..., 0] if scalar else part)

    def _marginal_normals(self, values):
        parts = []
        for name, parameter in self.parameters.items():
            if parameter.size:
                z = to_normal(parameter.distribution, values[name])
                parts.append(z if parameter.distribution.event_shape else z[..., None])
        return jnp.concatenate(parts, axis=-1)

    def _arrays(self, values):
        for name in self.parameters:
            if name not in values:
                raise unknown_name("parameter", name, values, key="values")
        return {name: jnp.asarray(values[name]) for name in self.parameters}

    def _checked_correlation(self, correlation):
        matrix = np.asarray(correlation, float)
        if any(p.distribution.is_discrete for p in self.parameters.values()):
            raise ParameterError(
                "a correlation with a discrete parameter", key="correlation", wanted="continuous parameters"
            )
        shape = (self.dimension, self.dimension)
        valid = (
            matrix.shape == shape
            and np.allclose(matrix, matrix.T)
            and np.allclose(np.diag(matrix), 1.0)
            and np.linalg.eigvalsh(matrix).min() > 0
        )
        if not valid:
            raise ParameterError(
                "not a correlation matrix",
                key="correlation",
                wanted=f"a symmetric positive definite matrix of shape {shape} with ones on its diagonal",
                got=f"shape {matrix.shape}",
            )
        return matrix

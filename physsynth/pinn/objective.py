"""The loss as a function of the weights, evaluated block by block so that a block stays in the cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.pinn.domain import HostPoints
from physsynth.pinn.indices import Indices
from physsynth.pinn.once import OFTEN, SELDOM
from physsynth.pinn.terms import Term, terms
from physsynth.pinn.trial import Frame, Trial, as_fields

BLOCK = 250


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """The points of one term.

    Attributes
    ----------
    frames : Frame
        With a leading axis of blocks.
    weights : array (block, point)
        Of each point, with mean 1; causal weights for instance.
    scale : float
        Of the term within the loss.
    used : int, optional
        The loss and its derivatives are those of so many blocks, the first ones, unless of all. A number
        that compiled functions are given, so that few points compile nothing anew.
    """

    frames: Frame
    weights: np.ndarray
    scale: float
    used: int | None = None

    @property
    def blocks(self) -> int:
        """How many there are."""
        return self.weights.shape[0]

    @property
    def counts(self) -> jax.Array:
        """What the mean square of each block (block,) counts for: all that are in use the same."""
        used = self.blocks if self.used is None else self.used
        return jnp.where(jnp.arange(self.blocks) < used, 1.0 / used, 0.0)

    def shared(self, share: float) -> Batch:
        """Return the batch with a share of its blocks in use, at least one."""
        return replace(self, used=max(1, round(share * self.blocks)))


Batches = dict[str, Batch]
Gradients = dict[str, tuple[float, np.ndarray]]


class Normal(NamedTuple):
    """The normal equations of the linearised residual: J'J, J'r, and the loss r'r."""

    matrix: jax.Array
    gradient: jax.Array
    value: jax.Array


@dataclass(frozen=True, eq=False)
class Objective:
    """The weighted mean square of all terms of a problem.

    Attributes
    ----------
    trial : Trial
    cache : dict
        Compiled functions of weights and frames; objectives whose problems differ by their frames alone
        (windows of time) share one.
    """

    trial: Trial
    cache: dict[Hashable, Callable] = field(default_factory=dict)

    def compiled(self, name: Hashable, function: Callable, options: dict | None = None) -> Callable:
        """Return a function compiled, or what was compiled before by this name."""
        # A later window has other terms where the initial condition of the first is penalised.
        name = (name, *(term.name for term in self.terms))
        if name not in self.cache:
            self.cache[name] = jax.jit(function, compiler_options=options)
        return self.cache[name]

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The equation, then the penalised conditions."""
        return terms(self.trial.problem)

    @property
    def values_only(self) -> Indices:
        """The fields without derivatives."""
        return Indices.closure(self.trial.problem.coordinates, [])

    def batch(
        self, term: Term, points: HostPoints, scale: float = 1.0, weights: np.ndarray | None = None
    ) -> Batch:
        """Lay the points of a term out in blocks, with what does not depend on the network."""
        n = next(iter(points.values())).shape[0]
        shape = _blocks(n) if term.quadrature is None else (1, n)
        blocks = {name: np.reshape(value, shape) for name, value in points.items()}
        weights = np.ones(n) if weights is None else weights
        return Batch(self._frames(blocks, term.indices), jax.device_put(weights.reshape(shape)), scale)

    @cached_property
    def _frames(self):
        """Compiled: the frames of blocks of points; not shared, as it holds the values of conditions."""

        def frames(blocks, indices):
            return jax.vmap(lambda points: self.trial.frame(points, indices))(blocks)

        return jax.jit(frames, static_argnames="indices", compiler_options=SELDOM)

    def picked(self, batch: Batch, chosen: np.ndarray, scale: float, weights: np.ndarray) -> Batch:
        """Lay out some of the points of a batch, by their number, with the weight of each point of it."""
        shape = _blocks(chosen.size)

        def pick(array, axis):
            flat = np.moveaxis(np.asarray(array), axis + 1, 1)
            some = flat.reshape(-1, *flat.shape[2:])[chosen]
            return np.moveaxis(some.reshape(*shape, *some.shape[1:]), 1, axis + 1)

        frames = jax.tree.map(pick, batch.frames, _point_axes(batch.frames))
        return Batch(jax.device_put(frames), jax.device_put(weights[chosen].reshape(shape)), scale)

    def sizes(self, weights: jax.Array, term: Term, batch: Batch) -> np.ndarray:
        """Return the Euclidean norm of a term's residual at each point (point,), over its equations."""

        def sizes(weights, frames):
            return jax.lax.map(
                lambda frame: jnp.linalg.norm(self.residuals(weights, term, frame), axis=0), frames
            )

        compiled = self.compiled(("sizes", term.name), sizes, SELDOM)
        return np.asarray(compiled(weights, batch.frames)).reshape(-1)

    def residuals(self, weights: jax.Array, term: Term, frame: Frame) -> jax.Array:
        """Return the residual of a term at the points of a frame (equation, point)."""
        return term.residual(self.trial.fields(weights, frame), self.trial.values(frame))

    def rows(self, weights: jax.Array, term: Term, frame: Frame) -> jax.Array:
        """Return the residual's rows (equation, row): points, contracted where the term says so."""
        return _contract(term, self.residuals(weights, term, frame))

    def evaluate(self, weights: np.ndarray, data: Batches) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient."""
        parts = self.gradients(weights, data)
        scales = {name: float(data[name].scale) for name in parts}
        value = sum(scales[name] * float(value) for name, (value, _) in parts.items())
        return value, np.sum([scales[name] * g for name, (_, g) in parts.items()], axis=0)

    def gradients(self, weights: jax.Array | np.ndarray, data: Batches) -> Gradients:
        """Return the mean square of each term, unscaled, and its gradient."""

        def gradients(weights, data):
            return {
                term.name: self._value_and_gradient(weights, term, data[term.name]) for term in self.terms
            }

        counted = {name: batch.shared(1.0) if batch.used is None else batch for name, batch in data.items()}
        found = self.compiled("gradients", gradients, OFTEN)(weights, counted)
        return {name: (value, np.asarray(gradient)) for name, (value, gradient) in found.items()}

    def _value_and_gradient(self, weights, term, batch):
        def block(i, total):
            part = jax.tree.map(lambda array: array[i], (batch.frames, batch.weights))
            return jax.tree.map(jnp.add, total, jax.value_and_grad(self._mean_square)(weights, term, *part))

        start = (jnp.zeros((), weights.dtype), jnp.zeros_like(weights))
        total = jax.lax.fori_loop(0, batch.used, block, start)
        return jax.tree.map(lambda x: x / batch.used, total)

    def all_rows(self, weights: jax.Array, data: Batches) -> Iterator[jax.Array]:
        """Yield the residuals of each term (row,), scaled so that their squares sum to its mean square."""
        for term in self.terms:
            batch = data[term.name]
            rows = jax.lax.map(lambda frame, term=term: self.rows(weights, term, frame), batch.frames)
            yield jnp.sqrt(batch.scale / rows.size) * rows.reshape(-1)

    def value(self, weights: jax.Array, data: Batches) -> jax.Array:
        """Return the loss alone."""
        parts = self.mean_squares(weights, data)
        return sum((data[name].scale * part for name, part in parts.items()), jnp.zeros((), weights.dtype))

    def mean_squares(self, weights: jax.Array, data: Batches) -> dict[str, jax.Array]:
        """Return the mean square of each term by name."""

        def mean(term):
            batch = data[term.name]
            each = jax.lax.map(
                lambda part: self._mean_square(weights, term, *part), (batch.frames, batch.weights)
            )
            return batch.counts @ each

        return {term.name: mean(term) for term in self.terms}

    def normal(self, weights: jax.Array, data: Batches) -> Normal:
        """Return the normal equations of the loss, for Gauss-Newton."""

        def block(total, part, term):
            frame, point_weights, count = part
            r, J = self._jacobian(weights, term, frame, point_weights)
            return jax.tree.map(lambda a, b: a + count * b, total, Normal(J.T @ J, J.T @ r, r @ r)), None

        total = _zeros(weights.size, weights.dtype)
        for term in self.terms:
            batch = data[term.name]
            total, _ = jax.lax.scan(
                lambda t, b, term=term: block(t, b, term),
                total,
                (batch.frames, batch.weights, batch.scale * batch.counts),
            )
        return total

    def jacobian(self, weights: jax.Array, data: Batches) -> tuple[jax.Array, jax.Array]:
        """Return all weighted residuals (row,) and their Jacobian (row, weight), for the dual form."""
        parts = []
        for term in self.terms:
            batch = data[term.name]
            r, J = jax.lax.map(
                lambda part, term=term: self._jacobian(weights, term, *part), (batch.frames, batch.weights)
            )
            share = jnp.sqrt(batch.scale * batch.counts)
            rows, slopes = share[:, None] * r, share[:, None, None] * J
            parts.append((rows.reshape(-1), slopes.reshape(-1, weights.size)))
        return jnp.concatenate([r for r, _ in parts]), jnp.concatenate([J for _, J in parts])

    def _mean_square(self, weights, term, frame, point_weights):
        return jnp.mean(self._weighted(term, self.rows(weights, term, frame), point_weights) ** 2)

    def _weighted(self, term, rows, point_weights):
        return rows if term.quadrature is not None else rows * jnp.sqrt(point_weights)

    def _jacobian(self, weights, term, frame, point_weights):
        """Return rows (row,) and their Jacobian (row, weight), scaled so that r'r is the mean square."""
        r, J = _slopes(lambda theta, frame: self.residuals(theta, term, frame), weights, frame)
        r = self._weighted(term, _contract(term, r), point_weights)
        J = jnp.moveaxis(_contract(term, jnp.moveaxis(J, -1, 0)), 0, -1)
        J = J if term.quadrature is not None else J * jnp.sqrt(point_weights)[:, None]
        share = 1.0 / jnp.sqrt(r.size)
        return share * r.reshape(-1), share * J.reshape(-1, weights.size)

    def linearised(
        self, weights: jax.Array, data: Batches, columns: np.ndarray
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        """Return residuals and fields, each with its derivatives by some of the weights.

        Residuals (row,) of all terms are scaled so that their squares sum to the loss; the fields
        (field, point) so that theirs sum to mean squares over the equation's points.
        """
        equation, *others = self.terms
        batch = data[equation.name]
        count = batch.weights.size

        def inside(part):
            frame, point_weights = part
            values, slopes = _slopes(lambda theta, f: self._observed(theta, equation, f), weights, frame)
            root = jnp.sqrt(point_weights / count)
            return root * values, root[:, None] * slopes[..., columns]

        values, slopes = jax.lax.map(inside, (batch.frames, batch.weights))
        fields = len(self.trial.problem.fields)
        values = jnp.moveaxis(values, 0, 1).reshape(values.shape[1], -1)
        slopes = jnp.moveaxis(slopes, 0, 1).reshape(*values.shape, -1)
        share = jnp.sqrt(batch.scale / (values.shape[0] - fields))
        rows = [(share * values[:-fields].reshape(-1), share * slopes[:-fields].reshape(-1, columns.size))]
        rows += [self._linearised_condition(weights, term, data[term.name], columns) for term in others]
        r, J = (jnp.concatenate(parts) for parts in zip(*rows, strict=True))
        return (r, J), (values[-fields:], slopes[-fields:])

    def _linearised_condition(self, weights, term, batch, columns):
        def rows(part):
            r, J = self._jacobian(weights, term, *part)
            return r, J[:, columns]

        r, J = jax.lax.map(rows, (batch.frames, batch.weights))
        share = jnp.sqrt(batch.scale / batch.weights.shape[0])
        return share * r.reshape(-1), share * J.reshape(-1, columns.size)

    def _observed(self, weights, term, frame):
        """Return a term's residuals, then the fields (equation and field, point)."""
        jets = self.trial.jets(weights, frame)
        fields = as_fields(jets, self.trial.problem.coordinates)
        residuals = term.residual(fields, self.trial.values(frame))
        return jnp.concatenate([residuals, jnp.stack([jet.value for jet in jets.values()])])


def _slopes(function, weights, frame):
    """Return a function's values (row, point) on a frame and their derivatives (row, point, weight)."""

    def one(frame):
        def values(theta):
            found = function(theta, _lengthen(frame))[:, 0]
            return found, found

        return jax.jacrev(values, has_aux=True)(weights)

    slopes, values = jax.vmap(one, in_axes=(_point_axes(frame),), out_axes=(1, 1))(frame)
    return values, slopes


def _blocks(count):
    """Return the shape in which so many points are laid out."""
    return (-1, BLOCK) if count % BLOCK == 0 else (1, count)


def _zeros(size, dtype):
    return Normal(jnp.zeros((size, size), dtype), jnp.zeros(size, dtype), jnp.zeros((), dtype))


def _contract(term, residual):
    """Contract the last axis, points, to rows."""
    if term.quadrature is None:
        return residual
    nodes = term.quadrature.size
    return residual.reshape(*residual.shape[:-1], -1, nodes) @ jnp.asarray(term.quadrature)


def _point_axes(frame):
    """Where the points stand in each array of a frame: first, after the derivatives, or after the images."""
    axes = jax.tree.map(lambda _: 1, frame)
    return replace(
        axes,
        points=dict.fromkeys(frame.points, 0),
        features=jax.tree.map(lambda _: 2, frame.features),
    )


def _lengthen(frame):
    """Return the frame of one point as a set of one point."""
    return jax.tree.map(jnp.expand_dims, frame, _point_axes(frame))

"""The loss as a function of the weights, evaluated block by block so that a block stays in the cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp

from physsynth.pinn.domain import Points
from physsynth.pinn.indices import Indices
from physsynth.pinn.terms import Term, terms
from physsynth.pinn.trial import Frame, Trial

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
    scale : array ()
        Of the term within the loss.
    """

    frames: Frame
    weights: jax.Array
    scale: jax.Array


Batches = dict[str, Batch]


class Normal(NamedTuple):
    """The normal equations of the linearised residual: J'J, J'r, and the loss r'r."""

    matrix: jax.Array
    gradient: jax.Array
    value: jax.Array


@dataclass(frozen=True, eq=False)
class Objective:
    """The weighted mean square of all terms of a problem."""

    trial: Trial

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The equation, then the penalised conditions."""
        return terms(self.trial.problem)

    @property
    def values_only(self) -> Indices:
        """The fields without derivatives."""
        return Indices.closure(self.trial.problem.coordinates, [])

    def batch(self, term: Term, points: Points, scale: jax.Array, weights: jax.Array | None = None) -> Batch:
        """Lay the points of a term out in blocks, with what does not depend on the network."""
        n = next(iter(points.values())).shape[0]
        size = BLOCK if n % BLOCK == 0 and term.quadrature is None else n
        blocks = {name: value.reshape(-1, size) for name, value in points.items()}
        weights = jnp.ones((n // size, size)) if weights is None else weights.reshape(-1, size)
        frames = jax.vmap(lambda points: self.trial.frame(points, term.indices))(blocks)
        return Batch(frames, weights, jnp.asarray(scale, float))

    def picked(self, batch: Batch, chosen: jax.Array, scale: jax.Array, weights: jax.Array) -> Batch:
        """Lay out some of the points of a batch, by their number, with the weight of each point of it."""
        size = BLOCK if chosen.size % BLOCK == 0 else chosen.size
        blocks = chosen.reshape(-1, size)
        block, place = blocks // batch.weights.shape[1], blocks % batch.weights.shape[1]
        axes = _point_axes(batch.frames)

        def pick(array, axis):
            # The blocks come first, the points after the derivatives.
            return array[block, place] if axis == 0 else jnp.moveaxis(array[block, :, place], 2, 1)

        return Batch(jax.tree.map(pick, batch.frames, axes), weights[blocks], jnp.asarray(scale, float))

    def residuals(self, weights: jax.Array, term: Term, frame: Frame) -> jax.Array:
        """Return the residual of a term at the points of a frame (equation, point)."""
        return term.residual(self.trial.fields(weights, frame), self.trial.values(frame))

    def rows(self, weights: jax.Array, term: Term, frame: Frame) -> jax.Array:
        """Return the residual's rows (equation, row): points, contracted where the term says so."""
        return _contract(term, self.residuals(weights, term, frame))

    def value_and_gradient(self, weights: jax.Array, data: Batches) -> tuple[jax.Array, jax.Array]:
        """Return the loss and its gradient."""
        value, gradient = jnp.zeros((), weights.dtype), jnp.zeros_like(weights)
        for term in self.terms:
            v, g = self.term_value_and_gradient(weights, term, data[term.name])
            value, gradient = value + data[term.name].scale * v, gradient + data[term.name].scale * g
        return value, gradient

    def term_value_and_gradient(self, weights: jax.Array, term: Term, batch: Batch):
        """Return the mean square of one term, unscaled, and its gradient."""

        def block(total, part):
            return jax.tree.map(
                jnp.add, total, jax.value_and_grad(self._mean_square)(weights, term, *part)
            ), None

        start = (jnp.zeros((), weights.dtype), jnp.zeros_like(weights))
        total, _ = jax.lax.scan(block, start, (batch.frames, batch.weights))
        return jax.tree.map(lambda x: x / batch.weights.shape[0], total)

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
            return jnp.mean(each)

        return {term.name: mean(term) for term in self.terms}

    def normal(self, weights: jax.Array, data: Batches) -> Normal:
        """Return the normal equations of the loss, for Gauss-Newton."""

        def block(total, part, term):
            frame, point_weights = part
            r, J = self._jacobian(weights, term, frame, point_weights)
            return jax.tree.map(jnp.add, total, Normal(J.T @ J, J.T @ r, r @ r)), None

        size = weights.size
        total = _zeros(size, weights.dtype)
        for term in self.terms:
            batch = data[term.name]
            part, _ = jax.lax.scan(
                lambda t, b, term=term: block(t, b, term),
                _zeros(size, weights.dtype),
                (batch.frames, batch.weights),
            )
            share = batch.scale / batch.weights.shape[0]
            total = jax.tree.map(lambda a, b, share=share: a + share * b, total, part)
        return total

    def jacobian(self, weights: jax.Array, data: Batches) -> tuple[jax.Array, jax.Array]:
        """Return all weighted residuals (row,) and their Jacobian (row, weight), for the dual form."""
        parts = []
        for term in self.terms:
            batch = data[term.name]
            r, J = jax.lax.map(
                lambda part, term=term: self._jacobian(weights, term, *part), (batch.frames, batch.weights)
            )
            share = jnp.sqrt(batch.scale / batch.weights.shape[0])
            parts.append((share * r.reshape(-1), share * J.reshape(-1, weights.size)))
        return jnp.concatenate([r for r, _ in parts]), jnp.concatenate([J for _, J in parts])

    def _mean_square(self, weights, term, frame, point_weights):
        return jnp.mean(self._weighted(term, self.rows(weights, term, frame), point_weights) ** 2)

    def _weighted(self, term, rows, point_weights):
        return rows if term.quadrature is not None else rows * jnp.sqrt(point_weights)

    def _jacobian(self, weights, term, frame, point_weights):
        """Return rows (row,) and their Jacobian (row, weight), scaled so that r'r is the mean square."""

        def one(frame):
            def residual(theta):
                r = self.residuals(theta, term, _lengthen(frame))[:, 0]
                return r, r

            return jax.jacrev(residual, has_aux=True)(weights)

        J, r = jax.vmap(one, in_axes=(_point_axes(frame),), out_axes=(1, 1))(frame)
        r = self._weighted(term, _contract(term, r), point_weights)
        J = jnp.moveaxis(_contract(term, jnp.moveaxis(J, -1, 0)), 0, -1)
        J = J if term.quadrature is not None else J * jnp.sqrt(point_weights)[:, None]
        share = 1.0 / jnp.sqrt(r.size)
        return share * r.reshape(-1), share * J.reshape(-1, weights.size)


def _zeros(size, dtype):
    return Normal(jnp.zeros((size, size), dtype), jnp.zeros(size, dtype), jnp.zeros((), dtype))


def _contract(term, residual):
    """Contract the last axis, points, to rows."""
    if term.quadrature is None:
        return residual
    nodes = term.quadrature.size
    return residual.reshape(*residual.shape[:-1], -1, nodes) @ jnp.asarray(term.quadrature)


def _point_axes(frame):
    """Where the points stand in each array of a frame: after the derivatives, first elsewhere."""
    axes = jax.tree.map(lambda _: 1, frame)
    return replace(axes, points=dict.fromkeys(frame.points, 0))


def _lengthen(frame):
    """Return the frame of one point as a set of one point."""
    points = {name: value[None] for name, value in frame.points.items()}
    return replace(jax.tree.map(lambda c: c[:, None], replace(frame, points={})), points=points)

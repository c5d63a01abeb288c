"""First-order optimisers: any optax transformation, stepped between two draws of points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax
import numpy as np
import optax

from physsynth.pinn.once import SELDOM
from physsynth.pinn.optimisers.optimiser import Weights
from physsynth.pinn.optimisers.soap import scale_by_soap


@dataclass(frozen=True)
class FirstOrder:
    """Steps of an optax transformation whose rate falls exponentially, by ten over `decay` steps."""

    rate: float = 5e-3
    decay: int = 1000
    steps: int = 200

    @property
    def name(self) -> str:
        """What it is called in the history."""
        return type(self).__name__.lower()

    def transformation(self) -> optax.GradientTransformation:
        """Return what turns gradients into steps."""
        return optax.chain(self.scaling(), optax.scale_by_learning_rate(self._schedule()))

    def scaling(self) -> optax.GradientTransformation:
        """Return the preconditioner."""
        return optax.identity()

    def start(self, theta: jax.Array):
        """Return the memory before the first step."""
        return jax.jit(self.transformation().init, compiler_options=SELDOM)(theta)

    def run(self, objective, theta: Weights, memory, data):
        """Take the steps; return position, memory and the losses (steps,)."""
        step, losses = _step(self), np.empty(self.steps)
        for i in range(self.steps):
            losses[i], gradient = objective.evaluate(np.asarray(theta), data)
            theta, memory = step(theta, memory, gradient)
        return theta, memory, losses

    def _schedule(self):
        return optax.exponential_decay(self.rate, self.decay, 0.1)


@lru_cache(maxsize=8)
def _step(optimiser):
    """Return one step of an optimiser, compiled."""
    transformation = optimiser.transformation()

    def step(theta, memory, gradient):
        move, memory = transformation.update(gradient, memory, theta)
        return theta + move, memory

    # Next to the gradient it costs nothing, however it is compiled.
    return jax.jit(step, compiler_options=SELDOM)


@dataclass(frozen=True)
class Adam(FirstOrder):
    """Adam (Kingma, Ba 2015)."""

    def scaling(self) -> optax.GradientTransformation:
        """Return the preconditioner."""
        return optax.scale_by_adam()


@dataclass(frozen=True)
class Soap(FirstOrder):
    """SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

    Attributes
    ----------
    shapes : tuple of (rows, columns)
        Of the weight matrices, in the order in which they lie in the vector of weights.
    """

    shapes: tuple[tuple[int, int], ...] = ()

    def scaling(self) -> optax.GradientTransformation:
        """Return the preconditioner."""
        return scale_by_soap(self.shapes)

"""First-order optimisers: any optax transformation, stepped between two draws of points."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import optax

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
        return self.transformation().init(theta)

    def run(self, objective, theta: jax.Array, memory, data):
        """Take the steps; return position, memory and the losses (steps,)."""
        transformation = self.transformation()

        def step(state, _):
            theta, memory = state
            value, gradient = objective.value_and_gradient(theta, data)
            move, memory = transformation.update(gradient, memory, theta)
            return (theta + move, memory), value

        (theta, memory), losses = jax.lax.scan(step, (theta, memory), None, length=self.steps)
        return theta, memory, losses

    def _schedule(self):
        return optax.exponential_decay(self.rate, self.decay, 0.1)


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

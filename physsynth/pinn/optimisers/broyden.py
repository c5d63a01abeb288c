"""Self-scaled Broyden: a quasi-Newton method whose inverse Hessian is rescaled at every step.

    H <- (H - H y y' H / y'H y + phi v v') / tau + s s' / y's,   v = sqrt(y'H y) (s / y's - H y / y'H y)

Source: Al-Baali (1998), Comput. Optim. Appl. 9, 191-203, for phi and tau; used on physics-informed
networks by Urban, Stefanou, Pons (2025), J. Comput. Phys. 523, 113656.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from physsynth.pinn.optimisers.wolfe import line_search


class BroydenMemory(NamedTuple):
    """What the method knows of the curvature: the inverse Hessian, and whether it was ever updated."""

    inverse: jax.Array
    fresh: jax.Array


@dataclass(frozen=True)
class Broyden:
    """Self-scaled Broyden with a strong-Wolfe search; keeps a dense inverse Hessian.

    Attributes
    ----------
    steps : int
        Iterations between two draws of points.
    """

    steps: int = 100
    name = "broyden"

    def start(self, theta: jax.Array) -> BroydenMemory:
        """Return the memory before the first step."""
        return BroydenMemory(jnp.eye(theta.size, dtype=theta.dtype), jnp.asarray(True))

    def run(self, objective, theta: jax.Array, memory: BroydenMemory, data):
        """Take the steps; return position, memory and the losses (steps,)."""
        return minimise(
            lambda position: objective.value_and_gradient(position, data), theta, memory, self.steps
        )


def minimise(function: Callable, theta: jax.Array, memory: BroydenMemory, steps: int):
    """Minimise a function that returns its value and gradient.

    Examples
    --------
    >>> rosenbrock = jax.value_and_grad(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)
    >>> x = jnp.array([-1.2, 1.0])
    >>> x, _, losses = minimise(rosenbrock, x, Broyden().start(x), 60)
    >>> bool(losses[-1] < 1e-10)
    True
    """
    value, gradient = function(theta)

    def step(state, _):
        theta, value, gradient, natural, memory = state
        # Before the first update: steepest descent, of at most unit length.
        length = jnp.where(memory.fresh, jnp.maximum(jnp.linalg.norm(gradient), 1.0), 1.0)
        direction = -natural / length
        found = line_search(function, theta, direction, value, gradient)
        move = found.step * direction
        change = _Change(move, found.gradient - gradient, -found.step * (gradient @ move))
        memory, natural = _update(memory, change, natural, found.gradient)
        return (theta + move, found.value, found.gradient, natural, memory), found.value

    start = (theta, value, gradient, memory.inverse @ gradient, memory)
    (theta, _, _, _, memory), losses = jax.lax.scan(step, start, None, length=steps)
    return theta, memory, losses


class _Change(NamedTuple):
    """A move s, the change y of the gradient along it, and s'B s with B the inverse of H."""

    s: jax.Array
    y: jax.Array
    quadratic: jax.Array


def _update(memory, change, before, gradient):
    """Return the memory after a change, forgotten where the search failed, and H g; `before` was H g.

    H is read twice and written once: its size is what an iteration costs.
    """
    s, y, sBs = change
    ys, yy = y @ s, y @ y
    usable = (ys > 1e-30) & (sBs > 0)
    ys, yy = jnp.where(usable, ys, 1.0), jnp.where(usable, yy, 1.0)
    scale = jnp.where(memory.fresh, ys / yy, 1.0)
    Hg = scale * (memory.inverse @ gradient)
    Hy = Hg - scale * before
    yHy = jnp.where(usable, y @ Hy, 1.0)
    b = jnp.where(memory.fresh, yy * (s @ s) / ys**2, sBs / ys)
    phi, tau = _coefficients(jnp.where(usable, b, 1.0), yHy / ys, s.size)
    corrections = [(-1.0 / (tau * yHy), Hy), (phi * yHy / tau, s / ys - Hy / yHy), (1.0 / ys, s)]
    H, natural = memory.inverse * (scale / tau), Hg / tau
    for weight, v in corrections:
        H, natural = H + (weight * v)[:, None] * v, natural + weight * (v @ gradient) * v
    identity = jnp.eye(s.size, dtype=s.dtype)
    memory = BroydenMemory(jnp.where(usable, H, identity), ~usable)
    return memory, jnp.where(usable, natural, gradient)


def _coefficients(b, h, size):
    """Return phi and tau from b = s'Bs / y's and h = y'Hy / y's (Al-Baali 1998)."""
    a = jnp.maximum(h * b - 1.0, 1e-12)
    c = jnp.sqrt(a / (a + 1.0))
    rho_minus = jnp.minimum(1.0, h * (1.0 - c))
    theta_minus = (rho_minus - 1.0) / a
    theta = jnp.maximum(theta_minus, jnp.minimum(1.0 / rho_minus, (1.0 - b) / b))
    sigma = 1.0 + a * theta
    rho_plus = jnp.minimum(1.0, 1.0 / b)
    root = sigma ** (-1.0 / max(size - 1, 1))
    tau = jnp.where(
        theta <= 0, jnp.minimum(rho_plus * root, sigma), rho_plus * jnp.minimum(root, 1.0 / theta)
    )
    return (1.0 - theta) / sigma, tau

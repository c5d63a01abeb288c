"""Self-scaled Broyden: a quasi-Newton method whose inverse Hessian is rescaled at every step.

    H <- (H - H y y' H / y'H y + phi v v') / tau + s s' / y's,   v = sqrt(y'H y) (s / y's - H y / y'H y)

Source: Al-Baali (1998), Comput. Optim. Appl. 9, 191-203, for phi and tau; used on physics-informed
networks by Urban, Stefanou, Pons (2025), J. Comput. Phys. 523, 113656.

The search and the matrix live on the host: the objective is the only thing that is compiled, and what the
matrix costs is reading it once an iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from scipy.linalg import get_blas_funcs

from physsynth.pinn.optimisers.optimiser import Weights
from physsynth.pinn.optimisers.wolfe import line_search

# A first step that is tried, where the last one hardly descended.
_SHORTEST = 1e-4


class BroydenMemory(NamedTuple):
    """What the method knows of the curvature: the inverse Hessian, and whether it was ever updated."""

    inverse: np.ndarray
    fresh: np.ndarray

    def widened(self, kept: np.ndarray, size: int) -> BroydenMemory:
        """Return the memory of more weights: old ones stand at `kept`, new ones get their median scale."""
        inverse = np.median(np.diag(self.inverse)) * np.eye(size, dtype=self.inverse.dtype)
        inverse[np.ix_(kept, kept)] = self.inverse
        return BroydenMemory(inverse, self.fresh)


@dataclass(frozen=True)
class Broyden:
    """Self-scaled Broyden with a strong-Wolfe search; keeps a dense inverse Hessian.

    Attributes
    ----------
    steps : int
        Iterations between two draws of points.
    predicted : bool
        Whether a search begins at the step that the last decrease predicts, instead of the full one. Far from
        a minimum, where full steps are many times too long, that spares an evaluation an iteration; near one
        the searches of full steps descend further.
    """

    steps: int = 100
    predicted: bool = False
    name = "broyden"

    def start(self, theta: jax.Array) -> BroydenMemory:
        """Return the memory before the first step."""
        return BroydenMemory(np.eye(theta.size, dtype=theta.dtype), np.asarray(True))

    def run(self, objective, theta: Weights, memory: BroydenMemory, data):
        """Take the steps; return position, memory and the losses (steps,)."""
        return minimise(
            lambda position: objective.evaluate(position, data), theta, memory, self.steps, self.predicted
        )


def minimise(function: Callable, theta, memory: BroydenMemory, steps: int, predicts: bool = False):
    """Minimise a function that returns its value and gradient.

    Examples
    --------
    >>> rosenbrock = jax.value_and_grad(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)
    >>> x = np.array([-1.2, 1.0])
    >>> x, _, losses = minimise(rosenbrock, x, Broyden().start(x), 60)
    >>> bool(losses[-1] < 1e-10)
    True
    """

    def at(position):
        value, gradient = function(position)
        return float(value), np.asarray(gradient)

    theta, losses, inverse = np.asarray(theta), np.empty(steps), _Inverse(memory)
    value, gradient = at(theta)
    natural, decrease = inverse @ gradient, None
    for i in range(steps):
        # Before the first update: steepest descent, of at most unit length.
        direction = -natural / (max(float(np.linalg.norm(gradient)), 1.0) if inverse.fresh else 1.0)
        first = predicted(decrease, float(gradient @ direction)) if predicts and not inverse.fresh else 1.0
        found = line_search(at, theta, direction, value, gradient, first)
        move = found.step * direction
        change = _Change(move, found.gradient - gradient, -found.step * float(gradient @ move))
        natural = inverse.updated(change, natural, found.gradient)
        decrease = value - found.value
        theta, value, gradient, losses[i] = theta + move, found.value, found.gradient, found.value
    return theta, inverse.memory(), losses


def predicted(decrease: float | None, slope: float) -> float:
    """Return the step to the minimum of a parabola that falls as much as the last step did, or a full one.

    Source: Nocedal, Wright (2006), Numerical Optimization, 2nd ed., eq. 3.60.
    """
    if decrease is None or slope >= 0.0:
        return 1.0
    return min(max(-2.02 * decrease / slope, _SHORTEST), 1.0)


class _Change(NamedTuple):
    """A move s, the change y of the gradient along it, and s'B s with B the inverse of H."""

    s: np.ndarray
    y: np.ndarray
    quadratic: float


_KEPT = 30


class _Inverse:
    """H = scale C + a sum of w v v', which is folded into C now and then; C's lower triangle counts."""

    def __init__(self, memory: BroydenMemory):
        self.matrix, self.fresh = np.array(memory.inverse, order="F"), bool(memory.fresh)
        self._multiply, self._add = get_blas_funcs(("symv", "syrk"), (self.matrix,))
        self._vectors = np.empty((len(self.matrix), _KEPT), self.matrix.dtype, order="F")
        self._clear()

    def __matmul__(self, g: np.ndarray) -> np.ndarray:
        v = self._vectors[:, : self._count]
        return self._multiply(self._scale, self.matrix, g, lower=1) + v @ (
            self._weights[: self._count] * (v.T @ g)
        )

    def memory(self) -> BroydenMemory:
        """Return H as a matrix."""
        self._fold()
        return BroydenMemory(self.matrix, np.asarray(self.fresh))

    def updated(self, change: _Change, before: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Learn from a change, or forget all where the search failed; return H g. `before` was H g."""
        s, y, sBs = change
        ys, yy = float(y @ s), float(y @ y)
        if not (ys > 1e-30 and sBs > 0):
            self.__init__(BroydenMemory(np.eye(s.size, dtype=s.dtype), np.asarray(True)))
            return gradient
        first, self.fresh = self.fresh, False
        if first:
            self._scale, sBs = ys / yy, yy * float(s @ s) / ys
        Hg = self @ gradient
        Hy = Hg - (self._scale if first else 1.0) * before
        yHy = float(y @ Hy)
        phi, tau = _coefficients(sBs / ys, yHy / ys, s.size)
        self._divide(tau)
        natural = Hg / tau
        for weight, v in [(-1.0 / (tau * yHy), Hy), (phi * yHy / tau, s / ys - Hy / yHy), (1.0 / ys, s)]:
            self._append(weight, v)
            natural += weight * float(v @ gradient) * v
        return natural

    def _divide(self, tau):
        self._scale /= tau
        self._weights[: self._count] /= tau

    def _append(self, weight, v):
        if self._count == _KEPT:
            self._fold()
        self._vectors[:, self._count], self._weights[self._count] = v, weight
        self._count += 1

    def _fold(self):
        weights = self._weights[: self._count]
        columns = self._vectors[:, : self._count] * np.sqrt(np.abs(weights))
        for sign in (1.0, -1.0):
            some = np.asfortranarray(columns[:, np.sign(weights) == sign])
            if some.size:
                self.matrix = self._add(sign, some, self._scale, self.matrix, lower=1, overwrite_c=1)
                self._scale = 1.0
        self.matrix *= self._scale
        self._clear()

    def _clear(self):
        self._scale, self._count, self._weights = 1.0, 0, np.empty(_KEPT, self._vectors.dtype)


def _coefficients(b, h, size):
    """Return phi and tau from b = s'Bs / y's and h = y'Hy / y's (Al-Baali 1998)."""
    a = max(h * b - 1.0, 1e-12)
    c = (a / (a + 1.0)) ** 0.5
    rho_minus = min(1.0, h * (1.0 - c))
    theta_minus = (rho_minus - 1.0) / a
    theta = max(theta_minus, min(1.0 / rho_minus, (1.0 - b) / b))
    sigma = 1.0 + a * theta
    rho_plus = min(1.0, 1.0 / b)
    root = sigma ** (-1.0 / max(size - 1, 1))
    tau = min(rho_plus * root, sigma) if theta <= 0 else rho_plus * min(root, 1.0 / theta)
    return (1.0 - theta) / sigma, tau

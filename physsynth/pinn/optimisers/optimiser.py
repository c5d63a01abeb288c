"""What every optimiser offers."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import numpy as np

Weights = jax.Array | np.ndarray


class Optimiser(Protocol):
    """What minimises an objective between two draws of points."""

    @property
    def name(self) -> str:
        """What it is called in the history."""
        ...

    @property
    def steps(self) -> int:
        """Iterations a round."""
        ...

    def start(self, theta: jax.Array) -> Any:
        """Return the memory before the first step, a tree of arrays."""
        ...

    def run(self, objective: Any, theta: Weights, memory: Any, data: Any) -> tuple[Weights, Any, np.ndarray]:
        """Take the steps; return position, memory and the losses (steps,)."""
        ...

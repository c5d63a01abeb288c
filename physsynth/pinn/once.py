"""What is computed seldom: compiled in haste, so that compiling does not outlast running."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

# Of XLA. On a CPU, one loop an operation instead of fused ones by MLIR compiles several times faster; the
# gradient of the loss runs as fast.
OFTEN = {"xla_cpu_use_fusion_emitters": False}
ONCE = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
SELDOM = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}


def once(function: Callable, *arguments):
    """Return what a function of arrays returns, as NumPy arrays.

    Examples
    --------
    >>> float(once(lambda x: {"twice": 2.0 * x}, np.ones(2))["twice"].sum())
    4.0
    """
    return jax.tree.map(np.asarray, jax.jit(function, compiler_options=ONCE)(*arguments))

"""Random numbers on the host: points and weights are drawn by NumPy, which has nothing to compile."""

from __future__ import annotations

import jax
import numpy as np

# Where along the path the points are drawn at which the error is estimated; training uses single numbers.
ERROR = (0, 1)


def generator(key: jax.Array, *path: int) -> np.random.Generator:
    """Return a generator that depends on a JAX key, and on where along a path of numbers it is used.

    Examples
    --------
    >>> key = jax.random.key(0)
    >>> bool(generator(key, 1).uniform() == generator(key, 1).uniform())
    True
    """
    entropy = np.asarray(jax.random.key_data(key)).ravel().tolist()
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=path))

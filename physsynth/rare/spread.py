"""Pick failing scenarios that differ: farthest-point selection that starts with one scenario a mode.

Source: Gonzalez (1985), Theoretical Computer Science 38, clustering to minimise the largest distance.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def spread_out(
    u: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"], mode: Int[np.ndarray, " n"], k: int
) -> Int[np.ndarray, " k"]:
    """Return the indices of `k` points: the heaviest of each mode, then those farthest from all before.

    Examples
    --------
    >>> u = np.array([[3.0, 0.0], [3.1, 0.0], [0.0, 3.0], [0.0, 6.0]])
    >>> spread_out(u, np.array([0.5, 0.4, 0.3, 0.2]), np.array([0, 0, 1, 1]), 3).tolist()
    [0, 2, 3]
    """
    heaviest = [int(np.argmax(np.where(mode == m, weight, -1.0))) for m in np.unique(mode)]
    picked = heaviest[:k]
    distance = np.min(np.linalg.norm(u[:, None] - u[picked], axis=2), axis=1)
    while len(picked) < k:
        picked.append(int(np.argmax(distance * np.sqrt(weight))))
        distance = np.minimum(distance, np.linalg.norm(u - u[picked[-1]], axis=1))
        distance[picked] = 0.0
    return np.array(picked)

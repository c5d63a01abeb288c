"""The density of the present posterior, of which only draws are at hand: several estimates, stacked.

    p(z) = sum_i a_i p_i(z)

with two triangular maps, in either order of the components, and a mixture of normals for p_i, and the shares
a_i that make draws likely which the p_i were not fitted to: each half of them under a fit to the other.

Source: Smyth and Wolpert (1999), Mach. Learn. 36, 59 (stacked density estimates).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy.typing import ArrayLike

from physsynth.require.mixture import Mixture
from physsynth.require.triangular import Triangular

_ROUNDS, _NEGLIGIBLE = 300, 1e-3


class Present(NamedTuple):
    """A density fitted to draws; arrays alone, so that fits share compiled code.

    `fixed` tells which components do not vary.
    """

    fixed: Bool[Array, " d"]
    centre: Float[Array, " d"]
    scale: Float[Array, " d"]
    log_share: Float[Array, " estimate"]
    estimates: tuple[Triangular, Triangular, Mixture]

    @classmethod
    def of(cls, rows: Float[np.ndarray, "draw d"], order: ArrayLike | None = None) -> Present:
        """Fit the density to draws; a component that does not vary has none.

        Parameters
        ----------
        rows : array (draw, d)
        order : array (d,) of int, optional
            Which component comes first, which next; as they stand unless given.

        Examples
        --------
        >>> rows = np.random.default_rng(0).normal(size=(4000, 1))
        >>> present = Present.of(rows)
        >>> values = present.log_density(jnp.array([[0.0, 1.0, 2.0]]))
        >>> np.round(values - values[0] + jnp.array([0.0, 0.5, 2.0]), 0).tolist()
        [0.0, 0.0, 0.0]
        """
        places = np.arange(rows.shape[1]) if order is None else np.asarray(order)
        centre, scale = rows.mean(0), rows.std(0)
        moving = scale > 1e-12 * (1 + np.abs(centre))
        scale = np.where(moving, scale, 1.0)
        z = (rows - centre) / scale
        halves = (z[::2], z[1::2])
        number = Mixture.number(halves, moving)
        seen = [
            estimate.log_density(jnp.asarray(other.T))
            for half, other in zip(halves, halves[::-1], strict=True)
            for estimate in _estimates(half, moving, places, number)
        ]
        log_share = jnp.log(_shares(np.hstack([seen[:3], seen[3:]])))
        estimates = _estimates(z, moving, places, number)
        return cls(jnp.asarray(~moving), jnp.asarray(centre), jnp.asarray(scale), log_share, estimates)

    def log_density(self, rows: Float[Array, "d point"]) -> Float[Array, " point"]:
        """Return the log density at each point, up to a constant."""
        z = (rows - self.centre[:, None]) / self.scale[:, None]
        logs = jnp.stack([estimate.log_density(z) for estimate in self.estimates])
        return jax.scipy.special.logsumexp(logs + self.log_share[:, None], axis=0)


def _estimates(z, moving, places, number):
    forward, backward = (Triangular.of(z, moving, order) for order in (places, places[::-1]))
    return forward, backward, Mixture.of(z, moving, number)


def _shares(logs):
    """Return the shares of estimates that make draws most likely, from log densities (estimate, draw)."""
    likely = np.exp(logs - logs.max(axis=0))
    share = np.full(len(logs), 1 / len(logs))
    for _ in range(_ROUNDS):
        part = share[:, None] * likely
        share = np.mean(part / part.sum(axis=0), axis=1)
    return np.where(share < _NEGLIGIBLE, 1e-30, share)

"""What one more member of the population would tell: Fisher information about its log parameters.

    H = J' diag(1 / s_j^2) J,   J = d f_j / d psi

Source: Mentré, Mallet and Baccar (1997), Biometrika 84, eq. 3 (first-order approximation).
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from physsynth.calibrate.design import Design
from physsynth.calibrate.model import SimulatorModel


def member_information(
    model: SimulatorModel, group: Design, log_own: Float[Array, " k"], draw: Mapping[str, jax.Array]
) -> Float[Array, "k k"]:
    """Return the information about a member's log parameters in the measurements of one group's design.

    Parameters
    ----------
    model : SimulatorModel
    group : Design
        What is done to the member and when it is measured, without a group axis.
    log_own : array (k,)
        The member's log parameters.
    draw : mapping
        Pooled parameters and noise, by their posterior names.
    """

    def expected(psi):
        return model.predict(group, psi, draw)

    slopes = jax.jacfwd(expected)(log_own)
    _, deviation = model.measure(group, log_own, draw)
    weight = jnp.where(group.mask, 1.0 / deviation**2, 0.0)
    return slopes.T @ (weight[:, None] * slopes)

"""How rare scenarios fail: the mode of each, and the most probable scenario of every mode.

A limit state may tell its ways to fail apart; otherwise a failing scenario's mode is its main cause, the
input whose return to its median would have helped most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth import rare
from physsynth.core import Simulator, simulate

SMALL_MODE = 0.01
NEAR, HALVINGS = 0.1, 30


@dataclass(frozen=True)
class Ways:
    """Tells the modes of failing scenarios apart.

    Attributes
    ----------
    sim : Simulator
    name : str
        The limit state.
    settings : mapping of str to float
        Its numbers.
    limit_state : callable
        g of one scenario's parameters.
    """

    sim: Simulator
    name: str
    settings: Mapping[str, float]
    limit_state: Callable

    @property
    def meaning(self) -> str:
        """What a mode is here: "way to fail" or "main cause"."""
        return "way to fail" if self.sim.limit_states[self.name].modes else "main cause"

    def labels(self, runs: xr.Dataset) -> np.ndarray:
        """Return the name of each scenario's mode, in words: spaces stand for underscores."""
        limit = self.sim.limit_states[self.name]
        p = {name: jnp.asarray(runs[name].values) for name in self.sim.parameters}
        if not limit.modes:
            return np.char.replace(rare.causes(self.limit_state, self.sim.space, p).labels, "_", " ")
        y = {name: jnp.asarray(runs[name].values) for name in self.sim.outputs}
        index = jax.jit(jax.vmap(lambda p, y: limit.mode(p, y, **self.settings)))(p, y)
        return np.array([name.replace("_", " ") for name in limit.modes])[np.asarray(index)]


def merged(labels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Put modes of less than 1 % of the probability together."""
    total = max(weight.sum(), 1e-300)
    small = {name for name in set(labels) if weight[labels == name].sum() < SMALL_MODE * total}
    return np.array(["other" if name in small else name for name in labels])


def design_points(ways: Ways, found: np.ndarray, names: list[str]) -> xr.Dataset:
    """Return the most probable failing scenario of each mode, run in full.

    Parameters
    ----------
    ways : Ways
    found : array (point, dimension)
        Design points in standard normal space, of all replicates.
    names : list of str
        The modes, in the order wanted; one without a design point is left out.

    Returns
    -------
    xr.Dataset
        Over ``scenario``: parameters, outputs, `mode` (index in `names`) and `reliability_index`.
    """
    if not len(found):
        return xr.Dataset()
    found = _onto_limit(ways, found)
    runs = simulate(ways.sim, ways.sim.space.from_normal(jnp.asarray(found)))
    labels, index = ways.labels(runs), np.linalg.norm(found, axis=1)
    own = {name: np.flatnonzero(labels == name) for name in names}
    best = {name: int(rows[np.argmin(index[rows])]) for name, rows in own.items() if len(rows)}
    rows = list(best.values())
    return runs.isel(scenario=rows).assign(
        mode=(
            "scenario",
            np.array([names.index(name) for name in best], np.int8),
            flags(names, ways.meaning),
        ),
        reliability_index=(
            "scenario",
            index[rows],
            {"units": "1", "long_name": "distance from the origin of standard normal space"},
        ),
    )


def _onto_limit(ways, u):
    """Move points along their rays from the origin to where g = 0, if that is within a tenth of them."""
    g = jax.jit(jax.vmap(lambda u: ways.limit_state(ways.sim.space.from_normal(u))))
    low, high = np.full(len(u), 1 - NEAR), np.full(len(u), 1 + NEAR)
    crosses = (np.asarray(g(low[:, None] * u)) > 0) & (np.asarray(g(high[:, None] * u)) <= 0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fails = np.asarray(g(middle[:, None] * u)) <= 0
        low, high = np.where(fails, low, middle), np.where(fails, middle, high)
    return np.where(crosses, high, 1.0)[:, None] * u


def flags(names: list[str], meaning: str) -> dict:
    """Return the CF attributes of a variable that holds modes."""
    return {
        "long_name": meaning,
        "flag_values": np.arange(len(names), dtype=np.int8),
        "flag_meanings": " ".join(name.replace(" ", "_") for name in names),
    }

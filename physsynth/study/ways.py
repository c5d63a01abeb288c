"""Ways of measuring new members of a study's population, and what each of them would tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from physsynth.calibrate import SimulatorModel, member_information
from physsynth.require.population import PLANNED

CONDITIONS = 5


class Way(NamedTuple):
    """How a new member is measured: like one `group`, or any of them, and without one slot, or with all."""

    group: int | None = None
    without: int | None = None


LIKE_THE_MEASURED = Way()


def ways(model: SimulatorModel) -> dict[str, Way]:
    """Return the ways of measuring a member by name, the planned one first.

    It is planned to measure like any of the measured members. Otherwise, where a member is measured several
    times: each sample left out in turn. Where it is measured once: every member at one of the measured
    conditions.
    """
    several = model.experiment.design.mask.shape[1] > 1
    return {PLANNED: LIKE_THE_MEASURED, **(_without(model) if several else _at(model))}


def _without(model):
    """Leave out each slot, named by the median of its coordinate."""
    experiment, name = model.experiment, model.experiment.along
    slots = range(experiment.design.mask.shape[1])
    if name is None:
        return {f"without measurement {slot + 1}": Way(without=slot) for slot in slots}
    coordinate = np.asarray(experiment.design.options[name])
    (dim, place), *_ = model.sim.outputs[experiment.output].dims.items()
    return {
        f"without the sample at {dim} {_short(np.median(coordinate[:, slot]))} {place.unit}": Way(
            without=slot
        )
        for slot in slots
    }


def _at(model):
    """Measure like groups whose known parameters are spread over the measured range."""
    known = {name: np.asarray(value)[:, 0] for name, value in model.experiment.design.parameters.items()}
    if not known:
        return {}
    name, values = next(iter(known.items()))
    unit = model.sim.parameters[name].unit
    order = np.argsort(values, kind="stable")
    picks = order[np.linspace(0, len(order) - 1, CONDITIONS).round().astype(int)]
    return {f"at {name} {_short(values[group])} {unit}": Way(group=int(group)) for group in picks}


@dataclass(frozen=True)
class NewMembers:
    """What new members would tell, by the way they are measured."""

    model: SimulatorModel
    draw: Mapping[str, jax.Array]

    @classmethod
    def of(cls, model: SimulatorModel, posterior: Mapping[str, np.ndarray]) -> NewMembers:
        """Take noise and pooled parameters at their posterior medians."""
        draw = {name: jnp.asarray(np.median(v)) for name, v in posterior.items() if v.ndim == 1}
        return cls(model, draw)

    @cached_property
    def _measured(self) -> Callable:
        """Information in a member's data, measured like one of `groups` in the `kept` slots.

        One function object for all ways, which differ in arrays alone and so share compiled code.
        """
        design = self.model.experiment.design

        def information(groups, kept, psi, key):
            group = design.at(groups[jax.random.randint(key, (), 0, groups.shape[0])])
            return member_information(self.model, replace(group, mask=group.mask & kept), psi, self.draw)

        return information

    def information(self, way: Way) -> Callable:
        """Return the information in the data of a member measured in one way."""
        members, slots = self.model.experiment.design.mask.shape
        groups = np.arange(members) if way.group is None else np.full(members, way.group)
        kept = np.arange(slots) != (-1 if way.without is None else way.without)
        return Partial(self._measured, jnp.asarray(groups), jnp.asarray(kept))

    def designs(self) -> dict[str, Callable]:
        """Return the ways beside the planned one, by name."""
        others = list(ways(self.model).items())[1:]
        return {name: self.information(way) for name, way in others}


def _short(value):
    """Write a coordinate to three digits, and no whole number in powers of ten."""
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"

"""The design of an experiment: what was done to each group, when it was measured, what came out.

Groups (patients, stops) have different numbers of measurements; they are padded to one length and
masked, so that one compiled function serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from physsynth.core import Simulator
from physsynth.core.errors import DataError, ParameterError, StudyError, unknown_name
from physsynth.core.quantities import compile_quantity
from physsynth.core.units import convert

WHOLE = ""  # the name of an option's only part


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Design:
    """What was done to groups (first axis) and measured in their slots (second axis).

    Attributes
    ----------
    parameters : dict of arrays
        Simulator parameters that are known, shape (group,) or (group, slot).
    options : dict of pytrees
        Simulator options, leading axes (group,) or (group, slot).
    columns : dict of arrays (group,)
        Columns that scale parameters, for example body weight.
    observed, mask : arrays (group, slot)
        Measured values, and which slots hold one.
    """

    parameters: dict[str, jax.Array]
    options: dict[str, Any]
    columns: dict[str, jax.Array]
    observed: jax.Array
    mask: jax.Array

    def at(self, index) -> Design:
        """Return the design of one group (or of several, for an array of indices)."""
        return jax.tree.map(lambda array: array[index], self)


@dataclass(frozen=True)
class Experiment:
    """A simulator's view of measurements.

    Attributes
    ----------
    sim : Simulator
    output : str
        The output that was measured.
    along : str or None
        The option that holds the measured coordinate, for example "times"; None for a scalar output.
    design : Design
    labels : array (group,)
        The groups' names in the measurements.
    rows : array (group, slot)
        Row of the table behind each slot (any row where the mask is False).
    """

    sim: Simulator
    output: str
    along: str | None
    design: Design
    labels: np.ndarray
    rows: np.ndarray

    def predict(self, group: Design, parameters: Mapping[str, jax.Array]) -> jax.Array:
        """Return what one group's measurements should be, shape (slot,); a missing parameter is NaN."""
        if self.along is not None:
            return self._run({**parameters, **group.parameters}, group.options)
        per_slot = jax.vmap(lambda known, options: self._run({**parameters, **known}, options))
        return per_slot(group.parameters, group.options)

    def predict_with_slope(
        self, group: Design, parameters: Mapping[str, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        """Return `predict`, and its slope (slot,) along the output's coordinate.

        An output at a coordinate depends on no other, so that all are moved at once.
        """
        assert self.along is not None
        along = self.along

        def at(coordinate):
            return self._run({**parameters, **group.parameters}, {**group.options, along: coordinate})

        coordinate = group.options[along]
        return jax.jvp(at, (coordinate,), (jnp.ones_like(coordinate),))

    def _run(self, parameters, options):
        absent = {name: jnp.nan for name in self.sim.parameters if name not in parameters}
        return self.sim.configure(**options)({**absent, **parameters})[self.output]


def experiment(
    sim: Simulator,
    measurements: xr.Dataset,
    output: str | None = None,
    groups: str | None = None,
    conditions: Mapping[str, Any] | None = None,
    columns: tuple[str, ...] = (),
) -> Experiment:
    """Lay measurements out for a simulator.

    A column with the name of a parameter sets it; a column with the name of the output's coordinate
    sets that; anything else is said in `conditions`.

    Parameters
    ----------
    sim : Simulator
    measurements : xr.Dataset
        Columns over ``observation`` with units.
    output : str, optional
        The measured output; the only output among the columns unless given.
    groups : str, optional
        Column that tells the members apart; every row is its own group unless given.
    conditions : mapping, optional
        For an option of the simulator: a stated quantity, or one for each part, in columns' names.
    columns : tuple of str
        Columns kept for `Population.per`.

    Raises
    ------
    StudyError, DataError, UnitError, UnknownNameError
        If the columns do not fit the simulator.
    """
    output = _measured_output(sim, measurements, output)
    _check_table(measurements, output, groups)
    units = {str(name): column.attrs.get("units", "1") for name, column in measurements.items()}
    labels, rows, mask = _grouped(measurements, groups)
    table = {
        name: np.asarray(measurements[name].values)[rows] for name in units if _numeric(measurements[name])
    }
    along = _coordinate_option(sim, output, units)
    known = {
        name: convert(table[name], units[name], sim.parameters[name].unit, key=f"measurements.units.{name}")
        for name in sim.parameters
        if name in table
    }
    options = {}
    if along is not None:
        option, column, unit = along
        key = f"measurements.units.{column}"
        options[option] = convert(table[column], units[column], unit, key=key)
    per_group = along is not None
    for name, spec in (conditions or {}).items():
        options[name] = _option(sim, name, spec, table, units, per_group)
    design = Design(
        parameters={
            name: _settled(name, value) if per_group else jnp.asarray(value) for name, value in known.items()
        },
        options=jax.tree.map(jnp.asarray, options),
        columns={name: _settled(name, table[name]) for name in columns},
        observed=jnp.asarray(
            convert(
                table[output], units[output], sim.outputs[output].unit, key=f"measurements.units.{output}"
            )
        ),
        mask=jnp.asarray(mask),
    )
    return Experiment(sim, output, along[0] if along else None, design, labels, rows)


def _measured_output(sim, measurements, output) -> str:
    if output is not None and output not in sim.outputs:
        raise unknown_name("output of " + sim.name, output, sim.outputs, key="measurements.output")
    found = [name for name in sim.outputs if name in measurements]
    if output is None and len(found) != 1:
        raise StudyError(
            "it is not clear what was measured",
            key="measurements.output",
            wanted="one of the outputs " + ", ".join(sim.outputs),
            got=", ".join(found) or "none of them among the columns",
        )
    if output is not None and output not in measurements:
        raise DataError(
            "the measured output is no column",
            key=output,
            wanted=f"a column {output}",
            got=str(list(measurements)),
        )
    return found[0] if output is None else output


def _check_table(measurements, output, groups):
    """Refuse an empty table, and columns with a unit, measurements and groups with gaps."""
    if not measurements.sizes.get("observation"):
        raise DataError(
            "no measurements",
            key="measurements",
            wanted="columns over observation, with at least one row",
            got=str(dict(measurements.sizes)),
        )
    for name, column in measurements.items():
        if "units" in column.attrs or name == output:
            _check_finite(str(name), column)
    if groups in measurements and pd.isnull(measurements[groups].values).any():
        raise DataError("a measurement of no group", key=groups, wanted="a group in every row", got="a gap")


def _check_finite(name, column):
    if not _numeric(column):
        raise DataError("a column that is no numbers", key=name, wanted="numbers", got=str(column.dtype))
    bad = np.flatnonzero(~np.isfinite(column.values))
    if bad.size:
        raise DataError(
            "a measurement is not a finite number",
            key=f"{name}, row {bad[0] + 1}",
            wanted="finite numbers",
            got=str(column.values[bad[0]]),
            advice="leave the row out",
        )


def _grouped(measurements, groups):
    """Return labels (group,), row indices (group, slot) padded with the last row, and the mask."""
    n = measurements.sizes["observation"]
    if groups is None:
        return np.arange(1, n + 1), np.arange(n)[:, None], np.ones((n, 1), bool)
    if groups not in measurements:
        raise unknown_name("column", groups, map(str, measurements), key="measurements.groups")
    labels, member = np.unique(measurements[groups].values, return_inverse=True)
    members = [np.flatnonzero(member == g) for g in range(len(labels))]
    length = max(map(len, members))
    rows = np.stack([np.pad(index, (0, length - len(index)), mode="edge") for index in members])
    mask = np.arange(length) < np.array([len(index) for index in members])[:, None]
    return labels, rows, mask


def _numeric(column):
    return column.dtype.kind in "fiu"


def _coordinate_option(sim, output, units):
    """Return (option, column, unit) of the coordinate along the output, None for a scalar output."""
    dims = sim.outputs[output].dims
    if not dims:
        return None
    if len(dims) > 1 or next(iter(dims)) not in units:
        raise StudyError(
            "the measured output's coordinate is no column",
            key="measurements",
            wanted=f"an output along one dimension, with a column named {next(iter(dims))}",
            got=f"dimensions {', '.join(dims)}; columns {', '.join(units)}",
        )
    ((dim, place),) = dims.items()
    return place.option, dim, place.unit


def _option(sim, name, spec, table, units, per_group):
    if name not in sim.option_specs:
        raise unknown_name(
            "option of " + sim.name, name, sim.option_specs, key=f"measurements.conditions.{name}"
        )
    unit = sim.option_specs[name].unit
    parts = {WHOLE: spec} if isinstance(unit, str) else spec
    wanted = {WHOLE: unit} if isinstance(unit, str) else unit
    if set(parts) != set(wanted):
        raise StudyError(
            "an option with other parts than the simulator's",
            key=f"measurements.conditions.{name}",
            wanted=", ".join(wanted),
            got=str(spec),
        )
    values = {
        part: _condition(name, part, parts[part], wanted[part], table, units, per_group) for part in wanted
    }
    return values[WHOLE] if isinstance(unit, str) else values


def _condition(name, part, spec, unit, table, units, per_group):
    place = f"measurements.conditions.{name}" + (f".{part}" if part else "")
    numeric = {column: units[column] for column in table}
    value = np.asarray(compile_quantity(spec, unit, numeric, key=place)(table), float)
    groups, slots = next(iter(table.values())).shape
    if value.shape == (groups, slots):
        return _settled(place, value)[:, None] if per_group else value[..., None]
    axes = (groups,) if per_group else (groups, slots)
    return np.broadcast_to(value, axes + np.atleast_1d(value).shape)


def _settled(name, value):
    """Return a column's value per group.

    Raises
    ------
    DataError
        If it changes within a group.
    """
    if np.ptp(value, axis=1).any():
        group = int(np.flatnonzero(np.ptp(value, axis=1))[0])
        raise DataError(
            "a column that sets a group changes within it",
            key=name,
            wanted="one value in each group",
            got=f"{np.unique(value[group]).tolist()} in group number {group + 1}",
        )
    return jnp.asarray(value[:, 0])


def check_determined(experiment: Experiment, parameters: Mapping[str, jax.Array]) -> None:
    """Check that nothing the output depends on is unknown.

    Raises
    ------
    ParameterError
        If the prediction at typical parameters is not finite.
    """
    predicted = jax.vmap(lambda group: experiment.predict(group, parameters))(experiment.design)
    if not bool(jnp.all(jnp.isfinite(predicted))):
        absent = [
            n for n in experiment.sim.parameters if n not in {*parameters, *experiment.design.parameters}
        ]
        raise ParameterError(
            f"{experiment.sim.name} predicts no finite {experiment.output} for the measured conditions",
            key="calibrate.parameters",
            wanted="a prior or a column for every parameter that the output depends on",
            got="neither for " + ", ".join(absent) if absent else "non-finite outputs at the prior medians",
        )

"""The report's section on what runs over time (or along any one coordinate): inputs, and what follows.

A vector-valued input is drawn against the coordinate of an output that has one point per component, or one
more (then each component acts between two points).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from physsynth.report import Figure, Section, figures
from physsynth.report.document import Block
from physsynth.study.stage import Job

CURVES = 25


@dataclass(frozen=True)
class Signal:
    """A vector-valued input and an output along one coordinate."""

    input: str
    output: str

    @classmethod
    def of(cls, scenarios: xr.Dataset, unit: str | None) -> Signal | None:
        """Find the pair, preferring an output in `unit`; None where there is none."""
        vectors = {n: v.shape[1] for n, v in scenarios.items() if v.dims[1:] == (f"{n}_component",)}
        curves = [n for n, v in scenarios.items() if v.ndim == 2 and v.dims[1] in scenarios.coords]
        curves.sort(key=lambda name: scenarios[name].attrs["units"] != unit)
        for output in curves:
            for name, size in vectors.items():
                if scenarios[output].shape[1] - size in (0, 1):
                    return cls(str(name), str(output))
        return None


def signal_sections(job: Job) -> Iterator[Section]:
    """Yield the section with the most probable input of each mode, and failing records."""
    designs, scenarios = job.dataset("rare", "design_points"), job.dataset("rare", "scenarios")
    limit = job.problem.sim.limit_states[job.study.tables.rare.limit_state]
    signal = Signal.of(scenarios, next(iter(limit.settings.values()), limit.unit))
    if signal is None:
        return
    blocks: list[Block] = [_records(job, signal, scenarios)]
    if "mode" in designs:
        blocks.insert(0, _most_probable(job, signal, designs))
    yield Section(
        f"The likeliest {signal.input.replace('_', ' ')}",
        "What it takes to fail, at the least, and what failures look like.",
        blocks,
    )


def typical_curves(scenarios: xr.Dataset, output: xr.DataArray) -> dict[str, np.ndarray]:
    """Return an output of typical scenarios of each mode, named for people."""
    names = mode_names(scenarios)
    return {name: output.values[_typical_rows(scenarios, i)] for i, name in enumerate(names)}


def mode_names(scenarios: xr.Dataset) -> list[str]:
    """Return the modes' names as people read them."""
    return [name.replace("_", " ") for name in scenarios["mode"].attrs["flag_meanings"].split()]


def threshold_line(job: Job, unit: str) -> tuple[float | None, str]:
    """Return the limit as a line in an output's unit, where it is one number of that dimension."""
    limit = job.problem.sim.limit_states[job.study.tables.rare.limit_state]
    for name, value in job.problem.settings.items():
        if limit.settings[name] == unit:
            return value, f"{name} {value:g} {unit}"
    return None, ""


def _typical_rows(scenarios, mode):
    """Return scenarios of a mode to draw, picked evenly in proportion to their weights."""
    rows = np.flatnonzero(scenarios["mode"].values == mode)
    reached = np.cumsum(scenarios["weight"].values[rows])
    count = min(CURVES, len(rows))
    places = np.searchsorted(reached, (np.arange(count) + 0.5) / count * reached[-1])
    return rows[np.unique(places.clip(max=len(rows) - 1))]


def _most_probable(job, signal, designs):
    dim = designs[signal.output].dims[1]
    names = mode_names(designs)
    labels = [names[i] for i in designs["mode"].values]
    threshold, label = threshold_line(job, designs[signal.output].attrs["units"])
    spec = figures.cause_and_response(
        designs[dim].values,
        dict(zip(labels, designs[signal.input].values, strict=True)),
        dict(zip(labels, designs[signal.output].values, strict=True)),
        threshold,
        x=_title(dim, designs[dim]),
        cause=_title(signal.input, designs[signal.input]),
        response=_title(signal.output, designs[signal.output]),
        threshold_label=label,
    )
    index = ", ".join(f"{b:.2f}" for b in designs["reliability_index"].values)
    caption = (
        f"The most probable {signal.input} of each mode, and the {signal.output} that follows. "
        f"Distance from the median of all inputs together: {index} standard deviations."
    )
    return Figure("most-probable", caption, spec, "Curves of the design point of each mode and its response.")


def _records(job, signal, scenarios):
    output = scenarios[signal.output]
    dim = output.dims[1]
    threshold, label = threshold_line(job, output.attrs["units"])
    spec = figures.curves_over_data(
        scenarios[dim].values,
        typical_curves(scenarios, output),
        {},
        threshold,
        x=_title(dim, scenarios[dim]),
        y=_title(signal.output, output),
        threshold_label=label,
    )
    caption = "Failing scenarios of each mode, picked in proportion to weight."
    return Figure("curves", caption, spec, "Curves of failing scenarios.")


def _title(name, array):
    unit = array.attrs["units"]
    return name.replace("_", " ") if unit == "1" else f"{name.replace('_', ' ')} [{unit}]"

"""Run a simulator over many scenarios: compiled once, in blocks of one fixed shape, to memory or disk.

Blocks are padded to the same size and block i draws its scenarios with ``fold_in(key, i)``, so a
scenario's bytes depend on the seed alone: not on how many there are, nor on interruptions.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any

import h5netcdf
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth.core.errors import ParameterError
from physsynth.core.failures import FailurePolicy, Keep, finite
from physsynth.core.files import read, write, writing
from physsynth.core.simulator import Simulator
from physsynth.core.units import convert

BLOCK = 4096
OK, NON_FINITE, OUTSIDE_VALIDITY = 0, 1, 2
STATUS_ATTRIBUTES = {
    "long_name": "what is known of the run; 0 where nothing is amiss",
    "flag_masks": np.array([NON_FINITE, OUTSIDE_VALIDITY], np.int8),
    "flag_meanings": "non_finite_output outside_validity_domain",
}


def simulate(
    sim: Simulator,
    scenarios: int | Mapping[str, Any] | xr.Dataset,
    key: jax.Array | None = None,
    batch: int | None = None,
    progress: bool = False,
    on_failure: FailurePolicy | None = None,
    path: str | Path | None = None,
) -> xr.Dataset:
    """Run a simulator over scenarios.

    Parameters
    ----------
    sim : Simulator
    scenarios : int, mapping or Dataset
        How many to draw from ``sim.space`` (needs `key`), or the parameters of each, shape (n, ...);
        variables of a Dataset are converted from the units that they state.
    key : jax.Array, optional
        JAX key of the draws.
    batch : int, optional
        Scenarios per compiled call; 4096 unless given. Lower it for outputs that are very large.
    progress : bool
        Show a bar with the time left.
    on_failure : FailurePolicy, optional
        Keep and flag (default), Stop, or Retry.
    path : path, optional
        Write to this HDF5 file, block by block in bounded memory, and return it opened lazily. If
        the run is interrupted, the same call goes on where it stopped and gives the same bytes.

    Returns
    -------
    xr.Dataset
        Parameters and outputs over ``scenario``, units attached, and ``status`` (CF flags).

    Raises
    ------
    ParameterError
        If the parameters are missing, no numbers or of unequal length, or `key` is missing.
    UnitError
        If a unit of a Dataset does not fit.
    SimulationError
        Under the policy Stop.
    OutputError
        If `path` cannot be written.

    Examples
    --------
    >>> import physsynth as ps
    >>> runs = ps.simulate(ps.simulator("driving/braking"), 100, jax.random.key(0))
    >>> runs["stopping_distance"].dims, runs["stopping_distance"].attrs["units"]
    (('scenario',), 'm')
    """
    source = _Source.of(sim.space, scenarios, key, _block_size(batch))
    policy = on_failure or Keep()
    run = partial(run_block, sim, on_failure=policy)
    if path is None:
        with _bar(progress, sim.name, source.blocks) as step:
            parts = [step(_cut(run(values), size)) for values, size in source]
        return describe(sim, _joined(parts))
    return _stream(sim, source, run, Path(path), _digest(sim, source, policy), progress)


def _block_size(batch):
    if batch is None:
        return BLOCK
    if not _is_whole(batch) or batch < 1:
        raise ParameterError("no batch", key="batch", wanted="a whole number of at least 1", got=repr(batch))
    return int(batch)


def _is_whole(number):
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def run_block(sim: Simulator, values: Mapping[str, jax.Array], on_failure: FailurePolicy) -> dict[str, Any]:
    """Run one block of scenarios; return parameters, outputs and status as arrays (n, ...)."""
    parameters = {name: jnp.asarray(value) for name, value in values.items()}
    outputs = on_failure.settle(sim, parameters, sim.batched(parameters))
    status = _status(sim, parameters, outputs)
    arrays = {**parameters, **outputs, "status": status}
    return {name: np.asarray(array) for name, array in arrays.items()}


def describe(sim: Simulator, arrays: Mapping[str, Any]) -> xr.Dataset:
    """Dress arrays of parameters, outputs and status as a Dataset with dims, coordinates and units."""
    variables, coords = {}, {}
    for name, array in arrays.items():
        if name in sim.parameters:
            parameter = sim.parameters[name]
            extra = (f"{name}_component",) if parameter.distribution.event_shape else ()
            attrs = {"units": parameter.unit, "long_name": parameter.description or name}
            variables[name] = (("scenario", *extra), array, attrs)
        elif name in sim.outputs:
            output = sim.outputs[name]
            attrs = {"units": output.unit, "long_name": output.description or name}
            variables[name] = (("scenario", *output.dims), array, attrs)
            coords |= {dim: _coordinate(sim, dim, place) for dim, place in output.dims.items()}
        elif name == "status":
            variables[name] = ("scenario", array, STATUS_ATTRIBUTES)
    attrs = {"title": f"scenarios of {sim.name}", "Conventions": "CF-1.11", "source": sim.description}
    return xr.Dataset(variables, coords, attrs)


def _coordinate(sim, dim, place):
    return (
        dim,
        np.asarray(sim.options[place.option]),
        {"units": place.unit, "long_name": place.description or dim},
    )


def _status(sim, parameters, outputs):
    inside = jnp.ones(next(iter(outputs.values())).shape[0], bool)
    for name, (low, high) in sim.validity.items():
        value = {**parameters, **outputs}[name].reshape(inside.shape[0], -1)
        inside &= jnp.all((value >= low) & (value <= high), axis=1)
    inside &= finite(parameters)
    return (jnp.where(finite(outputs), OK, NON_FINITE) + jnp.where(inside, OK, OUTSIDE_VALIDITY)).astype(
        jnp.int8
    )


class _Source:
    """Blocks of scenarios of one fixed size, drawn or given; the last is padded with its first row."""

    def __init__(self, total, size, block, identity):
        self.total, self.size, self.block, self.identity = total, size, block, identity

    @classmethod
    def of(cls, space, scenarios, key, size):
        if isinstance(scenarios, Mapping | xr.Dataset):
            return cls._given(space, scenarios, size)
        return cls._drawn(space, scenarios, key, size)

    @classmethod
    def _drawn(cls, space, total, key, size):
        if key is None or not _is_whole(total) or total < 1:
            raise ParameterError(
                "scenarios cannot be drawn",
                key="key" if key is None else "scenarios",
                wanted="a JAX key and a whole number of at least 1",
                got=f"key={key}, scenarios={total}",
                advice="pass key=jax.random.key(seed)",
            )
        total = int(total)
        draw = jax.jit(lambda i: space.sample(jax.random.fold_in(key, i), size))
        return cls(total, size, draw, [total, np.asarray(jax.random.key_data(key)).tolist()])

    @classmethod
    def _given(cls, space, scenarios, size):
        values = {name: _numbers(scenarios[name], space, name) for name in space.names if name in scenarios}
        lengths = {name: value.shape[0] if value.ndim else None for name, value in values.items()}
        if set(values) != set(space.names) or len(set(lengths.values())) != 1 or None in lengths.values():
            raise ParameterError(
                "scenarios that do not fit the simulator",
                key="scenarios",
                wanted=f"arrays of one length for {', '.join(space.names)}",
                got=", ".join(f"{name}: {length}" for name, length in lengths.items()) or "none of them",
            )
        total = next(iter(lengths.values()))
        if not total:
            raise ParameterError("no scenarios", key="scenarios", wanted="at least one", got="0")

        def block(i):
            index = np.arange(i * size, (i + 1) * size)
            return {name: value[np.where(index < total, index, 0)] for name, value in values.items()}

        content = [hashlib.sha256(value.tobytes()).hexdigest() for value in values.values()]
        return cls(total, size, block, [total, content])

    @property
    def blocks(self) -> int:
        return -(-self.total // self.size)

    def count(self, i) -> int:
        return min(self.size, self.total - i * self.size)

    def __iter__(self) -> Iterator[tuple[dict, int]]:
        return ((self.block(i), self.count(i)) for i in range(self.blocks))


def _numbers(given, space, name):
    """Return one parameter of given scenarios (n, *event) in its own unit."""
    parameter, array = space.parameters[name], np.asarray(given)
    event = parameter.distribution.event_shape
    if array.dtype.kind not in "fiub" or array.shape[1:] != event:
        raise ParameterError(
            "a parameter that does not fit",
            key=name,
            wanted=f"numbers of shape (scenario{''.join(f', {n}' for n in event)})",
            got=f"{array.dtype} of shape {array.shape}",
        )
    unit = given.attrs.get("units", parameter.unit) if isinstance(given, xr.DataArray) else parameter.unit
    return np.asarray(convert(array, unit, parameter.unit, key=name))


def _cut(arrays, size):
    return {name: array[:size] for name, array in arrays.items()}


def _joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _digest(sim, source, policy):
    """Digest of all that a block depends on, so that blocks of another simulator or policy are not taken."""
    precision = str(jnp.result_type(float))
    content = [sim.name, _plain(sim.options), _code(sim.function), repr(policy), precision]
    return hashlib.sha256(repr([*content, source.identity, source.size]).encode()).hexdigest()


def _code(function):
    """Return the text of the module that a function stands in, and its name there."""
    while isinstance(function, partial):
        function = function.func
    try:
        text = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):  # typed at a prompt: there is no text
        text = ""
    return getattr(function, "__qualname__", repr(type(function))), text


def _stream(sim, source, run, path, digest, progress):
    """Write each block as a file of its own, then join them; finished blocks are not run again."""
    folder = path.with_name(f"{path.name}.parts-{digest[:12]}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in set(path.parent.glob(f"{escape(path.name)}.parts-*")) - {folder}:
            shutil.rmtree(stale)
        folder.mkdir(exist_ok=True)
    with _bar(progress, sim.name, source.blocks) as step:
        for i in range(source.blocks):
            part = folder / f"{i:08d}.nc"
            if not part.exists():
                write(part, describe(sim, _cut(run(source.block(i)), source.count(i))))
            step(part)
    _join_files(sorted(folder.glob("*.nc")), source, path)
    shutil.rmtree(folder)
    return xr.open_dataset(path, engine="h5netcdf")


def _plain(value):
    """A value as text that repeats: arrays in full."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in sorted(value.items())}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return np.asarray(value).tolist() if hasattr(value, "shape") else value


def _join_files(parts, source, path):
    temporary = path.with_name(f".{path.name}.part")
    first = read(parts[0])
    with writing(path), h5netcdf.File(temporary, "w") as opened:
        file: Any = opened
        file.dimensions = {**{str(k): v for k, v in first.sizes.items()}, "scenario": source.total}
        file.attrs.update(first.attrs)
        for name, variable in first.variables.items():
            shape = tuple(file.dimensions[str(dim)].size for dim in variable.dims)
            created = file.create_variable(str(name), variable.dims, variable.dtype)
            created.attrs.update(variable.attrs)
            if "scenario" not in variable.dims:
                created[...] = np.broadcast_to(variable.values, shape)
        for i, part in enumerate(parts):
            for name, variable in read(part).variables.items():
                if "scenario" in variable.dims:
                    file[str(name)][i * source.size : i * source.size + source.count(i)] = variable.values
    with writing(path):
        temporary.replace(path)


@contextmanager
def _bar(show, title, total):
    """Yield a function that passes its argument through and, where asked for, moves a progress bar."""
    if not show:
        yield lambda done: done
        return
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task(title, total=total)

        def step(done):
            bar.advance(task)
            return done

        yield step

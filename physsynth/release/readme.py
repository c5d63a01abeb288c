"""The page of a release that people read first: what is inside, in which units, and how to open it."""

from __future__ import annotations

from physsynth.release.contract import Contract, DatasetContract


def describe(title: str, contract: Contract) -> str:
    """Return a Markdown page on the datasets of a release."""
    parts = [f"# {title}", _OPENING, *(_dataset(name, part) for name, part in contract.datasets.items())]
    return "\n\n".join(parts) + "\n"


_OPENING = """A synthetic dataset made by physsynth. `manifest.json` says how, from what and with which
versions; `contract.json` says what the data promise. To check every digest and every promise, offline:

    physsynth verify .

Each `.nc` file is HDF5 in netCDF-4 layout: `xarray.open_dataset(file)` and `h5py.File(file)` both open it."""


def _dataset(name: str, part: DatasetContract) -> str:
    sizes = ", ".join(f"{dim} {size}" for dim, size in part.sizes.items())
    lines = [f"## {name}.nc", f"Dimensions: {sizes}.", _table(part)]
    lines += [f"The values of `{key}` add up to {total.value:.12g}." for key, total in part.sums.items()]
    return "\n\n".join(lines)


def _table(part: DatasetContract) -> str:
    head = ["| variable | over | type | unit | meaning |", "|---|---|---|---|---|"]
    rows = [
        f"| `{_cell(name)}` | {_cell(', '.join(promise.dims))} | {promise.dtype} "
        f"| {_cell(promise.units or '')} | {_cell(promise.description)} |"
        for name, promise in part.variables.items()
    ]
    return "\n".join(head + rows)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

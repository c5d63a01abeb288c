"""Files that appear whole or not at all, and xarray datasets as HDF5 (netCDF-4 layout).

A dataset is laid out in memory and written by one rename, so a killed process leaves no half file.
The bytes depend on the content only: no time stamps.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from physsynth.core.errors import DataError, OutputError


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file so that it appears whole or not at all.

    Raises
    ------
    OutputError
        If the folder is read-only, full, or no folder.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return path


@contextmanager
def writing(path: Path, advice: str = "free some space, or choose another place"):
    """Turn what the operating system says about a path into an OutputError with advice.

    HDF5 reports a disk that fills up while a file is closed as a RuntimeError.
    """
    try:
        yield
    except (OSError, RuntimeError) as reason:
        raise OutputError(
            "cannot write",
            file=path,
            wanted="a folder that can be written to, with room for the results",
            got=getattr(reason, "strerror", None) or str(reason),
            advice=advice,
        ) from reason


def to_bytes(data: xr.Dataset | xr.DataTree) -> bytes:
    """Lay a dataset or tree out as HDF5 in netCDF-4 form; the same content gives the same bytes."""
    return bytes(data.to_netcdf(engine="h5netcdf"))


def write(path: Path, data: xr.Dataset | xr.DataTree) -> Path:
    """Write a dataset or tree so that the file appears whole or not at all."""
    return write_bytes(path, to_bytes(data))


def read(path: Path) -> xr.Dataset:
    """Read a dataset into memory.

    Raises
    ------
    DataError
        If the file is missing or is no HDF5.
    """
    with _reading(path):
        return xr.load_dataset(path, engine="h5netcdf")


def read_tree(path: Path) -> xr.DataTree:
    """Read a tree of datasets into memory.

    Raises
    ------
    DataError
        If the file is missing or is no HDF5.
    """
    with _reading(path), xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()


@contextmanager
def _reading(path: Path):
    try:
        yield
    except OSError as reason:
        missing = not Path(path).exists()
        raise DataError(
            "a file that cannot be read",
            file=path,
            wanted="HDF5 in netCDF-4 layout, as physsynth writes it",
            got="no such file" if missing else str(reason).split("\n")[0],
        ) from reason

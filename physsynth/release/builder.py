"""Build a release: lay out every file, verify the whole beside its place, then swap it in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from physsynth.core.errors import ReleaseError
from physsynth.core.files import to_bytes, write_bytes, writing
from physsynth.release import manifest
from physsynth.release.contract import Contract
from physsynth.release.readme import describe
from physsynth.release.verification import CONTRACT, verify

README = "README.md"


def build(
    path: str | Path,
    datasets: Mapping[str, xr.Dataset],
    *,
    title: str,
    lineage: Mapping[str, Any],
    contract: Mapping[str, Any] | Contract | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write datasets as a release folder that verifies, whole or not at all.

    The folder is built beside its place, verified there, and swapped in by renaming; an earlier
    release stays whole until then. The bytes depend on the arguments and the versions only.

    Parameters
    ----------
    path : path
        The folder to write; an earlier release there is replaced.
    datasets : mapping of str to Dataset
        Each becomes ``<name>.nc``.
    title : str
        One line: what this is.
    lineage : mapping
        Plain JSON: seed, command, digests of the sources and of the study, and so on.
    contract : Contract or mapping, optional
        What the datasets promise; ``Contract.of(datasets)`` unless given.
    files : mapping of str to bytes, optional
        Further files by name, such as the study and the measurements.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ReleaseError
        If a dataset cannot be stored or breaks the contract, the lineage is not plain JSON, a name
        is taken or leaves the folder, or the path holds something other than a release.
    OutputError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> runs = xr.Dataset({"weight": ("scenario", np.array([0.25, 0.5]), {"units": "1"})})
    >>> promise = Contract.of({"runs": runs}, sums={("runs", "weight"): 0.75})
    >>> with tempfile.TemporaryDirectory() as place:
    ...     data, origin = {"runs": runs}, {"seed": 7}
    ...     verify(build(f"{place}/r", data, title="two runs", lineage=origin, contract=promise)).passed
    True
    """
    path = Path(path)
    contract = _contract(contract, datasets)
    contents = _contents(datasets, title, contract, dict(files or {}))
    contents[manifest.NAME] = manifest.compose(title, lineage, contents)
    _check_place(path)
    with writing(path):
        _swap_in(path, contents)
    return path


def _contract(given, datasets):
    if given is None:
        return Contract.of(datasets)
    return given if isinstance(given, Contract) else Contract.from_json(given)


def _contents(datasets, title, contract, files):
    """Lay out every file but the manifest, by name, in the order of writing."""
    stored = {f"{name}.nc": _stored(name, dataset) for name, dataset in datasets.items()}
    own = {
        CONTRACT: manifest.canonical(contract.to_json(), key="contract"),
        README: describe(title, contract).encode(),
    }
    taken = set(files) & ({manifest.NAME} | set(own) | set(stored))
    for name in [*stored, *files]:
        _check_file_name(name, taken)
    return {**stored, **files, **own}


def _stored(name, dataset):
    """Lay a dataset out as HDF5 bytes; how it was stored before does not matter."""
    dressed = dataset.drop_encoding().assign_attrs({"Conventions": "CF-1.11", **dataset.attrs})
    try:
        return to_bytes(dressed)
    except (TypeError, ValueError) as reason:
        raise ReleaseError(
            "a dataset that HDF5 cannot hold",
            key=f"datasets.{name}",
            wanted="numbers, text or booleans, with attributes that are text or numbers",
            got=str(reason).split("\n")[0],
            advice="drop or convert the variable or attribute named",
        ) from reason


def _check_file_name(name, taken):
    try:
        manifest.check_name(name)
    except ValueError as reason:
        raise ReleaseError(str(reason), key="files", wanted="a relative name inside the release") from reason
    if name in taken:
        raise ReleaseError("a file name that is taken", key="files", wanted="another name", got=name)


def _check_place(path):
    """Refuse to replace anything but an earlier release or an empty folder."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir() or not (path / manifest.NAME).is_file():
        raise ReleaseError(
            "something else stands where the release should go",
            file=path,
            wanted="a new folder, an empty one, or an earlier release",
            got="a folder without a manifest.json" if path.is_dir() else "a file",
            advice="choose another folder, or move this one away",
        )


def _swap_in(path, contents):
    fresh, previous = (path.with_name(f".{path.name}.{state}") for state in ("building", "previous"))
    shutil.rmtree(fresh, ignore_errors=True)
    for name, data in contents.items():
        write_bytes(fresh / name, data)
    _check_kept(verify(fresh))
    shutil.rmtree(previous, ignore_errors=True)
    if path.exists():
        path.rename(previous)
    try:
        fresh.rename(path)
    except OSError:
        if previous.exists():
            previous.rename(path)
        raise
    _sync(path.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _check_kept(verification):
    broken = [row for row in verification.rows if not row.passed]
    if broken:
        raise ReleaseError(
            "the datasets break their own contract",
            key=broken[0].name,
            wanted=broken[0].wanted,
            got=broken[0].got,
            advice="correct the data, or promise what they hold",
        )


def _sync(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

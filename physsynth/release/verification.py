"""Verify a release offline: every digest, no file more or less, every promise of the contract.

This finds damage and careless edits. It does not tell who made the release: whoever can rewrite
the whole folder can also rewrite its digests.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from physsynth.core.errors import ReleaseError
from physsynth.release import manifest
from physsynth.release.contract import Contract, Row

CONTRACT = "contract.json"


@dataclass(frozen=True)
class Verification:
    """What was checked, row by row."""

    title: str
    digest: str
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows that did not pass."""
        return tuple(row for row in self.rows if not row.passed)

    def summary(self) -> dict[str, Any]:
        """Return the result as a plain tree."""
        rows = [asdict(row) for row in self.rows]
        return {"title": self.title, "digest": self.digest, "passed": self.passed, "rows": rows}


def verify(path: str | Path) -> Verification:
    """Recompute every digest and check every promise of a release.

    Parameters
    ----------
    path : path
        The release folder.

    Returns
    -------
    Verification
        One row per file, per promise, for the manifest's own digest and for files not listed. A
        dataset whose bytes changed is not opened: its row says so.

    Raises
    ------
    ReleaseError
        If the path is no release, or its manifest or contract cannot be read.

    Examples
    --------
    >>> verify("no/such/folder")
    Traceback (most recent call last):
    physsynth.core.errors.ReleaseError: not a release
      file    no/such/folder
      wanted  a folder with a manifest.json
      got     No such file or directory
      do      give the folder that physsynth wrote, the one that holds manifest.json
    """
    folder = Path(path)
    listed = manifest.read(folder)
    contents = {name: _content(folder / name) for name in listed["files"]}
    intact = {name: data for name, data in contents.items() if data is not None and _same(listed, name, data)}
    rows = [_own_digest(folder, listed), *_files(listed, contents), _nothing_else(folder, listed)]
    return Verification(listed["title"], listed["digest"], (*rows, *_promises(folder, listed, intact)))


def _content(path: Path) -> bytes | None:
    """Read a regular file; None where there is none. A link could point anywhere."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def _same(listed, name: str, data: bytes) -> bool:
    entry = listed["files"][name]
    return len(data) == entry["size"] and manifest.sha256(data) == entry["sha256"]


def _own_digest(folder: Path, listed) -> Row:
    """The manifest's digest is of its content; its bytes have one form, so that none can be added unseen."""
    found = f"sha256 {manifest.digest(listed)}"
    if (folder / manifest.NAME).read_bytes() != manifest.canonical(listed):
        found = f"{found}, in other bytes than physsynth writes"
    wanted = f"sha256 {listed['digest']}"
    return Row(manifest.NAME, found == wanted, wanted, found)


def _files(listed, contents) -> Iterator[Row]:
    for name, data in contents.items():
        entry = listed["files"][name]
        wanted = f"sha256 {entry['sha256']}, {entry['size']} bytes"
        got = "missing" if data is None else f"sha256 {manifest.sha256(data)}, {len(data)} bytes"
        yield Row(name, data is not None and _same(listed, name, data), wanted, got)


def _nothing_else(folder: Path, listed) -> Row:
    found = {item.relative_to(folder).as_posix() for item in folder.rglob("*") if _counts(item)}
    extra = sorted(found - set(listed["files"]) - {manifest.NAME})
    return Row(
        "nothing else in the folder", not extra, "only the files listed", ", ".join(extra) or "nothing else"
    )


def _counts(item: Path) -> bool:
    return item.is_symlink() or not item.is_dir()


def _promises(folder: Path, listed, intact) -> Iterator[Row]:
    """Rows of the contract; what cannot be trusted is not opened."""
    if CONTRACT not in intact:
        yield Row("contract", False, "an unchanged contract.json", "not read: missing or changed")
        return
    contract = _read_contract(folder / CONTRACT, intact[CONTRACT])
    stored = {name.removesuffix(".nc") for name in listed["files"] if name.endswith(".nc")}
    for name in sorted(stored | set(contract.datasets)):
        if f"{name}.nc" in intact:
            yield from _dataset_rows(contract, name, intact[f"{name}.nc"])
        else:
            yield Row(f"{name}: contract", False, "an unchanged dataset", "not opened: missing or changed")


def _read_contract(path: Path, data: bytes) -> Contract:
    try:
        return Contract.from_json(json.loads(data))
    except ValueError as reason:
        raise ReleaseError(
            "a contract that is no JSON", file=path, wanted="JSON", got=str(reason)
        ) from reason
    except ReleaseError as reason:
        raise reason.at(file=path) from reason


def _dataset_rows(contract: Contract, name: str, data: bytes) -> list[Row]:
    try:
        with xr.open_dataset(io.BytesIO(data), engine="h5netcdf") as dataset:
            return contract.rows(name, dataset.load())
    except (OSError, ValueError, KeyError) as reason:
        return [Row(f"{name}: opens", False, "HDF5 in netCDF-4 layout", f"{type(reason).__name__}: {reason}")]

"""Measurements: a table of real data as an xarray Dataset over ``observation``, checked on reading."""

from __future__ import annotations

import csv
import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from physsynth.core.errors import DataError, nearest
from physsynth.core.units import check_unit


def read_measurements(
    file: str | Path, units: Mapping[str, str], sha256: str | None = None, *, study=None
) -> xr.Dataset:
    """Read a comma-separated table; lines that begin with # are notes.

    Parameters
    ----------
    file : path
    units : mapping of str to str
        The columns wanted and the unit of each; other columns are kept without a unit.
    sha256 : str, optional
        The digest that the file must have.
    study : path, optional
        The study file that asks for it, named in errors.

    Returns
    -------
    xr.Dataset
        Columns over ``observation``; attributes ``source_file``, ``sha256`` and ``notes``.

    Raises
    ------
    DataError
        If the file is missing, unreadable, empty, lacks a column, holds text or non-finite numbers
        in a column with a unit, or has another digest.
    """
    path = Path(file)
    content = _content(path, study)
    digest = hashlib.sha256(content).hexdigest()
    _check_digest(digest, sha256, path)
    table = _table(content, path)
    for column, unit in units.items():
        check_unit(unit, file=study, key=f"measurements.units.{column}")
        _check_column(table, column, path)
    attrs = {"source_file": path.name, "sha256": digest, "notes": _notes(content)}
    variables = {
        str(name): ("observation", column.to_numpy(), {"units": units[str(name)]} if name in units else {})
        for name, column in table.items()
    }
    return xr.Dataset(variables, attrs=attrs)


def _content(path, study):
    try:
        return path.read_bytes()
    except OSError as reason:
        raise DataError(
            "the measurements cannot be read",
            file=study or path,
            key="measurements.file",
            wanted="a readable file of comma-separated values",
            got=f"{path}: {reason.strerror}",
            advice=_neighbour(path),
        ) from reason


def _neighbour(path):
    folder = path.parent
    files = [f.name for f in folder.glob("*") if f != path] if folder.is_dir() else []
    return nearest(path.name, files) or "check the path; it is relative to the study file"


def _check_digest(digest, sha256, path):
    if sha256 is not None and digest != sha256.removeprefix("sha256:"):
        raise DataError(
            "the measurements have changed",
            file=path,
            key="measurements.sha256",
            wanted=sha256,
            got=digest,
            advice="restore the file, or state the new digest once you know why it changed",
        )


def _table(content, path):
    _check_header(content, path)
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            table = pd.read_csv(
                io.BytesIO(content), comment="#", skipinitialspace=True, index_col=False, encoding="utf-8-sig"
            )
    except (ValueError, pd.errors.ParserWarning) as reason:
        raise DataError(
            "the measurements are no table",
            file=path,
            wanted="comma-separated values with a header line",
            got=str(reason).split("\n")[0],
            advice="save it as UTF-8" if isinstance(reason, UnicodeDecodeError) else None,
        ) from reason
    if table.empty:
        raise DataError("the measurements are empty", file=path, wanted="at least one row", got="no rows")
    return table


def _check_header(content, path):
    """Check that columns are separated by commas, and no two have one name."""
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    header = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in header and "," not in header:
            raise DataError(
                "the measurements are no table",
                file=path,
                wanted="comma-separated values with a header line",
                got=f"{name} in the header line",
                advice="write commas between columns, and points in decimal numbers",
            )
    names = next(csv.reader([header], skipinitialspace=True), [])
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(
            "columns of one name", file=path, key=twice[0], wanted="a name of its own for each", got=header
        )


def _check_column(table, column, path):
    if column not in table:
        raise DataError(
            "a column is missing",
            file=path,
            key=column,
            wanted=f"a column named {column}",
            got="columns " + ", ".join(map(str, table)),
            advice=nearest(column, map(str, table)),
        )
    numbers = np.asarray(pd.to_numeric(table[column], errors="coerce"), float)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise DataError(
            "a measurement is not a finite number",
            file=path,
            key=f"{column}, row {bad[0] + 1}",
            wanted="finite numbers",
            got=str(table[column].iloc[bad[0]]),
            advice=_advice(str(table[column].iloc[bad[0]])),
        )


def _advice(value):
    if value.rstrip().endswith("%"):
        return "write a fraction, 0.05 for 5 %"
    return "correct the row, or leave it out and say so in the file's notes"


def _notes(content):
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    return "\n".join(line.lstrip("# ") for line in lines if line.startswith("#"))

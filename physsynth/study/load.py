"""Read a study file and turn whatever is wrong with it into one clear error."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from physsynth.core.errors import PhyssynthError, StudyError, nearest
from physsynth.study import schema

_TAGS = {"population", "pooled"}
_WANTED = {
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "string_type": "text",
}


@dataclass(frozen=True)
class Study:
    """A study file, read and checked against the schema.

    Attributes
    ----------
    path : Path
    tables : StudyFile
    sha256 : str
        Digest of the file as it stands on disk.
    """

    path: Path
    tables: schema.StudyFile
    sha256: str

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def measurements_path(self) -> Path | None:
        """Where the measurements lie; their path is relative to the study file."""
        table = self.tables.measurements
        return None if table is None else self.path.parent / table.file


def load_study(path: str | Path, seed: int | None = None) -> Study:
    """Read a study file.

    Parameters
    ----------
    path : path
    seed : int, optional
        Takes the place of the file's seed.

    Raises
    ------
    StudyError
        If the file is missing or unreadable, is no TOML, or breaks the schema; with its place.
    """
    path = Path(path)
    content = _content(path)
    try:
        raw = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise StudyError(
            "not a TOML file", file=path, wanted="valid TOML in UTF-8", got=str(reason)
        ) from reason
    if seed is not None and isinstance(raw.get("study"), dict):
        raw["study"]["seed"] = seed
    try:
        tables = schema.StudyFile.model_validate(raw)
    except ValidationError as reason:
        raise _explain(reason, raw, path) from reason
    _check_pairs(tables, path)
    return Study(path, tables, hashlib.sha256(content).hexdigest())


def _content(path):
    try:
        return path.read_bytes()
    except OSError as reason:
        files = [f.name for f in path.parent.glob("*.toml") if f != path] if path.parent.is_dir() else []
        raise StudyError(
            "the study file cannot be read",
            file=path,
            wanted="a readable TOML file",
            got=reason.strerror or str(reason),
            advice=nearest(path.name, files)
            or "check the path, or make a new study with: physsynth init NAME",
        ) from reason


def _check_pairs(tables, path):
    """Some tables make sense only together."""
    needs = {"calibrate": "measurements", "measurements": "calibrate", "require": "calibrate"}
    for present, needed in needs.items():
        if getattr(tables, present) is not None and getattr(tables, needed) is None:
            raise StudyError(
                "a table is missing",
                file=path,
                key=needed,
                wanted=f"a table [{needed}], since there is a table [{present}]",
                got="none",
            )
    if tables.network is not None and tables.rare.method != "auto":
        raise StudyError(
            "a network as guide beside a method",
            file=path,
            key="rare.method",
            wanted='"auto", since the network guides the search',
            got=f'"{tables.rare.method}"',
        )


def _explain(reason: ValidationError, raw: dict, path: Path) -> PhyssynthError:
    first = reason.errors()[0]
    place = [str(part) for part in first["loc"] if part not in _TAGS]
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        known = list(_model_at(place[:-1], raw).model_fields)
        return StudyError(
            "unknown key",
            file=path,
            key=key,
            wanted="one of: " + ", ".join(known),
            got=f'"{place[-1]}"',
            advice=nearest(place[-1], known) or "remove it",
        )
    if first["type"] == "missing":
        return StudyError("a key is missing", file=path, key=key, wanted=_wanted(place, raw), got="nothing")
    return StudyError(
        "a value that does not fit",
        file=path,
        key=key,
        wanted=_WANTED.get(first["type"], first["msg"].removeprefix("Input should be ")),
        got=repr(first["input"]),
    )


def _wanted(place: list[str], raw: dict) -> str:
    field = _model_at(place[:-1], raw).model_fields.get(place[-1])
    kind = getattr(field.annotation, "__name__", str(field.annotation)) if field else "a value"
    return f"a table [{'.'.join(place)}]" if kind.endswith("Table") else f"a value of type {kind}"


def _model_at(place: list[str], raw: Any) -> type[BaseModel]:
    """Follow a key through the schema to the table that holds it."""
    model: type[BaseModel] = schema.StudyFile
    for part in place:
        raw = raw.get(part, {}) if isinstance(raw, dict) else {}
        field = model.model_fields.get(part)
        if field is None:
            nested = _prior_table(raw) if model is schema.CalibrateTable else None
            model = nested or (schema.ParameterTable if model is schema.ScenarioTable else model)
        else:
            model = _table_of(field.annotation) or model
    return model


def _prior_table(raw):
    return (
        schema.PopulationTable
        if isinstance(raw, dict) and {"median", "spread"} & set(raw)
        else schema.DistributionTable
    )


def _table_of(annotation) -> type[BaseModel] | None:
    kinds = [annotation, *getattr(annotation, "__args__", ())]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)

"""A new study from a template."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from physsynth.core.errors import StudyError
from physsynth.core.files import write_bytes


def write_template(name: str, folder: Path) -> Path:
    """Write ``<name>.toml`` into a folder, ready to run and to be changed.

    Raises
    ------
    StudyError
        If the name is no file name, or the file is already there.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise StudyError(
            "not a name for a study",
            key="NAME",
            wanted="a letter, then letters, digits, - or _",
            got=repr(name),
        )
    path = folder / f"{name}.toml"
    if path.exists():
        raise StudyError(
            "the study is already there",
            file=path,
            wanted="a new name",
            got=f"{path.name}, which would be overwritten",
            advice="choose another name, or remove the file",
        )
    template = files("physsynth.study").joinpath("template.toml").read_text()
    return write_bytes(path, template.replace("{name}", name).encode())

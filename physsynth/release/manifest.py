"""The manifest: which bytes a release consists of, where they come from, and its own digest."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from physsynth.core.errors import ReleaseError

FORMAT = "physsynth.release/1"
NAME = "manifest.json"
PACKAGES = ("physsynth", "jax", "jaxlib", "numpyro", "xarray", "h5netcdf", "h5py", "numpy")


def sha256(data: bytes) -> str:
    """Return the SHA-256 digest of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical(tree: Any, *, key: str = "lineage") -> bytes:
    """Lay a plain tree out as JSON in one way only: sorted keys, UTF-8, a newline at the end.

    Raises
    ------
    ReleaseError
        If the tree holds something that JSON has no word for.
    """
    try:
        text = json.dumps(tree, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as reason:
        raise ReleaseError(
            "not plain JSON",
            key=key,
            wanted="text, finite numbers, true, false, null, lists and mappings of these",
            got=str(reason),
            advice="turn arrays into lists with .tolist(), paths into text with str()",
        ) from reason
    return f"{text}\n".encode()


def versions() -> dict[str, str]:
    """Return the versions that a release depends on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def compose(title: str, lineage: Mapping[str, Any], contents: Mapping[str, bytes]) -> bytes:
    """Return the bytes of the manifest of files with these contents."""
    tree = {
        "format": FORMAT,
        "title": title,
        "command": lineage.get("command"),
        "lineage": dict(lineage),
        "versions": versions(),
        "files": {name: {"sha256": sha256(data), "size": len(data)} for name, data in contents.items()},
    }
    return canonical({**tree, "digest": digest(tree)})


def digest(tree: Mapping[str, Any]) -> str:
    """Return the digest of a manifest: of its canonical JSON without the digest itself."""
    return sha256(canonical({key: value for key, value in tree.items() if key != "digest"}))


def read(folder: Path) -> dict[str, Any]:
    """Read and check the form of a folder's manifest.

    Raises
    ------
    ReleaseError
        If there is no such folder or manifest, or the manifest is damaged.
    """
    path = Path(folder) / NAME
    try:
        tree = json.loads(path.read_bytes())
        well_formed(tree)
    except OSError as reason:
        raise ReleaseError(
            "not a release",
            file=folder,
            wanted=f"a folder with a {NAME}",
            got=reason.strerror or str(reason),
            advice="give the folder that physsynth wrote, the one that holds manifest.json",
        ) from reason
    except (KeyError, TypeError, ValueError, AttributeError) as reason:
        raise ReleaseError(
            "a damaged manifest",
            file=path,
            wanted=f"JSON of the format {FORMAT}",
            got=f"{type(reason).__name__}: {reason}",
            advice="fetch the release again, or build it anew",
        ) from reason
    return tree


def well_formed(tree: Any) -> None:
    """Raise ValueError, KeyError or TypeError unless the tree has the form of a manifest."""
    if tree["format"] != FORMAT:
        raise ValueError(f"format {tree['format']!r}")
    if not isinstance(tree["digest"], str) or not isinstance(tree["title"], str):
        raise TypeError("title and digest must be text")
    for name, entry in tree["files"].items():
        check_name(name)
        if not isinstance(entry["sha256"], str) or not isinstance(entry["size"], int):
            raise TypeError(f"files.{name} must have a sha256 and a size")


def check_name(name: str) -> str:
    """Return a file name that stays inside the folder.

    Raises
    ------
    ValueError
        If it is absolute, climbs out, or is not in its simplest form.
    """
    place = PurePosixPath(name)
    if "\\" in name or place.is_absolute() or ".." in place.parts or str(place) != name or name == ".":
        raise ValueError(f"a file name that leaves the folder: {name!r}")
    return name


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

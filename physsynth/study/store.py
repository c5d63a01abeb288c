"""Finished stages on disk, addressed by the digest of everything that they depend on.

A stage works in ``.name-digest.work`` and is renamed to ``name-digest`` when it is whole; its files are
listed with their digests and are checked again before they are read. A killed run leaves a work folder,
in which finished shards (each written at once) are found by the next run of the same digest.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physsynth.core.errors import OutputError
from physsynth.core.files import write_bytes, writing

LISTING = "stage.json"
# What to do where the output folder of a run cannot be written.
ELSEWHERE = "free some space, or choose another folder with --out"


def digest(content: Any) -> str:
    """Return the sha256 of plain content in canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def write_json(path: Path, content: Any) -> Path:
    """Write plain content as JSON, whole or not at all."""
    return write_bytes(path, (json.dumps(content, indent=1, allow_nan=False, default=_plain) + "\n").encode())


def _plain(scalar: Any) -> Any:
    """Turn a NumPy scalar into Python's."""
    return scalar.item()


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text())


@dataclass(frozen=True)
class Store:
    """The stages of one output folder."""

    root: Path

    def folder(self, stage: str, key: str) -> Path:
        """Return where a finished stage lies."""
        return self.root / f"{stage}-{key[:16]}"

    def work(self, stage: str, key: str) -> Path:
        """Return where a stage works until it is whole."""
        return self.root / f".{stage}-{key[:16]}.work"

    def finished(self, stage: str, key: str) -> bool:
        """Return whether a stage is there, whole and unchanged."""
        folder = self.folder(stage, key)
        try:
            listing = read_json(folder / LISTING)
            return listing["key"] == key and listing["files"] == _digests(folder)
        except (OSError, ValueError, KeyError):
            return False

    def begin(self, stage: str, key: str) -> Path:
        """Return the stage's work folder, made if need be; work of other digests is cleared away."""
        work = self.work(stage, key)
        with writing(work, ELSEWHERE):
            for stale in self.root.glob(f".{stage}-*.work"):
                if stale != work:
                    shutil.rmtree(stale)
            work.mkdir(parents=True, exist_ok=True)
        return work

    def finish(self, stage: str, key: str) -> Path:
        """List the stage's files and rename it into place; earlier results of the stage go."""
        work, folder = self.work(stage, key), self.folder(stage, key)
        write_json(work / LISTING, {"key": key, "files": _digests(work)})
        with writing(folder, ELSEWHERE):
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(work, folder)
            for old in self.root.glob(f"{stage}-*"):
                if old != folder:
                    shutil.rmtree(old)
        return folder

    def clear(self) -> None:
        """Remove every stage, finished or not."""
        with writing(self.root, ELSEWHERE):
            shutil.rmtree(self.root, ignore_errors=True)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != LISTING and p.suffix != ".part")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an output folder for one run at a time; the lock falls with the process.

    Raises
    ------
    OutputError
        If the folder cannot be written, or another run holds it.
    """
    with writing(folder, ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / ".lock", "w")  # noqa: SIM115 - held until the run ends
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as reason:
            raise OutputError(
                "another run is at work in this folder",
                file=folder,
                wanted="one run at a time",
                got="a folder that is in use",
                advice="wait for it to end, or choose another folder with --out",
            ) from reason
        yield

"""Write a report: the page for people, its twin for programs."""

from __future__ import annotations

import json
from pathlib import Path

from physsynth.core.files import write_bytes
from physsynth.report.document import Document
from physsynth.report.html import render


def write(document: Document, folder: str | Path) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.json``, each whole or not at all.

    The page needs no network and no other file; the same document gives the same bytes.

    Raises
    ------
    OutputError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from physsynth.report import Verdict
    >>> document = Document("A study", "How many more?", Verdict("MET", "No more data are needed."))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write(document, folder)]
    ['report.html', 'report.json']
    """
    tree = json.dumps(document.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    page = write_bytes(Path(folder) / "report.html", render(document).encode())
    return page, write_bytes(Path(folder) / "report.json", f"{tree}\n".encode())

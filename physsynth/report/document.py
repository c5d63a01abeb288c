"""What a report says, without saying how it looks: a verdict, then sections of blocks.

Every cell may be text, a number, a `Quantity` (a number with unit and interval) or None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np

from physsynth.report.numbers import MISSING, Quantity, significant

FORMAT = "physsynth.report/1"

Cell = str | bool | int | float | Quantity | None
Tone = Literal["good", "caution", "bad", "neutral"]

TONES: dict[str, Tone] = {
    "MET": "good",
    "PASSED": "good",
    "FORECAST": "neutral",
    "NEEDS_PILOT": "caution",
    "EXTRAPOLATION": "caution",
    "CREDIT_REFUSED": "caution",
    "FLOOR": "bad",
    "FAILED": "bad",
}


@dataclass(frozen=True)
class Fact:
    """One number or word with its name, and a note where it needs one."""

    label: str
    value: Cell
    note: str = ""


@dataclass(frozen=True)
class Check:
    """One check: what was found, what was asked, and what to do where it failed."""

    name: str
    value: Cell
    threshold: Cell
    passed: bool
    advice: str = ""


@dataclass(frozen=True)
class Verdict:
    """The answer, before anything else.

    Parameters
    ----------
    status : str
        One word, such as "FORECAST" or "MET".
    headline : str
        The answer as one sentence.
    sentences : sequence of str
        What one must know with it.
    numbers : sequence of Fact
        The few numbers that carry the answer, shown large.
    tone : "good", "caution", "bad" or "neutral", optional
        Taken from the status unless given.
    """

    status: str
    headline: str
    sentences: Sequence[str] = ()
    numbers: Sequence[Fact] = ()
    tone: Tone | None = None

    @property
    def feeling(self) -> Tone:
        """The tone given, or the one of the status."""
        return self.tone or TONES.get(self.status.upper(), "neutral")


@dataclass(frozen=True)
class Text:
    """Paragraphs of plain text."""

    kind: ClassVar[str] = "text"
    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Names and values, one a line."""

    kind: ClassVar[str] = "facts"
    rows: Sequence[Fact]


@dataclass(frozen=True)
class Table:
    """Rows under column titles.

    Parameters
    ----------
    columns : sequence of str
    rows : sequence of sequences of cells
    caption : str
    tones : sequence of Tone, optional
        One a row; rows that are not "neutral" are marked by a sign and a tint.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    tones: Sequence[Tone] = ()

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether it holds numbers only (and so is set flush right)."""
        return [all(is_number(row[i]) for row in self.rows) for i in range(len(self.columns))]

    def tone(self, row: int) -> Tone:
        """Return the tone of a row."""
        return self.tones[row] if row < len(self.tones) else "neutral"


@dataclass(frozen=True)
class Checks:
    """Checks with their outcome; the failed ones come with advice."""

    kind: ClassVar[str] = "checks"
    rows: Sequence[Check]
    caption: str = ""

    @property
    def passed(self) -> int:
        """How many passed."""
        return sum(bool(row.passed) for row in self.rows)


@dataclass(frozen=True)
class Figure:
    """An interactive figure.

    Parameters
    ----------
    id : str
        Unique in the document; letters, digits and hyphens.
    caption : str
        What one should see in it.
    spec : mapping
        ``data`` and ``layout`` as Plotly reads them, see `physsynth.report.figures`; optional
        ``narrow``: changes of the layout on a narrow screen.
    alt : str
        The same in words, for those who cannot see it.
    table : Table, optional
        The numbers behind it, folded away under the figure.
    """

    kind: ClassVar[str] = "figure"
    id: str
    caption: str
    spec: Mapping[str, Any]
    alt: str
    table: Table | None = None


@dataclass(frozen=True)
class Code:
    """Text to be copied: a command, a file."""

    kind: ClassVar[str] = "code"
    text: str
    caption: str = ""


Block = Text | Facts | Table | Checks | Figure | Code


@dataclass(frozen=True)
class Section:
    """A title, one sentence that says what the section shows, and blocks."""

    title: str
    lede: str = ""
    blocks: Sequence[Block] = ()

    @property
    def anchor(self) -> str:
        """The section's address within the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"


@dataclass(frozen=True)
class Document:
    """A report.

    Parameters
    ----------
    title, question : str
    verdict : Verdict
    sections : sequence of Section
    meta : mapping of str to str
        Shown at the foot: study, seed, command, versions.

    Examples
    --------
    >>> answer = Verdict("MET", "No more data are needed.")
    >>> Document("A study", "How many more?", answer).to_json()["verdict"]["status"]
    'MET'
    """

    title: str
    question: str
    verdict: Verdict
    sections: Sequence[Section] = ()
    meta: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def figures(self) -> list[Figure]:
        """Every figure in the order of the page."""
        return [block for part in self.sections for block in part.blocks if isinstance(block, Figure)]

    def to_json(self) -> dict[str, Any]:
        """Return the whole document as a plain tree: all text, all numbers, the data of all figures."""
        return {"format": FORMAT, **plain(self)}


def is_number(cell: Cell) -> bool:
    """Tell whether a cell holds a number, or the sign for a missing one."""
    numeric = isinstance(cell, int | float | np.number | Quantity) and not isinstance(cell, bool)
    return cell is None or numeric


def shown(cell: Cell) -> str:
    """Return a cell as people read it.

    Examples
    --------
    >>> [shown(cell) for cell in ("slow", 0.12345, 140, None, True)]
    ['slow', '0.1235', '140', '–', 'yes']
    """
    if cell is None:
        return MISSING
    if isinstance(cell, Quantity):
        return cell.text()
    if isinstance(cell, bool | np.bool_):
        return "yes" if cell else "no"
    return significant(float(cell), 4) if isinstance(cell, int | float | np.number) else str(cell)


def plain(value: Any) -> Any:
    """Return a value as JSON knows it; what is not finite becomes null."""
    if isinstance(value, Quantity):
        return plain(value.to_json())
    if hasattr(value, "__dataclass_fields__"):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return kind | {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

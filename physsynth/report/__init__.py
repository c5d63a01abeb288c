"""A report: one self-contained HTML page and its JSON twin, from a small document model.

The room reads results only, as plain numbers and arrays, and knows nothing of how they came about.
"""

from physsynth.report import figures as figures
from physsynth.report.document import Check as Check
from physsynth.report.document import Checks as Checks
from physsynth.report.document import Code as Code
from physsynth.report.document import Document as Document
from physsynth.report.document import Fact as Fact
from physsynth.report.document import Facts as Facts
from physsynth.report.document import Figure as Figure
from physsynth.report.document import Section as Section
from physsynth.report.document import Table as Table
from physsynth.report.document import Text as Text
from physsynth.report.document import Verdict as Verdict
from physsynth.report.html import render as render
from physsynth.report.numbers import Quantity as Quantity
from physsynth.report.numbers import percent as percent
from physsynth.report.numbers import share as share
from physsynth.report.numbers import significant as significant
from physsynth.report.statement import statement_page as statement_page
from physsynth.report.statement import statement_sections as statement_sections
from physsynth.report.writer import write as write

__all__ = [
    "Check",
    "Checks",
    "Code",
    "Document",
    "Fact",
    "Facts",
    "Figure",
    "Quantity",
    "Section",
    "Table",
    "Text",
    "Verdict",
    "figures",
    "percent",
    "render",
    "share",
    "significant",
    "statement_page",
    "statement_sections",
    "write",
]

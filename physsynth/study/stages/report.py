"""Stage 6: one self-contained page, and its twin for programs."""

from __future__ import annotations

from physsynth import report
from physsynth.study.load import Study
from physsynth.study.page import compose_page
from physsynth.study.stage import SUMMARY, Job
from physsynth.study.store import write_json


class Report:
    """Write report.html and report.json."""

    name = "report"
    needs = ("calibrate", "rare", "require", "evaluate", "release")
    tables = ("study", "simulator", "measurements", "scenario", "rare", "require", "release")

    def wanted(self, study: Study) -> bool:
        """Return True: every run ends in a report."""
        return True

    def cost(self, study: Study) -> str:
        """Say that no simulator is called."""
        return "no simulator calls"

    def run(self, job: Job) -> None:
        """Compose the page and write it."""
        report.write(compose_page(job), job.folder / "publish")
        write_json(job.folder / SUMMARY, {"checks": []})

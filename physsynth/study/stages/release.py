"""Stage 5: the verified dataset. Real measurements stay outside; the release carries their digest."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from physsynth import release
from physsynth.core.checks import Check
from physsynth.evaluate import Plausibility
from physsynth.release import Contract
from physsynth.study.lineage import lineage
from physsynth.study.load import Study
from physsynth.study.stage import SUMMARY, Job
from physsynth.study.store import write_json

FOLDER = "release"


class Release:
    """Build the release, and verify it."""

    name = "release"
    needs = ("calibrate", "rare", "require", "evaluate")
    tables = ("study", "simulator", "measurements", "scenario", "rare", "release")

    def wanted(self, study: Study) -> bool:
        """Return True: every run ends in a release."""
        return True

    def cost(self, study: Study) -> str:
        """Say that no simulator is called."""
        return "no simulator calls"

    def run(self, job: Job) -> None:
        """Write datasets, contract and manifest, then recompute every digest."""
        datasets = _datasets(job)
        probability = job.summary("rare")["probability"]
        sums = {("rare_scenarios", "weight"): probability}
        if "failing_records" in datasets:
            sums["failing_records", "weight"] = 1.0
        contract = Contract.of(datasets, sums=sums, bounds=_bounds(datasets))
        folder = release.build(
            job.folder / "publish" / FOLDER,
            datasets,
            title=_title(job.study),
            lineage=lineage(job),
            contract=contract,
            files=_files(job),
        )
        verification = release.verify(folder)
        failed = [row.name for row in verification.rows if not row.passed]
        check = Check(
            "rows of the release that do not verify",
            len(failed),
            "= 0",
            verification.passed,
            f"failed: {', '.join(failed)}" if failed else "",
        )
        manifest = json.loads((folder / "manifest.json").read_text())
        write_json(
            job.folder / SUMMARY,
            {"checks": [check.summary()], "rows": len(verification.rows), "files": manifest["files"]},
        )


def _bounds(datasets) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    """What holds by construction: every rare scenario fails, and none counts negatively."""
    known = {"limit_state": (None, 0.0), "weight": (0.0, None), "plausibility": (0.0, 100.0)}
    return {
        (dataset, name): bounds
        for dataset in {"rare_scenarios", "failing_records"} & set(datasets)
        for name, bounds in known.items()
        if name in datasets[dataset]
    }


def _title(study):
    return study.tables.release.title or f"Rare scenarios: {study.tables.study.title or study.name}"


def _datasets(job) -> dict[str, xr.Dataset]:
    rare, ordinary = job.dataset("rare", "scenarios"), job.dataset("evaluate", "ordinary")
    datasets = {
        "rare_scenarios": _with_violation(job, rare, "rare"),
        "ordinary_scenarios": _with_violation(job, ordinary, "ordinary"),
        "probability": job.dataset("rare", "probability"),
    }
    if job.study.tables.rare.records and "mode" in rare:
        datasets["failing_records"] = job.dataset("rare", "records")
    designs = job.dataset("rare", "design_points")
    if "mode" in designs:
        datasets["design_points"] = designs
    if job.posterior is not None:
        datasets["population"] = _population(job)
    title = _title(job.study)
    return {
        name: part.assign_attrs(title=f"{title}: {name.replace('_', ' ')}") for name, part in datasets.items()
    }


def _with_violation(job, scenarios, kind):
    """Attach each scenario's largest violation of a law, in units of that law's tolerance."""
    if not (job.inputs["evaluate"] / f"{kind}_laws.nc").exists():
        return scenarios
    laws = Plausibility(job.dataset("evaluate", f"{kind}_laws"))
    return scenarios.assign(constraint_violation=laws.residual)


def _population(job) -> xr.Dataset:
    """Posterior draws of the population; nothing of any single measured member."""
    model = job.problem.model
    variables = {
        name: (
            "draw",
            np.asarray(values),
            {"units": model.units.get(name, "1"), "long_name": name.replace("_", " ")},
        )
        for name, values in job.posterior.items()
        if values.ndim == 1
    }
    return xr.Dataset(variables)


def _files(job) -> dict[str, bytes]:
    files = {job.study.path.name: job.study.path.read_bytes()}
    if "require" in job.inputs:
        statement = job.summary("require")["statement"]
        files["requirement.json"] = (json.dumps(statement, indent=1) + "\n").encode()
    return files

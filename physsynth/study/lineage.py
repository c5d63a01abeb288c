"""Where the results of a study come from."""

from __future__ import annotations

from physsynth.study.stage import Job


def lineage(job: Job) -> dict:
    """Return where the results come from, as plain JSON."""
    study, sim = job.study, job.problem.sim
    found = {
        "study": study.path.name,
        "study_sha256": study.sha256,
        "question": study.tables.study.question,
        "seed": study.tables.study.seed,
        "precision": study.tables.study.precision,
        "command": job.command,
        "simulator": sim.name,
        "references": list(sim.references),
        "license": study.tables.release.license,
        "stages": {name: folder.name.rpartition("-")[2] for name, folder in job.inputs.items()},
    }
    if job.problem.measurements is not None:
        table = study.tables.measurements
        assert table is not None
        found["measurements"] = {
            "file": job.problem.measurements.attrs["source_file"],
            "sha256": job.problem.measurements.attrs["sha256"],
            "source": table.source or "not stated",
        }
    return found

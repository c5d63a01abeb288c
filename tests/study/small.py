"""Studies run inside this process, and those of experiments/ on settings that take seconds."""

import json
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
import xarray as xr

from physsynth.cli import main

EXPERIMENTS = Path(__file__).parent.parent.parent / "experiments"
SMALL = {
    "warmup": 150,
    "draws": 150,
    "chains": 2,
    "target_cov": 0.2,
    "max_calls": 5000,
    "scenarios": 50,
    "replicates": 2,
    "max_n": 16,
}


def small_study(name: str, folder: Path) -> Path:
    """Copy a study and its data, with settings that take seconds."""
    shutil.copytree(EXPERIMENTS / "data", folder / "data", dirs_exist_ok=True)
    text = (EXPERIMENTS / f"{name}.toml").read_text()
    head, _, rest = text.partition("[require]")
    for key, value in SMALL.items():
        head = re.sub(rf"^{key} = .*$", f"{key} = {value}", head, flags=re.MULTILINE)
    path = folder / f"{name}.toml"
    if not rest:
        path.write_text(head)
        return path
    missing = [
        key for key in ("warmup", "draws", "chains") if not re.search(rf"^{key} =", head, re.MULTILINE)
    ]
    lines = "\n".join(f"{key} = {SMALL[key]}" for key in missing)
    if "[calibrate]\n" in head:
        head = head.replace("[calibrate]\n", f"[calibrate]\n{lines}\n")
    else:
        head = head.replace("[calibrate.parameters]", f"[calibrate]\n{lines}\n\n[calibrate.parameters]")
    rest = re.sub(r"^(replicates|max_n) = .*\n", "", rest, flags=re.MULTILINE)
    few = f"replicates = 20\nmax_n = {SMALL['max_n']}"
    rest = re.sub(r"^(factor = .*)$", rf"\1\n{few}", rest, flags=re.MULTILINE)
    path.write_text(f"{head}[require]{rest}")
    return path


@dataclass(frozen=True)
class Ran:
    """The folder of a study that was run, and what stands in it."""

    out: Path

    @cached_property
    def files(self) -> dict[str, xr.Dataset]:
        """What was released, by name."""
        return {path.stem: xr.load_dataset(path) for path in (self.out / "release").glob("*.nc")}

    @cached_property
    def stages(self) -> dict[str, dict]:
        """The summary of each stage."""
        paths = (self.out / "stages").glob("*/summary.json")
        return {path.parent.name.split("-")[0]: json.loads(path.read_text()) for path in paths}

    @cached_property
    def page(self) -> dict:
        """The report as data."""
        return json.loads((self.out / "report.json").read_text())

    def stage(self, name: str, file: str, group: str | None = None) -> xr.Dataset:
        """A file of a stage."""
        return xr.load_dataset(next((self.out / "stages").glob(f"{name}-*")) / file, group=group)


def run_here(study: Path) -> Ran:
    """Run a study by the command line, in this process."""
    out = study.with_name("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["physsynth", "run", str(study), "--out", str(out)])
        with pytest.raises(SystemExit):
            main()
    return Ran(out)

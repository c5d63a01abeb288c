"""The studies of experiments/ on settings that take seconds."""

import re
import shutil
from pathlib import Path

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

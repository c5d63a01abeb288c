"""Regenerate what the README shows of the main job: its numbers, and the picture of its report.

    python experiments/pictures/take.py results/theophylline

Needs Chromium for the picture.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def numbers(results: Path) -> str:
    """Return the README's table of the main job, from the summaries of its stages."""
    stages = {
        p.parent.name.rpartition("-")[0]: json.loads(p.read_text())
        for p in results.glob("stages/*-*/summary.json")
    }
    typical, rare, need = stages["calibrate"]["typical"], stages["rare"], stages["require"]
    population = stages["calibrate"]["parameters"]
    checks = {row["name"]: row["value"] for row in stages["calibrate"]["checks"]}
    span, (low, high) = rare["posterior"]["with_monte_carlo_error"], rare["monte_carlo_interval_95"]
    causes = ", ".join(
        f"{mode['name']} {mode['share']:.0%}" for mode in rare["modes"] if mode["name"] != "other"
    )
    worst = max(need["where"], key=lambda row: row["extra"] or 0.0)
    rows = [
        ("absorption rate, population median", f"{typical['absorption_rate']['q50']:.2f} 1/h"),
        ("clearance, population median", f"{population['clearance_per_body_weight']['q50']:.4f} L/h/kg"),
        ("volume, population median", f"{population['volume_per_body_weight']['q50']:.3f} L/kg"),
        (
            "largest R-hat; smallest bulk ESS",
            f"{checks['largest R-hat']:.4f}; {checks['smallest bulk ESS']:.0f}",
        ),
        ("probability of more than 20 mg/L", f"{rare['probability']:.2%}"),
        ("its Monte Carlo error (95 %)", f"{low:.2%} to {high:.2%}"),
        ("what twelve subjects leave open (5 to 95 %)", f"{span['q05']:.3%} to {span['q95']:.1%}"),
        ("weighted overdose scenarios", f"{rare['scenarios']:,}, from {rare['calls']:,} simulator calls"),
        ("main causes", causes),
        (
            f"further subjects until it is known within a factor of 3 ({need['verdict']})",
            f"{need['number']:.0f} at 80 % assurance (90 %: {need['quantiles']['0.05']:.0f} to "
            f"{need['quantiles']['0.95']:.0f})",
        ),
        ("the sample that is worth most", worst["condition"].removeprefix("without the ")),
        ("what would reveal a wrong model there", need["statement"]["reveal"].partition(" Failures")[0]),
    ]
    return "\n".join(["| found | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def picture(page: Path, target: Path) -> None:
    """Take a picture of the top of the report."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    with tempfile.TemporaryDirectory() as profile:
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1000,1900",
        ]
        options += ["--virtual-time-budget=8000", f"--user-data-dir={profile}", f"--screenshot={target}"]
        subprocess.run([browser, *options, page.resolve().as_uri()], check=True, capture_output=True)


def main() -> None:
    results = Path(sys.argv[1])
    readme = ROOT / "README.md"
    block = f"<!-- numbers: experiments/pictures/take.py -->\n{numbers(results)}\n<!-- end of numbers -->"
    pattern = r"<!-- numbers.*<!-- end of numbers -->"
    readme.write_text(re.sub(pattern, lambda _: block, readme.read_text(), flags=re.DOTALL))
    picture(results / "report.html", ROOT / "experiments" / "pictures" / "theophylline.png")


if __name__ == "__main__":
    main()

"""Rewrite the README's table of measured comparisons from the results of the benchmarks.

    python experiments/benchmarks/summary.py

Each line names the file under results/ that it comes from.
"""

import json
import re
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent.parent / "README.md"
PEERS = {
    "subset": "subset simulation",
    "nais": "NAIS",
    "cross entropy": "cross entropy",
    "form": "FORM with importance sampling",
    "best per problem": "the best of these for each problem, chosen with hindsight",
}


def rare(file: str, group: str, title: str) -> list[str]:
    """Return the rows of one table of failure probabilities."""
    content = json.loads((RESULTS / file).read_text())
    pooled, shared = content["pooled"][group], sum("peers" in row for row in content["problems"])
    rows = [
        f"| {title}, {pooled['problems']} problems: calls for a 5 % error; coverage of 95 % intervals "
        f"| {pooled['n_eq_geometric_mean']:,.0f}; {pooled['coverage']:.1%} |"
    ]
    for peer, name in PEERS.items():
        numbers = pooled["peers"].get(peer)
        if numbers:
            coverage = f"; {numbers['coverage']:.1%}" if "coverage" in numbers else ""
            rows.append(f"| {shared} of them, OpenTURNS: {name} | {numbers['n_eq']:,.0f}{coverage} |")
    return rows


def table() -> str:
    """Return the whole table."""
    rows = ["| measured | |", "| --- | --- |"]
    rows += rare("rare_to_20_dimensions.json", "d <= 20", "up to 20 dimensions")
    rows += rare("rare_above_20_dimensions.json", "d > 20", "100 to 1,000 dimensions")
    return "\n".join(rows)


def main() -> None:
    """Replace the block between the two marks."""
    text, count = re.subn(
        r"(<!-- benchmarks: [^>]*-->\n).*?(<!-- end of benchmarks -->)",
        lambda m: m[1] + table() + "\n" + m[2],
        README.read_text(),
        flags=re.DOTALL,
    )
    if not count:
        raise SystemExit("README.md has no block of benchmarks")
    README.write_text(text)


if __name__ == "__main__":
    main()

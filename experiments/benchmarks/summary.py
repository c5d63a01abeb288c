"""Rewrite the README's table of measured comparisons from the results of the benchmarks.

    python experiments/benchmarks/summary.py

Each line names the file under results/ that it comes from.
"""

import json
import re
import tomllib
from math import exp, log
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent.parent / "README.md"
ABLATIONS = Path(__file__).parent.parent / "ablations"
PEERS = {
    "subset": "subset simulation",
    "nais": "NAIS",
    "cross entropy": "cross entropy",
    "form": "FORM with importance sampling",
    "best per problem": "the best of these for each problem, chosen with hindsight",
}


def rare(file: str, group: str, title: str) -> list[str]:
    """Return the rows of one table of failure probabilities; peers beside ours on the problems they ended."""
    content = json.loads((RESULTS / file).read_text())
    pooled, shared = content["pooled"][group], [row for row in content["problems"] if "peers" in row]
    what = "calls for a 5 % error; coverage of 95 % intervals"
    rows = [measured(f"{title}, {pooled['problems']} problems: {what}", pooled)]
    if shared and len(shared) < pooled["problems"]:
        mean = exp(sum(log(row["n_eq"]) for row in shared) / len(shared))
        held = sum(row["coverage"] for row in shared) / len(shared)
        rows.append(measured(f"{len(shared)} of them", {"n_eq_geometric_mean": mean, "coverage": held}))
    for peer, name in PEERS.items():
        if numbers := pooled["peers"].get(peer):
            coverage = f"; {numbers['coverage']:.1%}" if "coverage" in numbers else ""
            rows.append(f"| {len(shared)} of them, OpenTURNS: {name} | {numbers['n_eq']:,.0f}{coverage} |")
    return rows


def measured(title: str, pooled: dict) -> str:
    """Return one row of ours."""
    return f"| {title} | {pooled['n_eq_geometric_mean']:,.0f}; {pooled['coverage']:.1%} |"


def random_states(file: str, title: str) -> list[str]:
    """Return the row of the limit states drawn at random."""
    pooled = json.loads((RESULTS / file).read_text())["pooled"]
    return [f"| {title}, {pooled['limit states']}: coverage of 95 % intervals | {pooled['coverage']:.1%} |"]


NETWORKS = {
    "heat": "heat",
    "helmholtz": "Helmholtz",
    "wave": "wave",
    "l_shape": "Poisson on an L-shape",
    "kovasznay": "Kovasznay flow",
    "burgers": "Burgers",
    "allen_cahn": "Allen-Cahn",
    "korteweg_de_vries": "Korteweg-de Vries",
    "kuramoto_sivashinsky": "Kuramoto-Sivashinsky",
    "cavity": "cavity",
    "advection": "advection at speed 50",
}


def networks(file: str) -> list[str]:
    """Return a row for each equation, the worst seed, and one for the peer."""
    content, rows = json.loads((RESULTS / file).read_text()), []
    for name, title in NETWORKS.items():
        runs = content[f"{name} (cpu)"]["runs"]
        worst = max(runs, key=lambda run: run["error"])
        status = "" if worst["status"] == "CONVERGED" else f"; {worst['status']}"
        published = content[f"{name} (cpu)"]["published"]
        known = f"; best published {published}" if published else ""
        seeds = "1 seed" if len(runs) == 1 else f"worst of {len(runs)} seeds"
        rows.append(
            f"| network for {title}, {seeds}: relative L2 error; its estimate; CPU seconds; parameters | "
            f"{worst['error']:.1e}; {worst['estimate']:.1e}; {worst['seconds']:.0f}; {worst['weights']:,}"
            f"{known}{status} |"
        )
    for precision in ("float32", "float64"):
        peer = content[f"peer {precision} (cpu)"]
        final, shares = peer["final"], peer["our share of its time until"]
        ours = "; ".join(f"{float(error):.0e}: {share:.3f}" for error, share in shares.items())
        rows.append(
            f"| Burgers, {peer['peer']}, {precision}: error; CPU seconds; of these our slowest takes until "
            f"| {final['error']:.1e}; {final['seconds']:.0f}; {ours} |"
        )
    return rows


def ablations(file: str) -> list[str]:
    """Return a row for each configuration of experiments/ablations, the worst seed."""
    content, rows = json.loads((RESULTS / file).read_text()), []
    for path in sorted(ABLATIONS.glob("*.toml"), key=lambda path: (path.stem != "baseline", path.stem)):
        config = tomllib.loads(path.read_text())
        for problem in config["problems"]:
            runs = content[f"{problem}: {config['name']} (cpu)"]["runs"]
            run = max(runs, key=lambda run: run["error"])
            what = f"{config['iterations']:,} iterations, {config['name']}"
            title = f"network for {problem.capitalize()}, {what}"
            rows.append(f"| {title}: error; CPU seconds | {run['error']:.1e}; {run['seconds']:.0f} |")
    return rows


def surrogate(file: str) -> list[str]:
    """Return the row of Burgers' equation over a range of viscosities."""
    found = json.loads((RESULTS / file).read_text())
    cheaper = found["times cheaper than the solver"]
    return [
        "| one network for Burgers over all viscosities: worst error of 100; CPU seconds of training; "
        "times cheaper than a solver as accurate, one value; whole field "
        f"| {found['worst error']:.1e}; {found['training CPU seconds']:.0f}; "
        f"{cheaper['one value']:,.0f}; {cheaper['field']:.1f} |"
    ]


def guide(file: str) -> list[str]:
    """Return a row for each case and target: what a network as guide of a rare-event estimate spares."""
    rows = []
    for name, case in json.loads((RESULTS / file).read_text()).items():
        for target, row in case["targets"].items():
            spared = row["times fewer true calls than"]["no guide, black box"]
            title = f"network as guide, {name}, to {float(target):.0%}: true calls; times fewer than alone"
            led = row["network as guide"]
            rows.append(
                f"| {title}; at equal error; coverage of 95 % intervals | {led['cost']:,.0f}; "
                f"{spared['calls']:.1f}; {spared['N_eq']:.1f}; {led['coverage of 95 % intervals']:.0%} |"
            )
    return rows


def inverse(file: str) -> list[str]:
    """Return a row for each inverse problem and network: coverage of each unknown, the error shared."""
    rows = []
    for name, case in json.loads((RESULTS / file).read_text()).items():
        for kind, row in case["trained"].items():
            title = f"{name} from {case['measurements']} noisy values, network trained {kind}"
            shown = [
                f"{coverage(row[way]['lattice'])} {words}"
                for way, words in (("error shared", "with its error"), ("no error", "without"))
            ]
            rows.append(f"| {title}: coverage of 90 % intervals | {'; '.join(shown)} |")
    return rows


def coverage(found: dict) -> str:
    """Return the coverage of each unknown."""
    return ", ".join(f"{unknown['coverage']:.1%}" for unknown in found.values())


def table() -> str:
    """Return the whole table."""
    rows = ["| measured | |", "| --- | --- |"]
    rows += rare("rare_to_20_dimensions.json", "d <= 20", "up to 20 dimensions")
    rows += rare("rare_above_20_dimensions.json", "d > 20", "30 to 1,000 dimensions")
    rows += rare("rare_black_box.json", "d <= 20", "without gradients, up to 20 dimensions")
    rows += rare("rare_black_box.json", "d > 20", "without gradients, 30 to 1,000 dimensions")
    rows += random_states("rare_random.json", "limit states drawn at random, 2 to 200 dimensions")
    rows += networks("pinn.json")
    rows += ablations("pinn.json")
    rows += surrogate("pinn_surrogate.json")
    rows += guide("pinn_guide.json")
    rows += inverse("pinn_inverse.json")
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

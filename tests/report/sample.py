"""A small report with one of every block and every figure."""

import numpy as np

from physsynth.report import (
    Check,
    Checks,
    Code,
    Document,
    Fact,
    Facts,
    Figure,
    Quantity,
    Section,
    Table,
    Text,
    Verdict,
    figures,
    percent,
)

GRID = np.linspace(0.0, 24.0, 25)
BANDS = {
    0.5: (0.8 * np.exp(-GRID / 8), 1.2 * np.exp(-GRID / 8)),
    0.9: (0.5 * np.exp(-GRID / 8), 1.5 * np.exp(-GRID / 8)),
}


def all_figures() -> dict:
    rng = np.random.default_rng(0)
    curves = {name: np.abs(rng.normal(10.0, 2.0, (5, 25))) for name in ("clearance low", "dose high")}
    points = {"1": (GRID[::5], np.exp(-GRID[::5] / 8)), "2": (GRID[::4], np.exp(-GRID[::4] / 7))}
    panels = [figures.Panel(name, GRID, BANDS, x, y) for name, (x, y) in points.items()]
    n = np.array([1, 2, 4, 8])
    rows = [figures.Row("Monte Carlo", 7e-3, 6.5e-3, 7.5e-3), figures.Row("posterior", 4e-3, 2e-4, 2e-2)]
    return {
        "curves": figures.curves_over_data(GRID, curves, points, 20.0, threshold_label="20 mg/L"),
        "signals": figures.cause_and_response(
            GRID,
            {"up": np.cos(GRID[:-1]), "down": -np.cos(GRID[:-1])},
            {"up": np.sin(GRID), "down": -np.sin(GRID)},
            0.9,
            threshold_label="0.9 m",
        ),
        "intervals": figures.interval_rows(rows, target=(1e-2, "limit")),
        "distribution": figures.distribution(np.exp(rng.normal(-5, 1, 500))),
        "bars": figures.bars(["clearance low", "dose high"], [0.6, 0.4], colours=figures.MODE_COLOURS),
        "panels": figures.predictive_panels(panels),
        "fan": figures.fan(
            n, {q: 20 / np.sqrt(n) * (0.5 + q) for q in (0.05, 0.5, 0.8, 0.95)}, target=3.0, planned=5
        ),
        "residuals": figures.residuals(
            (GRID, rng.normal(size=25)),
            (GRID[2::5], rng.normal(size=5) / 2),
            (np.full(5, -0.9), np.full(5, 0.9)),
        ),
        "against": figures.xy_over_data(
            GRID, BANDS, GRID[::5], np.exp(-GRID[::5] / 8), marks={"asked": (20.0, 1.0)}
        ),
    }


def document(title="A sample") -> Document:
    blocks = [
        Figure(name, f"Caption of {name}.", spec, f"Words for {name}.")
        for name, spec in all_figures().items()
    ]
    table = Table(
        ["cause", "share"], [["clearance low", Quantity(0.6, form=percent)]], "Shares.", tones=["bad"]
    )
    checks = Checks(
        [Check("R-hat", 1.003, "< 1.01", True), Check("ESS", 120.0, "> 400", False, "run longer")]
    )
    words = [
        Text(["One paragraph."]),
        Facts([Fact("calls", 56_438, "of at most 1,600,000")]),
        Code("physsynth run x.toml"),
    ]
    verdict = Verdict(
        "FORECAST", "About 140 more.", ["A forecast."], [Fact("patients", Quantity(140, "", 60, 420))]
    )
    return Document(
        title,
        "How many more?",
        verdict,
        [Section("Everything", "All blocks.", [*words, table, checks, *blocks])],
    )

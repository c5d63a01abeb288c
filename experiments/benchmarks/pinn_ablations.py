"""What an ablation changes in a row of the table: read from TOML, applied to problem and settings."""

from __future__ import annotations

from dataclasses import replace

from physsynth import pinn

STAGES = {"adam": lambda: [pinn.Stage(pinn.Adam(decay=4000))]}


def ablated(row, ablation: dict):
    """Return a row with what the ablation changes.

    Parameters
    ----------
    row : Row
    ablation : dict
        Any of: `iterations`; `conditions` = "penalised"; `symmetry` = false; `optimiser` = "adam";
        `causality`, the strength of causal weights.
    """
    settings = dict(row.settings)
    if "optimiser" in ablation:
        settings["stages"] = STAGES[ablation["optimiser"]]()
    if not ablation.get("symmetry", True):
        settings["symmetries"] = ()
    if "causality" in ablation:
        settings["sampling"] = pinn.Sampling(points=ablation["points"], causality=ablation["causality"])
    return replace(
        row,
        problem=lambda: changed(row.problem(), ablation),
        budget=ablation.get("iterations", row.budget),
        settings=settings,
    )


def changed(problem: pinn.Problem, ablation: dict) -> pinn.Problem:
    """Return a problem without what the ablation takes away."""
    conditions = list(problem.conditions)
    if ablation.get("conditions") == "penalised":
        conditions = [_penalised(c) for c in conditions]
    return replace(problem, conditions=tuple(conditions))


def _penalised(condition):
    exact = isinstance(condition, pinn.Dirichlet | pinn.Initial)
    return replace(condition, exact=False) if exact else condition

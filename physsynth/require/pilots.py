"""Checks that there is enough to forecast from at all."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from physsynth.core.checks import Check


def least_check(what: str, count: int, least: int) -> Check:
    """Check that there are enough of something."""
    return Check(what, count, f">= {least}", count >= least, "collect a pilot first")


def varies_check(what: str, values: Float[np.ndarray, "n ..."]) -> Check:
    """Check that values differ from row to row."""
    spread = float(np.ptp(values, axis=0).max()) if len(values) else 0.0
    name = f"widest range of the {what} values"
    return Check(name, spread, "> 0", spread > 0, "values that do not vary tell nothing of their scatter")

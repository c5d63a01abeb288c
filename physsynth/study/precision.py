"""The precision of a study's arithmetic, set once in the process that runs it."""

from __future__ import annotations

import jax


def use_precision(precision: str) -> None:
    """Use "float64" or "float32" for all arithmetic of this process."""
    jax.config.update("jax_enable_x64", precision == "float64")

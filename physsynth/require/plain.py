"""Results as plain values that JSON knows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr


def plain(value):
    """Return a JSON value: Python numbers, and None for what is not finite."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


def rows(table: xr.Dataset, dim: str) -> list[dict[str, Any]]:
    """Return a Dataset over one dimension as one plain dict an entry; none where it has no such dimension."""
    if dim not in table.dims:
        return []
    frame = table.to_dataframe().reset_index()
    return [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]

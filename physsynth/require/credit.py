"""What simulation is worth beside real data, whichever question is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from physsynth.require.plain import plain, rows


@dataclass(frozen=True)
class Credit:
    """The worth of a simulation in real measurements, and where the claim stands without it.

    Parameters
    ----------
    method : str
        How the credit was earned.
    equivalents : float
        Real measurements that the simulation is worth.
    interval : (float, float)
        Their 90 % interval.
    ceiling : float
        Real measurements that no amount of such simulation can be worth more than; inf if none is known.
    number_without, bound_without : float or None
        The number and the bound from the real data alone.
    bias : float or None
        The simulator's bias as the pairs show it.
    tipping : float or None
        The bias at which the claim tips.
    bias_means : str
        What bias is, in words.
    curve : xr.Dataset
        Over ``bias``: the bound of the claim if the simulator's bias were that.
    refused : str
        Why no credit is given; empty where it is.
    """

    method: str
    equivalents: float
    interval: tuple[float, float]
    ceiling: float
    number_without: float | None = None
    bound_without: float | None = None
    bias: float | None = None
    tipping: float | None = None
    bias_means: str = ""
    curve: xr.Dataset = field(default_factory=xr.Dataset)
    refused: str = ""

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON."""
        words = {"method": self.method, "bias_means": self.bias_means, "refused": self.refused}
        numbers = {
            name: plain(getattr(self, name))
            for name in ("equivalents", "ceiling", "number_without", "bound_without", "bias", "tipping")
        }
        interval = [plain(end) for end in self.interval]
        return {**words, **numbers, "interval": interval, "curve": rows(self.curve, "bias")}

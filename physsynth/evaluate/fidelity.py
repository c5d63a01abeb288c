"""Predictive checks: where real measurements fall among simulated ones.

For each measurement y_j and its replicates y_j^(s): the predictive quantile u_j = P(y^(s) <= y_j) and the
central 50 % and 90 % bands. Measurements of one member hang together, so the interval of the coverage is
taken over members, not over measurements; those of an only member are taken one by one. The interval is
never narrower than the share of so many independent measurements varies under the nominal level, as few
members may agree by chance.

Source: Gelman, Meng and Stern (1996), Statistica Sinica 6; Gabry et al. (2019), JRSS A 182.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from physsynth.core.checks import Check
from physsynth.core.errors import DataError

LEVELS = (0.5, 0.9)


@dataclass(frozen=True)
class Fidelity:
    """How real measurements fall among simulated ones.

    Attributes
    ----------
    dataset : xr.Dataset
        Over ``observation``: real value, predictive quantile, and lower and upper end of each band
        (over ``level``).
    coverage : xr.Dataset
        Over ``level``: share of measurements inside the band, and the 95 % interval of that share.
    """

    dataset: xr.Dataset
    coverage: xr.Dataset

    def checks(self) -> list[Check]:
        """Return one check a band: the nominal level lies within the interval of the share, or below it.

        A share above nominal is no misfit where the same data were used for calibration.
        """
        rows = []
        for level in LEVELS:
            row = self.coverage.sel(level=level)
            low, high = float(row["low"]), float(row["high"])
            rows.append(
                Check(
                    f"share of measurements inside the {level:.0%} predictive band",
                    float(row["share"]),
                    f"{level:.0%} not above the 95 % interval {low:.2f} to {high:.2f}",
                    high >= level,
                    "the model leaves out variation that the measurements show",
                )
            )
        return rows

    def summary(self) -> dict:
        """Return the coverage of each band and the checks as a plain dict."""
        coverage = {
            f"{float(level):.0%}": {
                name: float(self.coverage[name].sel(level=level)) for name in ("share", "low", "high")
            }
            for level in self.coverage["level"]
        }
        return {"coverage": coverage, "checks": [check.summary() for check in self.checks()]}


def fidelity(real: xr.DataArray, synthetic: xr.DataArray, groups: np.ndarray | None = None) -> Fidelity:
    """Hold real measurements against simulated replicates of each.

    Parameters
    ----------
    real : DataArray (observation,)
    synthetic : DataArray (replicate, observation)
        Simulated under the same conditions.
    groups : array (observation,), optional
        Which member each measurement belongs to; each its own unless given.

    Returns
    -------
    Fidelity

    Raises
    ------
    DataError
        If the shapes do not fit or a value is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> real = xr.DataArray(rng.normal(size=200), dims="observation")
    >>> replicates = xr.DataArray(rng.normal(size=(500, 200)), dims=("replicate", "observation"))
    >>> bool(abs(fidelity(real, replicates).coverage["share"].sel(level=0.9) - 0.9) < 0.07)
    True
    """
    y, replicates = np.asarray(real.values, float), np.asarray(synthetic.values, float)
    if replicates.ndim != 2 or y.shape != replicates.shape[1:] or not y.size:
        raise DataError(
            "real and simulated measurements do not match",
            wanted="real (observation,) and simulated (replicate, observation)",
            got=f"{y.shape} and {replicates.shape}",
        )
    if not (np.isfinite(y).all() and np.isfinite(replicates).all()):
        raise DataError("a measurement is not finite", wanted="finite values", got="NaN or infinity")
    members = np.arange(y.size) if groups is None else np.asarray(groups)
    tails = np.array([[0.5 - level / 2, 0.5 + level / 2] for level in LEVELS])
    bands = np.quantile(replicates, tails, axis=0)  # (level, end, observation)
    inside = (bands[:, 0] <= y) & (y <= bands[:, 1])
    dataset = xr.Dataset(
        {
            "real": ("observation", y, real.attrs),
            "quantile": ("observation", (replicates < y).mean(0) + 0.5 * (replicates == y).mean(0)),
            "low": (("level", "observation"), bands[:, 0], real.attrs),
            "high": (("level", "observation"), bands[:, 1], real.attrs),
            "median": ("observation", np.median(replicates, axis=0), real.attrs),
            "member": ("observation", members),
        },
        {"level": list(LEVELS)},
    )
    return Fidelity(dataset, _coverage(inside, members))


def _coverage(inside, members):
    """Return the share inside each band with a t interval over the members' own shares."""
    _, index = np.unique(members, return_inverse=True)
    index = index if index.max() else np.arange(index.size)
    size = np.bincount(index)
    rows = []
    for level, hits in zip(LEVELS, inside, strict=True):
        share = hits.mean()
        deviation = np.bincount(index, weights=hits - share)  # cluster-robust variance of a ratio
        count = size.size
        variance = count / max(count - 1, 1) * np.sum(deviation**2) / size.sum() ** 2
        variance = max(variance, level * (1.0 - level) / size.sum())
        half = stats.t.ppf(0.975, max(count - 1, 1)) * np.sqrt(variance)
        rows.append((share, max(share - half, 0.0), min(share + half, 1.0)))
    columns = np.array(rows).T
    return xr.Dataset(
        {name: ("level", column) for name, column in zip(("share", "low", "high"), columns, strict=True)},
        {"level": list(LEVELS)},
    )

"""Do measurements stay on one side of the calibrated curves, as they do where the curve is wrong?

Residuals z_j = (y_j - m_j) / s_j, with m_j the posterior mean of the expected measurement and s_j the
noise. The statistic is the correlation of neighbours in a member, r = sum z_j z_(j+1) / sum z_j^2. A line
through the points of an exponential passes every test of coverage when its noise is estimated, but its
residuals come in runs.

A fit takes from the residuals what it can follow, so those of a right model are no white noise:

    z ~ Normal(0, 1 - A'A),   A_dj = (f_dj - m_j) / (s_j sqrt(D))   over posterior draws d = 1 .. D.

That is exact for a linear model with Gaussian priors and known noise, where the residuals have the
covariance of the noise less that of the posterior; it is of first order for others. Replicates of the data,
which no fit has followed, would be no law: beside them the residuals of a wrong curve look harmless where
each member has parameters of its own. Members are taken one by one; what ties them is small beside that.

Source: Durbin and Watson (1950), Biometrika 37, for the statistic; Cook and Weisberg (1982), Residuals and
Influence in Regression, section 2.1, for the covariance of residuals.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
import xarray as xr

from physsynth.core.checks import Check
from physsynth.core.errors import DataError

LEAST_P = 0.005
_RESIDUALS = 4000


@dataclass(frozen=True)
class Residuals:
    """What calibrated curves leave of the measurements.

    Attributes
    ----------
    dataset : xr.Dataset
        Over ``observation``: ``residual`` (in units of the noise), ``member`` and ``coordinate``.
    correlation : float
        Of neighbouring residuals of a member; NaN where no member has two measurements.
    p_value : float
        Chance of so large a correlation under a right model; NaN likewise.
    """

    dataset: xr.Dataset
    correlation: float
    p_value: float

    def checks(self) -> list[Check]:
        """Return the check that neighbours are no more alike than under a right model; none without any."""
        if np.isnan(self.p_value):
            return []
        return [
            Check(
                "chance of neighbouring residuals so alike",
                self.p_value,
                f"> {LEAST_P:g}",
                self.p_value > LEAST_P,
                "the measurements follow another curve than the simulator, or their errors hang together",
            )
        ]

    def summary(self) -> dict:
        """Return correlation, p-value and the check as a plain dict."""
        found = {"correlation": self.correlation, "p_value": self.p_value}
        return {**found, "checks": [check.summary() for check in self.checks()]}


def residuals(
    real: xr.DataArray,
    expected: np.ndarray,
    deviation: np.ndarray,
    key: jax.Array,
    *,
    along: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Residuals:
    """Look for runs in what a calibrated model leaves of the measurements.

    Parameters
    ----------
    real : DataArray (observation,)
    expected, deviation : array (draw, observation)
        Mean and standard deviation of each measurement under each posterior draw.
    key : jax.Array
    along : array (observation,), optional
        The coordinate that puts measurements in order; the order given unless given.
    groups : array (observation,), optional
        Which member each measurement belongs to; all to one unless given.

    Returns
    -------
    Residuals

    Raises
    ------
    DataError
        If the shapes do not fit, a value is not finite, or a deviation is not positive.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 12)
    >>> real = xr.DataArray(np.exp(3.0 * x), dims="observation")
    >>> line = np.polyval(np.polyfit(x, real.values, 1), x)
    >>> draws = line + 0.6 * np.random.default_rng(0).normal(size=(400, 2)) @ np.stack([x - 0.5, 0 * x + 0.3])
    >>> bool(residuals(real, draws, np.full(draws.shape, 1.8), jax.random.key(0)).p_value < 0.05)
    True
    """
    y, f, s = np.asarray(real.values, float), np.asarray(expected, float), np.asarray(deviation, float)
    _check(y, f, s)
    coordinate = np.arange(y.size) if along is None else np.asarray(along)
    member = np.zeros(y.size, int) if groups is None else np.asarray(groups)
    mean, noise = f.mean(axis=0), np.sqrt(np.mean(s**2, axis=0))
    attrs = {"units": "1", "long_name": "residual over noise"}
    dataset = xr.Dataset(
        {
            "residual": ("observation", (y - mean) / noise, attrs),
            "member": ("observation", member),
            "coordinate": ("observation", coordinate),
        }
    )
    rows = [np.flatnonzero(member == name) for name in np.unique(member)]
    members = [row[np.argsort(coordinate[row], kind="stable")] for row in rows if row.size > 1]
    if not members:
        return Residuals(dataset, np.nan, np.nan)
    z = dataset["residual"].values
    found = _correlation([z[row] for row in members])
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    fits = (f - mean) / (noise * np.sqrt(len(f)))
    law = _correlation([_of_a_right_model(fits[:, row], generator) for row in members])
    # The measured one counts among them, so that P(p <= a) is at most a however few are drawn.
    return Residuals(dataset, float(found), float((1 + np.sum(law >= found)) / (1 + law.size)))


def _check(y, f, s):
    if f.ndim != 2 or f.shape != s.shape or y.shape != f.shape[1:] or not f.size:
        raise DataError(
            "measurements and what was expected of them do not match",
            wanted="real (observation,), expected and deviation (draw, observation)",
            got=f"{y.shape}, {f.shape} and {s.shape}",
        )
    if not (np.isfinite(y).all() and np.isfinite(f).all() and np.isfinite(s).all() and (s > 0).all()):
        raise DataError(
            "a residual is not finite",
            wanted="finite measurements and expectations, positive deviations",
            got="NaN, infinity or a deviation of 0",
        )


def _correlation(members):
    """Return the correlation of neighbours (...,) in members' residuals, each (..., slot) with mean 0."""
    products = sum(np.sum(z[..., 1:] * z[..., :-1], axis=-1) for z in members)
    return products / np.maximum(sum(np.sum(z**2, axis=-1) for z in members), 1e-300)


def _of_a_right_model(fits, generator):
    """Draw a member's residuals (draw, slot) under a right model, from how its fits (draw, slot) scatter."""
    _, size, axes = np.linalg.svd(fits, full_matrices=False)
    lost = 1.0 - np.sqrt(1.0 - np.minimum(size**2, 1.0))
    white = generator.standard_normal((_RESIDUALS, fits.shape[1]))
    return white - (white @ axes.T * lost) @ axes

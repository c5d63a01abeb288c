"""Do measurements stay on one side of the calibrated curves, as they do where the curves are wrong?

Residuals z_j = (y_j - m_j) / s_j, with m_j the posterior mean of the expected measurement and s_j the
noise. A line through the points of an exponential passes every test of coverage when its noise is estimated,
but its residuals are alike: neighbours in a member, and members at one place. The statistics are

    r = sum z_j z_(j+1) / sum z_j^2,   q = sum_k (sum_(j in k) z_j)^2 / n_k / sum z_j^2

with k the places: the measurements of all members in the order of their coordinate, cut into as many equal
parts as a member has measurements on average (those of an only member into the root of their number).

Residuals of the right curve may still be wrong in size: one from a slipped decimal point, or all of some
places, where measurements err otherwise than the noise says. Where members are told apart,

    m = max_j z_j^2 / sum z_j^2,   v = sum_k (sum_(j in k) z_j^2)^2 / n_k / (sum z_j^2)^2

Beyond members they scatter as members do, which is not normal, and nothing is said of their size.

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

from dataclasses import asdict, dataclass

import jax
import numpy as np
import xarray as xr

from physsynth.core.checks import Check
from physsynth.core.errors import DataError

LEAST_P = 0.005
_CURVE = "the measurements follow another curve than the simulator, or their errors hang together"
_ROW = (
    "look at the measurement of the largest residual: a slip, or errors with heavier tails than the noise has"
)
_NOISE = "measurements err more at some places than the noise says, and less at others: state another noise"
# Draws of a right model's residuals: the most, the fewest, and how many numbers they may be in all.
_MOST, _FEWEST, _ROOM = 4000, 1000, 20_000_000


@dataclass(frozen=True)
class Chance:
    """A statistic of residuals, and the chance that those of a right model have one as large."""

    statistic: float
    p_value: float

    @classmethod
    def among(cls, found: np.ndarray, law: np.ndarray) -> Chance:
        """Place a statistic among those of a right model.

        The measured one counts among them, so that P(p <= a) is at most a however few are drawn.
        """
        return cls(float(found), float((1 + np.sum(law >= found)) / (1 + law.size)))


@dataclass(frozen=True)
class Residuals:
    """What calibrated curves leave of the measurements.

    Attributes
    ----------
    dataset : xr.Dataset
        Over ``observation``: ``residual`` (in units of the noise), ``member``, ``coordinate`` and ``at``, its
        place. Over ``place``: ``middle`` of its coordinates, ``mean`` of its residuals, and ``low`` and
        ``high``, between which that mean lies under a right model 95 times in 100.
    neighbours, places : Chance or None
        How alike residuals are from one to the next in a member, and at one place from member to member;
        None where no member has two measurements, and for places where there is one member.
    largest, scatter : Chance or None
        The largest residual, and how unevenly they scatter from place to place; None where members are not
        told apart, or none has two measurements.
    """

    dataset: xr.Dataset
    neighbours: Chance | None
    places: Chance | None
    largest: Chance | None
    scatter: Chance | None

    def checks(self) -> list[Check]:
        """Return the checks of the curve: residuals no more alike than a right model's; none of nothing."""
        return _checks(
            {
                "neighbouring residuals so alike": (self.neighbours, _CURVE),
                "members' residuals at one place so alike": (self.places, _CURVE),
            }
        )

    def noise_checks(self) -> list[Check]:
        """Return the checks of the noise: residuals of the size, and as even, as a right model's."""
        return _checks(
            {
                "one residual so large": (self.largest, _ROW),
                "residuals that scatter so unevenly": (self.scatter, _NOISE),
            }
        )

    def summary(self) -> dict:
        """Return statistics, p-values and checks as a plain dict."""
        found = {name: getattr(self, name) for name in ("neighbours", "places", "largest", "scatter")}
        return {
            **{name: None if chance is None else asdict(chance) for name, chance in found.items()},
            "checks": [check.summary() for check in self.checks()],
            "noise_checks": [check.summary() for check in self.noise_checks()],
        }


def _checks(found):
    return [
        Check(f"chance of {name}", chance.p_value, f"> {LEAST_P:g}", chance.p_value > LEAST_P, advice)
        for name, (chance, advice) in found.items()
        if chance is not None
    ]


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
        Which member each measurement belongs to. Unless given, all are taken as one series, and nothing is
        said of their size.

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
    >>> found = residuals(real, draws, np.full(draws.shape, 1.8), jax.random.key(0))
    >>> found.neighbours.p_value < 0.05
    True
    """
    y, f, s = np.asarray(real.values, float), np.asarray(expected, float), np.asarray(deviation, float)
    _check(y, f, s)
    coordinate = np.arange(y.size) if along is None else np.asarray(along)
    member = np.zeros(y.size, int) if groups is None else np.asarray(groups)
    mean, noise = f.mean(axis=0), np.sqrt(np.mean(s**2, axis=0))
    places = _places(coordinate, member)
    attrs = {"units": "1", "long_name": "residual over noise"}
    dataset = xr.Dataset(
        {
            "residual": ("observation", (y - mean) / noise, attrs),
            "member": ("observation", member),
            "coordinate": ("observation", coordinate),
            "at": ("observation", places),
        }
    )
    rows = [np.flatnonzero(member == name) for name in np.unique(member)]
    z, law = dataset["residual"].values[None], _law((f - mean) / (noise * np.sqrt(len(f))), rows, key)
    runs = [row[np.argsort(coordinate[row], kind="stable")] for row in rows if row.size > 1]
    dataset = dataset.assign(_means(z, law, places, coordinate))
    if not runs:
        return Residuals(dataset, None, None, None, None)
    measures = {"neighbours": lambda z: _along(z, runs)}
    measures |= {"places": lambda z: _across(z, places)} if len(rows) > 1 else {}
    measures |= {"largest": _largest, "scatter": lambda z: _scatter(z, places)} if groups is not None else {}
    found = {name: Chance.among(measure(z)[0], measure(law)) for name, measure in measures.items()}
    return Residuals(dataset, *(found.get(name) for name in ("neighbours", "places", "largest", "scatter")))


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


def _places(coordinate, member):
    """Return the place (observation,) of each measurement, a share of all in the order of the coordinate."""
    members = np.unique(member).size
    count = max(round(member.size / members if members > 1 else np.sqrt(member.size)), 1)
    order = np.argsort(coordinate, kind="stable")
    places = np.empty(member.size, int)
    for place, rows in enumerate(np.array_split(order, count)):
        places[rows] = place
    return places


def _along(z, runs):
    """Return the correlation of neighbours (draw,) of residuals (draw, observation) with mean 0."""
    products = sum(np.sum(z[:, run[1:]] * z[:, run[:-1]], axis=1) for run in runs)
    return products / _squares(z)


def _across(z, places):
    """Return the squared sums of residuals at each place over their number, beside the squares of all."""
    return np.sum(_sums(z, places) ** 2 / np.bincount(places), axis=1) / _squares(z)


def _largest(z):
    """Return the largest square (draw,) beside the sum of all."""
    return np.max(z**2, axis=1) / _squares(z)


def _scatter(z, places):
    """Return how unevenly squares (draw,) lie over the places; 1 over their number where evenly."""
    return np.sum(_sums(z**2, places) ** 2 / np.bincount(places), axis=1) / _squares(z) ** 2


def _sums(z, places):
    order = np.argsort(places, kind="stable")
    first = np.cumsum(np.bincount(places)) - np.bincount(places)
    return np.add.reduceat(z[:, order], first, axis=1)


def _means(z, law, places, coordinate):
    """Return the mean residual at each place, and where it lies under a right model."""
    count = np.bincount(places)
    low, high = np.quantile(_sums(law, places) / count, [0.025, 0.975], axis=0)
    middle = [np.median(coordinate[places == place]) for place in range(count.size)]
    columns = {"middle": middle, "mean": _sums(z, places)[0] / count, "low": low, "high": high}
    return {name: ("place", column) for name, column in columns.items()}


def _squares(z):
    return np.maximum(np.sum(z**2, axis=1), 1e-300)


def _law(fits, rows, key):
    """Draw residuals under a right model, from how its fits scatter; both (draw, observation)."""
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    drawn = np.empty((int(np.clip(_ROOM // fits.shape[1], _FEWEST, _MOST)), fits.shape[1]))
    for row in rows:
        _, size, axes = np.linalg.svd(fits[:, row], full_matrices=False)
        lost = 1.0 - np.sqrt(1.0 - np.minimum(size**2, 1.0))
        white = generator.standard_normal((len(drawn), row.size))
        drawn[:, row] = white - (white @ axes.T * lost) @ axes
    return drawn

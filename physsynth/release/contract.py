"""What a dataset promises its readers, and whether it keeps the promise.

A contract states, per dataset, the length of every dimension, and per variable its dimensions,
type, unit, bounds and whether values may be missing; and per dataset the sums that must come out,
such as weights that add up to a probability.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from physsynth.core.errors import ReleaseError

FORMAT = "physsynth.contract/1"


@dataclass(frozen=True)
class Row:
    """One line of a verification: what was asked, and what was found."""

    name: str
    passed: bool
    wanted: str
    got: str


@dataclass(frozen=True)
class VariableContract:
    """What one variable promises.

    Parameters
    ----------
    dims : tuple of str
    dtype : str
        A NumPy name, or "string".
    units : str, optional
        As in the attribute ``units``; None where the variable has none.
    lower, upper : float, optional
        Bounds that every value keeps; None where none is promised.
    missing : bool
        Whether NaN is allowed.
    description : str
        One line for people; not checked.
    """

    dims: tuple[str, ...]
    dtype: str
    units: str | None = None
    lower: float | None = None
    upper: float | None = None
    missing: bool = False
    description: str = ""

    @classmethod
    def of(cls, variable: xr.Variable, lower: float | None = None, upper: float | None = None):
        """Describe a variable; bounds not given are taken from its CF valid_min, valid_max, valid_range."""
        valid = cf_bounds(variable.attrs)
        return cls(
            dims=tuple(str(dim) for dim in variable.dims),
            dtype=type_name(variable),
            units=_text(variable.attrs.get("units")),
            lower=valid[0] if lower is None else float(lower),
            upper=valid[1] if upper is None else float(upper),
            missing=has_missing(variable),
            description=str(variable.attrs.get("long_name", "")),
        )

    def row(self, name: str, variable: xr.Variable | None) -> Row:
        """Compare a variable with its promise."""
        if variable is None:
            return Row(name, False, self.statement(), "no such variable")
        found = VariableContract.of(variable)
        low, high = observed_range(variable)
        shape = (found.dims, found.dtype, found.units) == (self.dims, self.dtype, self.units)
        inside = _at_least(low, self.lower) and _at_least(self.upper, high)
        whole = self.missing or not found.missing
        got = VariableContract(found.dims, found.dtype, found.units, low, high, found.missing)
        return Row(name, shape and inside and whole, self.statement(), got.statement())

    def statement(self) -> str:
        """Return the promise as one line."""
        words = [f"{self.dtype} ({', '.join(self.dims)})"]
        words += [f"in {self.units}"] if self.units is not None else []
        low = [f"from {self.lower:.6g}"] if self.lower is not None else []
        high = [f"to {self.upper:.6g}"] if self.upper is not None else []
        words += [" ".join(low + high)] if low + high else []
        words += ["NaN allowed" if self.missing else "no NaN"] if self.dtype.startswith("float") else []
        return ", ".join(words)


@dataclass(frozen=True)
class SumPromise:
    """A variable whose values add up to `value`, within a relative tolerance."""

    value: float
    tolerance: float = 1e-9

    def row(self, name: str, variable: xr.Variable | None) -> Row:
        """Compare the sum of a variable with its promise."""
        wanted = f"{self.value:.12g} within a relative {self.tolerance:.0e}"
        if variable is None or not np.issubdtype(variable.dtype, np.number):
            return Row(name, False, wanted, "no such numbers")
        total = math.fsum(np.asarray(variable.values, float).ravel())
        passed = math.isclose(total, self.value, rel_tol=self.tolerance, abs_tol=0.0)
        return Row(name, passed, wanted, f"{total:.12g}")


@dataclass(frozen=True)
class DatasetContract:
    """What one dataset promises: lengths of its dimensions, its variables, and sums over them."""

    sizes: dict[str, int]
    variables: dict[str, VariableContract]
    sums: dict[str, SumPromise] = field(default_factory=dict)

    def rows(self, name: str, dataset: xr.Dataset) -> Iterator[Row]:
        """Compare a dataset with its promises, one row each."""
        sizes = {str(dim): int(size) for dim, size in dataset.sizes.items()}
        yield Row(f"{name}: dimensions", sizes == self.sizes, _listed(self.sizes), _listed(sizes))
        for variable, promise in self.variables.items():
            yield promise.row(f"{name}: {variable}", dataset.variables.get(variable))
        extra = sorted({str(variable) for variable in dataset.variables} - set(self.variables))
        yield Row(f"{name}: nothing else", not extra, "no variable beyond these", ", ".join(extra) or "none")
        for variable, total in self.sums.items():
            yield total.row(f"{name}: sum of {variable}", dataset.variables.get(variable))


@dataclass(frozen=True)
class Contract:
    """What every dataset of a release promises.

    Examples
    --------
    >>> runs = xr.Dataset({"weight": ("scenario", np.array([0.25, 0.5]), {"units": "1"})})
    >>> contract = Contract.of({"runs": runs}, sums={("runs", "weight"): 0.75})
    >>> all(row.passed for row in contract.rows("runs", runs))
    True
    >>> [row.name for row in contract.rows("runs", 2 * runs.astype("float32")) if not row.passed]
    ['runs: weight', 'runs: sum of weight']
    """

    datasets: dict[str, DatasetContract]

    @classmethod
    def of(
        cls,
        datasets: Mapping[str, xr.Dataset],
        *,
        sums: Mapping[tuple[str, str], float | SumPromise] | None = None,
        bounds: Mapping[tuple[str, str], tuple[float | None, float | None]] | None = None,
    ) -> Contract:
        """Describe datasets as they are.

        Parameters
        ----------
        datasets : mapping of str to Dataset
        sums : mapping of (dataset, variable) to float or SumPromise, optional
            What the values of a variable add up to.
        bounds : mapping of (dataset, variable) to (lower, upper), optional
            Bounds that hold by physics or by construction; None for none. Otherwise the CF
            attributes ``valid_min``, ``valid_max`` and ``valid_range`` count.

        Raises
        ------
        ReleaseError
            If `sums` or `bounds` name a variable that is not there.
        """
        sums, bounds = dict(sums or {}), dict(bounds or {})
        _check_named("sums", sums, datasets)
        _check_named("bounds", bounds, datasets)
        return cls(
            {
                name: DatasetContract(
                    sizes={str(dim): int(size) for dim, size in dataset.sizes.items()},
                    variables={
                        str(key): VariableContract.of(variable, *bounds.get((name, str(key)), (None, None)))
                        for key, variable in dataset.variables.items()
                    },
                    sums={key: _sum_promise(total) for (owner, key), total in sums.items() if owner == name},
                )
                for name, dataset in datasets.items()
            }
        )

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Contract:
        """Read a contract from the plain tree that `to_json` gives.

        Raises
        ------
        ReleaseError
            If the tree is no contract of this format.
        """
        try:
            if tree["format"] != FORMAT:
                raise ValueError(f"format {tree['format']!r}")
            return cls({name: _read_dataset(part) for name, part in tree["datasets"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as reason:
            raise ReleaseError(
                "a contract that cannot be read",
                key="contract",
                wanted=f"a tree of the format {FORMAT}, as Contract.to_json gives it",
                got=f"{type(reason).__name__}: {reason}",
                advice="build it with Contract.of(datasets)",
            ) from reason

    def to_json(self) -> dict[str, Any]:
        """Return the contract as a plain tree."""
        return {"format": FORMAT, "datasets": {name: asdict(part) for name, part in self.datasets.items()}}

    def rows(self, name: str, dataset: xr.Dataset) -> list[Row]:
        """Compare the dataset called `name` with what the contract says of it."""
        if name not in self.datasets:
            return [Row(f"{name}: promised", False, "a dataset that the contract names", name)]
        return list(self.datasets[name].rows(name, dataset))


def type_name(variable: xr.Variable) -> str:
    """Return the type of a variable as it is promised: a NumPy name, or "string"."""
    return "string" if variable.dtype.kind in "OSUT" else variable.dtype.name


def has_missing(variable: xr.Variable) -> bool:
    """Tell whether a floating-point variable holds NaN."""
    return variable.dtype.kind in "fc" and bool(np.isnan(variable.values).any())


def observed_range(variable: xr.Variable) -> tuple[float | None, float | None]:
    """Return the smallest and largest number of a variable; None where there is none."""
    if variable.dtype.kind not in "iuf":
        return None, None
    values = np.asarray(variable.values)
    values = values[~np.isnan(values)] if variable.dtype.kind == "f" else values
    return (float(values.min()), float(values.max())) if values.size else (None, None)


def cf_bounds(attrs: Mapping[Any, Any]) -> tuple[float | None, float | None]:
    """Return the bounds that CF attributes state."""
    low, high = attrs.get("valid_range", (None, None))
    low, high = attrs.get("valid_min", low), attrs.get("valid_max", high)
    return None if low is None else float(low), None if high is None else float(high)


def _at_least(value, bound):
    return value is None or bound is None or value >= bound


def _text(value):
    return None if value is None else str(value)


def _listed(sizes):
    return ", ".join(f"{name} {size}" for name, size in sorted(sizes.items())) or "none"


def _sum_promise(total):
    return total if isinstance(total, SumPromise) else SumPromise(float(total))


def _check_named(argument, promises, datasets):
    for name, variable in promises:
        if name not in datasets or variable not in datasets[name].variables:
            raise ReleaseError(
                "a promise about a variable that is not there",
                key=argument,
                wanted="a pair (dataset, variable) of the release",
                got=f"({name!r}, {variable!r})",
            )


def _read_dataset(part):
    return DatasetContract(
        sizes={dim: int(size) for dim, size in part["sizes"].items()},
        variables={
            name: VariableContract(**{**promise, "dims": tuple(promise["dims"])})
            for name, promise in part["variables"].items()
        },
        sums={name: SumPromise(**total) for name, total in part["sums"].items()},
    )

"""A trained network as a function of the coordinates, with what is known of its error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physsynth.core import files
from physsynth.core.errors import DataError, ParameterError, unknown_name
from physsynth.pinn import networks
from physsynth.pinn.conditions import Symmetry
from physsynth.pinn.domain import Interval
from physsynth.pinn.estimate import ErrorEstimate
from physsynth.pinn.evolution import time_of
from physsynth.pinn.field import Field
from physsynth.pinn.fingerprint import agree, fingerprint
from physsynth.pinn.objective import Objective
from physsynth.pinn.problem import Problem
from physsynth.pinn.symmetry import in_words
from physsynth.pinn.terms import EQUATION
from physsynth.pinn.trial import Trial
from physsynth.pinn.windows import window

_QUERY_POINTS = 500


@dataclass(frozen=True, eq=False)
class Solution:
    """A solution of a problem; call it with coordinates.

    Attributes
    ----------
    objective : Objective
        The loss that was minimised; it knows the problem and the network.
    weights : array (weight,)
    history : dict of list
        One entry a round: iterations, loss, mean square of each term.
    estimate : ErrorEstimate
    before : Solution or None
        Of an earlier window of time; this one goes on from where it ends.

    Examples
    --------
    >>> import jax, physsynth as ps
    >>> decay = ps.pinn.Problem({"t": (0.0, 1.0)}, lambda u, p: u.t + u, [ps.pinn.Initial(1.0)])
    >>> solution = ps.pinn.solve(decay, jax.random.key(0), budget=300)
    >>> bool(abs(solution(t=1.0) - jnp.exp(-1.0)) < 1e-3)
    True
    """

    objective: Objective
    weights: jax.Array
    history: Mapping[str, list[float]]
    estimate: ErrorEstimate
    before: Solution | None = None

    def __call__(self, *positions, **variables):
        """Return the field at coordinates (and parameters) of any shapes that broadcast; a dict of several.

        Raises
        ------
        UnknownNameError, ParameterError
            If a coordinate is missing, not declared, or given without its name.
        """
        if positions:
            names = ", ".join(f"{name}=..." for name in self.problem.variables)
            raise ParameterError(
                "coordinates without their names",
                wanted=f"solution({names})",
                got=f"{len(positions)} by position",
            )
        values = self.evaluate(variables)
        return next(iter(values.values())) if len(values) == 1 else values

    def evaluate(self, variables: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Return each field at coordinates."""
        found = self.continued(variables)
        if self.before is None:
            return found
        earlier, old = self._earlier(variables), self.before.evaluate(variables)
        return {name: jnp.where(earlier, old[name], value) for name, value in found.items()}

    def continued(self, variables: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Return each field at coordinates by the last window's network, which knows of no other window."""
        points, shape = self._points(variables)
        return {name: value.reshape(shape) for name, value in self._values(self.weights, points).items()}

    def derivatives(self, variables: Mapping[str, jax.Array]) -> dict[str, Field]:
        """Return the fields with the derivatives that the equations use, at coordinates (point,)."""
        frame = self.trial.frame(self._points(variables)[0], self.problem.indices)
        found = self.trial.fields(self.weights, frame)
        if self.before is None:
            return found
        earlier, old = self._earlier(variables), self.before.derivatives(variables)
        return {name: _either(earlier, old[name], field) for name, field in found.items()}

    def query_error(self, parameters: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Return the estimated relative L2 error of each field at one value of the varied parameters."""
        problem = self.problem
        points = problem.domain.sample(np.random.default_rng(0), _QUERY_POINTS)
        varied = {k: jnp.broadcast_to(parameters[k], (_QUERY_POINTS,)) for k in problem.ranges}
        term, points = self.objective.terms[0], {**points, **varied}
        frame = self.trial.frame(points, term.indices)
        residual = jnp.sqrt(jnp.mean(self.objective.residuals(self.weights, term, frame) ** 2))
        return {
            name: self.estimate.stability[name] * residual / jnp.sqrt(jnp.mean(jet.value**2))
            for name, jet in self.trial.jets(self.weights, frame).items()
        }

    @property
    def error(self) -> float:
        """Estimated relative L2 error, the largest over the fields."""
        return self.estimate.largest

    @property
    def converged(self) -> bool:
        """Whether this is a solution at all."""
        return self.estimate.converged

    @property
    def trial(self) -> Trial:
        """The fields as functions of the weights."""
        return self.objective.trial

    @cached_property
    def problem(self) -> Problem:
        """The problem that it solves, up to its last window."""
        first = self.windows[0].trial.problem
        if self.before is None:
            return first
        return window(first, self.time, (first.domain.intervals[self.time][0], self.end))

    @property
    def windows(self) -> tuple[Solution, ...]:
        """Itself and the solutions before it, in the order of time."""
        return (*(self.before.windows if self.before else ()), self)

    @property
    def time(self) -> str:
        """The coordinate along which an evolution problem is cut into windows."""
        return _evolving(self.trial.problem)

    @property
    def interval(self) -> Interval:
        """The window of time of this part."""
        return self.trial.problem.domain.intervals[self.time]

    @property
    def end(self) -> float:
        """The last time."""
        return self.interval[1]

    @property
    def architecture(self) -> networks.Architecture:
        """The specification of its network."""
        return self.trial.architecture

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """What was built in: symmetries that the problem declares, and those that were found in it."""
        return tuple(c for c in self.problem.conditions if isinstance(c, Symmetry))

    def summary(self) -> dict:
        """Return the outcome as plain data."""
        return {
            "status": "CONVERGED" if self.converged else "NOT CONVERGED",
            "reason": self.estimate.reason,
            "error": self.estimate.relative,
            "residual": self.estimate.residual,
            "stability": self.estimate.stability,
            "iterations": self.history["iterations"][-1],
            "terms": {
                name: values[-1]
                for name, values in self.history.items()
                if name not in ("iterations", "loss")
            },
            "symmetries": [in_words(symmetry, self.problem) for symmetry in self.symmetries],
            "weights": sum(int(part.weights.size) for part in self.windows),
            "windows": len(self.windows),
            **networks.as_data(self.architecture),
        }

    def save(self, path: Path | str) -> Path:
        """Write the solution to one HDF5 file, which appears whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        return files.write(Path(path), self._dataset())

    @classmethod
    def load(cls, path: Path | str, problem: Problem) -> Solution:
        """Read a solution of a problem; the problem's functions are code, so they are given, not read.

        Raises
        ------
        DataError
            If the file holds a solution of another problem.
        """
        data = files.read(Path(path))
        stored = json.loads(data.attrs["solution"])
        if not same_problem(stored["problem"], problem):
            raise DataError(
                "a solution of another problem",
                file=path,
                wanted=json.dumps(signature(problem)),
                got=json.dumps(stored["problem"]),
            )
        history = {
            str(name): data["history"].sel(quantity=name).values.tolist() for name in data["quantity"].values
        }
        symmetries = tuple(Symmetry(**symmetry) for symmetry in stored["symmetries"])
        problem = replace(problem, conditions=(*_without_symmetries(problem), *symmetries))
        architecture = networks.from_data(stored["architecture"])
        rest = (history, ErrorEstimate(**stored["estimate"]))
        parts = [jnp.asarray(weights) for weights in data["weights"].values]
        if not stored["windows"]:
            return cls(Objective(Trial(problem, architecture)), parts[0], *rest)
        found: Any = None
        for interval, weights in zip(stored["windows"], parts, strict=True):
            part = window(problem, _evolving(problem), tuple(interval), found)
            found = cls(Objective(Trial(part, architecture)), weights, *rest, found)
        return found

    def _dataset(self):
        stored = {
            "problem": signature(self.problem),
            "windows": [part.interval for part in self.windows] if self.before else [],
            "symmetries": [asdict(symmetry) for symmetry in self.symmetries],
            "architecture": networks.as_data(self.architecture),
            "estimate": vars(self.estimate),
        }
        return xr.Dataset(
            {
                "weights": (("window", "weight"), np.stack([part.weights for part in self.windows])),
                "history": (("quantity", "round"), np.array(list(self.history.values()), float)),
            },
            {"quantity": list(self.history)},
            {"solution": json.dumps(stored, sort_keys=True)},
        )

    def _earlier(self, variables):
        return jnp.asarray(variables[self.time]) < self.interval[0]

    def _points(self, variables):
        known = self.trial.problem.variables
        for name in variables:
            if name not in known:
                raise unknown_name("coordinate", name, known, key=name)
        missing = [name for name in known if name not in variables]
        if missing:
            raise ParameterError("a coordinate is missing", key=missing[0], wanted=", ".join(known))
        try:
            arrays = jnp.broadcast_arrays(*(jnp.asarray(variables[name], float) for name in known))
        except (TypeError, ValueError) as reason:
            raise ParameterError(
                "coordinates that do not fit together",
                key=", ".join(known),
                wanted="numbers, or arrays of shapes that broadcast",
                got=str(reason),
            ) from reason
        points = {name: array.reshape(-1) for name, array in zip(known, arrays, strict=True)}
        return points, arrays[0].shape

    @cached_property
    def _values(self):
        def values(weights, points):
            jets = self.trial.jets(weights, self.trial.frame(points, self.objective.values_only))
            return {name: jet.value for name, jet in jets.items()}

        return jax.jit(values)


def signature(problem: Problem) -> dict:
    """Return what of a problem can be compared, its symmetries aside."""
    return {
        "variables": {name: [float(end) for end in ends] for name, ends in problem.variables.items()},
        "fields": list(problem.fields),
        "constants": {name: float(value) for name, value in problem.constants.items()},
        "derivatives": [list(index) for index in problem.indices.members],
        "conditions": [type(condition).__name__ for condition in _without_symmetries(problem)],
        "equations": list(problem.equations) or [EQUATION],
        "values": list(fingerprint(problem)),
    }


def same_problem(stored: Mapping[str, Any], problem: Problem) -> bool:
    """Whether a stored signature is that of a problem."""
    mine, theirs = signature(problem), dict(stored)
    return agree(theirs.pop("values", ()), mine.pop("values")) and theirs == mine


def _evolving(problem) -> str:
    time = time_of(problem)
    if time is None:
        raise ParameterError("a steady problem has no windows of time", wanted="an initial condition")
    return time


def _either(condition, first, second):
    """Return the field that is the first where the condition holds, the second elsewhere."""

    def read(index):
        return jnp.where(condition, first._read(index), second._read(index))

    return Field(second._name, second._coordinates, read)


def _without_symmetries(problem):
    return tuple(c for c in problem.conditions if not isinstance(c, Symmetry))

"""The differential equation behind a simulator, stated so that a network can be trained in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Equation:
    """A field's equation and conditions, and how the simulator's outputs are read off the field.

    Parameters
    ----------
    domain : mapping of str to (low, high)
        Each coordinate.
    residual : callable
        ``residual(u, p)``: what must vanish, with named derivatives of the field `u`; `p` maps every
        coordinate and parameter to its values.
    edges : mapping of str to (low, high)
        The faces on which the field is 0.
    read : mapping of str to callable
        By output of the simulator: ``read(u, p, **options)`` returns it from ``u(p, **coordinates)``, which
        gives the field's values at arrays of points. Outputs that are left out are not emulated.
    start : callable, optional
        Values of the field, as a function of `p`, where the first coordinate begins.
    proportional : str, optional
        A parameter that the field is proportional to; a network then need not learn it.
    features : tuple of callable
        Known shapes, functions of `p`, that help to describe the field.
    """

    domain: Mapping[str, tuple[float, float]]
    residual: Callable[[Any, Mapping[str, Any]], Any]
    edges: Mapping[str, tuple[float, float]]
    read: Mapping[str, Callable[..., Any]]
    start: Callable[[Mapping[str, Any]], Any] | None = None
    proportional: str | None = None
    features: tuple[Callable[[Mapping[str, Any]], Any], ...] = ()

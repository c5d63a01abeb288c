"""Limit states: failure where g <= 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from physsynth.core.errors import ParameterError, UnknownNameError, unknown_name
from physsynth.core.units import quantity_in


@dataclass(frozen=True)
class LimitState:
    """A limit state of a simulator: ``function(p, y, **settings)`` is <= 0 where it fails.

    Parameters
    ----------
    unit : str
        Unit of g.
    function : callable
        From one scenario's parameters `p`, outputs `y` and the settings to the scalar g.
    settings : mapping of str to str
        Name and unit of each number that a study must state, for example ``{"threshold": "mg/L"}``.
    description : str
        What failure means, in words that follow "the probability that"; settings stand in braces.
    modes : mapping of str to callable
        Ways to fail, each with its severity as a function like `function`; a failure's mode is the
        way of the largest severity. Empty where the limit state does not tell ways apart.

    Examples
    --------
    >>> too_far = LimitState("m", lambda p, y, limit: limit - y["distance"], {"limit": "m"})
    >>> float(too_far({}, {"distance": 12.0}, limit="0.01 km"))
    -2.0
    """

    unit: str
    function: Callable[..., jax.Array]
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    description: str = ""
    modes: Mapping[str, Callable[..., jax.Array]] = field(default_factory=lambda: MappingProxyType({}))

    def __call__(self, p, y, **settings) -> jax.Array:
        """Evaluate g for one scenario; a setting is a number in its unit or text such as "20 mg/L"."""
        return self.function(p, y, **self.read_settings(settings))

    def mode(self, p, y, **settings) -> Int[Array, ""]:
        """Return which of `modes` one scenario fails by.

        Examples
        --------
        >>> ways = {"left": lambda p, y: -y["x"], "right": lambda p, y: y["x"]}
        >>> int(LimitState("m", lambda p, y: 1 - abs(y["x"]), modes=ways).mode({}, {"x": 2.0}))
        1
        """
        read = self.read_settings(settings)
        return jnp.argmax(
            jnp.stack([jnp.asarray(severity(p, y, **read)) for severity in self.modes.values()])
        )

    def words(self, settings: Mapping[str, float]) -> str:
        """Return the description with the settings' numbers in place.

        Examples
        --------
        >>> LimitState("m", min, {"limit": "m"}, "it goes beyond {limit} m").words({"limit": 3.0})
        'it goes beyond 3 m'
        """
        return self.description.format(**{name: f"{value:g}" for name, value in settings.items()})

    def read_settings(self, given: Mapping[str, object], *, file=None, key=None) -> dict[str, float]:
        """Check the settings and convert them to this limit state's units.

        Raises
        ------
        UnknownNameError
            If a setting is missing or not declared.
        UnitError
            If a setting's unit does not fit.
        ParameterError
            If a setting is no finite number.
        """
        place = f"{key}." if key else ""
        for name in given:
            if name not in self.settings:
                raise unknown_name(
                    "setting of the limit state", name, self.settings, file=file, key=place + name
                )
        for name, unit in self.settings.items():
            if name not in given:
                raise UnknownNameError(
                    "a setting of the limit state is missing",
                    file=file,
                    key=place + name,
                    wanted=f"a quantity in {unit}",
                    got="nothing",
                    advice=f'state it, for example {name} = "1 {unit}"',
                )
        return {
            name: _number(value, self.settings[name], file, place + name) for name, value in given.items()
        }


def _number(value, unit, file, key) -> Any:
    if isinstance(value, str):
        return quantity_in(value, unit, file=file, key=key)
    odd = isinstance(value, bool | list | tuple | Mapping) or value is None
    if odd or (isinstance(value, float) and not math.isfinite(value)):
        raise ParameterError(
            "a setting of the limit state is no number",
            file=file,
            key=key,
            wanted=f'a finite number in {unit}, or a quantity such as "1 {unit}"',
            got=repr(value),
        )
    return value

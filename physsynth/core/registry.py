"""Simulators by name, from the entry points "physsynth.simulators" of every installed package."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from physsynth.core.errors import SimulationError, unknown_name

if TYPE_CHECKING:
    from physsynth.core.simulator import Simulator

GROUP = "physsynth.simulators"


def names() -> list[str]:
    """Return the registered names, without importing any simulator."""
    return sorted(_registered())


def find(name: str, **options: Any) -> Simulator:
    """Return the simulator of that name, configured with static options.

    Raises
    ------
    UnknownNameError
        If no installed package registers the name, or an option is not declared.
    SimulationError
        If the package that registers it cannot be imported.

    Examples
    --------
    >>> find("driving/braking").outputs["stopping_distance"].unit
    'm'
    """
    known = _registered()
    if name not in known:
        raise unknown_name("simulator", name, known, key="simulator.name")
    try:
        found = known[name].load()
    except (ImportError, AttributeError) as reason:
        raise SimulationError(
            "a registered simulator cannot be imported",
            key=name,
            wanted=f'an object at "{known[name].value}"',
            got=f"{type(reason).__name__}: {reason}",
            advice="reinstall the package that registers it",
        ) from reason
    return found.configure(**options) if options else found


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}

"""Simulators by name, from the entry points "physsynth.simulators" of every installed package."""

from __future__ import annotations

import traceback
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from physsynth.core.errors import PhyssynthError, SimulationError, unknown_name

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
        If the package that registers it cannot be imported, or what it registers is no simulator.
    PhyssynthError
        If the simulator's declaration is at fault.

    Examples
    --------
    >>> find("driving/braking").outputs["stopping_distance"].unit
    'm'
    """
    known = _registered()
    if name not in known:
        raise unknown_name("simulator", name, known, key="simulator.name")
    found = _load(known[name])
    if not hasattr(found, "configure"):
        raise SimulationError(
            "what is registered is no simulator",
            key=name,
            wanted=f'a simulator at "{known[name].value}", made by define_simulator',
            got=type(found).__name__,
        )
    return found.configure(**options) if options else found


def _load(point):
    """Import a simulator; whatever its module raises is its author's to mend."""
    try:
        return point.load()
    except PhyssynthError:
        raise
    except Exception as reason:
        last = traceback.extract_tb(reason.__traceback__)[-1]
        raise SimulationError(
            "a registered simulator cannot be imported",
            key=point.name,
            wanted=f'an object at "{point.value}"',
            got=f"{type(reason).__name__}: {reason} ({last.filename}, line {last.lineno})",
            advice="mend the module, or reinstall the package that registers it",
        ) from reason


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}

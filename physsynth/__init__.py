"""physsynth: from a few real measurements to rare scenarios and the real data still needed.

>>> import physsynth as ps
>>> ps.simulators()  # doctest: +ELLIPSIS
['driving/braking', ...]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from physsynth import calibrate as calibrate
    from physsynth import evaluate as evaluate
    from physsynth import pinn as pinn
    from physsynth import rare as rare
    from physsynth import release as release
    from physsynth import require as require
    from physsynth.core import registry
    from physsynth.core.black_box import external as external
    from physsynth.core.ensemble import simulate as simulate
    from physsynth.core.errors import PhyssynthError as PhyssynthError
    from physsynth.core.limits import LimitState as LimitState
    from physsynth.core.simulator import Coordinate as Coordinate
    from physsynth.core.simulator import Option as Option
    from physsynth.core.simulator import Output as Output
    from physsynth.core.simulator import Simulator as Simulator
    from physsynth.core.simulator import define_simulator as define_simulator
    from physsynth.core.space import Parameter as Parameter
    from physsynth.core.space import ParameterSpace as ParameterSpace

    simulator, simulators = registry.find, registry.names

__version__ = "0.1.0"

_ROOMS = ("calibrate", "evaluate", "pinn", "rare", "release", "require")
_HOME = {
    "Coordinate": ("core.simulator", "Coordinate"),
    "LimitState": ("core.limits", "LimitState"),
    "Option": ("core.simulator", "Option"),
    "Output": ("core.simulator", "Output"),
    "Parameter": ("core.space", "Parameter"),
    "ParameterSpace": ("core.space", "ParameterSpace"),
    "PhyssynthError": ("core.errors", "PhyssynthError"),
    "Simulator": ("core.simulator", "Simulator"),
    "define_simulator": ("core.simulator", "define_simulator"),
    "external": ("core.black_box", "external"),
    "simulate": ("core.ensemble", "simulate"),
    "simulator": ("core.registry", "find"),
    "simulators": ("core.registry", "names"),
}
__all__ = [
    "Coordinate",
    "LimitState",
    "Option",
    "Output",
    "Parameter",
    "ParameterSpace",
    "PhyssynthError",
    "Simulator",
    "calibrate",
    "define_simulator",
    "evaluate",
    "external",
    "pinn",
    "rare",
    "release",
    "require",
    "simulate",
    "simulator",
    "simulators",
]


def __getattr__(name: str):
    if name in _ROOMS:
        return import_module(f"physsynth.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(f"physsynth.{module}"), attribute)


def __dir__():
    return __all__

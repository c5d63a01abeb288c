"""The nouns: parameter, space, simulator, output, limit state, constraint, ensemble; and their errors.

Names are loaded on first use, so that the command line can print help without importing JAX.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from physsynth.core.black_box import external as external
    from physsynth.core.constraints import Constraint as Constraint
    from physsynth.core.constraints import bounded as bounded
    from physsynth.core.constraints import increasing as increasing
    from physsynth.core.constraints import nonnegative as nonnegative
    from physsynth.core.constraints import residual as residual
    from physsynth.core.constraints import superposition as superposition
    from physsynth.core.ensemble import simulate as simulate
    from physsynth.core.equation import Equation as Equation
    from physsynth.core.errors import PhyssynthError as PhyssynthError
    from physsynth.core.failures import Keep as Keep
    from physsynth.core.failures import Retry as Retry
    from physsynth.core.failures import Stop as Stop
    from physsynth.core.integrators import rk4 as rk4
    from physsynth.core.limits import LimitState as LimitState
    from physsynth.core.registry import find as find
    from physsynth.core.registry import names as names
    from physsynth.core.simulator import Coordinate as Coordinate
    from physsynth.core.simulator import Option as Option
    from physsynth.core.simulator import Output as Output
    from physsynth.core.simulator import Simulator as Simulator
    from physsynth.core.simulator import define_simulator as define_simulator
    from physsynth.core.space import Parameter as Parameter
    from physsynth.core.space import ParameterSpace as ParameterSpace

_HOME = {
    "external": "black_box",
    "Constraint": "constraints",
    "bounded": "constraints",
    "increasing": "constraints",
    "nonnegative": "constraints",
    "residual": "constraints",
    "superposition": "constraints",
    "simulate": "ensemble",
    "Equation": "equation",
    "PhyssynthError": "errors",
    "Keep": "failures",
    "Retry": "failures",
    "Stop": "failures",
    "rk4": "integrators",
    "LimitState": "limits",
    "find": "registry",
    "names": "registry",
    "Coordinate": "simulator",
    "Option": "simulator",
    "Output": "simulator",
    "Simulator": "simulator",
    "define_simulator": "simulator",
    "Parameter": "space",
    "ParameterSpace": "space",
}
__all__ = [
    "Constraint",
    "Coordinate",
    "Equation",
    "Keep",
    "LimitState",
    "Option",
    "Output",
    "Parameter",
    "ParameterSpace",
    "PhyssynthError",
    "Retry",
    "Simulator",
    "Stop",
    "bounded",
    "define_simulator",
    "external",
    "find",
    "increasing",
    "names",
    "nonnegative",
    "residual",
    "rk4",
    "simulate",
    "superposition",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"physsynth.core.{_HOME[name]}"), name)


def __dir__():
    return __all__

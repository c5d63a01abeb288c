"""Rare events: failure probabilities, failure modes, and weighted scenarios of what goes wrong."""

from physsynth.rare.causes import Causes, causes
from physsynth.rare.differential import differential
from physsynth.rare.estimation import METHODS, estimate
from physsynth.rare.event import Event
from physsynth.rare.outcome import Estimate, Method
from physsynth.rare.posterior import OverDraws, over_draws

__all__ = [
    "METHODS",
    "Causes",
    "Estimate",
    "Event",
    "Method",
    "OverDraws",
    "causes",
    "differential",
    "estimate",
    "over_draws",
]

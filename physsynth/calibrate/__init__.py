"""Bayesian calibration of simulators on real measurements."""

from physsynth.calibrate.calibration import Calibration
from physsynth.calibrate.fit import NoUTurn, fit
from physsynth.calibrate.information import member_information
from physsynth.calibrate.model import SimulatorModel, model
from physsynth.calibrate.priors import Members, Noise, Population

__all__ = [
    "Calibration",
    "Members",
    "NoUTurn",
    "Noise",
    "Population",
    "SimulatorModel",
    "fit",
    "member_information",
    "model",
]

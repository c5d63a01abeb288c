"""Evaluation of synthetic data: does it look like the real data, and does it obey the laws?"""

from physsynth.evaluate.fidelity import Fidelity, fidelity
from physsynth.evaluate.plausibility import Plausibility, plausibility
from physsynth.evaluate.residuals import Residuals, residuals

__all__ = ["Fidelity", "Plausibility", "Residuals", "fidelity", "plausibility", "residuals"]

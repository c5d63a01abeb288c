"""Evaluation of synthetic data: does it look like the real data, and does it obey the laws?"""

from physsynth.evaluate.fidelity import Fidelity, fidelity
from physsynth.evaluate.plausibility import Plausibility, plausibility

__all__ = ["Fidelity", "Plausibility", "fidelity", "plausibility"]

"""How much real data is still needed: one function a question, each answered by a `Requirement`."""

from physsynth.core.checks import Check as Check
from physsynth.require.allocate import Batch as Batch
from physsynth.require.allocate import Greedy as Greedy
from physsynth.require.allocate import Uniform as Uniform
from physsynth.require.belief import PartialBelief as PartialBelief
from physsynth.require.belief import Prior as Prior
from physsynth.require.borrow import ControlVariate as ControlVariate
from physsynth.require.borrow import PowerPrior as PowerPrior
from physsynth.require.borrow import PredictionPowered as PredictionPowered
from physsynth.require.credit import Credit as Credit
from physsynth.require.demonstration import demonstration as demonstration
from physsynth.require.failures import Binomial as Binomial
from physsynth.require.failures import Poisson as Poisson
from physsynth.require.in_hand import InHand as InHand
from physsynth.require.learning_curve import learning_curve as learning_curve
from physsynth.require.monitor import monitor as monitor
from physsynth.require.noise import Bernoulli as Bernoulli
from physsynth.require.noise import Gaussian as Gaussian
from physsynth.require.population import Wording as Wording
from physsynth.require.population import population as population
from physsynth.require.precision import precision as precision
from physsynth.require.rates import comparison as comparison
from physsynth.require.rates import estimation as estimation
from physsynth.require.regime import Axis as Axis
from physsynth.require.regime import Regime as Regime
from physsynth.require.regime import placed as placed
from physsynth.require.requirement import Question as Question
from physsynth.require.requirement import Requirement as Requirement
from physsynth.require.reveal import reveal_by_counting as reveal_by_counting
from physsynth.require.reveal import reveal_failures as reveal_failures
from physsynth.require.statement import Round as Round
from physsynth.require.trained import Trained as Trained
from physsynth.require.worth import Estimate as Estimate
from physsynth.require.worth import worth as worth

__all__ = [
    "Axis",
    "Batch",
    "Bernoulli",
    "Binomial",
    "Check",
    "ControlVariate",
    "Credit",
    "Estimate",
    "Gaussian",
    "Greedy",
    "InHand",
    "PartialBelief",
    "Poisson",
    "PowerPrior",
    "PredictionPowered",
    "Prior",
    "Question",
    "Regime",
    "Requirement",
    "Round",
    "Trained",
    "Uniform",
    "Wording",
    "comparison",
    "demonstration",
    "estimation",
    "learning_curve",
    "monitor",
    "placed",
    "population",
    "precision",
    "reveal_by_counting",
    "reveal_failures",
    "worth",
]

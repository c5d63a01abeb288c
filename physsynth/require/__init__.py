"""How much real data is still needed: one function a question, each answered by a `Requirement`."""

from physsynth.core.checks import Check as Check
from physsynth.require.allocate import Greedy as Greedy
from physsynth.require.allocate import Uniform as Uniform
from physsynth.require.belief import PartialBelief as PartialBelief
from physsynth.require.belief import Prior as Prior
from physsynth.require.demonstration import demonstration as demonstration
from physsynth.require.failures import Binomial as Binomial
from physsynth.require.failures import Poisson as Poisson
from physsynth.require.monitor import monitor as monitor
from physsynth.require.noise import Bernoulli as Bernoulli
from physsynth.require.noise import Gaussian as Gaussian
from physsynth.require.population import Wording as Wording
from physsynth.require.population import population as population
from physsynth.require.precision import precision as precision
from physsynth.require.requirement import Question as Question
from physsynth.require.requirement import Requirement as Requirement

__all__ = [
    "Bernoulli",
    "Binomial",
    "Check",
    "Gaussian",
    "Greedy",
    "PartialBelief",
    "Poisson",
    "Prior",
    "Question",
    "Requirement",
    "Uniform",
    "Wording",
    "demonstration",
    "monitor",
    "population",
    "precision",
]

"""Physics-informed networks: an equation written once, solved by a small network whose error is known."""

from physsynth.pinn.budget import Budget
from physsynth.pinn.conditions import (
    Boundary,
    Data,
    Dirichlet,
    Inequality,
    Initial,
    Integral,
    Neumann,
    Periodic,
    Robin,
    Symmetry,
)
from physsynth.pinn.domain import Domain
from physsynth.pinn.marching import March
from physsynth.pinn.networks import MLP, Fourier, ModifiedMLP, Separable
from physsynth.pinn.optimisers import Adam, Broyden, GaussNewton, Soap
from physsynth.pinn.problem import Problem
from physsynth.pinn.sampling import Sampling
from physsynth.pinn.solution import Solution
from physsynth.pinn.solve import solve
from physsynth.pinn.surrogate import Surrogate, emulate, emulated, load_emulator, problem_of, surrogate
from physsynth.pinn.training import Stage

__all__ = [
    "MLP",
    "Adam",
    "Boundary",
    "Broyden",
    "Budget",
    "Data",
    "Dirichlet",
    "Domain",
    "Fourier",
    "GaussNewton",
    "Inequality",
    "Initial",
    "Integral",
    "March",
    "ModifiedMLP",
    "Neumann",
    "Periodic",
    "Problem",
    "Robin",
    "Sampling",
    "Separable",
    "Soap",
    "Solution",
    "Stage",
    "Surrogate",
    "Symmetry",
    "emulate",
    "emulated",
    "load_emulator",
    "problem_of",
    "solve",
    "surrogate",
]

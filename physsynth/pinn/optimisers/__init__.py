"""What trains a network: first-order transformations, quasi-Newton and Gauss-Newton."""

from physsynth.pinn.optimisers.broyden import Broyden
from physsynth.pinn.optimisers.first_order import Adam, FirstOrder, Soap
from physsynth.pinn.optimisers.gauss_newton import GaussNewton
from physsynth.pinn.optimisers.optimiser import Optimiser

__all__ = ["Adam", "Broyden", "FirstOrder", "GaussNewton", "Optimiser", "Soap"]

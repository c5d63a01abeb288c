"""Reference solutions of the equations that physics-informed networks are measured on, with certificates.

Every solution is computed here, twice: by two methods or at two resolutions that share no error. The
certificate is the relative L2 difference of the two over the points. `python pinn_references.py` prints
the table.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy import fft
from pinn_steady import driven_cavity, poisson_l_shape
from spectral import closed, etdrk4, ifrk4, resample, wavenumbers

Fields = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Reference:
    """A solution at points of its domain.

    Parameters
    ----------
    points : mapping of str to array (point,)
        Each coordinate.
    values : mapping of str to array (point,)
        Each field.
    certificate : float
        Relative L2 difference from an independent second solution; 0 where the solution is known.
    """

    points: Fields
    values: Fields
    certificate: float


@cache
def reference(name: str) -> Reference:
    """Return the reference solution of a problem.

    Raises
    ------
    KeyError
        If there is no problem of that name.
    """
    points, values, others = PROBLEMS[name]()
    values, others = ({field: np.ravel(v) for field, v in fields.items()} for fields in (values, others))
    return Reference(points, values, max(relative_l2(others[field], values[field]) for field in values))


def grid(**axes: np.ndarray) -> dict[str, np.ndarray]:
    """Return the points of a tensor grid, the last coordinate running fastest."""
    return dict(zip(axes, map(np.ravel, np.meshgrid(*axes.values(), indexing="ij")), strict=True))


def relative_l2(found, truth) -> float:
    """Return |found - truth| / |truth|."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def burgers(nu=0.01 / np.pi):
    """u_t + u u_x = ν u_xx on [-1, 1] x [0, 1], u = -sin(π x) at first, 0 at the ends.

    By the formula of Hopf and Cole; then by Fourier modes, which the odd start allows.
    """
    t, x = np.linspace(0, 1, 101), np.linspace(-1, 1, 513)
    exact = np.array([-np.sin(np.pi * x), *(_hopf_cole(x, time, nu) for time in t[1:])])
    return grid(t=t, x=x), {"u": exact}, {"u": _burgers_modes(t, 512, nu)}


def _hopf_cole(x, t, nu):
    """u = mean of η / t under the weight exp(-(η² / (2 t) + ∫_0^(x - η) u0) / (2 ν)).

    Source: Hopf (1950), Communications on Pure and Applied Mathematics 3, eq. 3. The trapezoidal rule
    is exact to rounding: the integrand is entire and its bells are no narrower than `bell`.
    """
    bell = np.sqrt(2 * nu * t / (1 + np.pi * t))
    reach = 1.2 * t + 12 * np.sqrt(2 * nu * t)
    eta = np.linspace(-reach, reach, int(np.ceil(6 * reach / bell)))
    action = eta**2 / (2 * t) + (np.cos(np.pi * (x[:, None] - eta)) - 1) / np.pi
    weight = np.exp(-(action - action.min(axis=1, keepdims=True)) / (2 * nu))
    return (weight @ eta) / weight.sum(axis=1) / t


def _burgers_modes(t, count, nu, size=4096, steps=40):
    k = wavenumbers(size, 2.0)
    kept = np.arange(len(k)) < size // 3
    grid = -1 + 2 * np.arange(size) / size

    def transport(v):
        return -0.5j * k * kept * fft.rfft(fft.irfft(v) ** 2)

    path = etdrk4(-nu * k**2, transport, fft.rfft(-np.sin(np.pi * grid)), t, steps)
    return closed(resample(path, count))


def allen_cahn(diffusion=1e-4):
    """u_t = d u_xx + 5 u - 5 u³ on [-1, 1] x [0, 1], periodic, u = x² cos(π x) at first.

    The start has a kink where the period closes, so its cosine coefficients are taken in closed form:
    those of its values at grid points would be wrong by the square of the spacing. By exponential
    Runge-Kutta steps; then by splitting into diffusion and reaction, each exact, extrapolated in the step.
    """
    t, x = np.linspace(0, 1, 101), np.linspace(-1, 1, 513)
    first = closed(_allen_cahn_exponential(t, 512, diffusion))
    other = closed(_allen_cahn_split(t, 512, diffusion))
    first[0] = other[0] = x**2 * np.cos(np.pi * x)
    return grid(t=t, x=x), {"u": first}, {"u": other}


def _cosine_coefficients(size):
    """Coefficients of x² cos(π x) in cos(k π x), k = 0 ... size/2, as a half spectrum about x = -1."""
    k = np.arange(size // 2 + 1)

    def moment(m):  # the integral of x² cos(m π x) over [-1, 1]
        return np.where(m == 0, 2 / 3, 4 * (-1.0) ** m / (np.where(m == 0, 1, m) * np.pi) ** 2)

    coefficients = (moment(k + 1) + moment(np.abs(k - 1))) / 2
    return (-1.0) ** k * coefficients * size / 2 * (1 + 0j)


def _allen_cahn_exponential(t, count, diffusion, size=8192, steps=10):
    k = wavenumbers(size, 2.0)

    def reaction(v):
        u = fft.irfft(v)
        return fft.rfft(5 * u - 5 * u**3)

    return resample(etdrk4(-diffusion * k**2, reaction, _cosine_coefficients(size), t, steps), count)


def _allen_cahn_split(t, count, diffusion, size=6144, steps=4):
    """Strang splitting with 1, 2, 4 times the steps, extrapolated twice: its error is even in the step."""
    one, two, four = (_strang(t, diffusion, size, steps * n) for n in (1, 2, 4))
    finer, fine = (4 * four - two) / 3, (4 * two - one) / 3
    return resample((16 * finer - fine) / 15, count)


def _strang(t, diffusion, size, steps):
    h = (t[1] - t[0]) / steps
    decay = np.exp(-diffusion * wavenumbers(size, 2.0) ** 2 * h / 2)
    growth = np.exp(-10 * h)
    path, v = [_cosine_coefficients(size)], _cosine_coefficients(size)
    for _ in range(len(t) - 1):
        for _ in range(steps):
            u = fft.irfft(decay * v)
            v = decay * fft.rfft(u / np.sqrt(u**2 + (1 - u**2) * growth))
        path.append(v)
    return np.array(path)


def kuramoto_sivashinsky():
    """u_t + 5 u u_x + u_xx / 2 + 0.005 u_xxxx = 0 on [-1, 1] x [0, 1], periodic, u = -sin(π x) at first."""
    return _both_ways(lambda k: 0.5 * k**2 - 0.005 * k**4, 5.0, lambda x: -np.sin(np.pi * x))


def korteweg_de_vries():
    """u_t + u u_x + 0.022² u_xxx = 0 on [-1, 1] x [0, 1], periodic, u = cos(π x) at first."""
    return _both_ways(lambda k: 0.022**2 * 1j * k**3, 1.0, lambda x: np.cos(np.pi * x))


def _both_ways(symbol, speed, start, count=256):
    """u_t + speed u u_x = L u by two integrators, at two resolutions in space and time."""
    t, x = np.linspace(0, 1, 101), np.linspace(-1, 1, count + 1)
    first = _periodic(etdrk4, symbol, speed, start, t, size=768, steps=160)
    other = _periodic(ifrk4, symbol, speed, start, t, size=512, steps=320)
    return grid(t=t, x=x), {"u": closed(resample(first, count))}, {"u": closed(resample(other, count))}


def _periodic(integrate, symbol, speed, start, t, size, steps):
    k, x = wavenumbers(size, 2.0), -1 + 2 * np.arange(size) / size
    kept = np.arange(len(k)) < size // 3

    def transport(v):
        return -0.5j * speed * k * kept * fft.rfft(fft.irfft(v) ** 2)

    return integrate(symbol(k) * kept, transport, fft.rfft(start(x)), t, steps)


def heat():
    """u_t = 0.4 u_xx on [0, 1] x [0, 1], u = sin(π x) at first, 0 at the ends."""
    p = grid(t=np.linspace(0, 1, 101), x=np.linspace(0, 1, 101))
    return _known(p, u=np.exp(-0.4 * np.pi**2 * p["t"]) * np.sin(np.pi * p["x"]))


def advection():
    """u_t + 50 u_x = 0 on [0, 2 π] x [0, 1], periodic, u = sin(x) at first."""
    p = grid(t=np.linspace(0, 1, 201), x=np.linspace(0, 2 * np.pi, 129))
    return _known(p, u=np.sin(p["x"] - 50 * p["t"]))


def wave():
    """u_tt = 4 u_xx on [0, 1] x [0, 1], u = sin(π x) + sin(4 π x) / 2 at first and at rest, 0 at the ends."""
    p = grid(t=np.linspace(0, 1, 101), x=np.linspace(0, 1, 101))
    modes = [(1.0, np.pi), (0.5, 4 * np.pi)]
    return _known(p, u=sum(a * np.sin(k * p["x"]) * np.cos(2 * k * p["t"]) for a, k in modes))


def helmholtz():
    """u_xx + u_yy + u = q on [-1, 1]², 0 on the boundary, q such that u = sin(π x) sin(4 π y)."""
    p = grid(x=np.linspace(-1, 1, 101), y=np.linspace(-1, 1, 101))
    return _known(p, u=np.sin(np.pi * p["x"]) * np.sin(4 * np.pi * p["y"]))


def l_shape():
    """u_xx + u_yy = -1 on [-1, 1]² without its upper right quarter, u = 0 on the boundary."""
    p = grid(x=np.linspace(-1, 1, 101), y=np.linspace(-1, 1, 101))
    inside = (p["x"] <= 0) | (p["y"] <= 0)
    p = {name: values[inside] for name, values in p.items()}
    fine, coarse = (poisson_l_shape(p["x"], p["y"], *size) for size in ((45, 36), (30, 24)))
    return p, {"u": fine}, {"u": coarse}


def cavity():
    """Navier-Stokes at Re = 100 under a lid of speed 1 - cosh(50 (x - 1/2)) / cosh(25)."""
    x = np.linspace(0, 1, 65)
    fine, coarse = (dict(zip("uv", driven_cavity(x, x, size), strict=True)) for size in (60, 52))
    return grid(x=x, y=x), fine, coarse


def kovasznay(reynolds=20.0):
    """Navier-Stokes behind a grid, on [-1/2, 1] x [-1/2, 3/2]; Kovasznay (1948)."""
    p = grid(x=np.linspace(-0.5, 1, 101), y=np.linspace(-0.5, 1.5, 101))
    rate = reynolds / 2 - np.sqrt(reynolds**2 / 4 + 4 * np.pi**2)
    decay, phase = np.exp(rate * p["x"]), 2 * np.pi * p["y"]
    u, v = 1 - decay * np.cos(phase), rate / (2 * np.pi) * decay * np.sin(phase)
    return _known(p, u=u, v=v, p=(1 - decay**2) / 2)


def _known(points, **values):
    return points, values, values


PROBLEMS: dict[str, Callable[[], tuple[Fields, Fields, Fields]]] = {
    "burgers": burgers,
    "allen_cahn": allen_cahn,
    "heat": heat,
    "advection": advection,
    "wave": wave,
    "helmholtz": helmholtz,
    "l_shape": l_shape,
    "kuramoto_sivashinsky": kuramoto_sivashinsky,
    "korteweg_de_vries": korteweg_de_vries,
    "cavity": cavity,
    "kovasznay": kovasznay,
}

if __name__ == "__main__":
    print(f"{'problem':<22}{'points':>8}{'certificate':>14}{'CPU s':>8}")
    for name in PROBLEMS:
        began = time.process_time()
        found = reference(name)
        size = len(next(iter(found.points.values())))
        print(f"{name:<22}{size:>8}{found.certificate:>14.1e}{time.process_time() - began:>8.1f}")

"""Spectral tools for the reference solutions of pinn_references.py."""

import numpy as np
from numpy import fft


def etdrk4(linear, nonlinear, start, times, steps):
    """Integrate v' = L v + N(v), L diagonal, by exponential Runge-Kutta steps of fourth order.

    Source: Cox and Matthews (2002), Journal of Computational Physics 176, eqs. 26 to 29, the coefficients
    as means over a circle about each L h after Kassam and Trefethen (2005), SIAM Journal on Scientific
    Computing 26.

    Parameters
    ----------
    linear : array (mode,)
    nonlinear : callable
        From v (mode,) to N(v).
    start : array (mode,)
    times : array (time,)
        Equally spaced; ``start`` holds at the first.
    steps : int
        Steps between two times.

    Returns
    -------
    array (time, mode)
    """
    h = (times[1] - times[0]) / steps
    once, half, q, f1, f2, f3 = _coefficients(h * linear)
    path, v = [start], start
    for _ in range(len(times) - 1):
        for _ in range(steps):
            nv = nonlinear(v)
            a = half * v + h * q * nv
            na = nonlinear(a)
            nb = nonlinear(half * v + h * q * na)
            nc = nonlinear(half * a + h * q * (2 * nb - nv))
            v = once * v + h * (f1 * nv + 2 * f2 * (na + nb) + f3 * nc)
        path.append(v)
    return np.array(path)


def _coefficients(z, points=32):
    """The functions of L h that weigh the stages, free of cancellation near 0."""
    r = z[:, None] + np.exp(2j * np.pi * (np.arange(points) + 0.5) / points)
    q = (np.exp(r / 2) - 1) / r
    f1 = (-4 - r + np.exp(r) * (4 - 3 * r + r**2)) / r**3
    f2 = (2 + r + np.exp(r) * (r - 2)) / r**3
    f3 = (-4 - 3 * r - r**2 + np.exp(r) * (4 - r)) / r**3
    means = [f.mean(axis=1) for f in (q, f1, f2, f3)]
    return np.exp(z), np.exp(z / 2), *(means if np.iscomplexobj(z) else [f.real for f in means])


def ifrk4(linear, nonlinear, start, times, steps):
    """Integrate the same by Runge and Kutta's fourth order, with exp(L t) as an integrating factor."""
    h = (times[1] - times[0]) / steps
    half = np.exp(linear * h / 2)
    path, v = [start], start
    for _ in range(len(times) - 1):
        for _ in range(steps):
            a = nonlinear(v)
            b = nonlinear(half * (v + h / 2 * a))
            c = nonlinear(half * v + h / 2 * b)
            d = nonlinear(half * (half * v + h * c))
            v = half * (half * (v + h / 6 * a) + h / 3 * (b + c)) + h / 6 * d
        path.append(v)
    return np.array(path)


def wavenumbers(count, length):
    """Return the wavenumbers of a real field at `count` points of one period."""
    return 2 * np.pi / length * np.arange(count // 2 + 1)


def resample(spectrum, count):
    """Return real periodic fields at `count` equally spaced points, from half spectra (..., mode)."""
    points = 2 * (spectrum.shape[-1] - 1)
    assert points % count == 0, "the points wanted must be some of those there are"
    return fft.irfft(spectrum, points, axis=-1)[..., :: points // count]


def closed(values):
    """Repeat the first value of each period at its end."""
    return np.concatenate([values, values[..., :1]], axis=-1)

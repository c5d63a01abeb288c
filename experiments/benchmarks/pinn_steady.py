"""Reference solutions of steady problems in two dimensions: Poisson on an L-shape, and a driven cavity."""

from itertools import pairwise

import numpy as np

CONVEX = (-1 + 1j, -1 - 1j, 1 - 1j, 1 + 0j, 0 + 1j)
INWARD = (1 - 1j, 1 + 1j, -1 + 1j, -1 - 1j, -1 - 1j)


def poisson_l_shape(x, y, singular, regular, samples=200):
    """u_xx + u_yy = -1 on the square [-1, 1]² without its upper right quarter, u = 0 on the boundary.

    Particular solutions: harmonic functions with the singularities of the corners (r^(2k/3) at the
    re-entrant one, and z² log z, which a constant source brings to every corner), fitted on the boundary.
    By the maximum principle the error is nowhere larger than on the boundary.

    Source: Fox, Henrici and Moler (1967), SIAM Journal on Numerical Analysis 4; Betcke and Trefethen
    (2005), SIAM Review 47.

    Parameters
    ----------
    x, y : array (point,)
    singular, regular : int
        Fractional powers at the re-entrant corner, and degree of the polynomials.

    Returns
    -------
    array (point,)
    """
    corners = np.array([0, 1j, -1 + 1j, -1 - 1j, 1 - 1j, 1, 0])
    s = (1 - np.cos(np.pi * (np.arange(samples) + 0.5) / samples)) / 2
    boundary = np.concatenate([a + (b - a) * s for a, b in pairwise(corners)])
    basis = _harmonics(boundary, singular, regular)
    scale = np.linalg.norm(basis, axis=0)
    fitted = np.linalg.lstsq(basis / scale, np.abs(boundary) ** 2 / 4, rcond=1e-15)[0] / scale
    z = x + 1j * y
    return _harmonics(z, singular, regular) @ fitted - np.abs(z) ** 2 / 4


def _harmonics(z, singular, regular):
    # The angle from the edge x = 0, y > 0 on, through the domain, is 0 to 3 pi / 2.
    angle = np.mod(np.angle(z * -1j) + 1e-12, 2 * np.pi) - 1e-12
    powers = 2 / 3 * np.array([k for k in range(1, singular + 1) if k % 3])
    fractional = (np.abs(z)[:, None] / np.sqrt(2)) ** powers * np.sin(angle[:, None] * powers)
    polynomial = (z[:, None] / np.sqrt(2)) ** np.arange(regular + 1)
    logarithms = [_z2_log(z, corner, inward) for corner, inward in zip(CONVEX, INWARD, strict=True)]
    logarithms.append(_z2_log(z, 0, -1 - 1j))
    complex_parts = np.column_stack([polynomial, *logarithms])
    return np.column_stack([fractional, np.real(complex_parts), np.imag(complex_parts)[:, 1:]])


def _z2_log(z, corner, inward):
    """z² log z about a corner, its cut along the outward diagonal."""
    local = (z - corner) * np.conj(inward) / np.abs(inward)
    safe = np.where(local == 0, 1.0, local)
    return np.where(local == 0, 0.0, local**2 * np.log(safe))


def driven_cavity(x, y, size, reynolds=100.0, steepness=50.0):
    """Steady flow in the unit square under a lid that moves with 1 - cosh(s (x - 1/2)) / cosh(s / 2).

    The lid's speed falls to 0 at its ends within 1/s, so that velocity is continuous. Chebyshev
    collocation of the stream function: psi_y (Δ psi)_x - psi_x (Δ psi)_y = Δ² psi / Re, by Newton's
    method from rest.

    Parameters
    ----------
    x, y : array (nx,), (ny,)
    size : int
        Degree of the polynomials.

    Returns
    -------
    u, v : array (nx, ny)
    """
    nodes = (1 - np.cos(np.pi * np.arange(size + 1) / size)) / 2
    lid = 1 - np.cosh(steepness * (nodes - 0.5)) / np.cosh(steepness / 2)
    first = _differentiation(nodes)
    stream = np.zeros((size + 1, size + 1))
    stream[1:-1, 1:-1] = _newton(first, lid, reynolds).reshape(size - 1, size - 1)
    to_x, to_y = (_interpolation(nodes, points) for points in (x, y))
    u, v = to_x @ stream @ (to_y @ first).T, -(to_x @ first) @ stream @ to_y.T
    # On the walls the velocity is known; the polynomials meet it at their own nodes only.
    walls = (x[:, None] == 0) | (x[:, None] == 1) | (y == 0) | (y == 1)
    moving = (y == 1) * (1 - np.cosh(steepness * (x[:, None] - 0.5)) / np.cosh(steepness / 2))
    return np.where(walls, moving, u), np.where(walls, 0.0, v)


def _newton(first, lid, reynolds, most=12):
    """Return the stream function at the inner nodes."""
    powers = [np.linalg.matrix_power(first, k)[2:-2, 1:-1] for k in range(5)]

    def operator(i, j):
        return np.kron(powers[i], powers[j])

    biharmonic = (operator(4, 0) + 2 * operator(2, 2) + operator(0, 4)) / reynolds
    along, across = operator(1, 0), operator(0, 1)
    lap_along, lap_across = operator(3, 0) + operator(1, 2), operator(2, 1) + operator(0, 3)
    walls, wanted = _walls(first, lid)
    psi = np.zeros(along.shape[1])
    for _ in range(most):
        px, py, lx, ly = (a @ psi for a in (along, across, lap_along, lap_across))
        residual = np.concatenate([biharmonic @ psi - py * lx + px * ly, walls @ psi - wanted])
        slope = biharmonic - py[:, None] * lap_along - lx[:, None] * across
        slope += px[:, None] * lap_across + ly[:, None] * along
        step = np.linalg.solve(np.vstack([slope, walls]), residual)
        psi = psi - step
        if np.abs(step).max() < 1e-11:
            break
    return psi


def _walls(first, lid):
    """Conditions on the slope of psi at the walls, and their right-hand sides."""
    inner = np.eye(len(lid))[1:-1, 1:-1]
    ends = first[[0, -1], 1:-1]
    # Next to the corners only the floor and the lid are held: the sides have one condition less at each end.
    sides, floor_and_lid = np.kron(ends, inner[1:-1]), np.kron(inner, ends)
    wanted = np.zeros((len(lid) - 2, 2))
    wanted[:, 1] = lid[1:-1]
    return np.vstack([sides, floor_and_lid]), np.concatenate([np.zeros(len(sides)), wanted.ravel()])


def _weights(count):
    weights = (-1.0) ** np.arange(count)
    weights[[0, -1]] /= 2
    return weights


def _differentiation(nodes):
    """Differentiation matrix at Chebyshev-Lobatto points (Trefethen 2000, program 6)."""
    weights = _weights(len(nodes))
    gaps = nodes[:, None] - nodes + np.eye(len(nodes))
    matrix = weights / weights[:, None] / gaps
    return matrix - np.diag(matrix.sum(axis=1))


def _interpolation(nodes, points):
    """Barycentric interpolation from Chebyshev-Lobatto points (Berrut and Trefethen 2004, eq. 4.2)."""
    gaps = points[:, None] - nodes
    hit = np.abs(gaps) < 1e-14
    terms = np.where(hit.any(axis=1, keepdims=True), hit, _weights(len(nodes)) / np.where(hit, 1.0, gaps))
    return terms / terms.sum(axis=1, keepdims=True)

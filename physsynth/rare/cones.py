"""Cones that failure fills behind corners, where several boundaries meet, as where components all must fail.

Points around a design point are tried. The safest of those behind all tangents known so far gives the next
tangent, until all fail. Then the place nearest to the origin behind the tangents fails too, or points are
tried farther towards it. A smooth design point lies behind one tangent, a corner behind several: the standard
normal in the cone behind these is nearly the density of scenarios given failure, where the space behind one
plane across the corner is mostly safe.

Source: Kelley (1960), Journal of the SIAM 8 (cutting planes); Hohenbichler and Rackwitz (1983), Structural
Safety 1 (parallel systems by the multivariate normal of their tangent planes).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from physsynth.rare.components import Cone
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.planes import Planes, planes_through

# How far behind the boundary a corner is taken; how far around it tangents are taken, so that slopes and
# differences see one boundary and not where two meet; how many points are tried there, and drawn to be so.
BEYOND, AROUND, TRIED, DRAWN = 1.01, 0.5, 8, 2048
# Most planes of a cone, how far from a plane of others each is, and the share of points in it that must fail.
MOST, INDEPENDENT, FAILING = 8, 0.1, 0.6
# Most rounds of cuts and moves inwards, and halvings of such a move.
ROUNDS, HALVINGS = 12, 4
# How near to the nearest point of a cone another one shows the same cone.
SAME = 0.2


def with_cones(
    evaluator: Evaluator, planes: Planes, rng: np.random.Generator, most: int
) -> tuple[Planes, tuple[Cone, ...]]:
    """Return the cones at those of the nearest planes that go through corners, and the planes facing these.

    Where no plane is a tangent the corner may be one that no search reached: one is looked for from the
    origin. Costs about ten calls and a slope for each plane that is no tangent, and for each plane of a cone.
    """
    across = planes.part(~planes.tangent)
    points = BEYOND * across.points[np.argsort(across.bound, kind="stable")[:most]]
    dear = ROUNDS * (1 + len(points)) * (evaluator.slope_cost + TRIED)
    if not evaluator.continuous.all() or evaluator.remaining < dear:
        return planes, ()
    if not planes.tangent.any():
        points = np.concatenate([_outwards(evaluator, rng), points])
    cones: list[Cone] = []
    for point in points:
        cone = None if _known(point, cones) else _cone(evaluator, point, rng)
        cones += [] if cone is None or _known(cone.nearest, cones) else [cone]
    nearest = np.array([cone.nearest for cone in cones]).reshape(-1, evaluator.dimension)
    return planes.joined(planes_through(nearest)), tuple(cones)


def _known(point, cones):
    return any(np.linalg.norm(cone.nearest - point) < SAME for cone in cones)


def _outwards(evaluator, rng) -> Float[np.ndarray, "k d"]:
    """Return the failing point that cutting planes lead to from the middle; none where they do not."""
    place = AROUND * rng.standard_normal((1, evaluator.dimension))
    cone = Cone(place[:0], np.empty(0))
    for _ in range(MOST):
        cone = _cut(evaluator, cone, place[0])
        if cone is None:
            break
        place = cone.nearest[None]
        if evaluator.values(BEYOND * place)[0] <= 0:
            return BEYOND * place
    return place[:0]


def _cone(evaluator, point, rng) -> Cone | None:
    """Return the cone around a failing point; none where there is no corner, or tangents leave much safe."""
    cone = Cone(np.empty((0, len(point))), np.empty(0))
    for _ in range(ROUNDS):
        u = point + AROUND * rng.standard_normal((DRAWN, len(point)))
        u = u[(u @ cone.normals.T >= cone.bounds).all(axis=1)][:TRIED]
        if not len(u):
            return None
        g = evaluator.values(u)
        safest = int(np.argmax(np.where(np.isnan(g), -np.inf, g)))
        cut = _cut(evaluator, cone, u[safest]) if g[safest] > 0 else None
        if cut is not None:
            cone = cut
        elif not len(cone.bounds) or np.mean(g <= 0) < FAILING:
            return None
        elif evaluator.values(BEYOND * cone.nearest[None])[0] <= 0:
            return cone if len(cone.bounds) > 1 else None
        else:
            point = _inwards(evaluator, point, cone.nearest)
    return None


def _inwards(evaluator, fails, safe) -> Float[np.ndarray, " d"]:
    """Return the failing point near the boundary between a failing and a safe one."""
    for _ in range(HALVINGS):
        middle = 0.5 * (fails + safe)
        fails, safe = (middle, safe) if evaluator.values(middle[None])[0] <= 0 else (fails, middle)
    return fails


def _cut(evaluator, cone, u) -> Cone | None:
    """Return the cone cut by the tangent of g at a point; none where that tells nothing new."""
    (g,), (slope,) = evaluator.slopes(u[None])
    steep = float(np.linalg.norm(slope))
    if not np.isfinite(g) or not 0 < steep < np.inf or len(cone.bounds) == len(u):
        return None
    facing = -slope / steep
    normals = np.concatenate([cone.normals, facing[None]])
    apart = np.linalg.svd(normals, compute_uv=False)[-1] > INDEPENDENT
    return Cone(normals, np.append(cone.bounds, facing @ u + g / steep)) if apart else None

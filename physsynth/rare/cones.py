"""Cones that failure fills behind corners, where several boundaries meet, as where components all must fail.

The slope at a smooth design point is along the point itself. Where it is not, the point is a corner: cutting
planes, each taken at the place nearest to the origin behind those before, bound a cone around it. The
standard normal in that cone is nearly the density of scenarios given failure, where the space behind one
plane across the corner is mostly safe.

Source: Kelley (1960), Journal of the SIAM 8 (cutting planes); Hohenbichler and Rackwitz (1983), Structural
Safety 1 (parallel systems by the multivariate normal of their tangent planes).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from physsynth.rare.components import Cone, nearest_behind
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.planes import Planes, planes_through

# The cosine of slope and point, below which it is a corner; how much farther out it is taken, to fail.
SMOOTH, BEYOND = 0.97, 1.01
# Most cutting planes, how near to the boundary they must lead, and how far from a plane of others each is.
MOST, CLOSE, INDEPENDENT = 8, 0.05, 0.1
# How much farther out a cone's nearest point must fail.
DEEPER = 1.05
# Cones are one whose nearest points are nearer to each other than this.
ONE = 0.1


def with_cones(evaluator: Evaluator, planes: Planes, most: int) -> tuple[Planes, tuple[Cone, ...]]:
    """Return the cones at those of the nearest planes that go through corners, and the planes facing these.

    Where no plane is a tangent the corner may be one that no search reached: cutting planes begin at the
    origin too. Costs one slope for each plane that is no tangent, and one for each plane that bounds a cone.
    """
    across = planes.part(~planes.tangent)
    points = BEYOND * across.points[np.argsort(across.bound, kind="stable")[:most]]
    if not planes.tangent.any():
        points = np.concatenate([points, np.zeros((1, evaluator.dimension))])
    dear = MOST * len(points) * evaluator.slope_cost
    if not len(points) or not evaluator.continuous.all() or evaluator.remaining < dear:
        return planes, ()
    cones: list[Cone] = []
    for point, g, slope in zip(points, *evaluator.slopes(points), strict=True):
        cone = None if _smooth(point, slope) else _cone(evaluator, point, g, slope)
        if cone and all(np.linalg.norm(cone.nearest - other.nearest) > ONE for other in cones):
            cones.append(cone)
    nearest = np.array([cone.nearest for cone in cones]).reshape(-1, evaluator.dimension)
    return planes.joined(planes_through(nearest)), tuple(cones)


def _smooth(point, slope):
    """Return whether the slope at a point that is not the origin is along the point."""
    length = float(np.linalg.norm(point) * np.linalg.norm(slope))
    return length > 0 and -float(slope @ point) > SMOOTH * length


def _cone(evaluator, point, g, slope) -> Cone | None:
    """Return the cone that cutting planes from a point lead to; none where they do not end at a failure."""
    normal, bound, place = np.empty((0, len(point))), np.empty(0), point
    for _ in range(MOST):
        steep = float(np.linalg.norm(slope))
        if not np.isfinite(g) or not 0 < steep < np.inf:
            return None
        if len(bound) and abs(g) < CLOSE * steep:
            break
        facing = -slope / steep
        normal = np.concatenate([normal, facing[None]])
        bound = np.append(bound, facing @ place + g / steep)
        place = nearest_behind(normal, bound)
        g, slope = (row[0] for row in evaluator.slopes(place[None]))
    fails = bool(evaluator.values(DEEPER * place[None])[0] <= 0)
    return Cone(normal, bound) if fails and len(bound) > 1 and _apart(normal) else None


def _apart(normal: Float[np.ndarray, "m d"]) -> bool:
    return len(normal) <= normal.shape[1] and np.linalg.svd(normal, compute_uv=False)[-1] > INDEPENDENT

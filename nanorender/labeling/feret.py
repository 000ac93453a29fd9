"""Feret diameters of the outlines in the truth table, as parts of a kernel.

`measuring` computes Feret diameters in NumPy, as measuring must not load the compiler.
"""

import math

import numpy as np

from nanorender.jit import subroutine


@subroutine
def _turn(a, b, c):
    """Return twice the signed area of a triangle."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@subroutine
def convex_hull(points):
    """Return the convex hull of points sorted by row (Andrew, 1979, monotone chain)."""
    count = len(points)
    hull = np.empty((2 * count + 2, 2), np.int64)
    size = 0
    for side in range(2):
        start = size
        for j in range(count):
            # Visit left ends downwards, then right ends upwards
            point = points[j] if side == 0 else points[count - 1 - j]
            while size - start >= 2 and _turn(hull[size - 2], hull[size - 1], point) >= 0:
                size -= 1
            hull[size, 0], hull[size, 1] = point[0], point[1]
            size += 1
        size -= 1
    return hull[: max(size, min(count, 1))]


@subroutine
def feret_diameters(hull):
    """Return minimum and maximum Feret diameter of a convex polygon of points.

    Rotating calipers (Toussaint, 1983): the point farthest from an edge advances with the edge.
    """
    count = len(hull)
    if count < 3:
        return 0.0, math.sqrt(_squared(hull[0], hull[-1])) if count else 0.0
    longest, narrowest = 0.0, np.inf
    far = 1
    for i in range(count):
        a, b = hull[i], hull[(i + 1) % count]
        beyond = (far + 1) % count
        while abs(_turn(a, b, hull[beyond])) > abs(_turn(a, b, hull[far])):
            far, beyond = beyond, (beyond + 1) % count
        narrowest = min(narrowest, abs(_turn(a, b, hull[far])) / math.sqrt(_squared(a, b)))
        # If the opposite edge is parallel, its other end is as far: try both as partners.
        for c in (far, beyond):
            longest = max(longest, _squared(a, hull[c]), _squared(b, hull[c]))
    return narrowest, math.sqrt(longest)


@subroutine
def _squared(a, b):
    """Return the squared distance of two points."""
    return float((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)

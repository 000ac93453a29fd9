"""Footprints: what particles cover of the substrate, and how far two of them are from touching.

A compact particle covers the ellipse that the ellipsoid inscribed in its box projects to; a rod or
a wire covers a capsule.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.jit import subroutine

ELONGATED = 3.0  # aspect ratio from which a footprint is a capsule instead of an ellipse


class Footprints(NamedTuple):
    """What particles cover of the substrate, before they are placed.

    half_height_nm: (n) from the middle of the particle to its lowest point
    inverse: (n, 3) xx, xy, yy of the inverse of the matrix of the ellipse, 1 / nm2
    segment_nm: (n, 2) from the middle of the particle to the end of its capsule's axis; zero for
        compact particles
    radius_nm: (n) of the capsule; zero for compact particles
    reach_nm: (n) farthest point of the footprint from its middle
    """

    half_height_nm: Float[np.ndarray, "n"]
    inverse: Float[np.ndarray, "n 3"]
    segment_nm: Float[np.ndarray, "n 2"]
    radius_nm: Float[np.ndarray, "n"]
    reach_nm: Float[np.ndarray, "n"]


def footprints(
    size_nm: Float[np.ndarray, "n 3"], rotation: Float[np.ndarray, "n 3 3"]
) -> Footprints:
    """Return the Footprints of boxes of edges `size_nm`, turned by `rotation`.

    The ellipsoid inscribed in a box has the matrix Q = R diag(size² / 4) Rᵀ; the upper left block
    of Q is the matrix of the ellipse it projects to, and the root of Q_zz its half height.
    """
    spread = np.einsum("nij,nj,nkj->nik", rotation, size_nm**2 / 4, rotation)
    xx, xy, yy = spread[:, 0, 0], spread[:, 0, 1], spread[:, 1, 1]
    determinant = np.maximum(xx * yy - xy * xy, 1e-12)
    inverse = np.stack([yy / determinant, -xy / determinant, xx / determinant], axis=1)
    order = np.sort(size_nm, axis=1)
    long = order[:, 2] > ELONGATED * order[:, 1]
    radius = np.where(long, order[:, 1] / 2, 0.0)
    along = rotation[np.arange(len(size_nm)), :, np.argmax(size_nm, axis=1)]
    segment = along[:, :2] * np.where(long, order[:, 2] / 2 - radius, 0.0)[:, None]
    largest = (xx + yy) / 2 + np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    reach = np.where(long, np.hypot(*segment.T) + radius, np.sqrt(largest))
    return Footprints(np.sqrt(spread[:, 2, 2]), inverse, segment, radius, reach)


@subroutine
def _ellipse_radius(inverse, x, y):
    """Distance from the middle of an ellipse to its rim in the direction of (x, y)."""
    length = np.sqrt(x * x + y * y) + 1e-9
    form = inverse[0] * x * x + 2.0 * inverse[1] * x * y + inverse[2] * y * y
    return length / np.sqrt(form + 1e-18)


@subroutine
def _point_segment(px, py, ax, ay):
    """Distance of a point from the segment between -a and a."""
    squared = ax * ax + ay * ay
    along = 0.0 if squared == 0.0 else min(1.0, max(-1.0, (px * ax + py * ay) / squared))
    return np.sqrt((px - along * ax) ** 2 + (py - along * ay) ** 2)


@subroutine
def closeness(i, j, x, y, inverse, segment, radius):
    """Distance of two footprints, `j` at (x, y) from `i`, relative to where they touch."""
    if radius[i] == 0.0 and radius[j] == 0.0:
        touch = _ellipse_radius(inverse[i], x, y) + _ellipse_radius(inverse[j], x, y)
        return np.sqrt(x * x + y * y) / touch
    ax, ay, bx, by = segment[i, 0], segment[i, 1], segment[j, 0], segment[j, 1]
    cross = ax * by - ay * bx
    apart = min(
        _point_segment(x + bx, y + by, ax, ay),
        _point_segment(x - bx, y - by, ax, ay),
        _point_segment(ax - x, ay - y, bx, by),
        _point_segment(-ax - x, -ay - y, bx, by),
    )
    if cross != 0.0:
        on_i, on_j = (x * by - y * bx) / cross, (x * ay - y * ax) / cross
        if abs(on_i) <= 1.0 and abs(on_j) <= 1.0:
            apart = 0.0
    touch_i = radius[i] if radius[i] > 0.0 else _ellipse_radius(inverse[i], x, y)
    touch_j = radius[j] if radius[j] > 0.0 else _ellipse_radius(inverse[j], x, y)
    return apart / (touch_i + touch_j)

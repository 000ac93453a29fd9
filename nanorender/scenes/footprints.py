"""Footprints: outlines of particles on the substrate, and the distance of two of them.

The footprint of a compact particle is the ellipse that the ellipsoid inscribed in its box projects
to; the footprint of a rod or a wire is a capsule.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.jit import subroutine

_CAPSULE_ASPECT = 3.0  # aspect ratio from which a footprint is a capsule instead of an ellipse


class Bodies(NamedTuple):
    """Sizes and rotations of particles that have no position yet.

    Attributes
    ----------
    size_nm : (n, 3) edge lengths of the bounding boxes, along the axes of the particles
    rotation : (n, 3, 3) rotations from the axes of the particles to those of the scene
    """

    size_nm: Float[np.ndarray, "n 3"]
    rotation: Float[np.ndarray, "n 3 3"]


class Footprints(NamedTuple):
    """Footprints of particles that have no position yet.

    Attributes
    ----------
    half_height_nm : (n,) height of the center of a particle above its lowest point
    inverse : (n, 3) xx, xy, yy of the inverse of the matrix of the ellipse, 1 / nm2
    segment_nm : (n, 2) from the center of a capsule to the end of its axis; 0 for ellipses
    radius_nm : (n,) radius of a capsule; 0 for ellipses
    reach_nm : (n,) distance of the farthest point of the footprint from its center
    """

    half_height_nm: Float[np.ndarray, "n"]
    inverse: Float[np.ndarray, "n 3"]
    segment_nm: Float[np.ndarray, "n 2"]
    radius_nm: Float[np.ndarray, "n"]
    reach_nm: Float[np.ndarray, "n"]


def footprints(bodies: Bodies) -> Footprints:
    """Compute the footprints of particles.

    The ellipsoid inscribed in a box has the matrix Q = R diag(size² / 4) Rᵀ; the upper left block
    of Q is the matrix of the ellipse it projects to, and the root of Q_zz its half height.

    Parameters
    ----------
    bodies : sizes and rotations of the particles

    Returns
    -------
    footprints : footprint of each particle

    Examples
    --------
    >>> flat = footprints(Bodies(np.array([[200.0, 100.0, 60.0]]), np.eye(3)[None]))
    >>> flat.half_height_nm.tolist(), flat.reach_nm.tolist()
    ([30.0], [100.0])
    """
    size_nm, rotation = bodies
    spread = np.einsum("nij,nj,nkj->nik", rotation, size_nm**2 / 4, rotation)
    xx, xy, yy = spread[:, 0, 0], spread[:, 0, 1], spread[:, 1, 1]
    determinant = np.maximum(xx * yy - xy * xy, 1e-12)
    inverse = np.stack([yy / determinant, -xy / determinant, xx / determinant], axis=1)
    order = np.sort(size_nm, axis=1)
    long = order[:, 2] > _CAPSULE_ASPECT * order[:, 1]
    radius = np.where(long, order[:, 1] / 2, 0.0)
    along = rotation[np.arange(len(size_nm)), :, np.argmax(size_nm, axis=1)]
    segment = along[:, :2] * np.where(long, order[:, 2] / 2 - radius, 0.0)[:, None]
    largest = (xx + yy) / 2 + np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    reach = np.where(long, np.hypot(*segment.T) + radius, np.sqrt(largest))
    return Footprints(np.sqrt(spread[:, 2, 2]), inverse, segment, radius, reach)


@subroutine
def _ellipse_radius(inverse, x, y):
    """Return the radius of an ellipse in the direction of (x, y)."""
    length = np.sqrt(x * x + y * y) + 1e-9
    form = inverse[0] * x * x + 2.0 * inverse[1] * x * y + inverse[2] * y * y
    return length / np.sqrt(form + 1e-18)


@subroutine
def _point_segment(px, py, ax, ay):
    """Return the distance of a point from the segment between -a and a."""
    squared = ax * ax + ay * ay
    along = 0.0 if squared == 0.0 else min(1.0, max(-1.0, (px * ax + py * ay) / squared))
    return np.sqrt((px - along * ax) ** 2 + (py - along * ay) ** 2)


@subroutine
def closeness(footprints, i, j, x, y):
    """Return the distance of two footprints, `j` at (x, y) from `i`, relative to contact."""
    radius, inverse, segment = footprints.radius_nm, footprints.inverse, footprints.segment_nm
    if radius[i] == 0.0 and radius[j] == 0.0:
        touch = _ellipse_radius(inverse[i], x, y) + _ellipse_radius(inverse[j], x, y)
        return np.sqrt(x * x + y * y) / touch
    # Find the distance between the axes of the capsules
    ax, ay, bx, by = segment[i, 0], segment[i, 1], segment[j, 0], segment[j, 1]
    cross = ax * by - ay * bx
    distance = min(
        _point_segment(x + bx, y + by, ax, ay),
        _point_segment(x - bx, y - by, ax, ay),
        _point_segment(ax - x, ay - y, bx, by),
        _point_segment(-ax - x, -ay - y, bx, by),
    )
    if cross != 0.0:
        on_i, on_j = (x * by - y * bx) / cross, (x * ay - y * ax) / cross
        if abs(on_i) <= 1.0 and abs(on_j) <= 1.0:
            distance = 0.0
    # Relate it to the radii
    touch_i = radius[i] if radius[i] > 0.0 else _ellipse_radius(inverse[i], x, y)
    touch_j = radius[j] if radius[j] > 0.0 else _ellipse_radius(inverse[j], x, y)
    return distance / (touch_i + touch_j)

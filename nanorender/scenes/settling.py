"""Settling: particles lowered one by one onto the substrate or onto the particles below."""

import numpy as np
from jaxtyping import Float, Int

from nanorender.jit import kernel, subroutine
from nanorender.scenes.footprints import Footprints, closeness
from nanorender.scenes.neighbors import empty_grid, find_neighbors, insert


@subroutine
def _lift(footprints, i, j, dx, dy, touch):
    """Return the height of i above j, at (dx, dy) from i, in contact; -1 if it lies beside j.

    touch: distance of two particles in contact, relative to the distance at which they just touch

    Two ellipsoids whose footprints are t times as far apart as when they touch side by side touch
    when their centers differ in height by sqrt(1 - t^2) of the sum of their half heights.
    """
    distance = closeness(footprints, i, j, dx, dy) / touch
    if distance >= 1.0:
        return -1.0
    half_height = footprints.half_height_nm
    return np.sqrt(1.0 - distance * distance) * touch * (half_height[i] + half_height[j])


@kernel
def _settle(xy, overlap, footprints, grid):
    """Return the heights at which particles rest.

    Compact particles rest on the highest contact. Wires bend: one that crosses others lies in the
    lowest gap between them, not above the longest chain of crossings.
    """
    z = footprints.half_height_nm.copy()
    radius = footprints.radius_nm
    below, above = np.empty(z.size), np.empty(z.size)
    found = np.empty(z.size, np.int64)
    for i in range(z.size):
        # Rest on compact particles and collect the intervals that crossing wires occupy
        contacts = 0
        for k in range(find_neighbors(grid, footprints.reach_nm, i, xy[i, 0], xy[i, 1], xy, found)):
            j = found[k]
            dx, dy = xy[j, 0] - xy[i, 0], xy[j, 1] - xy[i, 1]
            lift = _lift(footprints, i, j, dx, dy, 1.0 - overlap[i])
            if lift >= 0.0 and radius[i] > 0.0 and radius[j] > 0.0:
                below[contacts], above[contacts] = z[j] - lift, z[j] + lift
                contacts += 1
            elif lift >= 0.0:
                z[i] = max(z[i], z[j] + lift)
        # Rise to the lowest gap between the wires
        moved = contacts > 0
        while moved:
            moved = False
            for k in range(contacts):
                if below[k] < z[i] < above[k]:
                    z[i] = above[k]
                    moved = True
        insert(grid, i, xy[i, 0], xy[i, 1])
    return z


def settle(
    xy: Float[np.ndarray, "n 2"], overlap: Float[np.ndarray, "n"], footprints: Footprints
) -> Float[np.ndarray, "n"]:
    """Lower particles one by one, in their order.

    Parameters
    ----------
    xy : (n, 2) x and y of the centers, nm
    overlap : (n,) depth of contact, relative to the distance at which two particles just touch
    footprints : footprints of the particles

    Returns
    -------
    z : (n,) heights of the centers, nm
    """
    return _settle(xy, overlap, footprints, empty_grid(footprints.reach_nm))


@kernel
def _settle_rigid(center, edges, overlap, footprints, grid):
    """Return the heights of the particles of rigid agglomerates that settle one by one."""
    z = center[:, 2].copy()
    reach = footprints.reach_nm
    found = np.empty(z.size, np.int64)
    for group in range(edges.size - 1):
        start, stop = edges[group], edges[group + 1]
        # Find the height at which the first contact occurs
        raised = -np.inf
        for i in range(start, stop):
            raised = max(raised, footprints.half_height_nm[i] - center[i, 2])
            x, y = center[i, 0], center[i, 1]
            for k in range(find_neighbors(grid, reach, i, x, y, center, found)):
                j = found[k]
                dx, dy = center[j, 0] - x, center[j, 1] - y
                lift = _lift(footprints, i, j, dx, dy, 1.0 - overlap[i])
                if lift >= 0.0:
                    raised = max(raised, z[j] + lift - center[i, 2])
        # Raise the agglomerate as a whole
        for i in range(start, stop):
            z[i] = center[i, 2] + raised
            insert(grid, i, center[i, 0], center[i, 1])
    return z


def settle_rigid(
    center: Float[np.ndarray, "n 3"],
    group: Int[np.ndarray, "n"],
    overlap: Float[np.ndarray, "n"],
    footprints: Footprints,
) -> Float[np.ndarray, "n"]:
    """Lower agglomerates one by one without deforming them.

    Parameters
    ----------
    center : (n, 3) centers of the particles, nm; z relative to the center of the agglomerate
    group : (n,) number of the agglomerate of each particle, ascending
    overlap : (n,) depth of contact, relative to the distance at which two particles just touch
    footprints : footprints of the particles

    Returns
    -------
    z : (n,) heights of the centers, nm
    """
    edges = np.append(np.flatnonzero(np.diff(group, prepend=-1)), len(center))
    return _settle_rigid(center, edges, overlap, footprints, empty_grid(footprints.reach_nm))

"""Settling: particles lowered one by one onto the substrate or onto those already there."""

import numpy as np
from jaxtyping import Float, Int

from nanorender.jit import kernel, subroutine
from nanorender.scenes.footprints import Footprints, closeness
from nanorender.scenes.neighbors import empty_grid, near, put


@subroutine
def _lift(i, j, dx, dy, reduced, footprint):
    """Return how far the middle of i comes to rest over that of j, at (dx, dy); -1 if beside it.

    Two ellipsoids whose footprints are t times as far apart as when they touch side by side touch
    when their middles differ in height by sqrt(1 - t^2) of the sum of their half heights.
    """
    half_height, inverse, segment, radius, _ = footprint
    apart = closeness(i, j, dx, dy, inverse, segment, radius) / reduced
    if apart >= 1.0:
        return -1.0
    return np.sqrt(1.0 - apart * apart) * reduced * (half_height[i] + half_height[j])


@kernel
def _settle(xy, overlap, footprint, grid):
    """Return the heights at which particles rest.

    Compact particles rest on the highest contact. Wires bend: one that crosses others lies in the
    lowest gap between them, not above the longest chain of crossings.
    """
    half_height, _, _, radius, reach = footprint
    count = half_height.size
    z = half_height.copy()
    below, above = np.empty(count), np.empty(count)
    found = np.empty(count, np.int64)
    for i in range(count):
        contacts = 0
        for k in range(near(grid, i, xy[i, 0], xy[i, 1], xy, reach, found)):
            j = found[k]
            dx, dy = xy[j, 0] - xy[i, 0], xy[j, 1] - xy[i, 1]
            lift = _lift(i, j, dx, dy, 1.0 - overlap[i], footprint)
            if lift >= 0.0 and radius[i] > 0.0 and radius[j] > 0.0:
                below[contacts], above[contacts] = z[j] - lift, z[j] + lift
                contacts += 1
            elif lift >= 0.0:
                z[i] = max(z[i], z[j] + lift)
        moved = contacts > 0
        while moved:
            moved = False
            for k in range(contacts):
                if below[k] < z[i] < above[k]:
                    z[i] = above[k]
                    moved = True
        put(grid, i, xy[i, 0], xy[i, 1])
    return z


def settle(
    xy: Float[np.ndarray, "n 2"], overlap: Float[np.ndarray, "n"], covered: Footprints
) -> Float[np.ndarray, "n"]:
    """Return the heights, in nm, of the middles of particles that settle in their order.

    overlap: depth of contact as a fraction of the distance at which two just touch
    """
    return _settle(xy, overlap, covered, empty_grid(covered.reach_nm))


@kernel
def _settle_rigid(center, edges, overlap, footprint, grid):
    """Return the heights of particles of agglomerates that settle as they are, one by one."""
    half_height, _, _, _, reach = footprint
    z = center[:, 2].copy()
    found = np.empty(z.size, np.int64)
    for number in range(edges.size - 1):
        start, stop = edges[number], edges[number + 1]
        raised = -np.inf
        for i in range(start, stop):
            raised = max(raised, half_height[i] - center[i, 2])
            for k in range(near(grid, i, center[i, 0], center[i, 1], center, reach, found)):
                j = found[k]
                dx, dy = center[j, 0] - center[i, 0], center[j, 1] - center[i, 1]
                lift = _lift(i, j, dx, dy, 1.0 - overlap[i], footprint)
                if lift >= 0.0:
                    raised = max(raised, z[j] + lift - center[i, 2])
        for i in range(start, stop):
            z[i] = center[i, 2] + raised
            put(grid, i, center[i, 0], center[i, 1])
    return z


def settle_rigid(
    center: Float[np.ndarray, "n 3"],
    agglomerate: Int[np.ndarray, "n"],
    overlap: Float[np.ndarray, "n"],
    covered: Footprints,
) -> Float[np.ndarray, "n"]:
    """Return the heights, in nm, of the middles of agglomerates that settle without deforming.

    agglomerate: (n) number of the agglomerate of each particle, ascending
    """
    edges = np.append(np.flatnonzero(np.diff(agglomerate, prepend=-1)), len(center))
    return _settle_rigid(center, edges, overlap, covered, empty_grid(covered.reach_nm))

"""Outlines of single particles, seen alone and whole: amodal areas and Feret diameters."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nanorender.instances import camera_from_scene, place_particles, view_middle_nm
from nanorender.jit import kernel
from nanorender.raymarch import BLOCK, hits, new_block, row_span
from nanorender.scene import Scene, View


class Outlines(NamedTuple):
    """One row a particle, measured on the grid of pixels continued beyond the frame.

    center_nm: (k, 2) projected middle of the particle's box from the view's upper left corner
    area_px: (k) number of pixel centers inside of the outline
    min_feret_px, max_feret_px: (k) smallest and largest distance of parallel tangents: of the
        hull of those pixel centers, and one pixel, which the outline reaches beyond them on average
    """

    center_nm: Float[np.ndarray, "k 2"]
    area_px: Int[np.ndarray, "k"]
    min_feret_px: Float[np.ndarray, "k"]
    max_feret_px: Float[np.ndarray, "k"]


def amodal_outlines(scene: Scene, view: View, rows: Int[np.ndarray, "k"]) -> Outlines:
    """Return the outlines of the particles in the given rows of a scene."""
    items, placed = place_particles(scene, view, rows)
    owner = np.searchsorted(rows, items.particle - 1)
    order = np.argsort(owner, kind="stable")
    items = type(items)(*(column[order] for column in items))
    first = np.searchsorted(owner[order], np.arange(len(rows) + 1))
    area, min_feret, max_feret = _outlines(
        items, placed, first, np.float32(view.pixel_size_nm), view.height_px, view.width_px
    )
    center = (scene.particles.center_nm[rows] - view_middle_nm(view)) @ camera_from_scene(view).T
    corner = np.array([view.width_px, view.height_px]) * view.pixel_size_nm / 2
    return Outlines(center[:, :2] + corner, area, min_feret, max_feret)


@kernel
def _pixel_bounds(items, first, last, pixel_size, height, width):
    """Return first and last row and column, exclusive, of the pixels that items may cover."""
    r0, r1, c0, c1 = 1 << 40, -(1 << 40), 1 << 40, -(1 << 40)
    for t in range(first, last):
        x, y = items.origin[t, 0] / pixel_size, items.origin[t, 1] / pixel_size
        wide, high = items.reach[t, 0] / pixel_size, items.reach[t, 1] / pixel_size
        r0 = min(r0, math.ceil(y - high + height / 2 - 0.5))
        r1 = max(r1, math.floor(y + high + height / 2 + 0.5))
        c0 = min(c0, math.ceil(x - wide + width / 2 - 0.5))
        c1 = max(c1, math.floor(x + wide + width / 2 + 0.5))
    return r0, max(r1, r0), c0, max(c1, c0)


@kernel
def _outlines(items, placed, first, pixel_size, height, width):
    count = first.size - 1
    area = np.zeros(count, np.int64)
    min_feret, max_feret = np.zeros(count), np.zeros(count)
    blocks = new_block(), new_block(), new_block()
    for k in range(count):
        r0, r1, c0, c1 = _pixel_bounds(items, first[k], first[k + 1], pixel_size, height, width)
        mask = np.zeros((r1 - r0, c1 - c0), np.uint8)
        for t in range(first[k], first[k + 1]):
            _cover(items, t, placed, pixel_size, height / 2 - r0, width / 2 - c0, mask, blocks)
        points = _outer_points(mask)
        area[k] = mask.sum()
        min_feret[k], max_feret[k] = _feret(_hull(points))
    return area, min_feret + 1, max_feret + 1


@kernel
def _cover(items, t, placed, pixel_size, middle_row, middle_column, mask, blocks):
    """Set the pixels of the mask whose rays meet item t."""
    block = blocks[0]
    ox, oy = items.origin[t, 0], items.origin[t, 1]
    reach_x, reach_y = items.reach[t, 0], items.reach[t, 1]
    r0 = max(0, math.ceil((oy - reach_y) / pixel_size + middle_row - 0.5))
    r1 = min(mask.shape[0], math.floor((oy + reach_y) / pixel_size + middle_row + 0.5))
    count = 0
    for r in range(r0, r1):
        y = np.float32((r + 0.5 - middle_row) * pixel_size) - oy
        left, right = row_span(items.strips[t], y, -reach_x, reach_x)
        c0 = max(0, math.ceil((ox + left) / pixel_size + middle_column - 0.5))
        c1 = min(mask.shape[1], math.floor((ox + right) / pixel_size + middle_column + 0.5))
        for c in range(c0, c1):
            if mask[r, c]:
                continue
            block.rays.x[count] = np.float32((c + 0.5 - middle_column) * pixel_size) - ox
            block.rays.y[count] = y
            block.rays.z[count] = items.top[t] - items.origin[t, 2]
            block.floor[count] = np.float32(-1e30)
            block.pixel[count] = r * mask.shape[1] + c
            count += 1
            if count == BLOCK:
                _set_hits(items, t, placed, pixel_size, count, mask, blocks)
                count = 0
    _set_hits(items, t, placed, pixel_size, count, mask, blocks)


@kernel
def _set_hits(items, t, placed, pixel_size, count, mask, blocks):
    flat = mask.ravel()
    reached = hits(items, t, placed, pixel_size, blocks, count)
    for i in range(reached):
        flat[blocks[2].pixel[i]] = 1


@kernel
def _outer_points(mask):
    """Return column and row of the first and last set pixel of each row, sorted by row."""
    points = np.empty((2 * mask.shape[0], 2), np.int64)
    count = 0
    for r in range(mask.shape[0]):
        c0, c1 = 0, mask.shape[1] - 1
        while c0 <= c1 and not mask[r, c0]:
            c0 += 1
        while c1 > c0 and not mask[r, c1]:
            c1 -= 1
        if c0 <= c1:
            points[count] = c0, r
            points[count + 1] = c1, r
            count += 2
    return points[:count]


@kernel
def _turn(a, b, c):
    """Return twice the signed area of a triangle."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@kernel
def _hull(points):
    """Return the convex hull of points sorted by row (Andrew, 1979, monotone chain)."""
    count = len(points)
    hull = np.empty((2 * count + 2, 2), np.int64)
    size = 0
    for side in range(2):
        start = size
        for j in range(count):
            # Left ends going down the rows, then right ends coming back.
            point = points[j] if side == 0 else points[count - 1 - j]
            while size - start >= 2 and _turn(hull[size - 2], hull[size - 1], point) >= 0:
                size -= 1
            hull[size] = point
            size += 1
        size -= 1
    return hull[: max(size, min(count, 1))]


@kernel
def _feret(hull):
    """Return minimum and maximum Feret diameter of a convex polygon of points."""
    count = len(hull)
    longest, narrowest = 0.0, np.inf
    for i in range(count):
        a, b = hull[i], hull[(i + 1) % count]
        length = math.hypot(float(b[0] - a[0]), float(b[1] - a[1]))
        farthest = 0.0
        for j in range(count):
            apart = math.hypot(float(hull[j, 0] - a[0]), float(hull[j, 1] - a[1]))
            longest = max(longest, apart)
            farthest = max(farthest, abs(float(_turn(a, b, hull[j]))))
        narrowest = min(narrowest, farthest / length if length else 0.0)
    return (narrowest if count > 2 else 0.0), longest

"""Outlines of single particles, seen alone and whole: amodal areas and Feret diameters."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32, UInt8

from nanorender.instances import Items, camera_from_scene, place_particles, view_middle_nm
from nanorender.jit import kernel
from nanorender.march import BLOCK, hits, new_block
from nanorender.raymarch import column_range, row_range
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


class _Mask(NamedTuple):
    """The pixels that may belong to one particle, as runs of a row each.

    top: first row
    left: (n) first column of each row's run
    start: (n + 1) where each run starts in `member`
    member: (p) whether the pixel shows the particle
    """

    top: int
    left: Int[np.ndarray, "n"]
    start: Int[np.ndarray, "n+1"]
    member: UInt8[np.ndarray, "p"]


def amodal_outlines(
    scene: Scene, view: View, seen: Int32[np.ndarray, "h w"], rows: Int[np.ndarray, "k"]
) -> Outlines:
    """Return the whole outlines, above the substrate, of particles that a view shows.

    seen: the exact label map of the view, row of the scene plus one. It tells all but what is
        behind other particles or beyond the frame: only there, rays are traced.
    rows: rows of the scene, ascending
    """
    items, placed = place_particles(scene, view, rows)
    owner = np.searchsorted(rows, items.particle - 1)
    order = np.argsort(owner, kind="stable")
    items = Items(*(column[order] for column in items))
    first = np.searchsorted(owner[order], np.arange(len(rows) + 1))
    pixel_size, slope = view.pixel_size_nm, math.tan(math.radians(view.tilt_deg))
    area, min_feret, max_feret = _outlines(
        items, placed, first, np.float32(pixel_size), np.float32(slope), seen
    )
    center = (scene.particles.center_nm[rows] - view_middle_nm(view)) @ camera_from_scene(view).T
    corner = np.array([view.width_px, view.height_px]) * pixel_size / 2
    return Outlines(center[:, :2] + corner, area, min_feret, max_feret)


@kernel
def _outlines(items, placed, first, pixel_size, slope, seen):
    count = first.size - 1
    area = np.zeros(count, np.int64)
    min_feret, max_feret = np.zeros(count), np.zeros(count)
    blocks = new_block(), new_block(), new_block()
    for k in range(count):
        mask = _empty_mask(items, first[k], first[k + 1], pixel_size, seen)
        for t in range(first[k], first[k + 1]):
            _cover(items, t, placed, pixel_size, slope, seen, mask, blocks)
        area[k] = mask.member.sum()
        min_feret[k], max_feret[k] = _feret(_hull(_outer_points(mask)))
    return area, min_feret + 1, max_feret + 1


@kernel
def _empty_mask(items, first, last, pixel_size, seen):
    """Return a mask with room for all the pixels in the bounds of items first to last."""
    height, width = seen.shape
    top, bottom = 1 << 40, -(1 << 40)
    for t in range(first, last):
        r0, r1 = row_range(items, t, pixel_size, height)
        top, bottom = min(top, r0), max(bottom, r1)
    rows = max(bottom - top, 0)
    left, right = np.full(rows, 1 << 40), np.full(rows, -(1 << 40))
    for t in range(first, last):
        r0, r1 = row_range(items, t, pixel_size, height)
        for r in range(r0, r1):
            c0, c1 = column_range(items, t, r, pixel_size, height, width)
            left[r - top] = min(left[r - top], c0)
            right[r - top] = max(right[r - top], c1)
    start = np.zeros(rows + 1, np.int64)
    for r in range(rows):
        start[r + 1] = start[r] + max(right[r] - left[r], 0)
    return _Mask(top, left, start, np.zeros(start[rows], np.uint8))


@kernel
def _cover(items, t, placed, pixel_size, slope, seen, mask, blocks):
    """Set the pixels of the mask that show item t, or would but for another particle."""
    rays, floor, pixel = blocks[0].rays, blocks[0].floor, blocks[0].pixel
    height, width = seen.shape
    ox, oy, oz = items.origin[t, 0], items.origin[t, 1], items.origin[t, 2]
    own = np.int64(items.particle[t])
    count = 0
    r0, r1 = row_range(items, t, pixel_size, height)
    for r in range(r0, r1):
        y = np.float32((r + 0.5 - height / 2) * pixel_size)
        c0, c1 = column_range(items, t, r, pixel_size, height, width)
        offset = mask.start[r - mask.top] - mask.left[r - mask.top]
        for c in range(c0, c1):
            if mask.member[offset + c]:
                continue
            there = np.int64(seen[r, c]) if 0 <= r < height and 0 <= c < width else -1
            if there in (0, own):
                mask.member[offset + c] = there == own
                continue
            rays.x[count] = np.float32((c + 0.5 - width / 2) * pixel_size) - ox
            rays.y[count] = y - oy
            rays.z[count] = items.top[t] - oz
            floor[count] = slope * y - oz
            pixel[count] = offset + c
            count += 1
            if count == BLOCK:
                _set_hits(items, t, placed, pixel_size, blocks, count, mask.member)
                count = 0
    _set_hits(items, t, placed, pixel_size, blocks, count, mask.member)


@kernel
def _set_hits(items, t, placed, pixel_size, blocks, count, member):
    for i in range(hits(items, t, placed, pixel_size, blocks, count)):
        member[blocks[2].pixel[i]] = 1


@kernel
def _outer_points(mask):
    """Return column and row of the first and last set pixel of each row, sorted by row."""
    points = np.empty((2 * mask.left.size, 2), np.int64)
    count = 0
    for r in range(mask.left.size):
        low, high = mask.start[r], mask.start[r + 1] - 1
        while low <= high and not mask.member[low]:
            low += 1
        while high > low and not mask.member[high]:
            high -= 1
        if low <= high:
            points[count, 0], points[count + 1, 0] = low, high
            points[count : count + 2, 0] += mask.left[r] - mask.start[r]
            points[count : count + 2, 1] = r
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

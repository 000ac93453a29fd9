"""Outlines of single particles, seen alone and whole: amodal areas and Feret diameters."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32, UInt8

from nanorender.jit import kernel
from nanorender.labelling.feret import convex_hull, feret_diameters
from nanorender.scenes.scene import Scene, View
from nanorender.tracing.instances import Instances, Items, camera_from_scene, view_middle_nm
from nanorender.tracing.march import BLOCK, hits, new_block
from nanorender.tracing.raymarch import column_range, row_range

_NONE = 1 << 40  # first column of an empty run, minus its last
_WIDEST_STEP = 8


class Outlines(NamedTuple):
    """One row a particle, measured on the grid of pixels continued beyond the frame.

    row: (k) the particle's row in the scene
    center_nm: (k, 2) projected middle of the particle's box from the view's upper left corner
    area_px: (k) number of pixel centers inside of the outline
    min_feret_px, max_feret_px: (k) smallest and largest distance of parallel tangents: of the
        hull of those pixel centers, and one pixel, which the outline reaches beyond them on average
    """

    row: Int[np.ndarray, "k"]
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
    scene: Scene,
    instances: Instances,
    view: View,
    seen: Int32[np.ndarray, "h w"],
    rows: Int[np.ndarray, "k"],
) -> Outlines:
    """Return the whole outlines, above the substrate, of particles that a view shows.

    instances: the scene's, placed for the view
    seen: the exact label map of the view, row of the scene plus one. It tells all but what is
        behind other particles or beyond the frame: only there, rays are traced.
    rows: rows of the scene, ascending
    """
    items, first = items_of(instances.items, rows)
    pixel_size, slope = view.pixel_size_nm, math.tan(math.radians(view.tilt_deg))
    area, min_feret, max_feret = _outlines(
        items, instances.placed, first, np.float32(pixel_size), np.float32(slope), seen
    )
    center = (scene.particles.center_nm[rows] - view_middle_nm(view)) @ camera_from_scene(view).T
    corner = np.array([view.width_px, view.height_px]) * pixel_size / 2
    return Outlines(rows, center[:, :2] + corner, area, min_feret, max_feret)


def items_of(items: Items, rows: Int[np.ndarray, "k"]) -> tuple[Items, Int[np.ndarray, "k+1"]]:
    """Return items by particle, and where those of each of the rows, ascending, begin and end."""
    wanted = np.full(max(items.particle.max(initial=0), rows.max(initial=-1) + 1) + 1, len(rows))
    wanted[rows + 1] = np.arange(len(rows))
    owner = wanted[items.particle]
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(len(rows) + 1))
    return Items(*(column[order] for column in items)), first


@kernel
def _outlines(items, placed, first, pixel_size, slope, seen):
    count = first.size - 1
    area = np.zeros(count, np.int64)
    min_feret, max_feret = np.zeros(count), np.zeros(count)
    blocks = new_block(), new_block(), new_block()
    for k in range(count):
        mask = whole_mask(items, first[k], first[k + 1], placed, pixel_size, slope, seen, blocks)
        points, area[k] = _outer_points(mask)
        min_feret[k], max_feret[k] = feret_diameters(convex_hull(points))
    return area, min_feret + 1, max_feret + 1


@kernel
def whole_mask(items, first, last, placed, pixel_size, slope, seen, blocks):
    """Return the pixels of a particle, the items first to last, as if it were alone.

    slope: rise of the substrate per length in y
    blocks: three, to trace with
    """
    mask = _empty_mask(items, first, last, pixel_size, seen)
    own, unknown = _take_seen(mask, items.particle[first], seen)
    if last - first > 1:
        # Which of its convex items a pixel shows is not known.
        own[0], own[1] = _NONE, -_NONE
    for t in range(first, last):
        _trace_unknown(items, t, placed, pixel_size, slope, seen, mask, own, unknown, blocks)
    return mask


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
    return _Mask(top, left, start, np.empty(start[rows], np.uint8))


@kernel
def _take_seen(mask, label, seen):
    """Set the pixels of the mask that a label map shows as `label`, and clear the others.

    Returns for each row the first and the last place in its run, (2, n) each, of pixels that were
    set, and of those that the label map cannot tell: behind other particles or beyond the frame.
    """
    height, width = seen.shape
    own = np.empty((2, mask.left.size), np.int64)
    own[0], own[1] = _NONE, -_NONE
    unknown = own.copy()
    for i in range(mask.left.size):
        run = mask.member[mask.start[i] : mask.start[i + 1]]
        r, c0 = mask.top + i, mask.left[i]
        f0, f1 = max(c0, 0), min(c0 + run.size, width)
        if r < 0 or r >= height or f0 >= f1:
            run[:] = 0
            unknown[0, i], unknown[1, i] = 0, run.size - 1
            continue
        run[: f0 - c0] = 0
        run[f1 - c0 :] = 0
        # Slices, whose indices cannot be negative, and no branches: the compiler vectorises.
        there, inside = seen[r, f0:f1], run[f0 - c0 : f1 - c0]
        members = others = np.int32(0)
        for c in range(there.size):
            inside[c] = there[c] == label
            members += np.int32(there[c] == label)
            others += np.int32((there[c] != label) & (there[c] != 0))
        if members:
            own[0, i], own[1, i] = _first_and_last(inside)
            own[:, i] += f0 - c0
        if others:
            low, high = 0, there.size - 1
            while there[low] == label or there[low] == 0:
                low += 1
            while there[high] == label or there[high] == 0:
                high -= 1
            unknown[0, i], unknown[1, i] = low + f0 - c0, high + f0 - c0
        if f0 > c0:
            unknown[0, i], unknown[1, i] = 0, max(unknown[1, i], f0 - c0 - 1)
        if f1 < c0 + run.size:
            unknown[0, i], unknown[1, i] = min(unknown[0, i], f1 - c0), run.size - 1
    return own, unknown


@kernel
def _first_and_last(run):
    """Return the places of the first and the last member of a run that has some."""
    low, high = 0, run.size - 1
    while not run[low]:
        low += 1
    while not run[high]:
        high -= 1
    return low, high


@kernel
def _trace_unknown(items, t, placed, pixel_size, slope, seen, mask, own, unknown, blocks):
    """Set those unknown pixels of the mask that item t covers.

    Strategy: a row of pixels meets a convex item in one run, which grows from what is known of it
    by steps of 8, 4, 2 and 1 pixels; where nothing is known yet, all pixels in such steps are
    tried. Smooth unions are not convex: their pixels are all tried.
    """
    rays, floor, pixel, slot = blocks[0].rays, blocks[0].floor, blocks[0].pixel, blocks[0].slot
    height, width = seen.shape
    ox, oy, oz = items.origin[t, 0], items.origin[t, 1], items.origin[t, 2]
    convex = items.last[t] - items.first[t] == 1
    found = own.copy()
    r0, r1 = row_range(items, t, pixel_size, height)
    span = unknown[:, r0 - mask.top : r1 - mask.top].copy()
    for i in range(r1 - r0):
        row = r0 - mask.top + i
        if span[0, i] <= span[1, i]:
            c0, c1 = column_range(items, t, r0 + i, pixel_size, height, width)
            span[0, i] = max(span[0, i], c0 - mask.left[row])
            span[1, i] = min(span[1, i], c1 - 1 - mask.left[row])
    stride = _WIDEST_STEP if convex else 1
    reach = _NONE
    while stride:
        count = np.int64(0)  # a literal 0 would be compiled for on its own
        for i in range(r0 - mask.top, r1 - mask.top):
            start, stop = span[:, i - (r0 - mask.top)]
            stop += 1
            if start >= stop:
                continue
            low, high = found[0, i], found[1, i]
            blank = low > high or not convex
            if not blank:
                start, stop = max(start, low - reach), min(stop, high + reach + 1)
            y = np.float32((mask.top + i + 0.5 - height / 2) * pixel_size)
            for c in range((start + stride - 1) // stride * stride, stop, stride):
                tried = stride < _WIDEST_STEP and c % (2 * stride) == 0 and convex
                if tried or (not blank and low <= c <= high):
                    continue
                rays.x[count] = np.float32((mask.left[i] + c + 0.5 - width / 2) * pixel_size) - ox
                rays.y[count] = y - oy
                rays.z[count] = items.top[t] - oz
                floor[count] = slope * y - oz
                pixel[count] = mask.start[i] + c
                slot[count] = i
                count += 1
                if count == BLOCK:
                    _set_hits(items, t, placed, pixel_size, blocks, count, mask, found)
                    count = np.int64(0)
        _set_hits(items, t, placed, pixel_size, blocks, count, mask, found)
        stride //= 2
        reach = 2 * stride - 1
    if convex:
        for i in range(r0 - mask.top, r1 - mask.top):
            mask.member[mask.start[i] + found[0, i] : mask.start[i] + found[1, i] + 1] = 1


@kernel
def _set_hits(items, t, placed, pixel_size, blocks, count, mask, found):
    arrived = blocks[2]
    for j in range(hits(items, t, placed, pixel_size, blocks, count)):
        i, place = arrived.slot[j], arrived.pixel[j]
        mask.member[place] = 1
        found[0, i] = min(found[0, i], place - mask.start[i])
        found[1, i] = max(found[1, i], place - mask.start[i])


@kernel
def _outer_points(mask):
    """Return column and row of the first and last set pixel of each row, and how many are set."""
    points = np.empty((2 * mask.left.size, 2), np.int64)
    count = area = 0
    for i in range(mask.left.size):
        run = mask.member[mask.start[i] : mask.start[i + 1]]
        inside = np.int32(0)
        for c in range(run.size):
            inside += np.int32(run[c])
        if inside == 0:
            continue
        area += inside
        low, high = _first_and_last(run)
        points[count, 0], points[count + 1, 0] = mask.left[i] + low, mask.left[i] + high
        points[count : count + 2, 1] = i
        count += 2
    return points[:count], area

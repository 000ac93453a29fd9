"""Amodal masks: whole particles, including hidden parts and parts beyond the frame."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32, Int64, UInt8

from nanorender.jit import kernel, subroutine
from nanorender.scenes.scene import View
from nanorender.tracing.instances import Instances, Items
from nanorender.tracing.march import BLOCK, march_block, new_block
from nanorender.tracing.raymarch import column_range, row_range

_NONE = 1 << 40  # first column of an empty run, minus its last
_WIDEST_STEP = 8


class Masks(NamedTuple):
    """Masks of some particles, stored as runs of pixels along rows.

    Rows and columns are those of the view, continued beyond its frame.

    Attributes
    ----------
    first : (k + 1) where the runs of each particle begin
    row : (n) row of each run
    left : (n) first column of each run
    start : (n + 1) where each run begins in `member`
    member : (p) whether the pixel belongs to the particle
    """

    first: Int64[np.ndarray, "k+1"]
    row: Int64[np.ndarray, "n"]
    left: Int64[np.ndarray, "n"]
    start: Int64[np.ndarray, "n+1"]
    member: UInt8[np.ndarray, "p"]


def whole_masks(
    instances: Instances, view: View, seen: Int32[np.ndarray, "h w"], rows: Int[np.ndarray, "k"]
) -> Masks:
    """Return the masks of particles as if each were alone on the substrate.

    Rays are traced only where the label map does not show whether the particle is there: behind
    other particles and beyond the frame.

    Parameters
    ----------
    instances
        The scene's, built for the view.
    view
        The view of the label map.
    seen
        Exact label map of the view, row in the scene plus one.
    rows
        Rows of the scene, ascending.

    Returns
    -------
    Masks
        One mask for each of `rows`.
    """
    items, first = _items_of(instances.items, rows)
    grid = np.float32(view.pixel_size_nm), view.height_px, view.width_px
    slope = np.float32(math.tan(math.radians(view.tilt_deg)))
    masks = _empty_masks(items, first, *grid)
    own, unknown = _take_seen(masks, (rows + 1).astype(np.int32), seen)
    owner = np.repeat(np.arange(len(rows)), np.diff(first))
    _trace_unknown(items, owner, instances.placed, *grid, slope, masks, own, unknown)
    return masks


def _items_of(items: Items, rows: Int[np.ndarray, "k"]) -> tuple[Items, Int64[np.ndarray, "k+1"]]:
    """Return the items sorted by particle, and where those of each of the rows begin and end."""
    wanted = np.full(max(items.particle.max(initial=0), rows.max(initial=-1) + 1) + 1, len(rows))
    wanted[rows + 1] = np.arange(len(rows))
    owner = wanted[items.particle]
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(len(rows) + 1))
    return Items(*(column[order] for column in items)), first


@kernel
def _empty_masks(items, first, pixel_size, height, width):
    """Return masks of all pixels in the bounds of the particles' items, not yet filled in."""
    # Find the rows of each particle
    count = first.size - 1
    top, first_run = np.zeros(count, np.int64), np.zeros(count + 1, np.int64)
    for k in range(count):
        start, stop = _NONE, -_NONE
        for t in range(first[k], first[k + 1]):
            r0, r1 = row_range(items, t, pixel_size, height)
            start, stop = min(start, r0), max(stop, r1)
        top[k] = start
        first_run[k + 1] = first_run[k] + max(stop - start, 0)
    # Find the columns of each run
    runs = first_run[count]
    row = np.empty(runs, np.int64)
    left, right = np.full(runs, _NONE), np.full(runs, -_NONE)
    for k in range(count):
        for i in range(first_run[k], first_run[k + 1]):
            row[i] = top[k] + i - first_run[k]
        for t in range(first[k], first[k + 1]):
            r0, r1 = row_range(items, t, pixel_size, height)
            for r in range(r0, r1):
                c0, c1 = column_range(items, t, r, pixel_size, height, width)
                i = first_run[k] + r - top[k]
                left[i], right[i] = min(left[i], c0), max(right[i], c1)
    start = np.zeros(runs + 1, np.int64)
    for i in range(runs):
        start[i + 1] = start[i] + max(right[i] - left[i], 0)
    return Masks(first_run, row, left, start, np.empty(start[runs], np.uint8))


@kernel
def _take_seen(masks, labels, seen):
    """Set the pixels where a label map shows the masks' `labels`, and clear the others.

    Returns for each run the first and last index in it, (2, n) each, of the pixels that were set
    and of unknown pixels: behind other particles or beyond the frame.
    """
    height, width = seen.shape
    own, unknown = np.empty((2, masks.row.size), np.int64), np.empty((2, masks.row.size), np.int64)
    for k in range(labels.size):
        label = labels[k]
        for i in range(masks.first[k], masks.first[k + 1]):
            own[0, i], own[1, i] = _NONE, -_NONE
            unknown[0, i], unknown[1, i] = _NONE, -_NONE
            run = masks.member[masks.start[i] : masks.start[i + 1]]
            r, c0 = masks.row[i], masks.left[i]
            f0, f1 = max(c0, 0), min(c0 + run.size, width)
            if r < 0 or r >= height or f0 >= f1:
                run[:] = 0
                unknown[0, i], unknown[1, i] = 0, run.size - 1
                continue
            run[: f0 - c0] = 0
            run[f1 - c0 :] = 0
            # Compare with the label map. The compiler vectorizes slices without branches.
            there, inside = seen[r, f0:f1], run[f0 - c0 : f1 - c0]
            members = others = np.int32(0)
            for c in range(there.size):
                inside[c] = there[c] == label
                members += np.int32(there[c] == label)
                others += np.int32((there[c] != label) & (there[c] != 0))
            # Find the ends of known and unknown pixels
            if members:
                low, high = first_and_last(inside)
                own[0, i], own[1, i] = low + f0 - c0, high + f0 - c0
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


@subroutine
def first_and_last(run):
    """Return the indices of the first and the last member of a run that has some."""
    low, high = 0, run.size - 1
    while not run[low]:
        low += 1
    while not run[high]:
        high -= 1
    return low, high


@kernel
def _trace_unknown(items, owner, placed, pixel_size, height, width, slope, masks, own, unknown):
    """Set the unknown pixels that items cover, item t as a part of particle owner[t].

    slope: rise of the substrate per length in y
    Strategy: a row meets a convex item in one run, which grows from its known part by steps of 8,
    4, 2 and 1 pixels; where no part is known, every 8th, 4th, 2nd pixel and so on is tried. Smooth
    unions are not convex: all their pixels are tried.
    """
    blocks = new_block(), new_block(), new_block()
    rays, floor, pixel, slot = blocks[0].rays, blocks[0].floor, blocks[0].pixel, blocks[0].slot
    for t in range(owner.size):
        i0, found, span = _spans(items, t, owner, pixel_size, height, width, masks, own, unknown)
        ox, oy, oz = items.origin[t, 0], items.origin[t, 1], items.origin[t, 2]
        convex = items.last[t] - items.first[t] == 1
        stride, reach = _WIDEST_STEP if convex else 1, _NONE
        while stride and found.size:
            count = np.int64(0)  # a literal 0 would be compiled for on its own
            for n in range(found.shape[1]):
                start, stop = span[0, n], span[1, n] + 1
                if start >= stop:
                    continue
                low, high = found[0, n], found[1, n]
                blank = low > high or not convex
                if not blank:
                    start, stop = max(start, low - reach), min(stop, high + reach + 1)
                i = i0 + n
                # Gather rays towards the pixels to try
                y = np.float32((masks.row[i] + 0.5 - height / 2) * pixel_size)
                for c in range((start + stride - 1) // stride * stride, stop, stride):
                    tried = stride < _WIDEST_STEP and c % (2 * stride) == 0 and convex
                    if tried or (not blank and low <= c <= high):
                        continue
                    x = np.float32((masks.left[i] + c + 0.5 - width / 2) * pixel_size)
                    rays.x[count], rays.y[count], rays.z[count] = x - ox, y - oy, items.top[t] - oz
                    floor[count] = slope * y - oz
                    pixel[count], slot[count] = masks.start[i] + c, n
                    count += 1
                    if count == BLOCK:
                        reached = march_block(items, t, placed, pixel_size, blocks, count)
                        _set(masks, i0, found, blocks[2], reached)
                        count = np.int64(0)
            reached = march_block(items, t, placed, pixel_size, blocks, count)
            _set(masks, i0, found, blocks[2], reached)
            stride //= 2
            reach = 2 * stride - 1
        if convex:
            for n in range(found.shape[1]):
                start = masks.start[i0 + n]
                masks.member[start + found[0, n] : start + found[1, n] + 1] = 1


@subroutine
def _spans(items, t, owner, pixel_size, height, width, masks, own, unknown):
    """Return the first of the runs that item t meets, and its known and unknown pixels in them.

    That is, (2, n) each, the first and last index known to show the item, and of unknown pixels in
    its bounds; n is 0 if there are none.
    """
    k = owner[t]
    r0, r1 = row_range(items, t, pixel_size, height)
    i0 = masks.first[k] + r0 - masks.row[masks.first[k]]
    found, span = np.empty((2, r1 - r0), np.int64), np.empty((2, r1 - r0), np.int64)
    # If a particle has several items, it is not known which of them a pixel shows.
    several = (t > 0 and owner[t - 1] == k) or (t + 1 < owner.size and owner[t + 1] == k)
    pending = 0
    for n in range(r1 - r0):
        i = i0 + n
        found[0, n], found[1, n] = (_NONE, -_NONE) if several else (own[0, i], own[1, i])
        span[0, n], span[1, n] = unknown[0, i], unknown[1, i]
        if span[0, n] <= span[1, n]:
            c0, c1 = column_range(items, t, r0 + n, pixel_size, height, width)
            span[0, n] = max(span[0, n], c0 - masks.left[i])
            span[1, n] = min(span[1, n], c1 - 1 - masks.left[i])
            pending = r1 - r0
    return i0, found[:, :pending], span[:, :pending]


@subroutine
def _set(masks, i0, found, arrived, reached):
    """Set the pixels of arrived rays, whose slots are runs counted from `i0`."""
    for j in range(reached):
        n, index = arrived.slot[j], arrived.pixel[j]
        masks.member[index] = 1
        c = index - masks.start[i0 + n]
        found[0, n], found[1, n] = min(found[0, n], c), max(found[1, n], c)

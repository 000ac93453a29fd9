"""Borders in label maps: gaps between particles that touch, and along their outlines."""

import numpy as np
from jaxtyping import Int32

from nanorender.jit import kernel, subroutine
from nanorender.upsampling.cells import BACKGROUND, MIXED, Cells, set_background

_NO_LABEL = np.int32(2147483647)


def widen_borders(labels: Int32[np.ndarray, "h w"], cells: Cells, border_px: float) -> None:
    """Make pixels within `border_px` of another particle background.

    `cells` are those of the label map, and are kept up to date.
    """
    _erode(labels, cells, border_px, False)


def shrink_from_background(
    labels: Int32[np.ndarray, "h w"], cells: Cells, border_px: float
) -> None:
    """Make pixels within `border_px` of background background, as `widen_borders` does."""
    _erode(labels, cells, border_px, True)


def _erode(labels: Int32[np.ndarray, "h w"], cells: Cells, border_px: float, outer: bool) -> None:
    """Take away what a disc covers that is put on each pixel of a border between two labels.

    With `outer` only borders with label 0 count, otherwise only those without.
    """
    if border_px > 0:
        extremes = _extremes(labels, cells, outer)
        set_background(cells, labels, _covered(labels, cells, border_px, outer, extremes))


@kernel
def _extremes(labels, cells, outer):
    """Return lowest and highest label of each cell, (2, a, b); 0 counts only with `outer`."""
    row_edges, column_edges, state = cells.row_edges, cells.column_edges, cells.state
    nothing = np.int32(0) if outer else _NO_LABEL
    lowest, highest = np.full(state.shape, nothing), np.zeros(state.shape, np.int32)
    for a in range(state.shape[0]):
        r0, r1 = row_edges[a], row_edges[a + 1]
        if r0 == r1:
            continue
        for b in range(state.shape[1]):
            if state[a, b] == BACKGROUND:
                continue
            c0, c1 = column_edges[b], column_edges[b + 1]
            low, high = _NO_LABEL, np.int32(0)
            # One row speaks for all of a cell that is not mixed.
            last = r1 if state[a, b] == MIXED else min(r1, r0 + 1)
            for r in range(r0, last):
                for c in range(c0, c1):
                    label = labels[r, c]
                    low = min(low, label if label else nothing)
                    high = max(high, label)
            lowest[a, b], highest[a, b] = low, high
    return lowest, highest


@kernel
def _covered(labels, cells, border_px, outer, extremes):
    """Return the flat indices of the pixels that discs on borders cover, each once.

    Strategy: borders are in mixed cells only, and only those are looked at that have two labels
    within the reach of the disc. What is covered is negative until all is found.
    """
    row_edges, column_edges, state = cells.row_edges, cells.column_edges, cells.state
    lowest, highest = extremes
    height, width = labels.shape
    reach = int(border_px)
    spans = np.empty(reach + 1, np.int64)
    for d in range(reach + 1):
        spans[d] = int(np.sqrt(border_px * border_px - d * d))
    found, count = np.empty(1024, np.int64), 0
    for a in range(state.shape[0]):
        r0, r1 = row_edges[a], row_edges[a + 1]
        if r0 == r1:
            continue
        a0, a1 = cells.row_cell[max(r0 - reach, 0)], cells.row_cell[min(r1 + reach, height) - 1]
        for b in range(state.shape[1]):
            c0, c1 = column_edges[b], column_edges[b + 1]
            if c0 == c1 or state[a, b] != MIXED:
                continue
            b0 = cells.column_cell[max(c0 - reach, 0)]
            b1 = cells.column_cell[min(c1 + reach, width) - 1]
            low, high = _NO_LABEL, np.int32(0)
            for y in range(a0, a1 + 1):
                for x in range(b0, b1 + 1):
                    low, high = min(low, lowest[y, x]), max(high, highest[y, x])
            if low >= high:
                continue
            for r in range(r0, r1):
                for c in range(c0, c1):
                    here = abs(labels[r, c])
                    if (here == 0) != outer or not _is_edge(labels, r, c):
                        continue
                    for y in range(max(0, r - reach), min(height, r + reach + 1)):
                        span = spans[abs(y - r)]
                        for x in range(max(0, c - span), min(width, c + span + 1)):
                            if labels[y, x] > 0 and labels[y, x] != here:
                                labels[y, x] = -labels[y, x]
                                if count == found.size:
                                    found = np.concatenate((found, np.empty_like(found)))
                                found[count] = y * width + x
                                count += 1
    return found[:count]


@subroutine
def _is_edge(labels, r, c):
    """Return whether one of the four neighbors of a pixel has another label."""
    here = abs(labels[r, c])
    return (
        abs(labels[max(r - 1, 0), c]) != here
        or abs(labels[min(r + 1, labels.shape[0] - 1), c]) != here
        or abs(labels[r, max(c - 1, 0)]) != here
        or abs(labels[r, min(c + 1, labels.shape[1] - 1)]) != here
    )

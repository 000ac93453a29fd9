"""Cells of a label map that can hold pixels near a border."""

import numpy as np

from nanorender.jit import kernel
from nanorender.upsampling.cells import BACKGROUND, MIXED

_NO_LABEL = np.int32(2147483647)


@kernel
def border_cells(cells, labels, reach, from_background):
    """Return the mixed cells, (a, b), with pixels of two labels within `reach` pixels.

    The background counts as a label only with `from_background`.
    """
    row_edges, column_edges, state = cells.row_edges, cells.column_edges, cells.state
    row_cell, column_cell = cells.row_cell, cells.column_cell
    height, width = labels.shape
    lowest, highest = _extremes(cells, labels, from_background)
    chosen = np.zeros(state.shape, np.bool_)
    for a in range(state.shape[0]):
        r0, r1 = row_edges[a], row_edges[a + 1]
        if r0 == r1:
            continue
        a0, a1 = row_cell[max(r0 - reach, 0)], row_cell[min(r1 + reach, height) - 1]
        for b in range(state.shape[1]):
            c0, c1 = column_edges[b], column_edges[b + 1]
            if c0 == c1 or state[a, b] != MIXED:
                continue
            b0, b1 = column_cell[max(c0 - reach, 0)], column_cell[min(c1 + reach, width) - 1]
            low, high = _NO_LABEL, np.int32(0)
            for y in range(a0, a1 + 1):
                for x in range(b0, b1 + 1):
                    low, high = min(low, lowest[y, x]), max(high, highest[y, x])
            chosen[a, b] = low < high
    return chosen


@kernel
def _extremes(cells, labels, from_background):
    """Return lowest and highest label of each cell, (2, a, b)."""
    row_edges, column_edges, state = cells.row_edges, cells.column_edges, cells.state
    nothing = np.int32(0) if from_background else _NO_LABEL
    lowest, highest = np.full(state.shape, nothing), np.zeros(state.shape, np.int32)
    for a in range(state.shape[0]):
        r0, r1 = row_edges[a], row_edges[a + 1]
        if r0 == r1:
            continue
        for b in range(state.shape[1]):
            if state[a, b] == BACKGROUND:
                continue
            low, high = _NO_LABEL, np.int32(0)
            # One row stands for all of a cell that is not mixed.
            last = r1 if state[a, b] == MIXED else r0 + 1
            for r in range(r0, last):
                for c in range(column_edges[b], column_edges[b + 1]):
                    label = labels[r, c]
                    low = min(low, label if label else nothing)
                    high = max(high, label)
            lowest[a, b], highest[a, b] = low, high
    return lowest, highest

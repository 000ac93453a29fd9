"""A view's pixels in rectangles: cells of one label, and the few along outlines that have several.

What happens to outlines then costs as much as there are outlines, however large the image is.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from nanorender.jit import kernel

BACKGROUND, _UNIFORM, _WAITING, MIXED = range(4)


class Cells(NamedTuple):
    """Rectangles of a view's pixels, some of which may be empty.

    state: (a, b) of each cell: all background; all one particle; waiting to be traced; or mixed.
        Where pixels of two labels lie side by side, the cells of both are mixed
    chosen: (n) columns of the cells that are traced, row by row
    first_chosen: (a + 1) where each row of cells begins in `chosen`
    row_edges, column_edges: (a + 1), (b + 1) first row and column of each cell, and the end
    row_cell, column_cell: (h), (w) cell of each row and column of pixels
    """

    state: UInt8[np.ndarray, "a b"]
    chosen: Int64[np.ndarray, "n"]
    first_chosen: Int64[np.ndarray, "a+1"]
    row_edges: Int64[np.ndarray, "a+1"]
    column_edges: Int64[np.ndarray, "b+1"]
    row_cell: Int64[np.ndarray, "h"]
    column_cell: Int64[np.ndarray, "w"]


def one_cell(height: int, width: int) -> Cells:
    """Return all pixels in one cell that is traced and may be mixed."""
    return Cells(
        np.full((1, 1), MIXED, np.uint8),
        np.array([0]),
        np.array([0, 1]),
        np.array([0, height]),
        np.array([0, width]),
        np.zeros(height, np.int64),
        np.zeros(width, np.int64),
    )


def cells_between(coarse: Int32[np.ndarray, "a b"], height: int, width: int) -> Cells:
    """Return cells between the centers of coarse pixels; those of several labels are waiting."""
    state = _states(coarse)
    row_cell, column_cell = _cells(height, coarse.shape[0]), _cells(width, coarse.shape[1])
    return Cells(
        state,
        np.empty(state.size, np.int64),
        np.empty(len(state) + 1, np.int64),
        np.searchsorted(row_cell, np.arange(len(state) + 1)),
        np.searchsorted(column_cell, np.arange(state.shape[1] + 1)),
        row_cell,
        column_cell,
    )


@kernel
def _states(coarse):
    """Return the state of each cell. Beyond the outermost centers, no coarse pixel knows."""
    rows, columns = coarse.shape
    state = np.full((rows + 1, columns + 1), _WAITING, np.uint8)
    for a in range(1, rows):
        above, below, row = coarse[a - 1], coarse[a], state[a]
        for b in range(1, columns):
            here = below[b]
            mixed = (above[b - 1] ^ here) | (below[b - 1] ^ here) | (above[b] ^ here)
            row[b] = _WAITING if mixed else (_UNIFORM if here else BACKGROUND)
    return state


def _cells(fine: int, coarse: int) -> Int64[np.ndarray, "n"]:
    """Return between which coarse pixel centers each fine pixel center lies: 0 is before all."""
    return np.floor((np.arange(fine) + 0.5) * (coarse / fine) + 0.5).astype(np.int64)


# Arrays are taken out of `cells` before the loops: passing it on inside would count references.


@kernel
def fill_uniform(coarse, cells, labels):
    """Give the pixels of every cell the label of its lower right coarse pixel."""
    row_edges, column_cell = cells.row_edges, cells.column_cell
    for a in range(row_edges.size - 1):
        start, stop = row_edges[a], row_edges[a + 1]
        if start == stop:
            continue
        known, filled = coarse[min(a, coarse.shape[0] - 1)], labels[start]
        for c in range(filled.size):
            filled[c] = known[min(column_cell[c], known.size - 1)]
        for r in range(start + 1, stop):
            for c in range(filled.size):
                labels[r, c] = filled[c]


@kernel
def choose_waiting(cells, substrate, depth, labels):
    """Choose waiting cells and clear their pixels; return how many cells these are.

    substrate: (h) height of the substrate in each row, nm
    """
    chosen, row_edges, column_edges = cells.chosen, cells.row_edges, cells.column_edges
    count = 0
    for a in range(row_edges.size - 1):
        first, state = count, cells.state[a]
        cells.first_chosen[a] = first
        for b in range(state.size):
            if state[b] == _WAITING:
                state[b] = MIXED
                chosen[count] = b
                count += 1
        for r in range(row_edges[a], row_edges[a + 1]):
            depth_row, label_row, height = depth[r], labels[r], substrate[r]
            for n in range(first, count):
                for c in range(column_edges[chosen[n]], column_edges[chosen[n] + 1]):
                    depth_row[c] = height
                    label_row[c] = 0
    cells.first_chosen[-1] = count
    return count


@kernel
def spread(cells, labels):
    """Make uniform cells wait beside which a pixel of a cell just traced has another label."""
    state, row_edges, column_edges = cells.state, cells.row_edges, cells.column_edges
    height, width = labels.shape
    for a in range(state.shape[0]):
        r0, r1 = row_edges[a], row_edges[a + 1]
        for b in cells.chosen[cells.first_chosen[a] : cells.first_chosen[a + 1]]:
            c0, c1 = column_edges[b], column_edges[b + 1]
            if r0 == r1 or c0 == c1:
                continue
            left = right = above = below = np.int32(0)
            for r in range(r0, r1):
                left |= labels[r, c0] ^ labels[r, max(c0 - 1, 0)]
                right |= labels[r, c1 - 1] ^ labels[r, min(c1, width - 1)]
            for c in range(c0, c1):
                above |= labels[r0, c] ^ labels[max(r0 - 1, 0), c]
                below |= labels[r1 - 1, c] ^ labels[min(r1, height - 1), c]
            if left and state[a, b - 1] < _WAITING:
                state[a, b - 1] = _WAITING
            if right and state[a, b + 1] < _WAITING:
                state[a, b + 1] = _WAITING
            if above and state[a - 1, b] < _WAITING:
                state[a - 1, b] = _WAITING
            if below and state[a + 1, b] < _WAITING:
                state[a + 1, b] = _WAITING


@kernel
def set_background(cells, labels, pixels):
    """Make pixels, flat indices, background; their cells are then mixed."""
    flat, width = labels.ravel(), labels.shape[1]
    state, row_cell, column_cell = cells.state, cells.row_cell, cells.column_cell
    for pixel in pixels:
        flat[pixel] = 0
        state[row_cell[pixel // width], column_cell[pixel % width]] = MIXED


@kernel
def count_pixels(cells, labels, size):
    """Return how many pixels each label from 1 to `size` - 1 has; 0 is not counted."""
    row_edges, column_edges = cells.row_edges, cells.column_edges
    counts = np.zeros(size, np.int64)
    for a in range(row_edges.size - 1):
        r0, r1, state = row_edges[a], row_edges[a + 1], cells.state[a]
        if r0 == r1:
            continue
        for b in range(state.size):
            if state[b] == BACKGROUND:
                continue
            c0, c1 = column_edges[b], column_edges[b + 1]
            if state[b] == MIXED:
                for r in range(r0, r1):
                    for c in range(c0, c1):
                        counts[labels[r, c]] += 1
            elif c0 < c1:
                counts[labels[r0, c0]] += (r1 - r0) * (c1 - c0)
    return counts


@kernel
def renumber(cells, labels, numbers):
    """Replace each label k by numbers[k]; numbers[0] must be 0."""
    row_edges, column_edges = cells.row_edges, cells.column_edges
    for a in range(row_edges.size - 1):
        r0, r1, state = row_edges[a], row_edges[a + 1], cells.state[a]
        if r0 == r1:
            continue
        for b in range(state.size):
            if state[b] == BACKGROUND:
                continue
            for r in range(r0, r1):
                for c in range(column_edges[b], column_edges[b + 1]):
                    labels[r, c] = numbers[labels[r, c]]

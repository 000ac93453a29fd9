"""A view's pixels in rectangles between the centers of coarse pixels.

Cells of one label are handled at once, so that work along outlines costs as much as there are
outlines, however large the image is.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8

from nanorender.jit import kernel
from nanorender.tracing.spans import Spans

BACKGROUND, _UNIFORM, WAITING, TRACED, MIXED = range(5)


class Cells(NamedTuple):
    """Rectangles of a view's pixels, some of which may be empty.

    Attributes
    ----------
    state : (a, b) `BACKGROUND`; uniform, of one particle; `WAITING` to be traced; just `TRACED`; or
        `MIXED`. Where pixels of two labels are adjacent, the cells of both are mixed
    row_edges, column_edges : (a + 1), (b + 1) first row and column of each cell, and the end
    row_cell, column_cell : (h), (w) cell of each row and column of pixels
    """

    state: UInt8[np.ndarray, "a b"]
    row_edges: Int64[np.ndarray, "a+1"]
    column_edges: Int64[np.ndarray, "b+1"]
    row_cell: Int64[np.ndarray, "h"]
    column_cell: Int64[np.ndarray, "w"]


def cells_between(coarse: Int32[np.ndarray, "a b"], height: int, width: int) -> Cells:
    """Return cells between the centers of coarse pixels; those with several labels are waiting.

    Parameters
    ----------
    coarse
        Labels of the coarse pixels.
    height, width
        Size of the view in fine pixels.

    Returns
    -------
    Cells
        One more cell than coarse pixels in both directions.
    """
    state = _states(coarse)
    row_cell, column_cell = _cell_of(height, coarse.shape[0]), _cell_of(width, coarse.shape[1])
    return Cells(
        state,
        np.searchsorted(row_cell, np.arange(len(state) + 1)),
        np.searchsorted(column_cell, np.arange(state.shape[1] + 1)),
        row_cell,
        column_cell,
    )


@kernel
def _states(coarse):
    """Return the state of each cell; cells beyond the outermost centers are waiting."""
    rows, columns = coarse.shape
    state = np.full((rows + 1, columns + 1), WAITING, np.uint8)
    for a in range(1, rows):
        above, below, row = coarse[a - 1], coarse[a], state[a]
        for b in range(1, columns):
            here = below[b]
            mixed = (above[b - 1] ^ here) | (below[b - 1] ^ here) | (above[b] ^ here)
            row[b] = WAITING if mixed else (_UNIFORM if here else BACKGROUND)
    return state


def _cell_of(fine: int, coarse: int) -> Int64[np.ndarray, "n"]:
    """Return the cell of each fine pixel along an axis; cell 0 precedes all coarse centers."""
    return np.floor((np.arange(fine) + 0.5) * (coarse / fine) + 0.5).astype(np.int64)


def spans_of(cells: Cells, chosen: Bool[np.ndarray, "a b"]) -> Spans:
    """Return the spans of the pixels of some cells.

    Parameters
    ----------
    cells
        Cells of a view.
    chosen
        True for the cells whose pixels are wanted.

    Returns
    -------
    Spans
        Shared by the rows of pixels of a row of cells.
    """
    first, start, stop = _cell_spans(chosen, cells.column_edges)
    return Spans(first[cells.row_cell], first[cells.row_cell + 1], start, stop)


@kernel
def _cell_spans(chosen, column_edges):
    """Return where the spans of each row of cells begin, and their starts and stops."""
    first = np.zeros(chosen.shape[0] + 1, np.int64)
    start, stop = np.empty(chosen.size, np.int64), np.empty(chosen.size, np.int64)
    count = 0
    for a in range(chosen.shape[0]):
        for b in range(chosen.shape[1]):
            c0, c1 = column_edges[b], column_edges[b + 1]
            if not chosen[a, b] or c0 == c1:
                continue
            if count > first[a] and stop[count - 1] == c0:
                stop[count - 1] = c1
            else:
                start[count], stop[count] = c0, c1
                count += 1
        first[a + 1] = count
    return first, start[:count], stop[:count]


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
def clear_spans(spans, substrate, depth, labels):
    """Reset the pixels of spans to the bare substrate, whose height in each row is given in nm."""
    for r in range(labels.shape[0]):
        depth_row, label_row, height = depth[r], labels[r], substrate[r]
        for n in range(spans.first[r], spans.last[r]):
            for c in range(spans.start[n], spans.stop[n]):
                depth_row[c] = height
                label_row[c] = 0


@kernel
def spread(cells, labels):
    """Make traced cells mixed, and let uniform neighbors wait whose adjacent pixels differ."""
    state, row_edges, column_edges = cells.state, cells.row_edges, cells.column_edges
    height, width = labels.shape
    for a in range(state.shape[0]):
        r0, r1 = row_edges[a], row_edges[a + 1]
        for b in range(state.shape[1]):
            if state[a, b] != TRACED:
                continue
            state[a, b] = MIXED
            c0, c1 = column_edges[b], column_edges[b + 1]
            if r0 == r1 or c0 == c1:
                continue
            # Compare the pixels on both sides of the four edges
            left = right = above = below = np.int32(0)
            for r in range(r0, r1):
                left |= labels[r, c0] ^ labels[r, max(c0 - 1, 0)]
                right |= labels[r, c1 - 1] ^ labels[r, min(c1, width - 1)]
            for c in range(c0, c1):
                above |= labels[r0, c] ^ labels[max(r0 - 1, 0), c]
                below |= labels[r1 - 1, c] ^ labels[min(r1, height - 1), c]
            if left and state[a, b - 1] < WAITING:
                state[a, b - 1] = WAITING
            if right and state[a, b + 1] < WAITING:
                state[a, b + 1] = WAITING
            if above and state[a - 1, b] < WAITING:
                state[a - 1, b] = WAITING
            if below and state[a + 1, b] < WAITING:
                state[a + 1, b] = WAITING


@kernel
def clear_pixels(cells, labels, pixels):
    """Make pixels, flat indices, background and their cells mixed."""
    flat, width = labels.ravel(), labels.shape[1]
    state, row_cell, column_cell = cells.state, cells.row_cell, cells.column_cell
    for pixel in pixels:
        flat[pixel] = 0
        state[row_cell[pixel // width], column_cell[pixel % width]] = MIXED


@kernel
def count_pixels(cells, labels, size):
    """Count the pixels of each label from 1 to `size` - 1."""
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

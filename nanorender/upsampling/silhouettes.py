"""Silhouettes: the pixels that bilinear magnification blurs and exact labels can restore."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from nanorender.jit import kernel
from nanorender.upsampling.cells import MIXED

_ALL = 15


class Silhouettes(NamedTuple):
    """Pixels of an image whose particle only some of the four rendered pixels around them show.

    Attributes
    ----------
    first : (h + 1) where each row of pixels begins in `column` and `same`
    column : (n) column of each pixel
    same : (n) which of the four show the same particle, or background as well: the sum of 1 for
        the upper left, 2 for the upper right, 4 for the lower left and 8 for the lower right
    """

    first: Int64[np.ndarray, "h+1"]
    column: Int32[np.ndarray, "n"]
    same: UInt8[np.ndarray, "n"]


@kernel
def find_silhouettes(coarse, cells, labels):
    """Return the silhouettes in an image of exact `labels` whose rendered pixels show `coarse`.

    Pixels whose label none of the four has are left out: there is nothing to interpolate.
    """
    rows, columns = coarse.shape
    row_edges, column_edges, state = cells.row_edges, cells.column_edges, cells.state
    # Count the pixels of mixed cells
    most = 0
    for a in range(state.shape[0]):
        for b in range(state.shape[1]):
            if state[a, b] == MIXED:
                height = row_edges[a + 1] - row_edges[a]
                most += height * (column_edges[b + 1] - column_edges[b])
    # Compare each with the four rendered pixels around it
    first = np.zeros(labels.shape[0] + 1, np.int64)
    column, same, count = np.empty(most, np.int32), np.empty(most, np.uint8), 0
    for r in range(labels.shape[0]):
        a, row = cells.row_cell[r], labels[r]
        above, below = coarse[max(a - 1, 0)], coarse[min(a, rows - 1)]
        for b in range(state.shape[1]):
            if state[a, b] != MIXED:
                continue
            left, right = max(b - 1, 0), min(b, columns - 1)
            for c in range(column_edges[b], column_edges[b + 1]):
                agree = 1 * (above[left] == row[c]) + 2 * (above[right] == row[c])
                agree += 4 * (below[left] == row[c]) + 8 * (below[right] == row[c])
                if 0 < agree < _ALL:
                    column[count], same[count] = c, agree
                    count += 1
        first[r + 1] = count
    return Silhouettes(first, column[:count], same[:count])

"""Silhouettes: what magnifying an image blurs along outlines, and exact labels can restore."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from nanorender.jit import kernel, subroutine
from nanorender.upsampling.cells import MIXED

_ALL = 15


class Silhouettes(NamedTuple):
    """Pixels of an image that see what only some of the four rendered pixels around them see.

    first: (h + 1) where each row of pixels begins in `column` and `same`
    column: (n) column of each pixel
    same: (n) which of the four see the same particle, or background as well: the sum of 1 for the
        upper left, 2 for the upper right, 4 for the lower left and 8 for the lower right
    """

    first: Int64[np.ndarray, "h+1"]
    column: Int32[np.ndarray, "n"]
    same: UInt8[np.ndarray, "n"]


NO_SILHOUETTES = Silhouettes(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint8))


@kernel
def find_silhouettes(coarse, cells, labels):
    """Return the silhouettes of rendered pixels that see `coarse`, in an image of exact `labels`.

    Pixels are left out whose label none of the four has: nothing better is known there.
    """
    rows, columns = coarse.shape
    row_edges, column_edges = cells.row_edges, cells.column_edges
    most = 0
    for a in range(row_edges.size - 1):
        for b in range(column_edges.size - 1):
            if cells.state[a, b] == MIXED:
                height, width = (
                    row_edges[a + 1] - row_edges[a],
                    column_edges[b + 1] - column_edges[b],
                )
                most += height * width
    first = np.zeros(labels.shape[0] + 1, np.int64)
    column, same, count = np.empty(most, np.int32), np.empty(most, np.uint8), 0
    for r in range(labels.shape[0]):
        a, row = cells.row_cell[r], labels[r]
        state, above, below = cells.state[a], coarse[max(a - 1, 0)], coarse[min(a, rows - 1)]
        for b in range(state.size):
            if state[b] != MIXED:
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


@subroutine
def sharpen_line(target, levels, silhouettes, r, shift):
    """Fill a line with what row r of the image gains where only the same particle is interpolated.

    target: (w + 2) a line of the image, `shift` pixels to the left of the labels, with a pixel
        more at each end; 0 away from silhouettes
    """
    target[:] = np.float32(0)
    height, width = silhouettes.first.size - 1, target.size - 2
    rows, columns = levels.shape
    if not 0 <= r < height:
        return
    y = (r + 0.5) * (rows / height) + 0.5  # of the cell between rendered pixels, as in `cells`
    a = math.floor(y)
    down = np.float32(y - a)
    above, below = levels[max(a - 1, 0)], levels[min(a, rows - 1)]
    for n in range(silhouettes.first[r], silhouettes.first[r + 1]):
        c, same = silhouettes.column[n], silhouettes.same[n]
        if not 0 <= c - shift < width:
            continue
        x = (c + 0.5) * (columns / width) + 0.5
        b = math.floor(x)
        across = np.float32(x - b)
        left, right = max(b - 1, 0), min(b, columns - 1)
        total = same_total = same_weight = np.float32(0)
        for k in range(4):
            line = below if k & 2 else above
            level = line[right] if k & 1 else line[left]
            weight = across if k & 1 else np.float32(1) - across
            weight *= down if k & 2 else np.float32(1) - down
            total += weight * level
            if same & (1 << k):
                same_weight += weight
                same_total += weight * level
        if same_weight > 0:
            target[c - shift + 1] = same_total / same_weight - total

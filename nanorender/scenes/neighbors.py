"""A grid of cells to find what lies near a place, while particles are placed one by one."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nanorender.jit import subroutine


class Grid(NamedTuple):
    """Cells of one edge, which repeat beyond the grid's own extent.

    head: (c, c) last particle put into each cell, -1 for none
    following: (n) the one put there before it
    cell_nm: edge of a cell
    span: cells to look into on either side, enough for the largest two particles
    """

    head: Int[np.ndarray, "c c"]
    following: Int[np.ndarray, "n"]
    cell_nm: float
    span: int


def empty_grid(reach_nm: Float[np.ndarray, "n"]) -> Grid:
    """Return a grid for particles of these reaches, with none in it."""
    count = len(reach_nm)
    cell_nm = max(2.0 * float(np.median(reach_nm)), 1e-3) if count else 1.0
    cells = int(np.sqrt(count)) + 1
    largest = float(reach_nm.max()) if count else 0.0
    span = min(int(np.ceil(2.0 * largest / cell_nm)), cells // 2)
    return Grid(np.full((cells, cells), -1), np.full(count, -1), cell_nm, span)


@subroutine
def put(grid, i, x, y):
    """Put particle i at (x, y)."""
    head, following, cell_nm, _ = grid
    cells = head.shape[0]
    row, column = int(y // cell_nm) % cells, int(x // cell_nm) % cells
    following[i] = head[row, column]
    head[row, column] = i


@subroutine
def near(grid, i, x, y, xy, reach, found):
    """Fill `found` with particles whose reach meets that of i at (x, y); return how many."""
    head, following, cell_nm, span = grid
    cells = head.shape[0]
    count = 0
    row, column = int(y // cell_nm), int(x // cell_nm)
    low, high = -span, min(span, cells - 1 - span)  # every cell once, however few there are
    for down in range(low, high + 1):
        for right in range(low, high + 1):
            j = head[(row + down) % cells, (column + right) % cells]
            while j >= 0:
                dx, dy = xy[j, 0] - x, xy[j, 1] - y
                if dx * dx + dy * dy < (reach[i] + reach[j]) ** 2:
                    found[count] = j
                    count += 1
                j = following[j]
    return count

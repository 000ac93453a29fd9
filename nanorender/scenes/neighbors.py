"""A grid of cells that finds the neighbors of a particle while particles are placed one by one."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nanorender.jit import subroutine
from nanorender.scenes.footprints import closeness


class Grid(NamedTuple):
    """A periodic grid of square cells, each with a linked list of particles.

    Attributes
    ----------
    head : (c, c) last particle inserted into each cell, -1 for none
    following : (n,) particle inserted into the same cell before, -1 for none
    cell_nm : edge length of a cell
    span : number of cells to search on either side, enough for the two largest particles
    """

    head: Int[np.ndarray, "c c"]
    following: Int[np.ndarray, "n"]
    cell_nm: float
    span: int


def empty_grid(reach_nm: Float[np.ndarray, "n"]) -> Grid:
    """Return an empty grid for particles with footprints of the given reach.

    Parameters
    ----------
    reach_nm : (n,) distance of the farthest point of each footprint from its center, nm

    Returns
    -------
    grid : grid with room for all n particles

    Examples
    --------
    >>> empty_grid(np.full(4, 50.0)).cell_nm
    100.0
    """
    count = len(reach_nm)
    cell_nm = max(2.0 * float(np.median(reach_nm)), 1e-3) if count else 1.0
    cells = int(np.sqrt(count)) + 1
    largest = float(reach_nm.max()) if count else 0.0
    span = min(int(np.ceil(2.0 * largest / cell_nm)), cells // 2)
    return Grid(np.full((cells, cells), -1), np.full(count, -1), cell_nm, span)


@subroutine
def insert(grid, i, x, y):
    """Insert particle i at (x, y)."""
    cells = grid.head.shape[0]
    row, column = int(y // grid.cell_nm) % cells, int(x // grid.cell_nm) % cells
    grid.following[i] = grid.head[row, column]
    grid.head[row, column] = i


@subroutine
def find_neighbors(grid, reach, i, x, y, xy, found):
    """Write the particles within reach of i at (x, y) into `found` and return their number."""
    cells = grid.head.shape[0]
    count = 0
    row, column = int(y // grid.cell_nm), int(x // grid.cell_nm)
    # Visit every cell once, even if there are fewer than the span requires
    low, high = -grid.span, min(grid.span, cells - 1 - grid.span)
    for down in range(low, high + 1):
        for right in range(low, high + 1):
            j = grid.head[(row + down) % cells, (column + right) % cells]
            while j >= 0:
                dx, dy = xy[j, 0] - x, xy[j, 1] - y
                if dx * dx + dy * dy < (reach[i] + reach[j]) ** 2:
                    found[count] = j
                    count += 1
                j = grid.following[j]
    return count


@subroutine
def nearest_contact(footprints, i, x, y, xy, grid, found):
    """Return the least closeness of i at (x, y) to the particles in the grid, at most 1."""
    nearest = 1.0
    for k in range(find_neighbors(grid, footprints.reach_nm, i, x, y, xy, found)):
        j = found[k]
        nearest = min(nearest, closeness(footprints, i, j, xy[j, 0] - x, xy[j, 1] - y))
    return nearest

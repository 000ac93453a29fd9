"""Arrangements: where particles lie beside each other in a plane, before they settle.

Agglomerates in contact, rows, sheets, and particles that fell where there was room.
"""

import numpy as np
from jaxtyping import Float, Int

from nanorender.jit import kernel, subroutine
from nanorender.scenes.footprints import Footprints, closeness
from nanorender.scenes.neighbors import empty_grid, near, put

TRIES = 16  # places tried for each particle of an agglomerate
FALLS = 24  # places tried for each particle that is to lie beside the others
FREE = 1e-9


@subroutine
def _closest(i, x, y, xy, footprint, grid, found):
    """Return the least closeness of i at (x, y) to what is there, 1 if it touches nothing."""
    _, inverse, segment, radius, reach = footprint
    closest = 1.0
    for k in range(near(grid, i, x, y, xy, reach, found)):
        j = found[k]
        apart = closeness(i, j, xy[j, 0] - x, xy[j, 1] - y, inverse, segment, radius)
        closest = min(closest, apart)
    return closest


@kernel
def _grow(first, draws, on_top, compactness, overlap, seeds, footprint, grid):
    """Return x, y of particles of agglomerates; `first[i]` is the first of i's agglomerate.

    Each particle is tried beside TRIES members of its agglomerate. Of the places where it touches
    nothing else deeper than the overlap, the one nearest to the middle is taken among as many as
    the compactness says; if all are taken, the particle ends up where it overlaps least.
    """
    _, inverse, segment, radius, _ = footprint
    parent_draw, angle_draw = draws
    xy = np.zeros((first.size, 2))
    found = np.empty(first.size, np.int64)
    considered = 1 + int(compactness * (parent_draw.shape[1] - 1))
    middle_x = middle_y = 0.0
    for i in range(first.size):
        start = first[i]
        members = i - start
        if members == 0:
            middle_x, middle_y = seeds[i]
            xy[i, 0], xy[i, 1] = middle_x, middle_y
        else:
            best, fitting = np.inf, 0
            for k in range(parent_draw.shape[1]):
                parent = start + min(int(parent_draw[i, k] * members), members - 1)
                ux, uy = np.cos(angle_draw[i, k]), np.sin(angle_draw[i, k])
                touch = 1.0 / closeness(parent, i, ux, uy, inverse, segment, radius)
                touch *= on_top[i] if on_top[i] > 0.0 else 1.0 - overlap[i]
                x, y = xy[parent, 0] + ux * touch, xy[parent, 1] + uy * touch
                closest = 1.0
                if on_top[i] == 0.0:
                    closest = _closest(i, x, y, xy, footprint, grid, found)
                fits = closest >= 1.0 - overlap[i] - FREE
                away = np.sqrt((x - middle_x) ** 2 + (y - middle_y) ** 2)
                score = away if fits else 1e12 * (2.0 - closest)
                if score < best:
                    best = score
                    xy[i, 0], xy[i, 1] = x, y
                if fits:
                    fitting += 1
                    if fitting >= considered:
                        break
            middle_x += (xy[i, 0] - middle_x) / (members + 1)
            middle_y += (xy[i, 1] - middle_y) / (members + 1)
        put(grid, i, xy[i, 0], xy[i, 1])
    return xy


def grown(
    agglomerate: Int[np.ndarray, "n"],
    seeds: Float[np.ndarray, "n 2"],
    overlap: Float[np.ndarray, "n"],
    shape: tuple[float, float],
    covered: Footprints,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 2"]:
    """Return x, y of particles stuck together; `shape`: compactness and share on top of others."""
    count = len(agglomerate)
    compactness, stacking = shape
    on_top = rng.uniform(0.2, 0.8, count) * (rng.uniform(size=count) < stacking)
    parents = rng.uniform(size=(count, TRIES)) ** (0.1 + 0.9 * compactness)
    angles = rng.uniform(0.0, 2.0 * np.pi, (count, TRIES))
    grid = empty_grid(covered.reach_nm)
    first = np.searchsorted(agglomerate, agglomerate)
    return _grow(first, (parents, angles), on_top, compactness, overlap, seeds, covered, grid)


@kernel
def _rows(first, heading, overlap, seeds, footprint):
    """Return x, y of particles each of which touches the one before it in its row."""
    _, inverse, segment, radius, _ = footprint
    xy = seeds.copy()
    for i in range(first.size):
        if first[i] != i:
            ux, uy = np.cos(heading[i]), np.sin(heading[i])
            touch = (1.0 - overlap[i]) / closeness(i - 1, i, ux, uy, inverse, segment, radius)
            xy[i, 0], xy[i, 1] = xy[i - 1, 0] + ux * touch, xy[i - 1, 1] + uy * touch
    return xy


def in_rows(
    agglomerate: Int[np.ndarray, "n"],
    seeds: Float[np.ndarray, "n 2"],
    overlap: Float[np.ndarray, "n"],
    bend_deg: float,
    covered: Footprints,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 2"]:
    """Return x, y of particles in rows; from one to the next a row bends by about `bend_deg`."""
    first = np.searchsorted(agglomerate, agglomerate)
    bends = np.cumsum(np.radians(bend_deg) * rng.standard_normal(len(first)))
    heading = rng.uniform(0.0, 2.0 * np.pi, len(first))[first] + bends - bends[first]
    return _rows(first, heading, overlap, seeds, covered)


def in_sheets(
    agglomerate: Int[np.ndarray, "n"],
    seeds: Float[np.ndarray, "n 2"],
    spacing: tuple[float, float],
    covered: Footprints,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 2"]:
    """Return x, y of particles in hexagonal layers, filled from the middle outwards.

    spacing: gap between neighbors and standard deviation of places, over the particles' width
    """
    gap, disorder = spacing
    first = np.searchsorted(agglomerate, agglomerate)
    rank = np.arange(len(first)) - first
    # The lattice has one point in an area of sqrt(3) / 2: enough of it, and the nearest come first.
    reach = int(np.sqrt(rank.max(initial=0) + 1)) + 2
    column, row = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    lattice = np.column_stack([(column + row / 2).ravel(), (row * np.sqrt(3) / 2).ravel()])
    lattice = lattice[np.argsort(np.hypot(*lattice.T).round(6), kind="stable")]
    # Wide enough that nearly none is larger than its place.
    width = 2 * float(np.quantile(covered.reach_nm, 0.95)) if len(first) else 1.0
    place = lattice[rank] * (1 + gap) + disorder * rng.standard_normal((len(first), 2))
    angle = rng.uniform(0.0, 2.0 * np.pi, len(first))[first]
    cosine, sine = np.cos(angle), np.sin(angle)
    x = cosine * place[:, 0] - sine * place[:, 1]
    y = sine * place[:, 0] + cosine * place[:, 1]
    return seeds[first] + width * np.column_stack([x, y])


@kernel
def _apart(order, places, asks, footprint, grid):
    """Return x, y of particles: the first of their places that is free, or else the last."""
    xy = places[:, 0].copy()
    found = np.empty(order.size, np.int64)
    for i in order:
        for k in range(places.shape[1] if asks[i] else 1):
            x, y = places[i, k]
            xy[i, 0], xy[i, 1] = x, y
            if asks[i] and _closest(i, x, y, xy, footprint, grid, found) >= 1.0:
                break
        put(grid, i, xy[i, 0], xy[i, 1])
    return xy


def apart(
    places: Float[np.ndarray, "n k 2"], asks: np.ndarray, covered: Footprints
) -> Float[np.ndarray, "n 2"]:
    """Return x, y of particles that fall one after the other, the largest first.

    Random sequential adsorption (Feder 1980, J. Theor. Biol. 87, 237) with a limited number of
    places for each particle.

    places: (n, k, 2) where each may fall
    asks: (n) whether it looks for a free place, or takes the first
    """
    order = np.argsort(-covered.reach_nm, kind="stable")
    return _apart(order, places, asks, covered, empty_grid(covered.reach_nm))

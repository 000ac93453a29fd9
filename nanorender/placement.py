"""Placement: where particles sit on the substrate and on each other.

Two steps. The first chooses x and y: scattered, read from a distribution map, or grown into
agglomerates in contact. The second settles: each particle, in turn, is lowered onto the substrate
or onto those already there. Contact is judged between footprints.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from nanorender.distributions import Constant, Distribution, NonNegativeDistribution
from nanorender.errors import InputError
from nanorender.footprints import closeness, footprints
from nanorender.jit import kernel
from nanorender.micrograph import read_micrograph
from nanorender.settings import Settings

TRIES = 16  # places tried for each particle of an agglomerate

Fraction = Annotated[float, Field(ge=0, le=1)]


class Scattered(Settings):
    """Particles fall at random and rest on whatever lies below them."""

    kind: Literal["scattered"] = "scattered"


class Agglomerates(Settings):
    """Particles stick together in clumps and chains that lie on the substrate.

    members: particles in an agglomerate; 1 is a particle by itself
    compactness: 0 for chains that branch at random, 1 for round clumps
    stacking: share of an agglomerate's particles that lie on top of the others
    overlap: depth of contact as a fraction of the distance of two particles that just touch, drawn
        for each particle; more than 0 for sintered necks, and at most a half
    """

    kind: Literal["agglomerates"] = "agglomerates"
    members: Distribution = Constant(value=10)
    compactness: Fraction = 0.3
    stacking: Fraction = 0.15
    overlap: NonNegativeDistribution = Constant(value=0.05)


class DistributionMap(Settings):
    """Centers read from an image: every pixel that is not black is one, its gray value a height.

    file: image that covers the whole field
    white_height_nm: what a white pixel raises its particle by
    """

    kind: Literal["map"] = "map"
    file: Path
    white_height_nm: Annotated[float, Field(ge=0)] = 0.0


Placement = Annotated[Scattered | Agglomerates | DistributionMap, Field(discriminator="kind")]


@kernel
def _grow(first, parent_draw, angle_draw, on_top, compactness, overlap, seeds, footprint, cell_nm):
    """Return x, y of particles of agglomerates; `first[i]` is the first of i's agglomerate.

    Each particle is tried beside TRIES members of its agglomerate. Of the places where it touches
    nothing else deeper than the overlap, the one nearest to the middle is taken among as many as
    the compactness says; if all are taken, the particle ends up where it overlaps least.
    """
    _, inverse, segment, radius, reach = footprint
    count = first.size
    xy = np.zeros((count, 2))
    cells = int(np.sqrt(count)) + 1
    head = np.full((cells, cells), -1)
    following = np.full(count, -1)
    span = min(int(np.ceil(2.0 * reach.max() / cell_nm)), cells // 2)
    considered = 1 + int(compactness * (parent_draw.shape[1] - 1))
    middle_x = middle_y = 0.0
    for i in range(count):
        start = first[i]
        members = i - start
        if members == 0:
            xy[i] = seeds[i]
            middle_x, middle_y = seeds[i]
        else:
            best, found = np.inf, 0
            for k in range(parent_draw.shape[1]):
                parent = start + min(int(parent_draw[i, k] * members), members - 1)
                ux, uy = np.cos(angle_draw[i, k]), np.sin(angle_draw[i, k])
                touch = 1.0 / closeness(parent, i, ux, uy, inverse, segment, radius)
                if on_top[i] > 0.0:
                    touch *= on_top[i]
                else:
                    touch *= 1.0 - overlap[i]
                x, y = xy[parent, 0] + ux * touch, xy[parent, 1] + uy * touch
                closest = 1.0
                if on_top[i] == 0.0:
                    column, row = int(x // cell_nm), int(y // cell_nm)
                    for cy in range(row - span, row + span + 1):
                        for cx in range(column - span, column + span + 1):
                            j = head[cy % cells, cx % cells]
                            while j >= 0:
                                dx, dy = xy[j, 0] - x, xy[j, 1] - y
                                if dx * dx + dy * dy < (reach[i] + reach[j]) ** 2:
                                    near = closeness(i, j, dx, dy, inverse, segment, radius)
                                    closest = min(closest, near)
                                j = following[j]
                fits = closest >= 1.0 - overlap[i] - 1e-9
                away = np.sqrt((x - middle_x) ** 2 + (y - middle_y) ** 2)
                score = away if fits else 1e12 * (2.0 - closest)
                if score < best:
                    best = score
                    xy[i, 0], xy[i, 1] = x, y
                if fits:
                    found += 1
                    if found >= considered:
                        break
            middle_x += (xy[i, 0] - middle_x) / (members + 1)
            middle_y += (xy[i, 1] - middle_y) / (members + 1)
        row, column = int(xy[i, 1] // cell_nm) % cells, int(xy[i, 0] // cell_nm) % cells
        following[i] = head[row, column]
        head[row, column] = i
    return xy


@kernel
def _settle(xy, overlap, footprint, cell_nm):
    """Return the heights at which particles rest when lowered one after the other.

    Two ellipsoids whose footprints are t times as far apart as when they touch side by side touch
    when their middles differ in height by sqrt(1 - t²) of the sum of their half heights. Compact
    particles rest on the highest contact. Wires bend: one that crosses others lies in the lowest
    gap between them, not above the longest chain of crossings.
    """
    half_height, inverse, segment, radius, reach = footprint
    reduced = 1.0 - overlap
    count = half_height.size
    z = half_height.copy()
    below, above = np.empty(count), np.empty(count)
    cells = int(np.sqrt(count)) + 1
    head = np.full((cells, cells), -1)
    following = np.full(count, -1)
    span = min(int(np.ceil(2.0 * reach.max() / cell_nm)), cells // 2)
    for i in range(count):
        contacts = 0
        column, row = int(xy[i, 0] // cell_nm), int(xy[i, 1] // cell_nm)
        for cy in range(row - span, row + span + 1):
            for cx in range(column - span, column + span + 1):
                j = head[cy % cells, cx % cells]
                while j >= 0:
                    dx, dy = xy[j, 0] - xy[i, 0], xy[j, 1] - xy[i, 1]
                    if dx * dx + dy * dy < (reach[i] + reach[j]) ** 2:
                        near = closeness(i, j, dx, dy, inverse, segment, radius) / reduced[i]
                        if near < 1.0:
                            lift = np.sqrt(1.0 - near * near) * reduced[i]
                            lift *= half_height[i] + half_height[j]
                            if radius[i] > 0.0 and radius[j] > 0.0:
                                below[contacts], above[contacts] = z[j] - lift, z[j] + lift
                                contacts = min(contacts + 1, count - 1)
                            else:
                                z[i] = max(z[i], z[j] + lift)
                    j = following[j]
        moved = contacts > 0
        while moved:
            moved = False
            for k in range(contacts):
                if below[k] < z[i] < above[k]:
                    z[i] = above[k]
                    moved = True
        row, column = row % cells, column % cells
        following[i] = head[row, column]
        head[row, column] = i
    return z


def _agglomerate_sizes(members: Distribution, count: int, rng: np.random.Generator):
    """Return the number of the agglomerate of each of `count` particles."""
    sizes = np.maximum(1, np.round(members.sample(rng, count))).astype(np.int64)
    return np.repeat(np.arange(count), sizes)[:count]


def _map_centers(settings: DistributionMap, field_nm: float, count: int, rng):
    """Return x, y and elevation of centers drawn from the map's pixels, without repeats."""
    image = read_micrograph(settings.file).image
    rows, columns = np.nonzero(image)
    if rows.size == 0:
        raise InputError(f"{settings.file} is black: a distribution map needs a pixel per particle")
    chosen = rng.permutation(rows.size)[:count]
    rows, columns = rows[chosen], columns[chosen]
    scale = field_nm / max(image.shape)
    white = np.iinfo(image.dtype).max
    elevation = image[rows, columns] / white * settings.white_height_nm
    return np.stack([(columns + 0.5) * scale, (rows + 0.5) * scale], axis=1), elevation


def place(
    settings: Placement,
    field_nm: float,
    size_nm: Float[np.ndarray, "n 3"],
    rotation: Float[np.ndarray, "n 3 3"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "m 3"], Int[np.ndarray, "m"]]:
    """Return centers (x, y, z in nm) and agglomerate numbers of particles on a square field.

    Parameters
    ----------
    settings : how they are arranged
    field_nm : edge of the field; x and y of the centers run from 0 to it, though the members of an
        agglomerate may stand over its edge
    size_nm : (n, 3) edges of the particles' boxes
    rotation : (n, 3, 3) from the particles' axes to the scene's

    A distribution map with fewer pixels than particles places only as many (m < n).

    Raises
    ------
    InputError
        If a distribution map cannot be read or is black.
    """
    count = len(size_nm)
    agglomerate = np.arange(count)
    elevation, overlap = 0.0, np.zeros(count)
    if isinstance(settings, DistributionMap):
        xy, elevation = _map_centers(settings, field_nm, count, rng)
        size_nm, rotation, agglomerate = (
            size_nm[: len(xy)],
            rotation[: len(xy)],
            agglomerate[: len(xy)],
        )
    covered = footprints(size_nm, rotation)
    cell_nm = max(2.0 * float(np.median(covered.reach_nm)), 1e-3) if count else 1.0
    if isinstance(settings, Scattered):
        xy = rng.uniform(0.0, field_nm, (count, 2))
    elif isinstance(settings, Agglomerates):
        overlap = np.minimum(settings.overlap.sample(rng, count), 0.5)
        agglomerate = _agglomerate_sizes(settings.members, count, rng)
        first = np.searchsorted(agglomerate, agglomerate)
        on_top = rng.uniform(0.2, 0.8, count) * (rng.uniform(size=count) < settings.stacking)
        parents = rng.uniform(size=(count, TRIES)) ** (0.1 + 0.9 * settings.compactness)
        angles = rng.uniform(0.0, 2.0 * np.pi, (count, TRIES))
        seeds = rng.uniform(0.0, field_nm, (count, 2))
        xy = _grow(
            first, parents, angles, on_top, settings.compactness, overlap, seeds, covered, cell_nm
        )
    z = _settle(xy, overlap, covered, cell_nm)
    return np.column_stack([xy, z + elevation]), agglomerate

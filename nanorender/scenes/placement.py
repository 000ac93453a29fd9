"""Placement: where particles sit on the substrate and on each other.

Two steps. The first chooses x and y: scattered, read from a distribution map, or arranged in groups
(agglomerates, rows, sheets, fractal agglomerates) whose places may themselves follow a density map.
The second settles: each particle, or each rigid agglomerate, is lowered onto the substrate or onto
those already there. Contact is judged between footprints.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from nanorender.distributions import Constant, Distribution, NonNegativeDistribution
from nanorender.errors import InputError
from nanorender.files.micrograph import read_micrograph
from nanorender.scenes.arrangements import FALLS, apart, grown, in_rows, in_sheets
from nanorender.scenes.footprints import Footprints, footprints
from nanorender.scenes.fractal import fractal_clusters
from nanorender.scenes.settling import settle, settle_rigid
from nanorender.settings import Settings

DEEPEST = 0.5  # contact, over the distance at which two particles just touch

Fraction = Annotated[float, Field(ge=0, le=1)]


class Placed(Settings):
    """What placements have in common.

    density_map: image over the whole field whose gray value is how likely particles, or groups of
        them, lie there; none for everywhere
    overlap: depth of contact as a fraction of the distance of two particles that just touch, drawn
        for each particle; more than 0 for sintered necks, and at most a half
    """

    density_map: Path | None = None
    overlap: NonNegativeDistribution = Constant(value=0.0)


class Scattered(Placed):
    """Particles fall at random and rest on whatever lies below them.

    apart: share of the particles that look for a free place first, up to a crowded monolayer
    """

    kind: Literal["scattered"] = "scattered"
    apart: Fraction = 0.0


class Agglomerates(Placed):
    """Particles stick together in clumps and chains that lie on the substrate.

    members: particles in an agglomerate; 1 is a particle by itself
    compactness: 0 for chains that branch at random, 1 for round clumps
    stacking: share of an agglomerate's particles that lie on top of the others
    """

    kind: Literal["agglomerates"] = "agglomerates"
    members: Distribution = Constant(value=10)
    compactness: Fraction = 0.3
    stacking: Fraction = 0.15
    overlap: NonNegativeDistribution = Constant(value=0.05)


class Rows(Placed):
    """Particles lie in contact, one after the other.

    members: particles in a row
    bend_deg: standard deviation of the change of direction from one to the next
    """

    kind: Literal["rows"] = "rows"
    members: Distribution = Constant(value=8)
    bend_deg: Annotated[float, Field(ge=0, le=60)] = 15.0


class Sheets(Placed):
    """Particles lie in hexagonal layers, as spheres do that dried out of a suspension.

    members: particles in a sheet
    gap: between neighbors, over the width of the larger particles
    disorder: standard deviation of their places, over that width
    """

    kind: Literal["sheets"] = "sheets"
    members: Distribution = Constant(value=100)
    gap: Annotated[float, Field(ge=0, le=2)] = 0.02
    disorder: Annotated[float, Field(ge=0, le=1)] = 0.02


class Fractal(Placed):
    """Fractal agglomerates, by cluster-cluster aggregation, that settle without deforming.

    members: primary particles in an agglomerate, N
    dimension, prefactor: of the law N = prefactor (radius of gyration / radius) ^ dimension; flame
        soot and fumed oxides have about 1.8 and 1.3 (Sorensen 2011, Aerosol Sci. Technol. 45, 765)
    """

    kind: Literal["fractal"] = "fractal"
    members: Distribution = Constant(value=60)
    dimension: Annotated[float, Field(ge=1.2, le=2.6)] = 1.8
    prefactor: Annotated[float, Field(ge=0.8, le=2.5)] = 1.3


class DistributionMap(Settings):
    """Centers read from an image: every pixel that is not black is one, its gray value a height.

    file: image that covers the whole field
    white_height_nm: what a white pixel raises its particle by
    """

    kind: Literal["map"] = "map"
    file: Path
    white_height_nm: Annotated[float, Field(ge=0)] = 0.0


Placement = Annotated[
    Scattered | Agglomerates | Rows | Sheets | Fractal | DistributionMap,
    Field(discriminator="kind"),
]
KINDS = (Scattered, Agglomerates, Rows, Sheets, Fractal, DistributionMap)


def group_sizes(
    members: Distribution, count: int, rng: np.random.Generator
) -> Int[np.ndarray, "n"]:
    """Return the number of the group of each of `count` particles, ascending from 0."""
    sizes = np.clip(np.round(members.sample(rng, count)), 1, max(count, 1)).astype(np.int64)
    needed = int(np.searchsorted(np.cumsum(sizes), count)) + 1
    return np.repeat(np.arange(min(needed, count)), sizes[:needed])[:count]


def _map_pixels(file: Path):
    """Return the image of a map, the indices of its pixels that are not black."""
    image = read_micrograph(file).image
    rows, columns = np.nonzero(image)
    if rows.size == 0:
        raise InputError(f"{file} is black: a map needs pixels that are not")
    return image, rows, columns


def _map_centers(settings: DistributionMap, field_nm: float, count: int, rng: np.random.Generator):
    """Return x, y, elevation of centers drawn from the map's pixels, without repeats."""
    image, rows, columns = _map_pixels(settings.file)
    chosen = rng.permutation(rows.size)[:count]
    rows, columns = rows[chosen], columns[chosen]
    scale = field_nm / max(image.shape)
    white = np.iinfo(image.dtype).max
    elevation = image[rows, columns] / white * settings.white_height_nm
    return np.column_stack([(columns + 0.5) * scale, (rows + 0.5) * scale]), elevation


def _seeds(
    settings: Placed, field_nm: float, shape: tuple[int, ...], rng: np.random.Generator
) -> Float[np.ndarray, "*shape 2"]:
    """Return x, y of random places of an array's shape, as dense as the map says."""
    even = rng.uniform(0.0, 1.0, (*shape, 2))
    if settings.density_map is None:
        return field_nm * even
    image, rows, columns = _map_pixels(settings.density_map)
    weight = image[rows, columns].astype(float)
    chosen = rng.choice(rows.size, size=shape, p=weight / weight.sum())
    corner = np.stack([columns[chosen], rows[chosen]], axis=-1)
    return (corner + even) * (field_nm / max(image.shape))


def place(
    settings: Placement,
    field_nm: float,
    size_nm: Float[np.ndarray, "n 3"],
    rotation: Float[np.ndarray, "n 3 3"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "m 3"], Int[np.ndarray, "m"]]:
    """Return centers (x, y, z in nm) and group numbers of particles on a square field.

    Parameters
    ----------
    settings : how they are arranged
    field_nm : edge of the field; x and y of the centers run from 0 to it, though the members of a
        group may stand over its edge
    size_nm : (n, 3) edges of the particles' boxes
    rotation : (n, 3, 3) from the particles' axes to the scene's

    A distribution map with fewer pixels than particles places only as many (m < n).

    Raises
    ------
    InputError
        If a map cannot be read or is black.
    """
    count = len(size_nm)
    if isinstance(settings, DistributionMap):
        xy, elevation = _map_centers(settings, field_nm, count, rng)
        covered = footprints(size_nm[: len(xy)], rotation[: len(xy)])
        z = settle(xy, np.zeros(len(xy)), covered) + elevation
        return np.column_stack([xy, z]), np.arange(len(xy))
    covered = footprints(size_nm, rotation)
    overlap = np.minimum(settings.overlap.sample(rng, count), DEEPEST)
    if isinstance(settings, Scattered):
        asks = rng.uniform(size=count) < settings.apart
        places = _seeds(settings, field_nm, (count, FALLS if settings.apart > 0 else 1), rng)
        xy = apart(places, asks, covered)
        return np.column_stack([xy, settle(xy, overlap, covered)]), np.arange(count)
    group = group_sizes(settings.members, count, rng)
    seeds = _seeds(settings, field_nm, (count,), rng)
    if isinstance(settings, Fractal):
        center = _fractal_centers(settings, size_nm, group, seeds, rng)
        z = settle_rigid(center, group, overlap, covered)
        return np.column_stack([center[:, :2], z]), group
    xy = _arranged(settings, group, seeds, overlap, covered, rng)
    return np.column_stack([xy, settle(xy, overlap, covered)]), group


def _arranged(
    settings: Agglomerates | Rows | Sheets,
    group: Int[np.ndarray, "n"],
    seeds: Float[np.ndarray, "n 2"],
    overlap: Float[np.ndarray, "n"],
    covered: Footprints,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 2"]:
    """Return x, y of particles in groups."""
    if isinstance(settings, Agglomerates):
        shape = (settings.compactness, settings.stacking)
        return grown(group, seeds, overlap, shape, covered, rng)
    if isinstance(settings, Rows):
        return in_rows(group, seeds, overlap, settings.bend_deg, covered, rng)
    return in_sheets(group, seeds, (settings.gap, settings.disorder), covered, rng)


def _fractal_centers(
    settings: Fractal,
    size_nm: Float[np.ndarray, "n 3"],
    group: Int[np.ndarray, "n"],
    seeds: Float[np.ndarray, "n 2"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 3"]:
    """Return centers of fractal agglomerates; z from their centers of mass."""
    radius = np.cbrt(np.prod(size_nm, axis=1)) / 2
    depth = min(max(settings.overlap.typical(), 0.0), DEEPEST)
    law = (settings.dimension, settings.prefactor, 1.0 - depth)
    center = fractal_clusters(radius, group, law, rng)
    center[:, :2] += seeds[np.searchsorted(group, group)]
    return center

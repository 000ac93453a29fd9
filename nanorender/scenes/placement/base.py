"""Base classes of placements: interface, density maps, overlaps, groups and settling."""

from abc import abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt16

from nanorender.distributions import Constant, Distribution, NonNegativeDistribution
from nanorender.errors import InputError
from nanorender.files.micrograph import read_micrograph
from nanorender.scenes.footprints import Bodies, Footprints
from nanorender.scenes.settling import settle
from nanorender.settings import Settings, StoredPath

MAX_OVERLAP = 0.5
"""Maximum depth of a contact, relative to the distance at which two particles just touch."""


class Arrangement(NamedTuple):
    """Positions of particles on the field.

    Attributes
    ----------
    center_nm : (n, 3) x, y, z of the centers
    group : (n,) number of the group of each particle, ascending from 0
    """

    center_nm: Float[np.ndarray, "n 3"]
    group: Int[np.ndarray, "n"]


class PlacementBase(Settings):
    """Interface of all placements."""

    @abstractmethod
    def arrange(self, bodies: Bodies, field_nm: float, rng: np.random.Generator) -> Arrangement:
        """Place particles on a square field.

        Parameters
        ----------
        bodies : sizes and rotations of n particles
        field_nm : edge length of the field; members of a group may lie beyond its edge
        rng : random generator

        Returns
        -------
        arrangement : positions; may hold fewer particles than requested

        Raises
        ------
        InputError
            If a map cannot be read or is black.
        """

    def neighbor_searches(self) -> float:
        """Return how often neighbors are searched for each particle, for estimates of time.

        Returns
        -------
        searches : mean number of searches; settling takes one
        """
        return 1.0


class Grouping(NamedTuple):
    """Particles assigned to groups.

    Attributes
    ----------
    number : (n,) number of the group of each particle, ascending from 0
    first : (n,) index of the first particle of its group
    seed_nm : (n, 2) x, y of a random position; that of the first particle is the group's
    overlap : (n,) depth of contact, relative to the distance at which two particles just touch
    """

    number: Int[np.ndarray, "n"]
    first: Int[np.ndarray, "n"]
    seed_nm: Float[np.ndarray, "n 2"]
    overlap: Float[np.ndarray, "n"]


class RandomPlacement(PlacementBase):
    """Settings of placements that choose random positions."""

    density_map: StoredPath | None = None
    """Image over the whole field whose gray value is the probability density of particles, or of
    groups of them; none for a uniform density."""
    overlap: NonNegativeDistribution = Constant(value=0.0)
    """Depth of contact, relative to the distance at which two particles just touch; drawn for each
    particle and limited to 0.5. Use values above 0 for sintered necks."""

    def draw_overlap(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "n"]:
        """Draw the overlap of each particle.

        Parameters
        ----------
        count : number of particles
        rng : random generator

        Returns
        -------
        overlap : (count,) depth of contact, relative to the distance of two particles that just
            touch
        """
        return np.minimum(self.overlap.sample(rng, count), MAX_OVERLAP)

    def draw_positions(
        self, field_nm: float, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Float[np.ndarray, "*shape 2"]:
        """Draw random positions with the density of the map.

        Parameters
        ----------
        field_nm : edge length of the field, nm
        shape : shape of the array of positions
        rng : random generator

        Returns
        -------
        xy : x and y of the positions in the last axis, nm

        Raises
        ------
        InputError
            If the map cannot be read or is black.
        """
        uniform = rng.uniform(0.0, 1.0, (*shape, 2))
        if self.density_map is None:
            return field_nm * uniform
        pixels = read_map(self.density_map)
        weight = pixels.gray.astype(float)
        chosen = rng.choice(weight.size, size=shape, p=weight / weight.sum())
        corner = np.stack([pixels.column[chosen], pixels.row[chosen]], axis=-1)
        return (corner + uniform) * (field_nm / pixels.edge_px)

    def draw_groups(
        self, members: Distribution, field_nm: float, count: int, rng: np.random.Generator
    ) -> Grouping:
        """Assign particles to groups at random positions.

        Parameters
        ----------
        members : distribution of the number of particles in a group
        field_nm : edge length of the field, nm
        count : number of particles
        rng : random generator

        Returns
        -------
        groups : group, position and overlap of each particle

        Raises
        ------
        InputError
            If the density map cannot be read or is black.
        """
        overlap = self.draw_overlap(count, rng)
        sizes = np.clip(np.round(members.sample(rng, count)), 1, max(count, 1)).astype(np.int64)
        needed = int(np.searchsorted(np.cumsum(sizes), count)) + 1
        number = np.repeat(np.arange(min(needed, count)), sizes[:needed])[:count]
        seed_nm = self.draw_positions(field_nm, (count,), rng)
        return Grouping(number, np.searchsorted(number, number), seed_nm, overlap)


def settle_groups(
    xy: Float[np.ndarray, "n 2"], groups: Grouping, footprints: Footprints
) -> Arrangement:
    """Lower the particles of groups one by one.

    Parameters
    ----------
    xy : (n, 2) x and y of the centers, nm
    groups : group and overlap of each particle
    footprints : footprints of the particles

    Returns
    -------
    arrangement : positions on the substrate or on the particles below
    """
    z = settle(xy, groups.overlap, footprints)
    return Arrangement(np.column_stack([xy, z]), groups.number)


class MapPixels(NamedTuple):
    """Pixels of a map that are not black.

    Attributes
    ----------
    row, column : (n,) indices
    gray : (n,) gray values
    white : gray value of white
    edge_px : longer edge of the map, which spans the field
    """

    row: Int[np.ndarray, "n"]
    column: Int[np.ndarray, "n"]
    gray: UInt8[np.ndarray, "n"] | UInt16[np.ndarray, "n"]
    white: int
    edge_px: int


def read_map(file: Path) -> MapPixels:
    """Read the pixels of a map that are not black.

    Parameters
    ----------
    file : image of 8 or 16 bits

    Returns
    -------
    pixels : positions and gray values, row by row

    Raises
    ------
    InputError
        If the file cannot be read or all pixels are black.
    """
    image = read_micrograph(file).image
    row, column = np.nonzero(image)
    if row.size == 0:
        raise InputError(f"{file} is black; a map needs at least one pixel brighter than 0")
    return MapPixels(row, column, image[row, column], np.iinfo(image.dtype).max, max(image.shape))

"""Populations: kinds of particles with distributions of their sizes and orientations."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveFloat

from nanorender.distributions import Constant, PositiveDistribution
from nanorender.scenes.footprints import Bodies
from nanorender.settings import Settings


class Population(Settings):
    """One kind of particle: its templates, sizes, orientation, brightness and material."""

    share: PositiveFloat = 1.0
    """Number of particles of this kind, relative to the other kinds."""
    templates: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of templates, chosen with equal probability; a repeated name is chosen more often."""
    diameter_nm: PositiveDistribution
    """Diameter, in nm; for elongated particles that of a disk with the area of the outline, and
    with `length_nm` the thickness."""
    aspect: PositiveDistribution = Constant(value=1)
    """Ratio of length to width; values below 1 are set to 1."""
    length_nm: PositiveDistribution | None = None
    """Length of rods and wires, in nm; replaces `aspect`."""
    flatness: PositiveDistribution = Constant(value=1)
    """Ratio of height to width."""
    orientation: Literal["random", "lying", "flat"] = "random"
    """`random`: any rotation; `lying`: long axis horizontal, rotated about it at random; `flat`:
    rotated about the vertical axis only."""
    brightness: PositiveDistribution = Constant(value=1)
    """Factor on the gray level, drawn for each particle."""
    material: str
    """Name of the material in the recipe."""

    def typical_length_nm(self) -> float:
        """Return the typical longest dimension of these particles.

        Returns
        -------
        length : length, nm

        Examples
        --------
        >>> rods = Population(templates=["rod"], diameter_nm=50, aspect=4, material="silver")
        >>> rods.typical_length_nm()
        100.0
        """
        diameter = self.diameter_nm.typical()
        if self.length_nm is not None:
            return max(diameter, self.length_nm.typical())
        return diameter * max(1.0, self.aspect.typical()) ** 0.5


def draw_bodies(population: Population, count: int, rng: np.random.Generator) -> Bodies:
    """Draw the sizes and rotations of particles.

    Parameters
    ----------
    population : distributions of sizes and orientations
    count : number of particles
    rng : random generator

    Returns
    -------
    bodies : sizes, nm, and rotations of `count` particles

    Examples
    --------
    >>> wires = Population(templates=["wire"], diameter_nm=50, length_nm=2000, material="silver")
    >>> draw_bodies(wires, 1, np.random.default_rng(0)).size_nm.tolist()
    [[2000.0, 50.0, 50.0]]
    """
    diameter = population.diameter_nm.sample(rng, count)
    if population.length_nm is not None:
        length, width = np.maximum(population.length_nm.sample(rng, count), diameter), diameter
    else:
        aspect = np.maximum(population.aspect.sample(rng, count), 1.0)
        length, width = diameter * np.sqrt(aspect), diameter / np.sqrt(aspect)
    size = np.stack([length, width, width * population.flatness.sample(rng, count)], axis=1)
    if population.orientation == "random":
        return Bodies(size, _random_rotations(count, rng))
    about_z, about_x = rng.uniform(0.0, 2.0 * np.pi, (2, count))
    return Bodies(size, _rotations(about_z, about_x * (population.orientation == "lying")))


def _random_rotations(count: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3 3"]:
    """Draw uniformly distributed rotations by random unit quaternions (Shoemake 1992)."""
    q = rng.normal(size=(count, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    return np.moveaxis(
        np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        ),
        2,
        0,
    )


def _rotations(
    about_z: Float[np.ndarray, "n"], about_x: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n 3 3"]:
    """Return rotations about x and then about z; angles in radians."""
    cz, sz, cx, sx = np.cos(about_z), np.sin(about_z), np.cos(about_x), np.sin(about_x)
    zero = np.zeros_like(cz)
    return np.moveaxis(
        np.array([[cz, -sz * cx, sz * sx], [sz, cz * cx, -cz * sx], [zero, sx, cx]]), 2, 0
    )

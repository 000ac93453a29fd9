"""The area that the textures of a substrate are drawn on."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.distributions import NonNegativeDistribution


class Canvas(NamedTuple):
    """Size of a texture.

    Attributes
    ----------
    shape : height and width, px
    pixel_size_nm : edge length of a pixel, nm
    """

    shape: tuple[int, int]
    pixel_size_nm: float

    def draw_count(self, per_um2: NonNegativeDistribution, rng: np.random.Generator) -> int:
        """Draw the number of objects on the texture.

        Parameters
        ----------
        per_um2 : expected number per square micrometer
        rng : random generator

        Returns
        -------
        count : number, of a Poisson distribution
        """
        area_um2 = self.shape[0] * self.shape[1] * (self.pixel_size_nm / 1000) ** 2
        return int(rng.poisson(per_um2.draw(rng) * area_um2))

    def draw_centers(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "n 2"]:
        """Draw random positions.

        Parameters
        ----------
        count : number of positions
        rng : random generator

        Returns
        -------
        centers : (n, 2) x, y, px
        """
        return rng.uniform((0, 0), self.shape[::-1], (count, 2))

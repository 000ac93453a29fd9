"""Particles at the positions given by an image."""

from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat

from nanorender.scenes.footprints import Bodies, footprints
from nanorender.scenes.placement.base import Arrangement, PlacementBase, read_map
from nanorender.scenes.settling import settle
from nanorender.settings import StoredPath


class DistributionMap(PlacementBase):
    """Centers read from an image: one for each pixel that is not black, in random order.

    If there are fewer such pixels than particles, the remaining particles are omitted.
    """

    kind: Literal["map"] = "map"
    """Selects this placement."""
    file: StoredPath
    """Image that spans the whole field."""
    white_height_nm: NonNegativeFloat = 0.0
    """Elevation of a particle on a white pixel, in nm; proportional to the gray value below."""

    def arrange(self, bodies: Bodies, field_nm: float, rng: np.random.Generator) -> Arrangement:
        """Place particles on distinct pixels of the map.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from nanorender.files.tiff import write_image
        >>> bodies = Bodies(np.full((3, 3), 50.0), np.tile(np.eye(3), (3, 1, 1)))
        >>> image = np.zeros((10, 10), np.uint8)
        >>> image[2, 7] = 255
        >>> with TemporaryDirectory() as folder:
        ...     write_image(Path(folder, "map.tif"), image, None)
        ...     placement = DistributionMap(file=Path(folder, "map.tif"))
        ...     arranged = placement.arrange(bodies, 1000.0, np.random.default_rng(0))
        >>> arranged.center_nm.tolist()
        [[750.0, 250.0, 25.0]]
        """
        pixels = read_map(self.file)
        chosen = rng.permutation(pixels.row.size)[: len(bodies.size_nm)]
        placed = len(chosen)
        row, column = pixels.row[chosen], pixels.column[chosen]
        scale = field_nm / pixels.edge_px
        xy = np.column_stack([(column + 0.5) * scale, (row + 0.5) * scale])
        elevation = pixels.gray[chosen] / pixels.white * self.white_height_nm
        covered = footprints(Bodies(bodies.size_nm[:placed], bodies.rotation[:placed]))
        z = settle(xy, np.zeros(placed), covered)
        return Arrangement(np.column_stack([xy, z + elevation]), np.arange(placed))

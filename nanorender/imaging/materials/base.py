"""Settings that all materials share, and the response that each of them defines."""

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveFloat

from nanorender.settings import Fraction, Settings


class Response(NamedTuple):
    """Radiance of a material as the weighted sum of three terms, relative to its albedo.

    Attributes
    ----------
    electron_yield : secondary electrons at each of the given cosines of the tilt, 1 at no tilt
    diffuse : weight of the diffuse reflection
    glossy : weight of the microfacet reflection
    electrons : weight of the secondary electrons
    roughness : width of the highlights of the microfacet reflection, above 0 to 1
    """

    electron_yield: Float[np.ndarray, "n"]
    diffuse: float = 0.0
    glossy: float = 0.0
    electrons: float = 0.0
    roughness: float = 1.0


class MaterialBase(Settings):
    """Settings that all materials share; a strength of 0 turns an effect off."""

    albedo: Fraction = 0.42
    """Gray level of a flat, unoccluded, fully lit facet, from 0 (black) to 1 (white)."""
    occlusion: Fraction = 0.6
    """Darkening of gaps and contacts by ambient occlusion, from 0 (none) to 1 (full)."""
    shadow: Fraction = 0.3
    """Darkening in cast shadows, from 0 (none) to 1 (full)."""
    rim: NonNegativeFloat = 0.1
    """Brightening of the outermost pixel along silhouettes, as a fraction."""
    grain_slope: Fraction = 0.2
    """Change of brightness from the center of a particle to its edge, in a random direction."""
    height_gain_per_um: NonNegativeFloat = 0.4
    """Brightening with height above the substrate, as a fraction per micrometer."""
    mottle: Fraction = 0.1
    """Visibility of the dirt texture on the particles, from 0 (none) to 1 (as on the substrate)."""
    ridges: Fraction = 0.0
    """Maximum slope of the ridges between the solidification cells of the surface."""
    ridge_spacing_nm: PositiveFloat = 1000.0
    """Spacing of the ridges on a particle with a diameter of 10 micrometers, in nm."""

    @abstractmethod
    def response(self, cosine: Float[np.ndarray, "n"]) -> Response:
        """Return the terms of the radiance.

        Parameters
        ----------
        cosine : (n,) cosines of the angle between the surface normal and the viewing direction

        Returns
        -------
        response : weights of the terms, and the electron yield at each cosine
        """

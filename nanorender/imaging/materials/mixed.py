"""A weighted sum of diffuse reflection, microfacet reflection and edge effect."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import NonNegativeFloat

from nanorender.imaging.materials.base import MaterialBase, Response
from nanorender.imaging.materials.edge_effect import Exponent, YieldCap, tilt_yield
from nanorender.imaging.materials.glossy import Roughness


class Mixed(MaterialBase):
    """A weighted sum of diffuse, glossy and edge effect; the weights need not add up to 1."""

    kind: Literal["mixed"] = "mixed"
    """Selects this material."""
    diffuse: NonNegativeFloat = 0.2
    """Weight of the diffuse reflection."""
    glossy: NonNegativeFloat = 0.1
    """Weight of the highlights."""
    edge_effect: NonNegativeFloat = 0.7
    """Weight of the edge effect."""
    roughness: Roughness = 0.4
    """Width of the highlights, as in `Glossy`."""
    exponent: Exponent = 0.6
    """Exponent of the edge effect, as in `EdgeEffect`."""
    cap: YieldCap = 2.2
    """Maximum of the edge effect, as in `EdgeEffect`."""

    def response(self, cosine: Float[np.ndarray, "n"]) -> Response:
        """Return all three terms with their weights."""
        return Response(
            tilt_yield(cosine, self.exponent, self.cap),
            diffuse=self.diffuse,
            glossy=self.glossy,
            electrons=self.edge_effect,
            roughness=self.roughness,
        )

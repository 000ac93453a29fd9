"""Microfacet reflection of a rough metal."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from nanorender.imaging.materials.base import MaterialBase, Response

Roughness = Annotated[float, Field(ge=0.05, le=1)]


class Glossy(MaterialBase):
    """Highlights of a rough metal: GGX microfacets (Walter et al. 2007, equations 33 and 34)."""

    kind: Literal["glossy"] = "glossy"
    """Selects this material."""
    roughness: Roughness = 0.4
    """Width of the highlights; the square root of the GGX parameter alpha."""

    def response(self, cosine: Float[np.ndarray, "n"]) -> Response:
        """Return the microfacet term alone."""
        return Response(np.ones_like(cosine), glossy=1.0, roughness=self.roughness)

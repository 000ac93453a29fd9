"""Diffuse reflection."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from nanorender.imaging.materials.base import MaterialBase, Response


class Diffuse(MaterialBase):
    """Diffuse reflection: radiance proportional to the cosine to the light (Lambert 1760)."""

    kind: Literal["diffuse"] = "diffuse"
    """Selects this material."""

    def response(self, cosine: Float[np.ndarray, "n"]) -> Response:
        """Return the diffuse term alone."""
        return Response(np.ones_like(cosine), diffuse=1.0)

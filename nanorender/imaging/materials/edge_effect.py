"""The edge effect of secondary electrons: tilted surfaces are brighter."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from nanorender.imaging.materials.base import MaterialBase, Response

Exponent = Annotated[float, Field(ge=0, le=2)]
YieldCap = Annotated[float, Field(ge=1)]


class EdgeEffect(MaterialBase):
    """Secondary electrons: yield 1 / cos(tilt)^exponent, limited to `cap`.

    Seiler 1983 (J. Appl. Phys. 54, R1, section III.C) gives exponents about 1; Reimer 1998
    (Scanning Electron Microscopy, section 4.2) 1.3 for light, 0.8 for medium and 0.65 for heavy
    elements. The cap accounts for the finite escape depth at grazing incidence.
    """

    kind: Literal["edge_effect"] = "edge_effect"
    """Selects this material."""
    exponent: Exponent = 0.6
    """Exponent of the yield as a function of the tilt."""
    cap: YieldCap = 2.2
    """Maximum of the yield, relative to a surface without tilt."""

    def response(self, cosine: Float[np.ndarray, "n"]) -> Response:
        """Return the term of the secondary electrons alone."""
        return Response(tilt_yield(cosine, self.exponent, self.cap), electrons=1.0)


def tilt_yield(
    cosine: Float[np.ndarray, "n"], exponent: float, cap: float
) -> Float[np.ndarray, "n"]:
    """Return the yield of secondary electrons, 1 at no tilt.

    Parameters
    ----------
    cosine : (n,) cosines of the tilt
    exponent : exponent of the increase with the tilt
    cap : maximum of the yield

    Returns
    -------
    electron_yield : (n,) yield at each cosine

    Examples
    --------
    >>> tilt_yield(np.array([1.0, 0.5, 0.0]), exponent=1.0, cap=3.0).tolist()
    [1.0, 2.0, 3.0]
    """
    return np.minimum(np.maximum(cosine, 1e-6) ** -exponent, cap)

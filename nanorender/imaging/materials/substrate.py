"""The flat substrate that particles lie on."""

from pydantic import NonNegativeFloat

from nanorender.settings import Fraction, Settings


class Substrate(Settings):
    """The flat substrate that particles lie on, as seen between them."""

    gray: Fraction = 0.1
    """Gray level of the clean substrate, from 0 (black) to 1 (white)."""
    occlusion: Fraction = 0.5
    """Darkening beside particles by ambient occlusion, from 0 (none) to 1 (full)."""
    shadow: Fraction = 0.2
    """Darkening in cast shadows, from 0 (none) to 1 (full)."""
    relief_nm: NonNegativeFloat = 0.0
    """Height of the dirt per unit of its texture, in nm; slopes that face the light brighten."""

"""Matter in a transmission microscope: attenuation, phase and diffraction contrast."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat

from nanorender.settings import Fraction, Settings


class Core(Settings):
    """The inside of a particle, of other matter or empty."""

    fraction: Fraction = 0.8
    """Diameter of the core over that of the particle."""
    attenuation_length_nm: PositiveFloat | None = None
    """Thickness of the core that transmits 1/e of the beam, in nm; left out: hollow."""
    inner_potential_v: NonNegativeFloat = 0.0
    """Mean inner potential of the core, in V."""

    @property
    def attenuation_per_nm(self) -> float:
        """Return the attenuation of the core, 0 where it is hollow."""
        return 0.0 if self.attenuation_length_nm is None else 1 / self.attenuation_length_nm


class Transmission(Settings):
    """Matter that the beam passes through, in a recipe with a `[transmission]` section.

    The intensity falls as exp(-thickness / attenuation length). Mean inner potentials are about 10
    V for carbon and silica and 20 to 30 V for metals (Kirkland 2010, table 5.1).
    """

    kind: Literal["transmission"] = "transmission"
    """Selects this material."""
    attenuation_length_nm: PositiveFloat = 60.0
    """Thickness that transmits 1/e of the beam, in nm."""
    inner_potential_v: NonNegativeFloat = 15.0
    """Mean inner potential, in V; out of focus, it makes the fringes along outlines."""
    twin_contrast: Fraction = 0.0
    """Largest relative difference of attenuation on both sides of a twin boundary."""
    bend_contrast: NonNegativeFloat = 0.0
    """Largest relative change of attenuation in a bend contour."""
    pore_contrast: Fraction = 0.0
    """Standard deviation of the density by pores, relative to the mean."""
    pore_diameter_nm: PositiveFloat = 5.0
    """Diameter of the pores, in nm."""
    core: Core | None = None
    """The inside of the particles, where it differs."""

"""Materials: how particles and the ground under them look, as settings of the shaders."""

from typing import Annotated, Literal

from pydantic import Field

from nanorender.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class Finish(Settings):
    """What every material has in common; each strength is 0 = off.

    albedo: gray level of a flat, open, lit facet, 0 (black) to 1 (white)
    occlusion: how far gaps and contacts darken, 0 to 1 (all the way)
    shadow: how far shadows darken, 0 to 1
    rim: brightening of the outermost pixel along silhouettes, as a fraction
    grain_slope: change of brightness from a particle's middle to its end, in a random direction
    height_gain_per_um: brightening with height above the substrate, as a fraction
    mottle: how much of the dirt's texture shows on the particles, 0 to 1
    ridges: steepest slope of ridges between the cells of the surface, see `ridges`
    ridge_spacing_nm: between them on a particle of ten micrometers
    """

    albedo: Share = 0.42
    occlusion: Share = 0.6
    shadow: Share = 0.3
    rim: Weight = 0.1
    grain_slope: Share = 0.2
    height_gain_per_um: Weight = 0.4
    mottle: Share = 0.1
    ridges: Share = 0.0
    ridge_spacing_nm: float = Field(default=1000.0, gt=0)


class Diffuse(Finish):
    """Brightness as the cosine to the light (Lambert 1760)."""

    kind: Literal["diffuse"] = "diffuse"


class Glossy(Finish):
    """Highlights of a rough metal: GGX microfacets (Walter et al. 2007, equations 33 and 34)."""

    kind: Literal["glossy"] = "glossy"
    roughness: float = Field(default=0.4, ge=0.05, le=1)


class EdgeEffect(Finish):
    """Secondary electrons: yield 1 / cos(tilt)^exponent up to `cap`.

    Seiler 1983 (J. Appl. Phys. 54, R1, section III.C) gives exponents about 1; Reimer 1998
    (Scanning Electron Microscopy, section 4.2) 1.3 for light, 0.8 for medium and 0.65 for heavy
    elements. The cap stands for the finite depth of escape at grazing incidence.
    """

    kind: Literal["edge_effect"] = "edge_effect"
    exponent: float = Field(default=0.6, ge=0, le=2)
    cap: float = Field(default=2.2, ge=1)


class Mixed(Finish):
    """A weighted sum of the three; weights need not add up to 1."""

    kind: Literal["mixed"] = "mixed"
    diffuse: Weight = 0.2
    glossy: Weight = 0.1
    edge_effect: Weight = 0.7
    roughness: float = Field(default=0.4, ge=0.05, le=1)
    exponent: float = Field(default=0.6, ge=0, le=2)
    cap: float = Field(default=2.2, ge=1)


Material = Annotated[Diffuse | Glossy | EdgeEffect | Mixed, Field(discriminator="kind")]
KINDS = (Diffuse, Glossy, EdgeEffect, Mixed)


class Substrate(Settings):
    """The flat ground.

    gray: level where it is clean, 0 to 1
    occlusion, shadow: how far the surroundings of particles darken, 0 to 1
    relief_nm: height of the dirt's texture per unit of its factor; slopes to the light brighten
    """

    gray: Share = 0.1
    occlusion: Share = 0.5
    shadow: Share = 0.2
    relief_nm: float = Field(default=0.0, ge=0)

"""Materials: how particles and the substrate respond to light and to the electron beam.

Each material is one module. To add one, write a module beside `diffuse`, whose class derives from
`MaterialBase` and implements `response`, and add the class to `Material`. Recipes, the gallery, the
documentation, calibration and the tests read the materials from here.

Examples
--------
>>> [material.__name__ for material in MATERIALS]
['Diffuse', 'Glossy', 'EdgeEffect', 'Mixed']
"""

from typing import Annotated, get_args

from pydantic import Field

from nanorender.imaging.materials.base import MaterialBase, Response
from nanorender.imaging.materials.diffuse import Diffuse
from nanorender.imaging.materials.edge_effect import EdgeEffect
from nanorender.imaging.materials.glossy import Glossy
from nanorender.imaging.materials.mixed import Mixed
from nanorender.imaging.materials.substrate import Substrate
from nanorender.imaging.materials.transmission import Transmission

Material = Annotated[
    Diffuse | Glossy | EdgeEffect | Mixed | Transmission, Field(discriminator="kind")
]
"""Any material, selected in a recipe by its `kind`."""

MATERIALS: tuple[type[MaterialBase], ...] = tuple(
    kind for kind in get_args(get_args(Material)[0]) if issubclass(kind, MaterialBase)
)
"""The classes of all materials that shade a surface, in the order of the gallery."""

__all__ = [
    "MATERIALS",
    "Diffuse",
    "EdgeEffect",
    "Glossy",
    "Material",
    "MaterialBase",
    "Mixed",
    "Response",
    "Substrate",
    "Transmission",
]

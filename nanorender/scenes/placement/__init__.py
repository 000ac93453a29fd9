"""Placement: where particles lie on the substrate and on each other.

Each placement is one module. To add one, write a module beside `rows`, whose class derives from
`PlacementBase` (or from `RandomPlacement`, for random positions and overlaps) and implements
`arrange`, and add the class to `Placement`. Recipes, the documentation and the tests read the
placements from here.

A placement first chooses x and y and then settles the particles: each particle, or each rigid
agglomerate, is lowered onto the substrate or onto the particles already there.
"""

from typing import Annotated, get_args

from pydantic import Field

from nanorender.scenes.placement.agglomerates import Agglomerates
from nanorender.scenes.placement.base import Arrangement, PlacementBase, RandomPlacement
from nanorender.scenes.placement.distribution_map import DistributionMap
from nanorender.scenes.placement.fractal import Fractal
from nanorender.scenes.placement.rows import Rows
from nanorender.scenes.placement.scattered import Scattered
from nanorender.scenes.placement.sheets import Sheets

Placement = Annotated[
    Scattered | Agglomerates | Rows | Sheets | Fractal | DistributionMap,
    Field(discriminator="kind"),
]
"""Any placement, selected in a recipe by its `kind`."""

PLACEMENTS: tuple[type[PlacementBase], ...] = get_args(get_args(Placement)[0])
"""The classes of all placements."""

__all__ = [
    "PLACEMENTS",
    "Agglomerates",
    "Arrangement",
    "DistributionMap",
    "Fractal",
    "Placement",
    "PlacementBase",
    "RandomPlacement",
    "Rows",
    "Scattered",
    "Sheets",
]

"""Names of the measurements that can serve as the size of a particle.

This module loads no library, so that the command line can list the names at once.
"""

from typing import TYPE_CHECKING, Literal

# Name of the measurement, which must be a length, and the quantity as reports name it.
SIZE_QUANTITIES = {
    "equivalent_diameter": "equivalent circle diameter",
    "min_feret": "minimum Feret diameter",
    "max_feret": "maximum Feret diameter",
    "inscribed_diameter": "inscribed circle diameter",
    "sqrt_area": "square root of the area",
    "amodal_diameter": "equivalent circle diameter with hidden parts",
}

if TYPE_CHECKING:  # type checkers know only literals that are written out
    SizeName = str
else:
    SizeName = Literal[*SIZE_QUANTITIES]

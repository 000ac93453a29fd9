"""Particles scattered at random."""

from typing import Literal

import numpy as np

from nanorender.jit import kernel
from nanorender.scenes.footprints import Bodies, footprints
from nanorender.scenes.neighbors import empty_grid, insert, nearest_contact
from nanorender.scenes.placement.base import Arrangement, RandomPlacement
from nanorender.scenes.settling import settle
from nanorender.settings import Fraction

_ATTEMPTS = 24  # positions tried for a particle that looks for a free one


class Scattered(RandomPlacement):
    """Particles fall at random and rest on the substrate or on the particles below.

    With `apart` they fall by random sequential adsorption (Feder 1980, J. Theor. Biol. 87, 237)
    with a limited number of attempts, the largest particles first.
    """

    kind: Literal["scattered"] = "scattered"
    """Selects this placement."""
    apart: Fraction = 0.0
    """Fraction of the particles that look for a free position first, up to a dense monolayer."""

    def arrange(self, bodies: Bodies, field_nm: float, rng: np.random.Generator) -> Arrangement:
        """Place particles at random positions, each a group of its own.

        Examples
        --------
        >>> bodies = Bodies(np.full((3, 3), 50.0), np.tile(np.eye(3), (3, 1, 1)))
        >>> arranged = Scattered(apart=1).arrange(bodies, 1000.0, np.random.default_rng(0))
        >>> arranged.center_nm[:, 2].tolist()
        [25.0, 25.0, 25.0]
        """
        count = len(bodies.size_nm)
        covered = footprints(bodies)
        overlap = self.draw_overlap(count, rng)
        looks = rng.uniform(size=count) < self.apart
        attempts = _ATTEMPTS if self.apart > 0 else 1
        positions = self.draw_positions(field_nm, (count, attempts), rng)
        order = np.argsort(-covered.reach_nm, kind="stable")
        xy = _first_free(order, positions, looks, covered, empty_grid(covered.reach_nm))
        z = settle(xy, overlap, covered)
        return Arrangement(np.column_stack([xy, z]), np.arange(count))

    def neighbor_searches(self) -> float:
        """Count those of the positions tried, too."""
        return 1.0 + _ATTEMPTS * self.apart


@kernel
def _first_free(order, positions, looks, covered, grid):
    """Return x, y of the first free position of each particle, or else of the last one."""
    xy = positions[:, 0].copy()
    found = np.empty(order.size, np.int64)
    for i in order:
        for k in range(positions.shape[1] if looks[i] else 1):
            x, y = positions[i, k]
            xy[i, 0], xy[i, 1] = x, y
            if looks[i] and nearest_contact(covered, i, x, y, xy, grid, found) >= 1.0:
                break
        insert(grid, i, xy[i, 0], xy[i, 1])
    return xy

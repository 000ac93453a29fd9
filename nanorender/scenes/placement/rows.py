"""Particles in rows."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from nanorender.distributions import Constant, Distribution
from nanorender.jit import kernel
from nanorender.scenes.footprints import Bodies, closeness, footprints
from nanorender.scenes.placement.base import Arrangement, RandomPlacement, settle_groups


class Rows(RandomPlacement):
    """Particles lie in rows, each in contact with the one before."""

    kind: Literal["rows"] = "rows"
    """Selects this placement."""
    members: Distribution = Constant(value=8)
    """Number of particles in a row."""
    bend_deg: Annotated[float, Field(ge=0, le=60)] = 15.0
    """Standard deviation of the change of direction between neighbors, in degrees."""

    def arrange(self, bodies: Bodies, field_nm: float, rng: np.random.Generator) -> Arrangement:
        """Lay out rows from random positions in random directions.

        Examples
        --------
        >>> bodies = Bodies(np.full((3, 3), 50.0), np.tile(np.eye(3), (3, 1, 1)))
        >>> center_nm, _ = Rows(members=3).arrange(bodies, 1000.0, np.random.default_rng(0))
        >>> np.linalg.norm(np.diff(center_nm, axis=0), axis=1).round(6).tolist()
        [50.0, 50.0]
        """
        count = len(bodies.size_nm)
        covered = footprints(bodies)
        groups = self.draw_groups(self.members, field_nm, count, rng)
        bends = np.cumsum(np.radians(self.bend_deg) * rng.standard_normal(count))
        start = rng.uniform(0.0, 2.0 * np.pi, count)[groups.first]
        heading = start + bends - bends[groups.first]
        return settle_groups(_line_up(groups, heading, covered), groups, covered)


@kernel
def _line_up(groups, heading, covered):
    """Return x, y of particles that touch the one before in the direction `heading`, rad."""
    xy = groups.seed_nm.copy()
    for i in range(heading.size):
        if groups.first[i] != i:
            ux, uy = np.cos(heading[i]), np.sin(heading[i])
            touch = (1.0 - groups.overlap[i]) / closeness(covered, i - 1, i, ux, uy)
            xy[i, 0], xy[i, 1] = xy[i - 1, 0] + ux * touch, xy[i - 1, 1] + uy * touch
    return xy

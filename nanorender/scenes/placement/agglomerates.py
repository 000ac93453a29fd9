"""Particles in compact or chain-like agglomerates on the substrate."""

from typing import Literal

import numpy as np

from nanorender.distributions import Constant, Distribution, NonNegativeDistribution
from nanorender.jit import kernel
from nanorender.scenes.footprints import Bodies, closeness, footprints
from nanorender.scenes.neighbors import empty_grid, insert, nearest_contact
from nanorender.scenes.placement.base import Arrangement, RandomPlacement, settle_groups
from nanorender.settings import Fraction

_ATTEMPTS = 16  # positions tried for each particle of an agglomerate
_TOLERANCE = 1e-9  # of the overlap


class Agglomerates(RandomPlacement):
    """Particles stick together in clumps and chains that lie on the substrate."""

    kind: Literal["agglomerates"] = "agglomerates"
    """Selects this placement."""
    members: Distribution = Constant(value=10)
    """Number of particles in an agglomerate; 1 is a single particle."""
    compactness: Fraction = 0.3
    """Shape of the agglomerates, from 0 (randomly branched chains) to 1 (round clumps)."""
    stacking: Fraction = 0.15
    """Fraction of the particles of an agglomerate that lie on top of the others."""
    overlap: NonNegativeDistribution = Constant(value=0.05)
    """Depth of contact, relative to the distance at which two particles just touch; drawn for each
    particle and limited to 0.5."""

    def arrange(self, bodies: Bodies, field_nm: float, rng: np.random.Generator) -> Arrangement:
        """Grow agglomerates around random positions.

        Examples
        --------
        >>> bodies = Bodies(np.full((6, 3), 50.0), np.tile(np.eye(3), (6, 1, 1)))
        >>> arranged = Agglomerates(members=3).arrange(bodies, 1000.0, np.random.default_rng(0))
        >>> arranged.group.tolist()
        [0, 0, 0, 1, 1, 1]
        """
        count = len(bodies.size_nm)
        covered = footprints(bodies)
        groups = self.draw_groups(self.members, field_nm, count, rng)
        on_top = rng.uniform(0.2, 0.8, count) * (rng.uniform(size=count) < self.stacking)
        parents = rng.uniform(size=(count, _ATTEMPTS)) ** (0.1 + 0.9 * self.compactness)
        angles = rng.uniform(0.0, 2.0 * np.pi, (count, _ATTEMPTS))
        grid = empty_grid(covered.reach_nm)
        xy = _grow(groups, parents, angles, on_top, self.compactness, covered, grid)
        return settle_groups(xy, groups, covered)

    def neighbor_searches(self) -> float:
        """Count those of the positions tried, too."""
        return 1.0 + _ATTEMPTS


@kernel
def _grow(groups, parents, angles, on_top, compactness, covered, grid):
    """Return x, y of the particles of agglomerates.

    parents, angles: (n, k) candidates: which member to touch, from 0 to 1, and in which direction
    on_top: (n) distance from that member, relative to touching it; 0 for particles beside it

    Each particle is tried beside k members of its agglomerate. Among the first candidates without
    excessive overlap, as many as the compactness allows, the one nearest to the center is taken; if
    there is none, the candidate with the least overlap.
    """
    xy = np.zeros((on_top.size, 2))
    found = np.empty(on_top.size, np.int64)
    considered = 1 + int(compactness * (parents.shape[1] - 1))
    center_x = center_y = 0.0
    for i in range(on_top.size):
        start = groups.first[i]
        members = i - start
        if members == 0:
            # Start a new agglomerate
            center_x, center_y = groups.seed_nm[i]
            xy[i, 0], xy[i, 1] = center_x, center_y
        else:
            best, fitting = np.inf, 0
            for k in range(parents.shape[1]):
                # Put the particle in contact with a member
                parent = start + min(int(parents[i, k] * members), members - 1)
                ux, uy = np.cos(angles[i, k]), np.sin(angles[i, k])
                touch = 1.0 / closeness(covered, parent, i, ux, uy)
                touch *= on_top[i] if on_top[i] > 0.0 else 1.0 - groups.overlap[i]
                x, y = xy[parent, 0] + ux * touch, xy[parent, 1] + uy * touch
                # Check the overlap with all other particles
                nearest = 1.0
                if on_top[i] == 0.0:
                    nearest = nearest_contact(covered, i, x, y, xy, grid, found)
                fits = nearest >= 1.0 - groups.overlap[i] - _TOLERANCE
                # Keep the best candidate
                away = np.sqrt((x - center_x) ** 2 + (y - center_y) ** 2)
                score = away if fits else 1e12 * (2.0 - nearest)
                if score < best:
                    best = score
                    xy[i, 0], xy[i, 1] = x, y
                fitting += 1 if fits else 0
                if fitting >= considered:
                    break
            # Update the center of the agglomerate
            center_x += (xy[i, 0] - center_x) / (members + 1)
            center_y += (xy[i, 1] - center_y) / (members + 1)
        insert(grid, i, xy[i, 0], xy[i, 1])
    return xy

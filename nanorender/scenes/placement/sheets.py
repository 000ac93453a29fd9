"""Particles in hexagonal layers."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from nanorender.distributions import Constant, Distribution
from nanorender.scenes.footprints import Bodies, footprints
from nanorender.scenes.placement.base import Arrangement, RandomPlacement, settle_groups
from nanorender.settings import Fraction

_WIDTH_QUANTILE = 0.95  # of the particles that fit into a lattice cell


class Sheets(RandomPlacement):
    """Particles lie in hexagonal layers, as spheres do that dried from a suspension."""

    kind: Literal["sheets"] = "sheets"
    """Selects this placement."""
    members: Distribution = Constant(value=100)
    """Number of particles in a sheet."""
    gap: Annotated[float, Field(ge=0, le=2)] = 0.02
    """Gap between neighbors, relative to the width of the larger particles."""
    disorder: Fraction = 0.02
    """Standard deviation of the positions, relative to the width of the larger particles."""

    def arrange(self, bodies: Bodies, field_nm: float, rng: np.random.Generator) -> Arrangement:
        """Fill hexagonal lattices from the center outwards.

        Examples
        --------
        >>> bodies = Bodies(np.full((7, 3), 50.0), np.tile(np.eye(3), (7, 1, 1)))
        >>> flat = Sheets(members=7, gap=0.1, disorder=0.0)
        >>> center_nm, _ = flat.arrange(bodies, 1000.0, np.random.default_rng(0))
        >>> np.linalg.norm(center_nm[1:] - center_nm[0], axis=1).round(6).tolist()
        [55.0, 55.0, 55.0, 55.0, 55.0, 55.0]
        """
        count = len(bodies.size_nm)
        covered = footprints(bodies)
        groups = self.draw_groups(self.members, field_nm, count, rng)
        rank = np.arange(count) - groups.first
        position = _hexagonal_lattice(int(rank.max(initial=0)) + 1)[rank] * (1 + self.gap)
        position += self.disorder * rng.standard_normal((count, 2))
        # Turn each sheet at random and scale it to the width of the larger particles
        angle = rng.uniform(0.0, 2.0 * np.pi, count)[groups.first]
        cos, sin = np.cos(angle), np.sin(angle)
        x = cos * position[:, 0] - sin * position[:, 1]
        y = sin * position[:, 0] + cos * position[:, 1]
        width = 2 * float(np.quantile(covered.reach_nm, _WIDTH_QUANTILE)) if count else 1.0
        xy = groups.seed_nm[groups.first] + width * np.column_stack([x, y])
        return settle_groups(xy, groups, covered)


def _hexagonal_lattice(count: int) -> Float[np.ndarray, "m 2"]:
    """Return at least `count` points of a lattice of spacing 1, the nearest to 0 first."""
    # A point takes the area sqrt(3) / 2, so this square holds enough of them.
    reach = int(np.sqrt(count)) + 2
    column, row = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    lattice = np.column_stack([(column + row / 2).ravel(), (row * np.sqrt(3) / 2).ravel()])
    return lattice[np.argsort(np.hypot(*lattice.T).round(6), kind="stable")]

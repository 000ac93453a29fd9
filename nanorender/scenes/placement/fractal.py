"""Fractal agglomerates: clusters of spheres whose number scales with their radius of gyration.

Cluster-cluster aggregation with a tunable dimension (Filippov, Zurita & Rosner 2000, J. Colloid
Interface Science 229, 261): two clusters stick where the whole has exactly the radius of gyration
R of the law N = k_f (R / a)^D_f, a being the radius of the primary particles.
"""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from nanorender.distributions import Constant, Distribution
from nanorender.jit import kernel, subroutine
from nanorender.scenes.footprints import footprints
from nanorender.scenes.placement.base import MAX_OVERLAP, Arrangement, RandomPlacement
from nanorender.scenes.settling import settle_rigid

AXES = 12  # axes tried before the clusters approach along a line instead
ANGLES = 24  # orientations tried about an axis
HALVINGS = 24  # bisection steps to the angle of contact
MIN_DISTANCE = 1e-9


class Fractal(RandomPlacement):
    """Fractal agglomerates, by cluster-cluster aggregation, that settle without deforming.

    The number of particles N follows N = prefactor (radius of gyration / radius) ^ dimension; flame
    soot and fumed oxides have about 1.8 and 1.3 (Sorensen 2011, Aerosol Sci. Technol. 45, 765).
    """

    kind: Literal["fractal"] = "fractal"
    """Selects this placement."""
    members: Distribution = Constant(value=60)
    """Number N of primary particles in an agglomerate."""
    dimension: Annotated[float, Field(ge=1.2, le=2.6)] = 1.8
    """Fractal dimension."""
    prefactor: Annotated[float, Field(ge=0.8, le=2.5)] = 1.3
    """Prefactor of the scaling law."""

    def arrange(
        self,
        size_nm: Float[np.ndarray, "n 3"],
        rotation: Float[np.ndarray, "n 3 3"],
        field_nm: float,
        rng: np.random.Generator,
    ) -> Arrangement:
        """Aggregate clusters and lower them as rigid bodies at random positions."""
        groups = self.draw_groups(self.members, field_nm, len(size_nm), rng)
        radius = np.cbrt(np.prod(size_nm, axis=1)) / 2
        center = self._clusters(radius, groups.number, rng)
        center[:, :2] += groups.seed_nm[groups.first]
        covered = footprints(size_nm, rotation)
        z = settle_rigid(center, groups.number, groups.overlap, covered)
        return Arrangement(np.column_stack([center[:, :2], z]), groups.number)

    def _clusters(
        self,
        radius_nm: Float[np.ndarray, "n"],
        group: Int[np.ndarray, "n"],
        rng: np.random.Generator,
    ) -> Float[np.ndarray, "n 3"]:
        """Return the centers of the spheres of each cluster about its center of mass, in nm."""
        count = len(radius_nm)
        if count == 0:
            return np.zeros((0, 3))
        edges = np.append(np.flatnonzero(np.diff(group, prepend=-1)), count)
        draws = rng.normal(size=(count, AXES, 6))
        touch = 1.0 - min(max(self.overlap.typical(), 0.0), MAX_OVERLAP)
        center = _aggregate_all(radius_nm, edges, self.dimension, self.prefactor, touch, draws)
        weight = radius_nm[:, None] ** 3
        middle = np.add.reduceat(weight * center, edges[:-1]) / np.add.reduceat(weight, edges[:-1])
        return center - np.repeat(middle, np.diff(edges), axis=0)


class Cluster(NamedTuple):
    """Spheres of a cluster, as views of the rows of all spheres.

    Attributes
    ----------
    center : (m, 3) centers, nm
    radius : (m,) radii, nm
    """

    center: Float[np.ndarray, "m 3"]
    radius: Float[np.ndarray, "m"]


class Motion(NamedTuple):
    """A rigid motion: a rotation about an axis through a pivot, which is moved to a target.

    Attributes
    ----------
    pivot : (3,) point that the axis passes through, nm
    axis : (3,) direction of the axis, a unit vector
    target : (3,) position of the pivot after the motion, nm
    """

    pivot: Float[np.ndarray, "3"]
    axis: Float[np.ndarray, "3"]
    target: Float[np.ndarray, "3"]


@subroutine
def _moved(cluster, j, motion, cos, sin):
    """Return the center of sphere j after a motion (Rodrigues' rotation formula)."""
    center, pivot, axis, target = cluster.center, motion.pivot, motion.axis, motion.target
    x, y, z = center[j, 0] - pivot[0], center[j, 1] - pivot[1], center[j, 2] - pivot[2]
    along = (axis[0] * x + axis[1] * y + axis[2] * z) * (1.0 - cos)
    return (
        x * cos + (axis[1] * z - axis[2] * y) * sin + axis[0] * along + target[0],
        y * cos + (axis[2] * x - axis[0] * z) * sin + axis[1] * along + target[1],
        z * cos + (axis[0] * y - axis[1] * x) * sin + axis[2] * along + target[2],
    )


@subroutine
def _gap(fixed, moving, motion, angle, touch):
    """Return the distance between two clusters after a motion, negative where they overlap.

    touch: distance of two spheres in contact, relative to the sum of their radii
    """
    smallest = np.inf
    cos, sin = np.cos(angle), np.sin(angle)
    for j in range(moving.radius.size):
        px, py, pz = _moved(moving, j, motion, cos, sin)
        for i in range(fixed.radius.size):
            dx, dy, dz = fixed.center[i, 0] - px, fixed.center[i, 1] - py, fixed.center[i, 2] - pz
            distance = np.sqrt(dx * dx + dy * dy + dz * dz)
            smallest = min(smallest, distance - (fixed.radius[i] + moving.radius[j]) * touch)
    return smallest


@subroutine
def _move(cluster, motion, angle):
    """Apply a motion to a cluster in place."""
    cos, sin = np.cos(angle), np.sin(angle)
    for j in range(cluster.radius.size):
        x, y, z = _moved(cluster, j, motion, cos, sin)
        cluster.center[j, 0], cluster.center[j, 1], cluster.center[j, 2] = x, y, z


@subroutine
def _center_of_mass(cluster):
    """Return the center of mass of a cluster, and its mass."""
    middle, mass = np.zeros(3), 0.0
    for i in range(cluster.radius.size):
        weight = cluster.radius[i] ** 3
        middle += weight * cluster.center[i]
        mass += weight
    return middle / mass, mass


@subroutine
def _squared_gyration(cluster, middle):
    """Return the squared radius of gyration of solid spheres about the center of mass."""
    total, mass = 0.0, 0.0
    for i in range(cluster.radius.size):
        weight = cluster.radius[i] ** 3
        offset = cluster.center[i] - middle
        total += weight * (offset @ offset + 0.6 * cluster.radius[i] ** 2)
        mass += weight
    return total / mass


@subroutine
def _reach(cluster, middle):
    """Return the distance of the farthest point of a cluster from its center of mass."""
    reach = 0.0
    for i in range(cluster.radius.size):
        offset = cluster.center[i] - middle
        reach = max(reach, np.sqrt(offset @ offset) + cluster.radius[i])
    return reach


@subroutine
def _law_distance(fixed, moving, middle_1, middle_2, dimension, prefactor):
    """Return the distance of the centers of mass at which the union follows the scaling law."""
    mass_1, mass_2 = _center_of_mass(fixed)[1], _center_of_mass(moving)[1]
    mass = mass_1 + mass_2
    number = fixed.radius.size + moving.radius.size
    total_radius = 0.0
    for radius in fixed.radius:
        total_radius += radius
    for radius in moving.radius:
        total_radius += radius
    wanted = (total_radius / number) ** 2 * (number / prefactor) ** (2.0 / dimension)
    own_1, own_2 = _squared_gyration(fixed, middle_1), _squared_gyration(moving, middle_2)
    excess = (wanted - (mass_1 * own_1 + mass_2 * own_2) / mass) * mass**2
    return np.sqrt(max(excess / (mass_1 * mass_2), 0.0))


@subroutine
def _contact_angle(fixed, moving, motion, touch, free, overlapping):
    """Bisect between an angle without and one with overlap to the last one without."""
    for _ in range(HALVINGS):
        half = 0.5 * (free + overlapping)
        if _gap(fixed, moving, motion, half, touch) >= 0.0:
            free = half
        else:
            overlapping = half
    return free


@subroutine
def _stick(fixed, moving, dimension, prefactor, touch, draws):
    """Move a cluster so that it touches another, at the distance that the scaling law requires.

    draws: (AXES, 6) standard normal: direction to the moving cluster, axis that it rotates about

    A rotation keeps the distance of the centers of mass. Where the gap changes sign along it, there
    is a contact. If no axis has one, the clusters approach along the last direction until they
    touch.
    """
    middle_1, middle_2 = _center_of_mass(fixed)[0], _center_of_mass(moving)[0]
    farthest = _reach(fixed, middle_1) + _reach(moving, middle_2)
    distance = _law_distance(fixed, moving, middle_1, middle_2, dimension, prefactor)
    distance = min(distance, farthest * touch)
    # Rotate about random axes until the clusters touch
    motion = Motion(middle_2, np.zeros(3), np.zeros(3))
    for k in range(draws.shape[0]):
        direction = draws[k, :3] / np.sqrt(draws[k, :3] @ draws[k, :3])
        axis = draws[k, 3:] / np.sqrt(draws[k, 3:] @ draws[k, 3:])
        motion = Motion(middle_2, axis, middle_1 + distance * direction)
        previous, free_before = 0.0, False
        for step in range(ANGLES + 1):
            angle = 2.0 * np.pi * step / ANGLES
            free = _gap(fixed, moving, motion, angle, touch) >= 0.0
            if step > 0 and free != free_before:
                ends = (angle, previous) if free else (previous, angle)
                _move(
                    moving,
                    motion,
                    _contact_angle(fixed, moving, motion, touch, ends[0], ends[1]),
                )
                return
            previous, free_before = angle, free
    # Approach along the last direction
    direction = (motion.target - middle_1) / max(distance, MIN_DISTANCE)
    near, far = 0.0, farthest
    for _ in range(2 * HALVINGS):
        half = 0.5 * (near + far)
        approach = Motion(middle_2, motion.axis, middle_1 + half * direction)
        if _gap(fixed, moving, approach, 0.0, touch) >= 0.0:
            far = half
        else:
            near = half
    _move(moving, Motion(middle_2, motion.axis, middle_1 + far * direction), 0.0)


@subroutine
def _aggregate(center, radius, dimension, prefactor, touch, draws):
    """Join spheres into one cluster: pairs first, then pairs of pairs."""
    edges = np.arange(radius.size + 1)
    clusters = radius.size
    joined = 0
    while clusters > 1:
        # Join neighboring clusters
        for k in range(0, clusters - 1, 2):
            start, middle, stop = edges[k], edges[k + 1], edges[k + 2]
            fixed = Cluster(center[start:middle], radius[start:middle])
            moving = Cluster(center[middle:stop], radius[middle:stop])
            _stick(fixed, moving, dimension, prefactor, touch, draws[joined])
            joined += 1
        # Remove the edges between them
        merged = 0
        for k in range(0, clusters, 2):
            edges[merged] = edges[k]
            merged += 1
        edges[merged] = radius.size
        clusters = merged


@kernel
def _aggregate_all(radius, edges, dimension, prefactor, touch, draws):
    """Return the centers of the spheres of each cluster, the rows between two of the edges."""
    center = np.zeros((radius.size, 3))
    for k in range(edges.size - 1):
        start, stop = edges[k], edges[k + 1]
        _aggregate(
            center[start:stop], radius[start:stop], dimension, prefactor, touch, draws[start:stop]
        )
    return center

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
from nanorender.scenes.footprints import Bodies, footprints
from nanorender.scenes.placement.base import MAX_OVERLAP, Arrangement, RandomPlacement
from nanorender.scenes.settling import settle_rigid

_AXES = 12  # axes tried before the clusters approach along a line instead
_ANGLES = 24  # orientations tried about an axis
_HALVINGS = 24  # bisection steps to the angle of contact
_MIN_DISTANCE = 1e-9


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

    def arrange(self, bodies: Bodies, field_nm: float, rng: np.random.Generator) -> Arrangement:
        """Aggregate clusters and lower them as rigid bodies at random positions.

        Examples
        --------
        >>> bodies = Bodies(np.full((60, 3), 50.0), np.tile(np.eye(3), (60, 1, 1)))
        >>> center_nm, _ = Fractal(members=60).arrange(bodies, 1000.0, np.random.default_rng(0))
        >>> squared_gyration = center_nm.var(axis=0).sum() + 0.6 * 25.0**2
        >>> round(float(1.3 * (squared_gyration**0.5 / 25.0) ** 1.8))  # the scaling law
        60
        """
        groups = self.draw_groups(self.members, field_nm, len(bodies.size_nm), rng)
        radius = np.cbrt(np.prod(bodies.size_nm, axis=1)) / 2
        center = self._clusters(radius, groups.number, rng)
        center[:, :2] += groups.seed_nm[groups.first]
        covered = footprints(bodies)
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
        draws = rng.normal(size=(count, _AXES, 6))
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


class MassProperties(NamedTuple):
    """Mass properties of a cluster of solid spheres of equal density.

    Attributes
    ----------
    center : (3,) center of mass, nm
    mass : sum of the cubed radii, nm3
    squared_gyration : squared radius of gyration, nm2
    reach : distance of the farthest point from the center of mass, nm
    """

    center: Float[np.ndarray, "3"]
    mass: float
    squared_gyration: float
    reach: float


@subroutine
def _mass_properties(cluster):
    """Compute the mass properties of a cluster."""
    center, mass = np.zeros(3), 0.0
    for i in range(cluster.radius.size):
        weight = cluster.radius[i] ** 3
        center += weight * cluster.center[i]
        mass += weight
    center = center / mass
    moment = reach = 0.0
    for i in range(cluster.radius.size):
        offset = cluster.center[i] - center
        squared = offset @ offset
        moment += cluster.radius[i] ** 3 * (squared + 0.6 * cluster.radius[i] ** 2)
        reach = max(reach, np.sqrt(squared) + cluster.radius[i])
    return MassProperties(center, mass, moment / mass, reach)


@subroutine
def _contact_angle(fixed, moving, motion, touch, free, overlapping):
    """Bisect between an angle without and one with overlap to the last one without."""
    for _ in range(_HALVINGS):
        half = 0.5 * (free + overlapping)
        if _gap(fixed, moving, motion, half, touch) >= 0.0:
            free = half
        else:
            overlapping = half
    return free


@subroutine
def _stick(union, split, dimension, prefactor, touch, draws):
    """Move the spheres from `split` on, a rigid cluster, so that they touch those before.

    draws: (k, 6) standard normal: direction to the moving cluster, axis that it rotates about

    The distance of the centers of mass is the one at which the union follows the scaling law. A
    rotation keeps it; where the gap changes sign along the rotation, there is a contact. If no axis
    has one, the clusters approach along the last direction until they touch.
    """
    fixed = Cluster(union.center[:split], union.radius[:split])
    moving = Cluster(union.center[split:], union.radius[split:])
    own, other = _mass_properties(fixed), _mass_properties(moving)
    # Find the distance that the scaling law requires
    number, mass = union.radius.size, own.mass + other.mass
    wanted = union.radius.mean() ** 2 * (number / prefactor) ** (2.0 / dimension)
    separate = (own.mass * own.squared_gyration + other.mass * other.squared_gyration) / mass
    excess = (wanted - separate) * mass**2
    farthest = own.reach + other.reach
    distance = min(np.sqrt(max(excess / (own.mass * other.mass), 0.0)), farthest * touch)
    # Rotate about random axes until the clusters touch
    motion = Motion(other.center, np.zeros(3), np.zeros(3))
    for k in range(draws.shape[0]):
        direction = draws[k, :3] / np.sqrt(draws[k, :3] @ draws[k, :3])
        axis = draws[k, 3:] / np.sqrt(draws[k, 3:] @ draws[k, 3:])
        motion = Motion(other.center, axis, own.center + distance * direction)
        previous, was_free = 0.0, False
        for step in range(_ANGLES + 1):
            angle = 2.0 * np.pi * step / _ANGLES
            free = _gap(fixed, moving, motion, angle, touch) >= 0.0
            if step > 0 and free != was_free:
                start, end = (angle, previous) if free else (previous, angle)
                _move(moving, motion, _contact_angle(fixed, moving, motion, touch, start, end))
                return
            previous, was_free = angle, free
    # Approach along the last direction
    direction = (motion.target - own.center) / max(distance, _MIN_DISTANCE)
    near, far = 0.0, farthest
    for _ in range(2 * _HALVINGS):
        half = 0.5 * (near + far)
        approach = Motion(other.center, motion.axis, own.center + half * direction)
        if _gap(fixed, moving, approach, 0.0, touch) >= 0.0:
            far = half
        else:
            near = half
    _move(moving, Motion(other.center, motion.axis, own.center + far * direction), 0.0)


@subroutine
def _aggregate(spheres, dimension, prefactor, touch, draws):
    """Join spheres into one cluster: pairs first, then pairs of pairs."""
    clusters = spheres.radius.size
    edges = np.arange(clusters + 1)
    joined = 0
    while clusters > 1:
        # Join neighboring clusters
        for k in range(0, clusters - 1, 2):
            start, middle, stop = edges[k], edges[k + 1], edges[k + 2]
            union = Cluster(spheres.center[start:stop], spheres.radius[start:stop])
            _stick(union, middle - start, dimension, prefactor, touch, draws[joined])
            joined += 1
        # Remove the edges between them
        merged = 0
        for k in range(0, clusters, 2):
            edges[merged] = edges[k]
            merged += 1
        edges[merged] = spheres.radius.size
        clusters = merged


@kernel
def _aggregate_all(radius, edges, dimension, prefactor, touch, draws):
    """Return the centers of the spheres of each cluster, the rows between two of the edges."""
    center = np.zeros((radius.size, 3))
    for k in range(edges.size - 1):
        rows = slice(edges[k], edges[k + 1])
        spheres = Cluster(center[rows], radius[rows])
        _aggregate(spheres, dimension, prefactor, touch, draws[rows])
    return center

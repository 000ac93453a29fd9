"""Fractal agglomerates: clusters of spheres whose number scales with their radius of gyration.

Cluster-cluster aggregation with a tunable dimension (Filippov, Zurita & Rosner 2000, J. Colloid
Interface Science 229, 261): two clusters stick where the whole has exactly the radius of gyration
R of the law N = k_f (R / a)^D_f, a being the radius of the primary particles.
"""

import numpy as np
from jaxtyping import Float

from nanorender.jit import kernel, subroutine

ANGLES = 24  # orientations tried about an axis before it is given up
AXES = 12
HALVINGS = 24
_SEPARATION = 1e-9


@subroutine
def _turned(center, j, axis, cosine, middle, offset):
    """Return row j turned about `middle` and shifted by `offset` (Rodrigues' rotation)."""
    c, s = cosine
    x, y, z = center[j, 0] - middle[0], center[j, 1] - middle[1], center[j, 2] - middle[2]
    along = (axis[0] * x + axis[1] * y + axis[2] * z) * (1.0 - c)
    return (
        x * c + (axis[1] * z - axis[2] * y) * s + axis[0] * along + offset[0],
        y * c + (axis[2] * x - axis[0] * z) * s + axis[1] * along + offset[1],
        z * c + (axis[0] * y - axis[1] * x) * s + axis[2] * along + offset[2],
    )


@subroutine
def _gap(center, radius, first, second, axis, cosine, middle, offset, reduced):
    """Return how far two clusters are from touching, negative where they overlap.

    first, second: (start, stop) rows of the clusters; the second is turned about its `middle`
    around a unit axis by an angle of (cosine, sine) and shifted by `offset`.
    """
    smallest = np.inf
    for j in range(second[0], second[1]):
        px, py, pz = _turned(center, j, axis, cosine, middle, offset)
        for i in range(first[0], first[1]):
            dx, dy, dz = center[i, 0] - px, center[i, 1] - py, center[i, 2] - pz
            near = np.sqrt(dx * dx + dy * dy + dz * dz)
            smallest = min(smallest, near - (radius[i] + radius[j]) * reduced)
    return smallest


@subroutine
def _turn(center, second, axis, angle, middle, offset):
    """Turn and shift the rows of the second cluster as `_gap` says."""
    cosine = (np.cos(angle), np.sin(angle))
    for j in range(second[0], second[1]):
        turned = _turned(center, j, axis, cosine, middle, offset)
        center[j, 0], center[j, 1], center[j, 2] = turned


@subroutine
def _middle(center, radius, rows):
    """Return the center of mass of a cluster of spheres, and its mass."""
    middle, mass = np.zeros(3), 0.0
    for i in range(rows[0], rows[1]):
        weight = radius[i] ** 3
        middle += weight * center[i]
        mass += weight
    return middle / mass, mass


@subroutine
def _squared_gyration(center, radius, rows, middle):
    """Return the squared radius of gyration of solid spheres about the center of mass."""
    total, mass = 0.0, 0.0
    for i in range(rows[0], rows[1]):
        weight = radius[i] ** 3
        apart = center[i] - middle
        total += weight * (apart @ apart + 0.6 * radius[i] ** 2)
        mass += weight
    return total / mass


@subroutine
def _reach(center, radius, rows, middle):
    reach = 0.0
    for i in range(rows[0], rows[1]):
        apart = center[i] - middle
        reach = max(reach, np.sqrt(apart @ apart) + radius[i])
    return reach


@subroutine
def _stick(center, radius, first, second, law, draws):
    """Move the second cluster so that it touches the first, as far from it as the law says.

    law: dimension, prefactor, 1 less the depth of contact
    draws: (AXES, 6) standard normal: direction to the second cluster, axis that it turns about

    A turn keeps the distance of the centers of mass. Where the gap changes sign along it, there is
    a contact. If no axis has one, the clusters approach along the last direction until they touch.
    """
    dimension, prefactor, reduced = law
    middle_1, mass_1 = _middle(center, radius, first)
    middle_2, mass_2 = _middle(center, radius, second)
    both = (second[1] - second[0]) + (first[1] - first[0])
    mass = mass_1 + mass_2
    rows = (first[0], first[0] + both)
    cubes = 0.0
    for i in range(rows[0], rows[1]):
        cubes += radius[i]
    wanted = (cubes / both) ** 2 * (both / prefactor) ** (2.0 / dimension)
    gyration_1 = _squared_gyration(center, radius, first, middle_1)
    gyration_2 = _squared_gyration(center, radius, second, middle_2)
    apart = (wanted - (mass_1 * gyration_1 + mass_2 * gyration_2) / mass) * mass**2
    distance = np.sqrt(max(apart / (mass_1 * mass_2), 0.0))
    farthest = _reach(center, radius, first, middle_1) + _reach(center, radius, second, middle_2)
    distance = min(distance, farthest * reduced)
    offset, axis = np.zeros(3), np.zeros(3)
    for k in range(draws.shape[0]):
        direction = draws[k, :3] / np.sqrt(draws[k, :3] @ draws[k, :3])
        axis = draws[k, 3:] / np.sqrt(draws[k, 3:] @ draws[k, 3:])
        offset = middle_1 + distance * direction
        before, open_before = 0.0, False
        for step in range(ANGLES + 1):
            angle = 2.0 * np.pi * step / ANGLES
            turned = (np.cos(angle), np.sin(angle))
            gap = _gap(center, radius, first, second, axis, turned, middle_2, offset, reduced)
            if step > 0 and (gap >= 0.0) != open_before:
                free, stuck = (angle, before) if gap >= 0.0 else (before, angle)
                for _ in range(HALVINGS):
                    half = 0.5 * (free + stuck)
                    turned = (np.cos(half), np.sin(half))
                    gap = _gap(
                        center, radius, first, second, axis, turned, middle_2, offset, reduced
                    )
                    if gap >= 0.0:
                        free = half
                    else:
                        stuck = half
                _turn(center, second, axis, free, middle_2, offset)
                return
            before, open_before = angle, gap >= 0.0
    direction = (offset - middle_1) / max(distance, _SEPARATION)
    near, far = 0.0, farthest
    for _ in range(2 * HALVINGS):
        half = 0.5 * (near + far)
        offset = middle_1 + half * direction
        gap = _gap(center, radius, first, second, axis, (1.0, 0.0), middle_2, offset, reduced)
        if gap >= 0.0:
            far = half
        else:
            near = half
    _turn(center, second, axis, 0.0, middle_2, middle_1 + far * direction)


@subroutine
def _aggregate(center, radius, start, stop, law, draws):
    """Stick the spheres of the rows `start` to `stop` together: pairs, then pairs of pairs."""
    count = stop - start
    edges = np.arange(start, stop + 1)
    clusters = count
    drawn = 0
    while clusters > 1:
        merged = 0
        for k in range(0, clusters - 1, 2):
            first, second = (edges[k], edges[k + 1]), (edges[k + 1], edges[k + 2])
            _stick(center, radius, first, second, law, draws[start + drawn])
            drawn += 1
        for k in range(0, clusters, 2):
            edges[merged] = edges[k]
            merged += 1
        edges[merged] = stop
        clusters = merged


@kernel
def _aggregate_all(radius, edges, law, draws):
    center = np.zeros((radius.size, 3))
    for k in range(edges.size - 1):
        _aggregate(center, radius, edges[k], edges[k + 1], law, draws)
    return center


def fractal_clusters(
    radius_nm: Float[np.ndarray, "n"],
    agglomerate: np.ndarray,
    law: tuple[float, float, float],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 3"]:
    """Return centers, in nm about its center of mass, of the spheres of each agglomerate.

    Parameters
    ----------
    agglomerate: (n) number of the agglomerate of each sphere, ascending
    law: dimension, prefactor, and 1 less the depth of contact as a fraction of the radii's sum
    """
    count = len(radius_nm)
    if count == 0:
        return np.zeros((0, 3))
    edges = np.append(np.flatnonzero(np.diff(agglomerate, prepend=-1)), count)
    draws = rng.normal(size=(count, AXES, 6))
    center = _aggregate_all(radius_nm, edges, law, draws)
    weight = radius_nm[:, None] ** 3
    middle = np.add.reduceat(weight * center, edges[:-1]) / np.add.reduceat(weight, edges[:-1])
    return center - np.repeat(middle, np.diff(edges), axis=0)

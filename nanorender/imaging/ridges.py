"""Ridges: the cells that a particle's surface froze or grew in, with a ridge between neighbors.

Droplets of metal freeze in cells and dendrites, whose borders stand out. A solid texture (Perlin
1985, SIGGRAPH, 287) of cells (Worley 1996, SIGGRAPH, 291) tilts the normals (Blinn 1978, SIGGRAPH,
286), so that a ridge is as bright as its slopes are to any shader; outlines and labels stay as
they are. The crest is brighter still: electrons leave it to both sides.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from nanorender.imaging.materials import MaterialBase
from nanorender.jit import kernel
from nanorender.scenes.scene import Particles
from nanorender.tracing.raymarch import Surface

TILE = 32  # cells along the edge of the texture, which repeats
WIDTH = 0.25  # of a ridge's half, over the spacing
STEEPEST = math.sqrt(2 / math.e) / WIDTH  # slope of a Gaussian of this width, per height
MEAN_CREST = 0.4  # of the profile over the surface
FINER, FAINTER = 2.3, 0.5  # spacing and strength of a second generation of ridges, within the first
COARSEST_PX, FINEST_PX = 3.0, 1.5  # ridges closer than the former fade, to nothing at the latter
OF_DIAMETER_NM = 10_000.0  # that the spacing is given for
GROWTH = 2 / 3


class Ridged(NamedTuple):
    """A surface with ridges: normals as in `Surface`, and a factor on the radiance of crests."""

    normal: Float32[np.ndarray, "3 h w"]
    crest: Float32[np.ndarray, "h w"]


@kernel
def _beyond(place):
    """Return the squared distance of a place from the cell between 0 and 1."""
    away = max(-place, place - np.float32(1))
    return away * away if away > 0 else np.float32(0)


@kernel
def _border(points, x, y, z):
    """Return distance to the second nearest less that to the nearest point, and its gradient.

    points: (32, 32, 32, 3) a point in each cell of a lattice that repeats; lengths in its cells
    """
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    near, next_near = np.float32(1e9), np.float32(1e9)
    ax = ay = az = bx = by = bz = np.float32(0)
    # The cell itself comes first, and slabs and rows of others that are farther are left out.
    for u in (i, i - 1, i + 1):
        beside_x = _beyond(x - np.float32(u))
        if beside_x >= next_near:
            continue
        for v in (j, j - 1, j + 1):
            beside_y = beside_x + _beyond(y - np.float32(v))
            if beside_y >= next_near:
                continue
            for w in (k, k - 1, k + 1):
                if beside_y + _beyond(z - np.float32(w)) >= next_near:
                    continue
                point = points[u & 31, v & 31, w & 31]
                dx = x - np.float32(u) - point[0]
                dy = y - np.float32(v) - point[1]
                dz = z - np.float32(w) - point[2]
                squared = dx * dx + dy * dy + dz * dz
                if squared < near:
                    next_near, bx, by, bz = near, ax, ay, az
                    near, ax, ay, az = squared, dx, dy, dz
                elif squared < next_near:
                    next_near, bx, by, bz = squared, dx, dy, dz
    least = np.float32(1e-6)
    first, second = math.sqrt(near) + least, math.sqrt(next_near) + least
    return (
        second - first,
        bx / second - ax / first,
        by / second - ay / first,
        bz / second - az / first,
    )


@kernel
def _carve(heights, normal, particle, pixel_size, finish, points):
    """Tilt the normals in place and return the factor on crests.

    finish: for each label, the inverse spacing, nm^-1, the offset x, y, z in the texture, and the
        slope of both generations of ridges
    """
    inverse, offset, slopes = finish
    rows, columns = heights.shape
    crest = np.ones((rows, columns), np.float32)
    one, steepest = np.float32(1), np.float32(STEEPEST)
    narrow, mean_crest = np.float32(1 / WIDTH**2), np.float32(MEAN_CREST)
    for i in range(rows):
        for j in range(columns):
            k = particle[i, j]
            if slopes[0, k] <= 0:
                continue
            nx, ny, nz = normal[0, i, j], normal[1, i, j], normal[2, i, j]
            gx = gy = gz = np.float32(0)
            scale, factor = inverse[k], one
            for generation in range(2):
                slope = slopes[generation, k]
                if slope > 0:
                    apart, tx, ty, tz = _border(
                        points,
                        np.float32(j) * pixel_size * scale + offset[0, k],
                        np.float32(i) * pixel_size * scale + offset[1, k],
                        heights[i, j] * scale + offset[2, k],
                    )
                    profile = math.exp(-apart * apart * narrow)
                    falling = -2 * apart * narrow * profile / steepest * slope
                    gx += falling * tx
                    gy += falling * ty
                    gz += falling * tz
                    factor += slope * (profile - mean_crest)
                scale *= np.float32(FINER)
            # What of the gradient lies along the normal moves the surface but does not tilt it.
            along = gx * nx + gy * ny + gz * nz
            tx, ty, tz = nx - gx + along * nx, ny - gy + along * ny, nz - gz + along * nz
            shorter = one / math.sqrt(tx * tx + ty * ty + tz * tz)
            normal[0, i, j] = tx * shorter
            normal[1, i, j] = ty * shorter
            normal[2, i, j] = tz * shorter
            crest[i, j] = max(factor, np.float32(0))
    return crest


def spacing_nm(
    at_ten_um: Float[np.ndarray, "n"], diameter_nm: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Return the spacing of ridges on particles, from that on one of ten micrometers.

    Arms of dendrites are apart as (cooling rate)^(-1/3) (Flemings 1974, Solidification Processing,
    chapter 5), and a drop in gas cools as diameter^-2 (Nusselt number 2: Ranz & Marshall 1952,
    Chem. Eng. Prog. 48, 141).
    """
    return at_ten_um * (diameter_nm / OF_DIAMETER_NM) ** GROWTH


def ridged(surface: Surface, materials: Sequence[MaterialBase], particles: Particles) -> Ridged:
    """Return normals and crests of a surface whose materials have ridges.

    materials: one for each population of particles
    """
    population = particles.population
    apart = np.array([material.ridge_spacing_nm for material in materials])[population]
    diameter = np.cbrt(np.prod(particles.size_nm, axis=1))
    apart = spacing_nm(apart, diameter)
    # Hashed from where a particle lies: random, but the same in every rendering.
    turns = particles.center_nm @ np.array([0.7548776662, 0.5698402910, 0.4301597090])
    chance = np.modf(np.abs(turns)[:, None] * (43.758, 57.291, 71.337, 83.119))[0]
    slope = np.array([material.ridges for material in materials])[population]
    slope = slope * (0.4 + 1.2 * chance[:, 3])  # no two drops freeze alike
    generations = [
        strength * slope * _seen(apart / finer / surface.pixel_size_nm)
        for strength, finer in ((1.0, 1.0), (FAINTER, FINER))
    ]
    normal = surface.normal.copy()
    crest = _carve(
        surface.height_nm,
        normal,
        surface.particle,
        np.float32(surface.pixel_size_nm),
        (
            _by_label(1 / apart),
            _by_label(chance[:, :3].T * TILE),
            _by_label(np.stack(generations)),
        ),
        _points(),
    )
    return Ridged(normal, crest)


def _by_label(of_particles: Float[np.ndarray, "... n"]) -> Float32[np.ndarray, "... m"]:
    """Return what belongs to particles with a 0 for the substrate before it."""
    before = [(0, 0)] * (of_particles.ndim - 1)
    return np.pad(of_particles, [*before, (1, 0)]).astype(np.float32)


def _seen(spacing_px: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return how much of ridges is left at a spacing that pixels hardly resolve, 0 to 1."""
    return np.clip((spacing_px - FINEST_PX) / (COARSEST_PX - FINEST_PX), 0, 1)


def _points() -> Float32[np.ndarray, "32 32 32 3"]:
    """Return the points of the cells: always the same, as where particles cut them is random."""
    return np.random.default_rng(1996).random((TILE, TILE, TILE, 3), dtype=np.float32)

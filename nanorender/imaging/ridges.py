"""Ridges between the solidification cells on the surface of particles.

Metal droplets solidify in cells and dendrites, whose borders stand out. A solid texture (Perlin
1985, SIGGRAPH, 287) of cells (Worley 1996, SIGGRAPH, 291) tilts the normals (Blinn 1978, SIGGRAPH,
286), so that every material shades the slopes of the ridges; outlines and labels do not change. The
crests are additionally brightened, since electrons escape to both sides.
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

_TILE = 32  # cells along the edge of the periodic texture
_WIDTH = 0.25  # half the width of a ridge, relative to the spacing
_MAX_SLOPE = math.sqrt(2 / math.e) / _WIDTH  # of a Gaussian of this width and height 1
_MEAN_CREST = 0.4  # mean of the profile over the surface
_FINER, _FAINTER = 2.3, 0.5  # ratios of spacing and strength of a second generation of ridges
_FADE_PX, _VANISH_PX = 3.0, 1.5  # spacings at which ridges begin to fade and vanish
_REFERENCE_DIAMETER_NM = 10_000.0  # diameter of a particle with the spacing of the settings
_SPACING_EXPONENT = 2 / 3


class Ridged(NamedTuple):
    """A surface with ridges.

    Attributes
    ----------
    normal : (3, h, w) unit normals with ridges
    crest : (h, w) factor on the radiance, larger on crests
    """

    normal: Float32[np.ndarray, "3 h w"]
    crest: Float32[np.ndarray, "h w"]


@kernel
def _beyond(place):
    """Return the squared distance of a coordinate from the interval of a cell, 0 to 1."""
    away = max(-place, place - np.float32(1))
    return away * away if away > 0 else np.float32(0)


@kernel
def _border(points, x, y, z):
    """Return the distance to the second nearest minus the nearest point, and its gradient.

    points: (32, 32, 32, 3) a point in each cell of a periodic lattice; lengths in cells
    """
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    near, next_near = np.float32(1e9), np.float32(1e9)
    ax = ay = az = bx = by = bz = np.float32(0)
    # Visit the own cell first and skip slabs, rows and cells that are farther than both points
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
def _carve(heights, normal, particle, pixel_size, inverse, offset, slopes, points):
    """Tilt the normals in place and return the factor on crests.

    inverse: (n) inverse spacing of each label, nm^-1; offset: (3, n) x, y, z in the texture
    slopes: (2, n) maximum slope of both generations of ridges
    """
    rows, columns = heights.shape
    crest = np.ones((rows, columns), np.float32)
    one, max_slope = np.float32(1), np.float32(_MAX_SLOPE)
    narrow, mean_crest = np.float32(1 / _WIDTH**2), np.float32(_MEAN_CREST)
    for i in range(rows):
        for j in range(columns):
            k = particle[i, j]
            if slopes[0, k] <= 0:
                continue
            nx, ny, nz = normal[0, i, j], normal[1, i, j], normal[2, i, j]
            gx = gy = gz = np.float32(0)
            # Add the gradients of both generations of ridges
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
                    falling = -2 * apart * narrow * profile / max_slope * slope
                    gx += falling * tx
                    gy += falling * ty
                    gz += falling * tz
                    factor += slope * (profile - mean_crest)
                scale *= np.float32(_FINER)
            # Tilt the normal by the tangential part of the gradient
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
    """Compute the spacing of ridges on particles of different diameters.

    The spacing of dendrite arms scales as (cooling rate)^(-1/3) (Flemings 1974, Solidification
    Processing, chapter 5), and the cooling rate of a drop in gas as diameter^-2 (Nusselt number 2:
    Ranz & Marshall 1952, Chem. Eng. Prog. 48, 141).

    Parameters
    ----------
    at_ten_um : (n,) spacing on a particle with a diameter of 10 micrometers, nm
    diameter_nm : (n,) diameters of the particles

    Returns
    -------
    spacing : (n,) spacing on each particle, nm

    Examples
    --------
    >>> spacing_nm(np.array([1000.0]), np.array([1250.0])).round(6).tolist()
    [250.0]
    """
    return at_ten_um * (diameter_nm / _REFERENCE_DIAMETER_NM) ** _SPACING_EXPONENT


def ridged(surface: Surface, materials: Sequence[MaterialBase], particles: Particles) -> Ridged:
    """Add ridges to a surface.

    Parameters
    ----------
    surface : traced surface
    materials : one material for each population of particles
    particles : particles of the scene

    Returns
    -------
    ridged : normals tilted by the ridges, and factors on the radiance
    """
    population = particles.population
    at_ten_um = np.array([material.ridge_spacing_nm for material in materials])[population]
    spacing = spacing_nm(at_ten_um, np.cbrt(np.prod(particles.size_nm, axis=1)))
    # Hash offsets and slopes from the positions: random, but the same in every rendering
    turns = particles.center_nm @ np.array([0.7548776662, 0.5698402910, 0.4301597090])
    chance = np.modf(np.abs(turns)[:, None] * (43.758, 57.291, 71.337, 83.119))[0]
    slope = np.array([material.ridges for material in materials])[population]
    slope = slope * (0.4 + 1.2 * chance[:, 3])
    generations = [
        strength * slope * _resolved(spacing / finer / surface.pixel_size_nm)
        for strength, finer in ((1.0, 1.0), (_FAINTER, _FINER))
    ]
    normal = surface.normal.copy()
    crest = _carve(
        surface.height_nm,
        normal,
        surface.particle,
        np.float32(surface.pixel_size_nm),
        _by_label(1 / spacing),
        _by_label(chance[:, :3].T * _TILE),
        _by_label(np.stack(generations)),
        _points(),
    )
    return Ridged(normal, crest)


def _by_label(of_particles: Float[np.ndarray, "... n"]) -> Float32[np.ndarray, "... m"]:
    """Return values of particles with a 0 for the substrate before them."""
    before = [(0, 0)] * (of_particles.ndim - 1)
    return np.pad(of_particles, [*before, (1, 0)]).astype(np.float32)


def _resolved(spacing_px: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return a factor on the slope, from 0 where pixels do not resolve the ridges to 1."""
    return np.clip((spacing_px - _VANISH_PX) / (_FADE_PX - _VANISH_PX), 0, 1)


def _points() -> Float32[np.ndarray, "32 32 32 3"]:
    """Return the points of the cells; always the same, since the offsets are random."""
    return np.random.default_rng(1996).random((_TILE, _TILE, _TILE, 3), dtype=np.float32)

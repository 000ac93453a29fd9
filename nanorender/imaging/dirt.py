"""Dirt: what a substrate shows besides particles, as a factor on its gray level.

Carbon films and wafers are never even: patches of contamination, the rims that dried droplets and
holes in a film leave (whole rings, more often arcs), flakes, smears, and slow shading.
"""

import math

import numpy as np
from jaxtyping import Float
from pydantic import Field

from nanorender.distributions import (
    Constant,
    LogNormal,
    NonNegativeDistribution,
    PositiveDistribution,
    Uniform,
)
from nanorender.imaging.rims import Rims, draw_rims, fill, flattening, wobble
from nanorender.jit import kernel
from nanorender.settings import Settings


class DirtSettings(Settings):
    """What lies on the substrate; every strength is a change of the factor, and 0 turns it off."""

    patch_strength: NonNegativeDistribution = Uniform(low=0.02, high=0.08)
    patch_roughness: float = Field(default=0.6, ge=0, le=1)
    rings_per_um2: NonNegativeDistribution = LogNormal(median=18.0, gsd=1.7, maximum=60.0)
    ring_strength: NonNegativeDistribution = LogNormal(median=0.5, gsd=1.6, maximum=1.5)
    ring_diameter_nm: PositiveDistribution = LogNormal(median=105.0, gsd=1.6, maximum=600.0)
    ring_width_nm: PositiveDistribution = Constant(value=9.0)
    ring_closed_fraction: float = Field(default=0.12, ge=0, le=1)
    ring_chained_fraction: float = Field(default=0.6, ge=0, le=1)
    flakes_per_um2: NonNegativeDistribution = Uniform(low=0.0, high=0.15)
    flake_strength: NonNegativeDistribution = Uniform(low=0.3, high=1.0)
    flake_diameter_nm: PositiveDistribution = LogNormal(median=90.0, gsd=1.5, maximum=400.0)
    smears_per_um2: NonNegativeDistribution = Uniform(low=0.0, high=0.1)
    smear_strength: NonNegativeDistribution = Uniform(low=0.0, high=0.1)
    smear_length_nm: PositiveDistribution = LogNormal(median=1500.0, gsd=1.6, maximum=8000.0)
    shading_strength: NonNegativeDistribution = Uniform(low=0.0, high=0.06)
    pores_per_um2: NonNegativeDistribution = Constant(value=0.0)
    pore_strength: NonNegativeDistribution = Uniform(low=0.3, high=0.8)
    pore_diameter_nm: PositiveDistribution = LogNormal(median=80.0, gsd=1.5, maximum=400.0)


@kernel
def _refine(corners, drawn, amplitude, beside):
    """Return a grid of twice the resolution: one diamond and one square step.

    corners: (m, m); drawn: 3 (m, m) random numbers from 0 to 1, of which not all are needed
    amplitude: largest displacement of a diamond; beside: that of a square's side, relative to it
    Strategy: middles of the squares, of their upper and of their left sides are rows of their
    own, so that loops are contiguous; edges mirror the neighbor that is missing.
    """
    m = corners.shape[0]
    fine = np.empty((2 * m - 1, 2 * m - 1), np.float32)
    quarter, scale = np.float32(0.25), np.float32(2 * amplitude)
    middles = np.empty((m - 1, m - 1), np.float32)
    for i in range(m - 1):
        upper, lower, target, chance = corners[i], corners[i + 1], middles[i], drawn[0, i]
        for j in range(m - 1):
            around = upper[j] + upper[j + 1] + lower[j] + lower[j + 1]
            target[j] = around * quarter + scale * (chance[j] - np.float32(0.5))
    scale *= beside
    side = np.empty(m, np.float32)
    for i in range(m):
        here = corners[i]
        above, below = middles[i - 1 if i > 0 else 0], middles[i if i < m - 1 else m - 2]
        chance = drawn[1, i]
        for j in range(m - 1):
            around = above[j] + below[j] + here[j] + here[j + 1]
            side[j] = around * quarter + scale * (chance[j] - np.float32(0.5))
        target = fine[2 * i]
        for j in range(m - 1):
            target[2 * j] = here[j]
            target[2 * j + 1] = side[j]
        target[2 * m - 2] = here[m - 1]
        if i == m - 1:
            break
        between, lower, chance = middles[i], corners[i + 1], drawn[2, i]
        for j in range(1, m - 1):
            around = between[j - 1] + between[j] + here[j] + lower[j]
            side[j] = around * quarter + scale * (chance[j] - np.float32(0.5))
        for j, inner in ((0, 0), (m - 1, m - 2)):
            around = 2 * between[inner] + here[j] + lower[j]
            side[j] = around * quarter + scale * (chance[j] - np.float32(0.5))
        target = fine[2 * i + 1]
        for j in range(m - 1):
            target[2 * j] = side[j]
            target[2 * j + 1] = between[j]
        target[2 * m - 2] = side[m - 1]
    return fine


def diamond_square(
    size: int, roughness: float, rng: np.random.Generator
) -> Float[np.ndarray, "size size"]:
    """Return a fractal texture from -1 to 1 (Fournier, Fussell & Carpenter 1982).

    The surface is a fractional Brownian one of Hurst exponent H = 1 - roughness: mean squared
    differences grow as distance^(2H), the power spectrum falls as frequency^-(2H + 2).

    Parameters
    ----------
    size: edge length, px; any number from 1
    roughness: 0 (smooth clouds) to 1 (every scale equally strong)
    """
    hurst = 1.0 - roughness
    levels = max(1, math.ceil(math.log2(max(size - 1, 1))))
    texture = (2 * rng.random((2, 2), dtype=np.float32) - 1).astype(np.float32)
    amplitude, beside = 1.0, np.float32(0.5 ** (hurst / 2))
    for _ in range(levels):
        # What a point differs from the mean of four neighbors at distance d, in a surface of
        # squared differences d^(2H), has the variance d^(2H) times a constant; the neighbors of
        # a side's middle are nearer than a diamond's by the root of 2.
        amplitude *= 0.5**hurst
        drawn = rng.random((3, *texture.shape), dtype=np.float32)
        texture = _refine(texture, drawn, np.float32(amplitude), beside)
    top, left = rng.integers(0, texture.shape[0] - size + 1, 2)
    cut = texture[top : top + size, left : left + size]
    low, high = cut.min(), cut.max()
    if low == high:
        return np.zeros((size, size), np.float32)
    return (cut - (low + high) / 2) * np.float32(2 / (high - low))


@kernel
def _smear(factor, smears, strength):
    """Add streaks of Gaussian cross-section.

    smears: (n, 5) center x, y, standard deviation along and across, px, and angle, rad
    strength: (n) change of the factor in the middle
    """
    height, width = factor.shape
    for k in range(smears.shape[0]):
        x0, y0, along, across, angle = smears[k]
        cosine, sine = math.cos(angle), math.sin(angle)
        reach_x = math.ceil(3 * math.hypot(along * cosine, across * sine))
        reach_y = math.ceil(3 * math.hypot(along * sine, across * cosine))
        for i in range(max(0, int(y0) - reach_y), min(height, int(y0) + reach_y + 1)):
            for j in range(max(0, int(x0) - reach_x), min(width, int(x0) + reach_x + 1)):
                u = (cosine * (j - x0) + sine * (i - y0)) / along
                v = (cosine * (i - y0) - sine * (j - x0)) / across
                factor[i, j] += strength[k] * math.exp(-0.5 * (u * u + v * v))


def substrate_texture(
    settings: DirtSettings,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """Return the factor, about 1, that dirt puts on the gray level of the substrate."""
    height, width = shape
    area_um2 = height * width * (pixel_size_nm / 1000) ** 2
    texture = np.ones(shape, np.float32)
    patch_strength = _draw(settings.patch_strength, rng)
    if patch_strength > 0:
        patches = diamond_square(max(shape), settings.patch_roughness, rng)
        texture += np.float32(patch_strength) * patches[:height, :width]
    shading_strength = _draw(settings.shading_strength, rng)
    if shading_strength > 0:
        texture += np.float32(shading_strength) * _shading(shape, rng)
    smears = rng.poisson(_draw(settings.smears_per_um2, rng) * area_um2)
    if smears:
        length = settings.smear_length_nm.sample(rng, smears) / pixel_size_nm
        across = length * rng.uniform(0.05, 0.2, smears)
        place = rng.uniform((0, 0), (width, height), (smears, 2))
        angle = rng.normal(rng.uniform(0, np.pi), 0.3, smears)  # what wiped left one direction
        sign = rng.choice((-1.0, 1.0), smears)
        strength = sign * settings.smear_strength.sample(rng, smears)
        _smear(texture, np.column_stack((place, length / 4, across / 4, angle)), strength)
    rings = rng.poisson(_draw(settings.rings_per_um2, rng) * area_um2)
    rims = _rings(settings, rings, shape, pixel_size_nm, rng)
    draw_rims(texture, rims, (rims.extent < 2 * np.pi).astype(np.float32))
    flakes = rng.poisson(_draw(settings.flakes_per_um2, rng) * area_um2)
    rims = _flakes(settings, flakes, shape, pixel_size_nm, rng)
    fill(texture, rims, 0.5 * rims.strength)
    draw_rims(texture, rims, np.zeros(flakes, np.float32))
    pores = rng.poisson(_draw(settings.pores_per_um2, rng) * area_um2)
    if pores:
        rims = _pores(settings, pores, shape, pixel_size_nm, rng)
        fill(texture, rims, rims.strength)
    return np.maximum(texture, 0, out=texture)


def _draw(distribution: NonNegativeDistribution, rng: np.random.Generator) -> float:
    """Return one value for the image."""
    return float(distribution.sample(rng, 1)[0])


def _shading(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return a slope with a slight bow in a random direction, from -1 to 1 or less."""
    y, x = (np.linspace(-1, 1, count) for count in shape)
    angle, bow = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
    along_x = 0.5 * np.cos(angle) * x + bow / 2 * (x * x - 1 / 3)
    along_y = 0.5 * np.sin(angle) * y + bow / 2 * (y * y - 1 / 3)
    return along_x.astype(np.float32) + along_y.astype(np.float32)[:, None]


def _rings(
    settings: DirtSettings,
    count: int,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> Rims:
    """Return rims of rings, most of them arcs."""
    diameter = settings.ring_diameter_nm.sample(rng, count) / pixel_size_nm
    closed = rng.random(count) < settings.ring_closed_fraction
    side = rng.uniform(0, 2 * np.pi)  # towards the detector rims are brighter, so arcs gather there
    middle = np.where(closed, 0.0, rng.vonmises(side, 0.7, count))
    extent = np.where(closed, 2 * np.pi, rng.uniform(0.2, 1.4, count) * np.pi)
    angle = rng.uniform(0, 2 * np.pi, count)
    strength = settings.ring_strength.sample(rng, 1) * rng.lognormal(0.0, 0.6, count)
    return Rims(
        center=_chained(diameter, settings.ring_chained_fraction, shape, rng),
        radius=diameter[:, None] / 2 * np.column_stack((np.ones(count), flattening(rng, count))),
        angle=angle,
        wobble=wobble(rng, count),
        start=middle - angle - extent / 2,
        extent=extent,
        strength=strength,
        width_px=_draw(settings.ring_width_nm, rng) / pixel_size_nm / 2,
    )


def _chained(
    diameter: Float[np.ndarray, "n"],
    fraction: float,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 2"]:
    """Return x, y of rings, a fraction of which continues a winding chain from the one before.

    Fronts that dry leave such scalloped lines.
    """
    count = len(diameter)
    first = rng.random(count) >= fraction
    first[:1] = True
    chain = np.cumsum(first) - 1
    heading = rng.uniform(0, 2 * np.pi, count)[chain] + rng.normal(0, 0.6, count)
    steps = 0.9 * diameter[:, None] * np.column_stack((np.cos(heading), np.sin(heading)))
    path = np.cumsum(steps, axis=0)
    start = rng.uniform((0, 0), shape[::-1], (count, 2))
    return (start - path)[first][chain] + path


def _flakes(
    settings: DirtSettings,
    count: int,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> Rims:
    """Return closed rims of flakes, which are more ragged than rings."""
    diameter, strength = settings.flake_diameter_nm, settings.flake_strength
    rims = _closed_rims(diameter, strength, count, shape, pixel_size_nm, rng)
    width_px = _draw(settings.ring_width_nm, rng) / pixel_size_nm / 2
    return rims._replace(wobble=1.5 * rims.wobble * (1, 1 / 1.5), width_px=width_px)


def _pores(
    settings: DirtSettings,
    count: int,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> Rims:
    """Return outlines of pores in a film, which are darker than it."""
    diameter, strength = settings.pore_diameter_nm, settings.pore_strength
    rims = _closed_rims(diameter, strength, count, shape, pixel_size_nm, rng)
    return rims._replace(strength=-rims.strength)


def _closed_rims(
    diameter_nm: PositiveDistribution,
    strength: NonNegativeDistribution,
    count: int,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> Rims:
    """Return closed rims, one pixel to either side, anywhere in the image."""
    radius = diameter_nm.sample(rng, count)[:, None] / 2 / pixel_size_nm
    return Rims(
        center=rng.uniform((0, 0), shape[::-1], (count, 2)),
        radius=radius * np.column_stack((np.ones(count), flattening(rng, count))),
        angle=rng.uniform(0, 2 * np.pi, count),
        wobble=wobble(rng, count),
        start=np.zeros(count),
        extent=np.full(count, 2 * np.pi),
        strength=strength.sample(rng, count),
        width_px=1.0,
    )

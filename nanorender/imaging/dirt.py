"""Dirt: the texture of the substrate between the particles, as a factor on its gray level.

Carbon films and wafers are never uniform: patches of contamination, the rims that dried droplets
and holes in a film leave (closed rings, more often arcs), flakes, pores, smears, and slow shading.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.distributions import (
    Constant,
    LogNormal,
    NonNegativeDistribution,
    PositiveDistribution,
    Uniform,
)
from nanorender.imaging.canvas import Canvas
from nanorender.imaging.diamond_square import diamond_square
from nanorender.imaging.rims import Rims, draw_aspect, draw_rims, draw_wobble, fill_rims
from nanorender.jit import kernel
from nanorender.settings import Fraction, Settings


class DirtSettings(Settings):
    """The dirt on the substrate; strengths are changes of the factor, and 0 turns an effect off."""

    patch_strength: NonNegativeDistribution = Uniform(low=0.02, high=0.08)
    """Amplitude of the fractal texture."""
    patch_roughness: Fraction = 0.6
    """Roughness of the fractal texture, from 0 (smooth clouds) to 1 (equally strong at all
    scales)."""
    rings_per_um2: NonNegativeDistribution = LogNormal(median=18.0, gsd=1.7, maximum=60.0)
    """Number of rings per square micrometer, as dried droplets leave."""
    ring_strength: NonNegativeDistribution = LogNormal(median=0.5, gsd=1.6, maximum=1.5)
    """Brightening on the line of a ring."""
    ring_diameter_nm: PositiveDistribution = LogNormal(median=105.0, gsd=1.6, maximum=600.0)
    """Diameter of the rings, in nm."""
    ring_width_nm: PositiveDistribution = Constant(value=9.0)
    """Width of the lines of rings and flakes, twice their standard deviation, in nm."""
    ring_closed_fraction: Fraction = 0.12
    """Fraction of the rings that are closed; the others are arcs."""
    ring_chained_fraction: Fraction = 0.6
    """Fraction of the rings that continue a chain from the ring before, as drying fronts leave."""
    flakes_per_um2: NonNegativeDistribution = Uniform(low=0.0, high=0.15)
    """Number of flakes per square micrometer: bright spots with a brighter rim."""
    flake_strength: NonNegativeDistribution = Uniform(low=0.3, high=1.0)
    """Brightening on the rim of a flake; half of it inside."""
    flake_diameter_nm: PositiveDistribution = LogNormal(median=90.0, gsd=1.5, maximum=400.0)
    """Diameter of the flakes, in nm."""
    smears_per_um2: NonNegativeDistribution = Uniform(low=0.0, high=0.1)
    """Number of smears per square micrometer: blurred streaks in about one direction."""
    smear_strength: NonNegativeDistribution = Uniform(low=0.0, high=0.1)
    """Brightening or darkening in the middle of a smear."""
    smear_length_nm: PositiveDistribution = LogNormal(median=1500.0, gsd=1.6, maximum=8000.0)
    """Length of the smears, in nm."""
    shading_strength: NonNegativeDistribution = Uniform(low=0.0, high=0.06)
    """Amplitude of the slow shading over the image."""
    pores_per_um2: NonNegativeDistribution = Constant(value=0.0)
    """Number of pores per square micrometer: dark spots."""
    pore_strength: NonNegativeDistribution = Uniform(low=0.3, high=0.8)
    """Darkening inside a pore."""
    pore_diameter_nm: PositiveDistribution = LogNormal(median=80.0, gsd=1.5, maximum=400.0)
    """Diameter of the pores, in nm."""


def substrate_texture(
    settings: DirtSettings,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """Draw the texture of the substrate.

    Parameters
    ----------
    settings : settings of the dirt
    shape : height and width of the texture, px
    pixel_size_nm : edge length of a pixel, nm
    rng : random generator

    Returns
    -------
    texture : (h, w) factor on the gray level of the clean substrate, about 1

    Examples
    --------
    >>> texture = substrate_texture(DirtSettings(), (64, 96), 4.0, np.random.default_rng(0))
    >>> texture.shape, 0.5 < float(texture.mean()) < 1.5
    ((64, 96), True)
    """
    height, width = shape
    texture = np.ones(shape, np.float32)
    patch_strength = settings.patch_strength.draw(rng)
    if patch_strength > 0:
        patches = diamond_square(max(shape), settings.patch_roughness, rng)
        texture += np.float32(patch_strength) * patches[:height, :width]
    shading_strength = settings.shading_strength.draw(rng)
    if shading_strength > 0:
        texture += np.float32(shading_strength) * _shading(shape, rng)
    canvas = Canvas(shape, pixel_size_nm)
    _add_smears(texture, _smears(settings, canvas, rng))
    rings = _rings(settings, canvas, rng)
    draw_rims(texture, rings, (rings.extent < 2 * np.pi).astype(np.float32))
    flakes = _spots(
        settings.flakes_per_um2, settings.flake_diameter_nm, settings.flake_strength, canvas, rng
    )
    # Flakes are more ragged than pores and have a rim
    width_px = settings.ring_width_nm.draw(rng) / pixel_size_nm / 2
    flakes = flakes._replace(wobble=flakes.wobble * (1.5, 1.0), width_px=width_px)
    fill_rims(texture, flakes, 0.5 * flakes.strength)
    draw_rims(texture, flakes, np.zeros(len(flakes.strength), np.float32))
    pores = _spots(
        settings.pores_per_um2, settings.pore_diameter_nm, settings.pore_strength, canvas, rng
    )
    fill_rims(texture, pores, -pores.strength)
    return np.maximum(texture, 0, out=texture)


def _shading(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return a slightly curved slope in a random direction, within -1 to 1."""
    y, x = (np.linspace(-1, 1, count) for count in shape)
    angle, bow = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
    along_x = 0.5 * np.cos(angle) * x + bow / 2 * (x * x - 1 / 3)
    along_y = 0.5 * np.sin(angle) * y + bow / 2 * (y * y - 1 / 3)
    return along_x.astype(np.float32) + along_y.astype(np.float32)[:, None]


class _Smears(NamedTuple):
    """Streaks of Gaussian cross section, one row each.

    Attributes
    ----------
    center : (n, 2) x, y, px
    along, across : (n,) standard deviations, px
    angle : (n,) direction, rad
    strength : (n,) change of the factor in the middle
    """

    center: Float[np.ndarray, "n 2"]
    along: Float[np.ndarray, "n"]
    across: Float[np.ndarray, "n"]
    angle: Float[np.ndarray, "n"]
    strength: Float[np.ndarray, "n"]


def _smears(settings: DirtSettings, canvas: Canvas, rng: np.random.Generator) -> _Smears:
    """Draw the smears, which all have about the same direction."""
    count = canvas.draw_count(settings.smears_per_um2, rng)
    if count == 0:
        return _Smears(np.zeros((0, 2)), *np.zeros((4, 0)))
    length = settings.smear_length_nm.sample(rng, count) / canvas.pixel_size_nm
    across = length * rng.uniform(0.05, 0.2, count)
    center = canvas.draw_centers(count, rng)
    angle = rng.normal(rng.uniform(0, np.pi), 0.3, count)
    sign = rng.choice((-1.0, 1.0), count)
    strength = sign * settings.smear_strength.sample(rng, count)
    return _Smears(center, length / 4, across / 4, angle, strength)


@kernel
def _add_smears(factor, smears):
    """Add smears to the factor, each up to three standard deviations from its center."""
    height, width = factor.shape
    for k in range(smears.angle.size):
        x0, y0 = smears.center[k]
        along, across = smears.along[k], smears.across[k]
        cos, sin = math.cos(smears.angle[k]), math.sin(smears.angle[k])
        reach_x = math.ceil(3 * math.hypot(along * cos, across * sin))
        reach_y = math.ceil(3 * math.hypot(along * sin, across * cos))
        for i in range(max(0, int(y0) - reach_y), min(height, int(y0) + reach_y + 1)):
            for j in range(max(0, int(x0) - reach_x), min(width, int(x0) + reach_x + 1)):
                u = (cos * (j - x0) + sin * (i - y0)) / along
                v = (cos * (i - y0) - sin * (j - x0)) / across
                factor[i, j] += smears.strength[k] * math.exp(-0.5 * (u * u + v * v))


def _rings(settings: DirtSettings, canvas: Canvas, rng: np.random.Generator) -> Rims:
    """Draw the rims of rings, most of them arcs."""
    count = canvas.draw_count(settings.rings_per_um2, rng)
    diameter = settings.ring_diameter_nm.sample(rng, count) / canvas.pixel_size_nm
    closed = rng.random(count) < settings.ring_closed_fraction
    # Rims are brighter towards the detector, so arcs prefer that side
    side = rng.uniform(0, 2 * np.pi)
    middle = np.where(closed, 0.0, rng.vonmises(side, 0.7, count))
    extent = np.where(closed, 2 * np.pi, rng.uniform(0.2, 1.4, count) * np.pi)
    angle = rng.uniform(0, 2 * np.pi, count)
    strength = settings.ring_strength.sample(rng, 1) * rng.lognormal(0.0, 0.6, count)
    return Rims(
        center=_chained(diameter, settings.ring_chained_fraction, canvas, rng),
        radius=diameter[:, None] / 2 * np.column_stack((np.ones(count), draw_aspect(rng, count))),
        angle=angle,
        wobble=draw_wobble(rng, count),
        start=middle - angle - extent / 2,
        extent=extent,
        strength=strength,
        width_px=settings.ring_width_nm.draw(rng) / canvas.pixel_size_nm / 2,
    )


def _chained(
    diameter: Float[np.ndarray, "n"], fraction: float, canvas: Canvas, rng: np.random.Generator
) -> Float[np.ndarray, "n 2"]:
    """Draw x, y of rings; a fraction of them continues a winding chain from the ring before."""
    count = len(diameter)
    first = rng.random(count) >= fraction
    first[:1] = True
    chain = np.cumsum(first) - 1
    heading = rng.uniform(0, 2 * np.pi, count)[chain] + rng.normal(0, 0.6, count)
    steps = 0.9 * diameter[:, None] * np.column_stack((np.cos(heading), np.sin(heading)))
    path = np.cumsum(steps, axis=0)
    start = canvas.draw_centers(count, rng)
    return (start - path)[first][chain] + path


def _spots(
    per_um2: NonNegativeDistribution,
    diameter_nm: PositiveDistribution,
    strength: NonNegativeDistribution,
    canvas: Canvas,
    rng: np.random.Generator,
) -> Rims:
    """Draw closed outlines at random positions."""
    count = canvas.draw_count(per_um2, rng)
    radius = diameter_nm.sample(rng, count)[:, None] / 2 / canvas.pixel_size_nm
    return Rims(
        center=canvas.draw_centers(count, rng),
        radius=radius * np.column_stack((np.ones(count), draw_aspect(rng, count))),
        angle=rng.uniform(0, 2 * np.pi, count),
        wobble=draw_wobble(rng, count),
        start=np.zeros(count),
        extent=np.full(count, 2 * np.pi),
        strength=strength.sample(rng, count),
        width_px=1.0,
    )

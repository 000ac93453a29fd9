"""Structures of the substrate: scratches, cracks, fibers, crystals, membranes, marks of the beam.

They are what a network takes for particles unless it has seen them: all lie below the particles,
have no label, and change the gray level of the substrate by a factor, as the dirt does.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from nanorender.distributions import (
    Constant,
    LogNormal,
    NonNegativeDistribution,
    PositiveDistribution,
    Uniform,
)
from nanorender.imaging.canvas import Canvas
from nanorender.imaging.smooth_noise import smooth_noise
from nanorender.settings import Fraction, Settings

_SUBPIXEL_BITS = 4  # binary digits of the fraction in coordinates for OpenCV
_WHITE = 255
_CURVE_STEP_PX = 6.0  # length of the straight pieces of cracks and fibers


class StructureSettings(Settings):
    """Structures of the substrate; each is off while its number or its strength is 0."""

    scratches_per_um2: NonNegativeDistribution = Constant(value=0.0)
    """Number of scratches per square micrometer: straight lines, most of them parallel."""
    scratch_strength: NonNegativeDistribution = Uniform(low=0.1, high=0.6)
    """Brightening or darkening on a scratch, as a fraction."""
    scratch_width_nm: PositiveDistribution = LogNormal(median=8.0, gsd=1.6, maximum=60.0)
    """Width of the scratches, in nm."""
    cracks_per_um2: NonNegativeDistribution = Constant(value=0.0)
    """Number of cracks per square micrometer: dark lines that wander."""
    crack_strength: NonNegativeDistribution = Uniform(low=0.3, high=0.9)
    """Darkening inside a crack, as a fraction."""
    crack_width_nm: PositiveDistribution = LogNormal(median=6.0, gsd=1.8, maximum=60.0)
    """Width of the cracks, in nm."""
    fibers_per_um2: NonNegativeDistribution = Constant(value=0.0)
    """Number of fibers per square micrometer: bright strands that bend, brightest at the edges."""
    fiber_strength: NonNegativeDistribution = Uniform(low=0.2, high=1.2)
    """Brightening on the edge of a fiber, as a fraction; half of it in the middle."""
    fiber_width_nm: PositiveDistribution = LogNormal(median=8.0, gsd=1.5, maximum=60.0)
    """Width of the fibers, in nm."""
    crystal_strength: NonNegativeDistribution = Constant(value=0.0)
    """Standard deviation of the gray levels of the crystals of a polycrystalline film, as a
    fraction."""
    crystal_diameter_nm: PositiveDistribution = LogNormal(median=100.0, gsd=1.5, maximum=1000.0)
    """Typical diameter of the crystals, in nm."""
    membrane_strength: NonNegativeDistribution = Constant(value=0.0)
    """Darkening in the pores of a membrane, as a fraction."""
    membrane_pore_nm: PositiveDistribution = LogNormal(median=40.0, gsd=1.6, maximum=400.0)
    """Typical width of the pores, in nm."""
    membrane_open_fraction: Fraction = 0.4
    """Share of the area that is open."""
    curtain_strength: NonNegativeDistribution = Constant(value=0.0)
    """Standard deviation of the stripes that milling with an ion beam leaves (curtaining), as a
    fraction."""
    curtain_width_nm: PositiveDistribution = LogNormal(median=15.0, gsd=1.6, maximum=200.0)
    """Typical width of these stripes, in nm."""
    scan_frames: NonNegativeDistribution = Constant(value=0.0)
    """Number of rectangles of contamination, which earlier scans at higher magnification leave."""
    scan_frame_strength: NonNegativeDistribution = Uniform(low=0.05, high=0.35)
    """Darkening inside such a rectangle, as a fraction."""


def structure_texture(
    settings: StructureSettings,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """Draw the structures of the substrate.

    Parameters
    ----------
    settings : settings of the structures
    shape : height and width of the texture, px
    pixel_size_nm : edge length of a pixel, nm
    rng : random generator

    Returns
    -------
    texture : (h, w) factor on the gray level of the plain substrate, about 1 and not negative

    Examples
    --------
    >>> cracked = StructureSettings(cracks_per_um2=50.0)
    >>> texture = structure_texture(cracked, (200, 300), 2.0, np.random.default_rng(0))
    >>> texture.shape, bool(texture.min() < 0.7), bool(np.median(texture) == 1)
    ((200, 300), True, True)
    """
    canvas = Canvas(shape, pixel_size_nm)
    texture = np.ones(shape, np.float32)
    # One stream each, so that a change of one structure leaves the others unchanged
    layers = (_crystals, _membrane, _curtains, _scan_frames, _cracks, _scratches, _fibers)
    for layer, stream in zip(layers, rng.spawn(len(layers)), strict=True):
        layer(texture, settings, canvas, stream)
    return np.maximum(texture, 0, out=texture)


def _crystals(
    texture: Float32[np.ndarray, "h w"],
    settings: StructureSettings,
    canvas: Canvas,
    rng: np.random.Generator,
) -> None:
    """Vary the gray level from crystal to crystal: the cells of random points (Voronoi, 1908)."""
    strength = settings.crystal_strength.draw(rng)
    if strength == 0:
        return
    height, width = canvas.shape
    edge_px = max(settings.crystal_diameter_nm.draw(rng) / canvas.pixel_size_nm, 2.0)
    count = max(1, int(rng.poisson(height * width / edge_px**2)))
    empty = np.ones(canvas.shape, np.uint8)
    empty[rng.integers(height, size=count), rng.integers(width, size=count)] = 0
    _, cell = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    levels = rng.normal(0.0, strength, int(cell.max()) + 1).astype(np.float32)
    texture += cv2.GaussianBlur(levels[np.asarray(cell, np.int32)], (0, 0), 1.0)


def _membrane(
    texture: Float32[np.ndarray, "h w"],
    settings: StructureSettings,
    canvas: Canvas,
    rng: np.random.Generator,
) -> None:
    """Darken the pores of a membrane: where smooth noise exceeds a level."""
    strength = settings.membrane_strength.draw(rng)
    if strength == 0:
        return
    pore_px = settings.membrane_pore_nm.draw(rng) / canvas.pixel_size_nm
    level = smooth_noise(canvas.shape, pore_px, rng)
    edge = np.quantile(level, 1 - settings.membrane_open_fraction)
    depth = np.clip(3 * (level - edge), 0, 1)
    texture -= np.float32(min(strength, 1.0)) * depth


def _curtains(
    texture: Float32[np.ndarray, "h w"],
    settings: StructureSettings,
    canvas: Canvas,
    rng: np.random.Generator,
) -> None:
    """Add vertical stripes, which grow and fade along their length."""
    strength = settings.curtain_strength.draw(rng)
    if strength == 0:
        return
    height, width = canvas.shape
    width_px = settings.curtain_width_nm.draw(rng) / canvas.pixel_size_nm
    stripes = smooth_noise((1, width), width_px, rng)
    fade = np.clip(0.6 + 0.5 * smooth_noise((height, 1), height / 2, rng), 0, None)
    texture += np.float32(strength) * stripes * fade


def _scan_frames(
    texture: Float32[np.ndarray, "h w"],
    settings: StructureSettings,
    canvas: Canvas,
    rng: np.random.Generator,
) -> None:
    """Darken rectangles."""
    height, width = canvas.shape
    for _ in range(rng.poisson(settings.scan_frames.draw(rng))):
        rows, columns = (
            slice(*np.sort(rng.integers(-length // 4, length + length // 4, 2)).clip(0))
            for length in (height, width)
        )
        texture[rows, columns] *= np.float32(1 - min(settings.scan_frame_strength.draw(rng), 1.0))


def _scratches(
    texture: Float32[np.ndarray, "h w"],
    settings: StructureSettings,
    canvas: Canvas,
    rng: np.random.Generator,
) -> None:
    """Brighten or darken straight lines in about one direction."""
    direction = rng.uniform(0, np.pi)

    def path(length_px: float) -> Float[np.ndarray, "n 2"]:
        angle = direction + rng.normal(0, 0.15)
        ends = length_px / 2 * np.array([(-1.0,), (1.0,)])
        return canvas.draw_centers(1, rng) + ends * (np.cos(angle), np.sin(angle))

    count = canvas.draw_count(settings.scratches_per_um2, rng)
    lines = _draw_lines(path, count, settings.scratch_width_nm, canvas, rng)
    sign = -1 if rng.random() < 0.4 else 1
    texture += np.float32(sign * settings.scratch_strength.draw(rng)) * lines


def _cracks(
    texture: Float32[np.ndarray, "h w"],
    settings: StructureSettings,
    canvas: Canvas,
    rng: np.random.Generator,
) -> None:
    """Darken lines that wander."""
    count = canvas.draw_count(settings.cracks_per_um2, rng)
    lines = _draw_lines(
        lambda length_px: _curve(length_px, 0.45, canvas, rng),
        count,
        settings.crack_width_nm,
        canvas,
        rng,
    )
    texture *= 1 - np.float32(min(settings.crack_strength.draw(rng), 1.0)) * lines


def _fibers(
    texture: Float32[np.ndarray, "h w"],
    settings: StructureSettings,
    canvas: Canvas,
    rng: np.random.Generator,
) -> None:
    """Brighten strands that bend, half as much in the middle as at the edges."""
    strength = np.float32(settings.fiber_strength.draw(rng))
    for _ in range(canvas.draw_count(settings.fibers_per_um2, rng)):
        strand = _draw_lines(
            lambda length_px: _curve(length_px, 0.08, canvas, rng),
            1,
            settings.fiber_width_nm,
            canvas,
            rng,
        )
        inside = cv2.distanceTransform((strand > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        depth = inside / max(float(inside.max()), 1.0)
        np.maximum(texture, 1 + strength * strand * (1 - depth / 2), out=texture)


def _curve(
    length_px: float, bend_rad: float, canvas: Canvas, rng: np.random.Generator
) -> Float[np.ndarray, "n 2"]:
    """Draw x, y of the points of a line whose direction is a random walk."""
    steps = max(2, int(length_px / _CURVE_STEP_PX))
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend_rad, steps))
    path = _CURVE_STEP_PX * np.cumsum(np.column_stack((np.cos(angle), np.sin(angle))), axis=0)
    return canvas.draw_centers(1, rng) + path - path.mean(axis=0)


def _draw_lines(
    path: Callable[[float], Float[np.ndarray, "n 2"]],
    count: int,
    width_nm: PositiveDistribution,
    canvas: Canvas,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "h w"]:
    """Draw lines of 0.3 to 2 times the length of the image; 1 on them, 0 elsewhere."""
    lines: UInt8[np.ndarray, "h w"] = np.zeros(canvas.shape, np.uint8)
    for _ in range(count):
        points = path(max(canvas.shape) * rng.uniform(0.3, 2.0))
        width_px = width_nm.draw(rng) / canvas.pixel_size_nm
        fixed = np.round(points * 2**_SUBPIXEL_BITS).astype(np.int32)
        # Lines thinner than a pixel are fainter instead
        level = _WHITE * min(1.0, width_px)
        cv2.polylines(
            lines,
            [fixed],
            isClosed=False,
            color=level,
            thickness=max(1, round(width_px)),
            lineType=cv2.LINE_AA,
            shift=_SUBPIXEL_BITS,
        )
    return lines.astype(np.float32) / _WHITE

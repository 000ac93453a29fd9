"""Ambient occlusion and soft shadow, from the height field of a surface.

The rays of the camera are parallel, so the height field contains everything that can shade a
visible point, and the cost does not depend on the number of particles.
"""

import math
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64
from pydantic import Field

from nanorender.distributions import Constant, Distribution, PositiveDistribution, Uniform
from nanorender.jit import kernel, subroutine
from nanorender.settings import Settings
from nanorender.tracing.raymarch import Surface

_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_ONE = np.float32(1)
_MIN_NORMAL_Z = np.float32(0.15)  # limits the slope of tangents
_SHADOW_TAPS = 24
_BLUR_REACH_PX = (1, 3, 8)


class Occlusion(Settings):
    """Ambient occlusion within one range: short ranges darken gaps, long ranges produce halos."""

    radius_nm: PositiveDistribution
    """Range within which surfaces occlude each other, in nm."""
    strength: PositiveDistribution = Constant(value=1.0)
    """Exponent of the openness; 1 is physical."""
    directions: Annotated[int, Field(ge=3, le=64)] = 8
    """Number of directions that the horizon is searched in."""
    taps: Annotated[int, Field(ge=1, le=32)] = 5
    """Number of heights read along each direction."""


class Lighting(Settings):
    """Light from one direction, its shadow, and ambient occlusion at several ranges."""

    occlusion: tuple[Occlusion, ...] = (
        Occlusion(radius_nm=Constant(value=30.0)),
        Occlusion(radius_nm=Constant(value=200.0)),
    )
    """Ambient occlusion, one group of settings for each range."""
    azimuth_deg: Distribution = Uniform(low=0.0, high=360.0)
    """Direction of the light in the image, in degrees: 0 is right, 90 is down."""
    elevation_deg: Distribution = Uniform(low=40.0, high=80.0)
    """Angle of the light above the image plane, in degrees; limited to 5 to 90."""
    strength: Distribution = Uniform(low=0.0, high=0.4)
    """Fraction of the light that is directed; limited to 0 to 1."""
    shadow_length_nm: PositiveDistribution = Constant(value=400.0)
    """Maximum length of shadows, in nm."""
    shadow_softness: Annotated[float, Field(gt=0, le=2)] = 0.5
    """Width of the penumbra, relative to the distance from the object that casts the shadow."""


class Light(NamedTuple):
    """Light that reaches each pixel.

    Attributes
    ----------
    occlusion : (h, w) fraction of the ambient light that arrives, 1 if unoccluded
    shadow : (h, w) fraction of the directed light that arrives, 1 if fully lit
    direction : (3,) unit vector to the light, x, y, z in the frame of the camera
    strength : fraction of the light that is directed
    """

    occlusion: Float32[np.ndarray, "h w"]
    shadow: Float32[np.ndarray, "h w"]
    direction: Float[np.ndarray, "3"]
    strength: float


def light(surface: Surface, settings: Lighting, rng: np.random.Generator) -> Light:
    """Light a surface with random parameters.

    Parameters
    ----------
    surface : traced surface
    settings : distributions of the parameters
    rng : random generator

    Returns
    -------
    light : occlusion and shadow of each pixel, and the direction and strength of the light

    Examples
    --------
    >>> height = np.zeros((64, 64), np.float32)
    >>> height[:, 32:] = 100.0
    >>> normal = np.zeros((3, 64, 64), np.float32)
    >>> normal[2] = 1.0
    >>> label = np.zeros((64, 64), np.int32)
    >>> step = Surface(height, normal, label, label, pixel_size_nm=4.0)
    >>> lit = light(step, Lighting(), np.random.default_rng(0))
    >>> bool(lit.occlusion[32, 31] < lit.occlusion[32, 4])
    True
    """
    azimuth = math.radians(settings.azimuth_deg.draw(rng))
    elevation = math.radians(float(np.clip(settings.elevation_deg.draw(rng), 5.0, 90.0)))
    strength = float(np.clip(settings.strength.draw(rng), 0.0, 1.0))
    length_nm = settings.shadow_length_nm.draw(rng)
    levels = soften(surface.height_nm)
    openness = np.ones_like(surface.height_nm)
    for reach in settings.occlusion:
        radius_nm, power = reach.radius_nm.draw(rng), reach.strength.draw(rng)
        turn = rng.uniform(0.0, 2 * math.pi)
        openness *= ambient_occlusion(surface, levels, radius_nm, reach, turn) ** np.float32(power)
    direction = np.array(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    shadow = soft_shadow(surface, levels, direction, length_nm, settings.shadow_softness)
    return Light(openness, shadow, direction, strength)


def soften(height_nm: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "l h w"]:
    """Blur a height field by boxes of increasing size; the first level is sharp.

    Distant taps read blurred heights: a tap then represents the area between it and the next, and
    outlines do not reappear as arcs.

    Parameters
    ----------
    height_nm : (h, w) heights, nm

    Returns
    -------
    levels : (l, h, w) heights, nm, each level blurred more than the one before
    """
    return _soften(height_nm, np.array(_BLUR_REACH_PX))


def ambient_occlusion(
    surface: Surface,
    levels: Float32[np.ndarray, "l h w"],
    radius_nm: float,
    settings: Occlusion,
    turn: float,
) -> Float32[np.ndarray, "h w"]:
    """Compute the fraction of the ambient light that reaches each pixel.

    Horizon-based ambient occlusion (Bavoil, Sainz and Dimitrov, 2008): the mean over the directions
    of the sine of the horizon minus the sine of the tangent. Heights fade with distance.

    Parameters
    ----------
    surface : traced surface
    levels : (l, h, w) heights from `soften`
    radius_nm : range within which heights occlude, nm
    settings : number of directions and taps
    turn : angle of the first direction from x towards y, rad

    Returns
    -------
    openness : (h, w) 1 if unoccluded
    """
    radius_px = max(radius_nm / surface.pixel_size_nm, 1.0)
    angles = turn + 2 * math.pi * np.arange(settings.directions) / settings.directions
    # Distances grow quadratically, so that contacts are sampled densely
    growing = (np.arange(1, settings.taps + 1) / settings.taps) ** 2 * radius_px
    distances = np.maximum(growing, np.arange(1, settings.taps + 1))
    towards = np.stack([np.sin(angles), np.cos(angles)])
    shifts = np.rint(towards[:, :, None] * distances).astype(np.int64)
    fades = np.maximum(1 - (distances / (radius_px + 1)) ** 2, 0).astype(np.float32)
    useful = np.count_nonzero(fades)  # taps beyond the range contribute nothing
    return _occlusion(
        levels,
        surface.normal,
        np.ascontiguousarray(shifts[:, :, :useful]),  # one layout: compiled once
        _level_at(distances * 2 * math.pi / settings.directions),
        fades,
        towards.astype(np.float32),
        np.float32(surface.pixel_size_nm),
    )


def soft_shadow(
    surface: Surface,
    levels: Float32[np.ndarray, "l h w"],
    direction: Float[np.ndarray, "3"],
    length_nm: float,
    softness: float,
) -> Float32[np.ndarray, "h w"]:
    """Compute the fraction of the directed light that reaches each pixel.

    Parameters
    ----------
    surface : traced surface
    levels : (l, h, w) heights from `soften`
    direction : (3,) unit vector to the light
    length_nm : maximum length of a shadow, nm
    softness : width of the penumbra, relative to the distance from the object

    Returns
    -------
    lit : (h, w) 1 if fully lit
    """
    across = math.hypot(direction[0], direction[1])
    if across < 1e-6:
        return np.ones_like(surface.height_nm)
    length_px = max(length_nm / surface.pixel_size_nm, 2.0)
    distances = 1 + (length_px - 1) * (np.arange(_SHADOW_TAPS) / (_SHADOW_TAPS - 1)) ** 1.5
    towards = np.array([direction[1], direction[0]]) / across
    return _shadow(
        levels,
        np.rint(towards[:, None] * distances).astype(np.int64),
        _level_at(distances * softness),
        (distances * surface.pixel_size_nm * direction[2] / across).astype(np.float32),
        (1 / (softness * distances * surface.pixel_size_nm)).astype(np.float32),
    )


def _level_at(width_px: Float[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Return the most blurred level whose box is not wider than each width."""
    return np.searchsorted(2 * np.array(_BLUR_REACH_PX) + 1, width_px, side="right")


@kernel
def _soften(height_nm, reaches):
    """Blur by boxes of the given reaches: running sums down the columns, then along each row."""
    height, width = height_nm.shape
    levels = np.empty((len(reaches) + 1, height, width), np.float32)
    for r in range(height):
        for c in range(width):
            levels[0, r, c] = height_nm[r, c]
    total = np.empty(width, np.float32)
    for level in range(len(reaches)):
        reach = reaches[level]
        share = np.float32(1 / (2 * reach + 1))
        source, blurred = levels[level], levels[level + 1]
        total[:] = 0
        # Sum the rows above the first window
        for r in range(-reach, reach):
            coming = source[max(0, min(r, height - 1))]
            for c in range(width):
                total[c] += coming[c]
        for r in range(height):
            # Move the window down
            coming, going = source[min(r + reach, height - 1)], source[max(r - reach - 1, 0)]
            if r > 0:
                for c in range(width):
                    total[c] += coming[c] - going[c]
            else:
                for c in range(width):
                    total[c] += coming[c]
            # Move it along the row
            running = _ZERO
            for c in range(-reach, reach):
                running += total[max(0, min(c, width - 1))]
            for c in range(width):
                running += total[min(c + reach, width - 1)]
                blurred[r, c] = running * share * share
                running -= total[max(c - reach, 0)]
    return levels


@subroutine
def _read_shifted(row, shift, there):
    """Write the row shifted by `shift` columns into `there`; its ends repeat beyond the frame."""
    width = row.size
    start, stop = min(max(0, -shift), width), max(0, min(width, width - shift))
    for c in range(start):
        there[c] = row[0]
    source, target = row[start + shift :], there[start:]
    for c in range(stop - start):
        target[c] = source[c]
    for c in range(max(start, stop), width):
        there[c] = row[width - 1]


@kernel
def _occlusion(levels, normal, shifts, level_at, fades, towards, pixel_size_nm):
    """Compute the openness; taps along a direction read shifted rows of the height field."""
    height, width = levels.shape[1:]
    directions, taps = shifts.shape[1], shifts.shape[2]
    openness = np.ones((height, width), np.float32)
    tangent = np.empty(width, np.float32)
    above, there = np.empty_like(tangent), np.empty_like(tangent)
    east, south = np.empty_like(tangent), np.empty_like(tangent)
    share = np.float32(1 / directions)
    for r in range(height):
        here, open_row = levels[0, r], openness[r]
        nx, ny, nz = normal[0, r], normal[1, r], normal[2, r]
        # Find the slopes of the surface
        for c in range(width):
            steep = -_ONE / max(nz[c], _MIN_NORMAL_Z)
            east[c], south[c] = nx[c] * steep, ny[c] * steep
        for d in range(directions):
            sine, cosine = towards[0, d], towards[1, d]
            for c in range(width):
                tangent[c] = cosine * east[c] + sine * south[c]
                above[c] = _ZERO
            # Find the horizon above the tangent
            for t in range(taps):
                dy, dx = shifts[0, d, t], shifts[1, d, t]
                _read_shifted(levels[level_at[t], max(0, min(r + dy, height - 1))], dx, there)
                fade = fades[t]
                apart = np.float32(math.sqrt(float(dy * dy + dx * dx)))
                scale = fade / (apart * pixel_size_nm)
                # Use the tangent towards the rounded position of the tap
                ax, ay = np.float32(dx) * fade / apart, np.float32(dy) * fade / apart
                for c in range(width):
                    rise = (there[c] - here[c]) * scale - (ax * east[c] + ay * south[c])
                    above[c] = max(above[c], rise)
            # Subtract the occluded fraction
            for c in range(width):
                low, high = tangent[c], tangent[c] + above[c]
                sine_low = low / math.sqrt(_ONE + low * low)
                open_row[c] -= share * (high / math.sqrt(_ONE + high * high) - sine_low)
    for r in range(height):
        for c in range(width):
            openness[r, c] = max(openness[r, c], _ZERO)
    return openness


@kernel
def _shadow(levels, shifts, level_at, climbs, sharpness):
    """Darken pixels where a tap towards the light rises above the ray."""
    height, width = levels.shape[1:]
    lit = np.ones((height, width), np.float32)
    there = np.empty(width, np.float32)
    for r in range(height):
        here, row = levels[0, r], lit[r]
        for t in range(shifts.shape[1]):
            dy, dx = shifts[0, t], shifts[1, t]
            _read_shifted(levels[level_at[t], max(0, min(r + dy, height - 1))], dx, there)
            climb, sharp = climbs[t], sharpness[t]
            for c in range(width):
                clear = _HALF + (here[c] + climb - there[c]) * sharp
                row[c] = min(row[c], clear)
        for c in range(width):
            row[c] = max(row[c], _ZERO)
    return lit

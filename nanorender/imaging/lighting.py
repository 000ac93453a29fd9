"""Ambient occlusion and soft shadow, from the height field of a surface.

The camera's rays are parallel, so the height field knows all that can shade a visible point, and
the cost does not depend on how many particles there are.
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
_STEEPEST = np.float32(0.15)  # smallest z of a normal that a tangent is taken from
_SHADOW_TAPS = 24
_BLUR_REACH_PX = (1, 3, 8)


class Occlusion(Settings):
    """Ambient occlusion within one range: near ones darken gaps, far ones draw halos."""

    radius_nm: Annotated[PositiveDistribution, Field(description="how far it reaches")]
    strength: Annotated[
        PositiveDistribution, Field(description="exponent on the openness; 1 is physical")
    ] = Constant(value=1.0)
    directions: Annotated[int, Field(ge=3, le=64)] = 8
    taps: Annotated[int, Field(ge=1, le=32, description="reads along each direction")] = 5


class Lighting(Settings):
    """How a surface is lit: a light from one side, its shadow, and occlusion at several ranges."""

    occlusion: tuple[Occlusion, ...] = (
        Occlusion(radius_nm=Constant(value=30.0)),
        Occlusion(radius_nm=Constant(value=200.0)),
    )
    azimuth_deg: Annotated[
        Distribution, Field(description="where the light stands: 0 right, 90 below")
    ] = Uniform(low=0.0, high=360.0)
    elevation_deg: Annotated[
        Distribution, Field(description="how high the light stands above the plane of the image")
    ] = Uniform(low=40.0, high=80.0)
    strength: Annotated[
        Distribution, Field(description="share of the light that comes from one side")
    ] = Uniform(low=0.0, high=0.4)
    shadow_length_nm: Annotated[
        PositiveDistribution, Field(description="farthest that a shadow falls")
    ] = Constant(value=400.0)
    shadow_softness: Annotated[
        float, Field(gt=0, le=2, description="width of the penumbra as a fraction of the distance")
    ] = 0.5


class Light(NamedTuple):
    """What light reaches each pixel.

    occlusion: (h, w) share of ambient light that arrives, 1 in the open
    shadow: (h, w) share of the directed light that arrives, 1 where it is fully lit
    direction: (3,) unit vector to the light, x, y, z in the camera's frame
    strength: share of the light that is directed
    """

    occlusion: Float32[np.ndarray, "h w"]
    shadow: Float32[np.ndarray, "h w"]
    direction: Float[np.ndarray, "3"]
    strength: float


def light(surface: Surface, settings: Lighting, rng: np.random.Generator) -> Light:
    """Return the light on a surface, its chances drawn from `rng`."""
    azimuth = math.radians(_draw(settings.azimuth_deg, rng))
    elevation = math.radians(float(np.clip(_draw(settings.elevation_deg, rng), 5.0, 90.0)))
    strength = float(np.clip(_draw(settings.strength, rng), 0.0, 1.0))
    length_nm = _draw(settings.shadow_length_nm, rng)
    levels = soften(surface.height_nm)
    openness = np.ones_like(surface.height_nm)
    for reach in settings.occlusion:
        radius_nm, power = _draw(reach.radius_nm, rng), _draw(reach.strength, rng)
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


def _draw(distribution: Distribution, rng: np.random.Generator) -> float:
    return float(distribution.sample(rng, 1)[0])


def soften(height_nm: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "l h w"]:
    """Return the height field sharp, and blurred by boxes of ever more pixels.

    Distant taps read blurred heights: a tap then stands for the area between it and the next, and
    outlines do not show again in the light as arcs.
    """
    return _soften(height_nm, np.array(_BLUR_REACH_PX))


def ambient_occlusion(
    surface: Surface,
    levels: Float32[np.ndarray, "l h w"],
    radius_nm: float,
    settings: Occlusion,
    turn: float,
) -> Float32[np.ndarray, "h w"]:
    """Return the share of ambient light that reaches each pixel, from what lies in `radius_nm`.

    `levels` are the surface's heights from `soften`; the first of the directions points `turn`
    radians from x to y. Horizon-based (Bavoil, Sainz and Dimitrov, 2008): the mean over the
    directions of sine of horizon minus sine of tangent. Heights fade with their distance.
    """
    radius_px = max(radius_nm / surface.pixel_size_nm, 1.0)
    angles = turn + 2 * math.pi * np.arange(settings.directions) / settings.directions
    # Distances grow quadratically, so that contacts are sampled densely and the far side too.
    growing = (np.arange(1, settings.taps + 1) / settings.taps) ** 2 * radius_px
    distances = np.maximum(growing, np.arange(1, settings.taps + 1))
    towards = np.stack([np.sin(angles), np.cos(angles)])
    shifts = np.rint(towards[:, :, None] * distances).astype(np.int64)
    fades = np.maximum(1 - (distances / (radius_px + 1)) ** 2, 0).astype(np.float32)
    useful = np.count_nonzero(fades)  # taps that are pushed beyond the range say nothing
    return _occlusion(
        levels,
        surface.normal,
        np.ascontiguousarray(shifts[:, :, :useful]),  # of one kind: compiled once
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
    """Return the share of the light from `direction` that reaches each pixel.

    The penumbra is `softness` times as wide as the distance to what casts the shadow, which falls
    at most `length_nm` far.
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
    """Return the most blurred level whose box is no wider than each width."""
    return np.searchsorted(2 * np.array(_BLUR_REACH_PX) + 1, width_px, side="right")


@kernel
def _soften(height_nm, reaches):
    """Strategy: running sums down the columns, a row at a time, then along each row."""
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
        for r in range(-reach, reach):
            coming = source[max(0, min(r, height - 1))]
            for c in range(width):
                total[c] += coming[c]
        for r in range(height):
            coming, going = source[min(r + reach, height - 1)], source[max(r - reach - 1, 0)]
            if r > 0:
                for c in range(width):
                    total[c] += coming[c] - going[c]
            else:
                for c in range(width):
                    total[c] += coming[c]
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
    """Write the row read `shift` columns on, its ends repeated beyond the frame."""
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
    """Strategy: for every row and direction, taps are rows of the height field, read shifted."""
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
        for c in range(width):
            steep = -_ONE / max(nz[c], _STEEPEST)
            east[c], south[c] = nx[c] * steep, ny[c] * steep
        for d in range(directions):
            sine, cosine = towards[0, d], towards[1, d]
            for c in range(width):
                tangent[c] = cosine * east[c] + sine * south[c]
                above[c] = _ZERO
            for t in range(taps):
                dy, dx = shifts[0, d, t], shifts[1, d, t]
                _read_shifted(levels[level_at[t], max(0, min(r + dy, height - 1))], dx, there)
                fade = fades[t]
                apart = np.float32(math.sqrt(float(dy * dy + dx * dx)))
                scale = fade / (apart * pixel_size_nm)
                # The tangent towards the tap's own pixel, beside the direction by rounding.
                ax, ay = np.float32(dx) * fade / apart, np.float32(dy) * fade / apart
                for c in range(width):
                    rise = (there[c] - here[c]) * scale - (ax * east[c] + ay * south[c])
                    above[c] = max(above[c], rise)
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
    """Lower each pixel's light where a tap towards the light rises above the ray."""
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

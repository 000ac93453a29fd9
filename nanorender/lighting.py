"""Ambient occlusion and soft shadow, from the height field of a surface.

The camera's rays are parallel, so the height field knows all that can shade a visible point, and
the cost does not depend on how many particles there are.
"""

import math
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from pydantic import Field

from nanorender.distributions import Constant, Distribution, PositiveDistribution, Uniform
from nanorender.jit import kernel
from nanorender.raymarch import Surface
from nanorender.settings import Settings

_ZERO = np.float32(0)
_ONE = np.float32(1)
_STEEPEST = np.float32(0.15)  # smallest z of a normal that a tangent is taken from
_TAPS_PER_SHADOW = 24


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
    openness = np.ones_like(surface.height_nm)
    for reach in settings.occlusion:
        radius_nm, power = _draw(reach.radius_nm, rng), _draw(reach.strength, rng)
        turn = rng.uniform(0.0, 2 * math.pi)
        openness *= ambient_occlusion(surface, radius_nm, reach, turn) ** np.float32(power)
    direction = np.array(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    shadow = soft_shadow(surface, direction, length_nm, settings.shadow_softness)
    return Light(openness, shadow, direction, strength)


def _draw(distribution: Distribution, rng: np.random.Generator) -> float:
    return float(distribution.sample(rng, 1)[0])


def ambient_occlusion(
    surface: Surface, radius_nm: float, settings: Occlusion, turn: float
) -> Float32[np.ndarray, "h w"]:
    """Return the share of ambient light that reaches each pixel, from what lies in `radius_nm`.

    The first of the directions points `turn` radians from x to y. Horizon-based (Bavoil, Sainz
    and Dimitrov, 2008): the mean over the directions of sine of horizon minus sine of tangent,
    each tap fading with its distance.
    """
    radius_px = max(radius_nm / surface.pixel_size_nm, 1.0)
    angles = turn + 2 * math.pi * np.arange(settings.directions) / settings.directions
    # Distances grow quadratically, so that contacts are sampled densely and the far side too.
    steps = (np.arange(1, settings.taps + 1) / settings.taps) ** 2 * radius_px
    distances = np.maximum(steps, np.arange(1, settings.taps + 1))
    shifts = np.rint(np.stack([np.sin(angles), np.cos(angles)])[:, :, None] * distances).astype(
        np.int64
    )
    occluded = _occlusion(
        surface.height_nm,
        surface.normal,
        shifts,
        angles,
        surface.pixel_size_nm,
        np.float32(radius_px),
    )
    return occluded


@kernel
def _occlusion(height_nm, normal, shifts, angles, pixel_size_nm, radius_px):
    """Strategy: for every row and direction, taps are rows of the height field, read shifted."""
    height, width = height_nm.shape
    directions, taps = shifts.shape[1], shifts.shape[2]
    openness = np.ones_like(height_nm)
    tangent, horizon = np.empty(width, np.float32), np.empty(width, np.float32)
    share = np.float32(1 / directions)
    for r in range(height):
        for d in range(directions):
            cosine, sine = np.float32(math.cos(angles[d])), np.float32(math.sin(angles[d]))
            for c in range(width):
                nz = max(normal[2, r, c], _STEEPEST)
                slope = -(cosine * normal[0, r, c] + sine * normal[1, r, c]) / nz
                tangent[c] = slope / math.sqrt(_ONE + slope * slope)
                horizon[c] = _ZERO
            for t in range(taps):
                dy, dx = shifts[0, d, t], shifts[1, d, t]
                row = r + dy
                if row < 0 or row >= height:
                    continue
                apart = np.float32(math.sqrt(float(dy * dy + dx * dx)))
                fade = max(_ONE - (apart / (radius_px + _ONE)) ** 2, _ZERO)
                scale = np.float32(1 / (apart * pixel_size_nm))
                start, stop = max(0, -dx), min(width, width - dx)
                for c in range(start, stop):
                    slope = (height_nm[row, c + dx] - height_nm[r, c]) * scale
                    rise = slope / math.sqrt(_ONE + slope * slope) - tangent[c]
                    horizon[c] = max(horizon[c], fade * rise)
            for c in range(width):
                openness[r, c] -= share * min(horizon[c], _ONE)
    return openness


def soft_shadow(
    surface: Surface, direction: Float[np.ndarray, "3"], length_nm: float, softness: float
) -> Float32[np.ndarray, "h w"]:
    """Return the share of the light from `direction` that reaches each pixel.

    The penumbra is `softness` times as wide, in height, as the distance to what casts it.
    """
    across = math.hypot(direction[0], direction[1])
    if across < 1e-6:
        return np.ones_like(surface.height_nm)
    length_px = max(length_nm / surface.pixel_size_nm, 2.0)
    distances = 1 + (length_px - 1) * (np.arange(_TAPS_PER_SHADOW) / (_TAPS_PER_SHADOW - 1)) ** 1.5
    towards = np.array([direction[1], direction[0]]) / across
    shifts = np.unique(np.rint(towards[:, None] * distances).astype(np.int64), axis=1)
    shifts = shifts[:, np.any(shifts != 0, axis=0)]
    return _shadow(
        surface.height_nm,
        shifts,
        np.float32(direction[2] / across),
        np.float32(softness),
        np.float32(surface.pixel_size_nm),
    )


@kernel
def _shadow(height_nm, shifts, climb, softness, pixel_size_nm):
    """Lower each pixel's light where a tap towards the light rises above the ray."""
    height, width = height_nm.shape
    lit = np.ones_like(height_nm)
    half = np.float32(0.5)
    for r in range(height):
        for t in range(shifts.shape[1]):
            dy, dx = shifts[0, t], shifts[1, t]
            row = r + dy
            if row < 0 or row >= height:
                continue
            apart = np.float32(math.sqrt(float(dy * dy + dx * dx))) * pixel_size_nm
            rise, sharpness = apart * climb, _ONE / (softness * apart)
            start, stop = max(0, -dx), min(width, width - dx)
            for c in range(start, stop):
                over = (height_nm[row, c + dx] - height_nm[r, c] - rise) * sharpness
                lit[r, c] = min(lit[r, c], max(half - over, _ZERO))
    for r in range(height):
        for c in range(width):
            lit[r, c] = min(lit[r, c], _ONE)
    return lit

"""Shaders: how bright every point of a surface is, before the detector sees it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nanorender.imaging.lighting import Light
from nanorender.imaging.materials import Diffuse, EdgeEffect, Glossy, Material, Mixed, Substrate
from nanorender.imaging.ridges import ridged
from nanorender.jit import kernel
from nanorender.scenes.scene import Particles
from nanorender.tracing.raymarch import Surface

YIELD_STEPS = 1024
SILHOUETTE_SLOPE = 1.5  # a fall of this many pixels to the next pixel begins a silhouette


class Finishes(NamedTuple):
    """Rows of what the kernel needs: row 0 is the substrate, the others particles in view.

    flat, diffuse, glossy, edge: (n) weights of the four terms times gray level and brightness
    alpha: (n) squared roughness of the microfacets
    response: (n) row of the table of yields
    occlusion, shadow, rim, height_gain_per_nm, mottle: (n) as in `Finish`
    slope_x, slope_y: (n) change of brightness per pixel
    middle_x, middle_y: (n) mean indices of the particle's visible pixels
    relief: (n) height in pixels per unit of texture
    """

    flat: Float[np.ndarray, "n"]
    diffuse: Float[np.ndarray, "n"]
    glossy: Float[np.ndarray, "n"]
    edge: Float[np.ndarray, "n"]
    alpha: Float[np.ndarray, "n"]
    response: Float[np.ndarray, "n"]
    occlusion: Float[np.ndarray, "n"]
    shadow: Float[np.ndarray, "n"]
    rim: Float[np.ndarray, "n"]
    height_gain_per_nm: Float[np.ndarray, "n"]
    mottle: Float[np.ndarray, "n"]
    slope_x: Float[np.ndarray, "n"]
    slope_y: Float[np.ndarray, "n"]
    middle_x: Float[np.ndarray, "n"]
    middle_y: Float[np.ndarray, "n"]
    relief: Float[np.ndarray, "n"]


@kernel
def _visible(particle, count):
    """Return number, mean x and mean y of the visible pixels of each of `count` particles."""
    pixels = np.zeros(count + 1, np.int64)
    sum_x = np.zeros(count + 1, np.int64)
    sum_y = np.zeros(count + 1, np.int64)
    for i in range(particle.shape[0]):
        for j in range(particle.shape[1]):
            k = particle[i, j]
            pixels[k] += 1
            sum_x[k] += j
            sum_y[k] += i
    divisor = np.maximum(pixels, 1)
    return pixels, sum_x / divisor, sum_y / divisor


@kernel
def _radiance(surface, light, texture, row_of, finishes, responses):
    """Return the radiance; `surface` and `light` are tuples of arrays that agree in shape.

    Strategy: rows of simple loops over contiguous float32 arrays, with what a particle's finish
    says gathered by its row, so that the compiler vectorises everything.
    """
    heights, normal, particle, pixel_size = surface
    occlusions, shadows, direction, strength = light
    rows, columns = heights.shape
    one, half = np.float32(1), np.float32(0.5)
    lx, ly, lz = direction
    # Halfway between the light and the viewer above.
    length = np.float32(math.sqrt(lx * lx + ly * ly + (lz + one) * (lz + one))) + np.float32(1e-12)
    hx, hy, hz = lx / length, ly / length, (lz + one) / length
    per_pixel = one / pixel_size
    last = np.float32(responses.shape[1] - 1)
    radiance = np.empty((rows, columns), np.float32)
    fall = np.empty(columns, np.float32)
    incline = np.empty(columns, np.float32)
    row = np.empty(columns, np.int32)
    for i in range(rows):
        above, below = max(i - 1, 0), min(i + 1, rows - 1)
        here = heights[i]
        for j in range(columns):
            row[j] = row_of[particle[i, j]]
            fall[j] = here[j] - min(heights[above, j], heights[below, j])
            incline[j] = ly * half * (texture[below, j] - texture[above, j])
        for j in range(1, columns - 1):
            fall[j] = max(fall[j], here[j] - min(here[j - 1], here[j + 1]))
            incline[j] += lx * half * (texture[i, j + 1] - texture[i, j - 1])
        for j in range(columns):
            k = row[j]
            nx, ny = normal[0, i, j], normal[1, i, j]
            nz = min(max(normal[2, i, j], np.float32(0)), one)
            lit = one - strength * finishes.shadow[k] * (one - shadows[i, j])
            to_light = max(nx * lx + ny * ly + nz * lz, np.float32(0))
            # Secondary electrons leave more easily from slopes that face the detector.
            aside = one + strength * (nx * lx + ny * ly)
            place = nz * last
            cell = min(int(place), responses.shape[1] - 2)
            part = place - np.float32(cell)
            response = np.int32(finishes.response[k])
            start = responses[response, cell]
            escape = start + part * (responses[response, cell + 1] - start)
            a2 = finishes.alpha[k] * finishes.alpha[k]
            cosine = max(nx * hx + ny * hy + nz * hz, np.float32(0))
            width = cosine * cosine * (a2 - one) + one
            toward = to_light + np.sqrt(a2 + (one - a2) * to_light * to_light)
            away = nz + np.sqrt(a2 + (one - a2) * nz * nz)
            facets = a2 / (width * width * toward * away)
            even = one - strength
            value = (
                finishes.flat[k]
                + finishes.diffuse[k] * (even + strength * to_light)
                + finishes.glossy[k] * (even + strength * to_light * facets)
                + finishes.edge[k] * escape * aside
            )
            value *= lit * (one - finishes.occlusion[k] * (one - occlusions[i, j]))
            value *= (
                one
                + finishes.slope_x[k] * (np.float32(j) - finishes.middle_x[k])
                + (finishes.slope_y[k] * (np.float32(i) - finishes.middle_y[k]))
            )
            outermost = half * (fall[j] * per_pixel - np.float32(SILHOUETTE_SLOPE))
            outermost = min(max(outermost, np.float32(0)), one)
            value *= one + finishes.rim[k] * outermost
            value *= one + finishes.height_gain_per_nm[k] * here[j]
            value *= one + finishes.mottle[k] * (texture[i, j] - one)
            value *= one - strength * finishes.relief[k] * incline[j]
            radiance[i, j] = max(value, np.float32(0))
    return radiance


def shade(
    surface: Surface,
    light: Light,
    materials: Sequence[Material],
    substrate: Substrate,
    texture: Float[np.ndarray, "h w"],
    particles: Particles,
) -> Float[np.ndarray, "h w"]:
    """Return the radiance: 0 is black and 1 is white, and more is for the detector to saturate.

    Parameters
    ----------
    light: its `strength` is the share that comes from its direction; the rest comes from everywhere
    materials: one for each population of particles
    texture: factor on the substrate's gray level
    """
    pixels, middle_x, middle_y = _visible(surface.particle, len(particles.population))
    visible = 1 + np.flatnonzero(pixels[1:])
    row_of = np.zeros(len(pixels), np.int32)
    row_of[visible] = np.arange(1, len(visible) + 1)
    finishes = _finishes(materials, substrate, particles, visible, surface.pixel_size_nm)
    # Directions are hashed from where a particle lies: random, but the same in every rendering.
    reach = np.sqrt(pixels[visible] / np.pi)
    turn = particles.center_nm[visible - 1] @ (0.7548776662, 0.5698402910, 0.1)
    angle = 2 * np.pi * np.modf(np.abs(turn) * 43.758)[0]
    slope = finishes.slope_x[1:] / reach
    finishes.slope_x[1:] = slope * np.cos(angle)
    finishes.slope_y[1:] = slope * np.sin(angle)
    finishes.middle_x[1:] = middle_x[visible]
    finishes.middle_y[1:] = middle_y[visible]
    cosines = np.linspace(0, 1, YIELD_STEPS)
    responses = np.stack([_yield(material, cosines) for material in materials]).astype(np.float32)
    normal, crest = surface.normal, None
    if any(material.ridges > 0 for material in materials):
        normal, crest = ridged(surface, materials, particles)
    radiance = _radiance(
        (
            surface.height_nm,
            normal,
            surface.particle,
            np.float32(surface.pixel_size_nm),
        ),
        (
            light.occlusion,
            light.shadow,
            tuple(np.asarray(light.direction, np.float32)),
            np.float32(light.strength),
        ),
        texture,
        row_of,
        finishes,
        responses,
    )
    return radiance if crest is None else radiance * crest


def _yield(material: Material, cosine: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return the yield of secondary electrons against the cosine of the tilt, 1 when flat."""
    if isinstance(material, EdgeEffect | Mixed):
        return np.minimum(np.maximum(cosine, 1e-6) ** -material.exponent, material.cap)
    return np.ones_like(cosine)


def _weights(material: Material) -> tuple[float, float, float]:
    """Return how much of the diffuse, the glossy and the edge effect's term a material shows."""
    match material:
        case Diffuse():
            return 1.0, 0.0, 0.0
        case Glossy():
            return 0.0, 1.0, 0.0
        case EdgeEffect():
            return 0.0, 0.0, 1.0
        case Mixed():
            return material.diffuse, material.glossy, material.edge_effect


def _finishes(
    materials: Sequence[Material],
    substrate: Substrate,
    particles: Particles,
    visible: Int[np.ndarray, "v"],
    pixel_size_nm: float,
) -> Finishes:
    """Return the rows for the substrate and for the visible particles, numbered from 1."""
    columns = {
        "occlusion": [material.occlusion for material in materials],
        "shadow": [material.shadow for material in materials],
        "rim": [material.rim for material in materials],
        "height_gain_per_nm": [material.height_gain_per_um / 1000 for material in materials],
        "mottle": [material.mottle for material in materials],
        "slope_x": [material.grain_slope for material in materials],
        "alpha": [getattr(material, "roughness", 1.0) ** 2 for material in materials],
        "response": list(range(len(materials))),
    }
    population = particles.population[visible - 1]
    level = np.array([material.albedo for material in materials])[population]
    level = level * particles.brightness[visible - 1]
    weights = np.array([_weights(material) for material in materials])[population].T
    columns = {name: np.array(values)[population] for name, values in columns.items()}
    columns |= dict(zip(("diffuse", "glossy", "edge"), weights * level, strict=True))
    ground = {
        "flat": substrate.gray,
        "occlusion": substrate.occlusion,
        "shadow": substrate.shadow,
        "mottle": 1.0,
        "alpha": 1.0,
        "relief": substrate.relief_nm / pixel_size_nm,
    }
    none = np.zeros(len(visible))
    rows = {
        name: np.concatenate(([ground.get(name, 0.0)], columns.get(name, none)))
        for name in Finishes._fields
    }
    return Finishes(**{name: values.astype(np.float32) for name, values in rows.items()})

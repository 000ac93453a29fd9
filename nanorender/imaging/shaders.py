"""Shading: the radiance of every point of a surface, before the detector records it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from nanorender.imaging.lighting import Light
from nanorender.imaging.materials import MaterialBase, Response, Substrate
from nanorender.imaging.ridges import ridged
from nanorender.jit import kernel
from nanorender.scenes.scene import Particles
from nanorender.tracing.raymarch import Surface

_YIELD_STEPS = 1024
_SILHOUETTE_DROP = 1.5  # drop to the next pixel, in pixels, from which a silhouette begins


class _ShadingRows(NamedTuple):
    """Shading parameters: row 0 is the substrate, the others are the visible particles.

    Attributes
    ----------
    constant, diffuse, glossy, electrons : (n,) weights of the terms, times gray level and
        brightness
    alpha : (n,) squared roughness of the microfacets
    yield_row : (n,) row in the table of the electron yields
    occlusion, shadow, rim, height_gain_per_nm, mottle : (n,) as in `MaterialBase`
    slope_x, slope_y : (n,) change of brightness per pixel
    mean_x, mean_y : (n,) mean indices of the visible pixels
    relief : (n,) height of the dirt per unit of its texture, pixels
    """

    constant: Float[np.ndarray, "n"]
    diffuse: Float[np.ndarray, "n"]
    glossy: Float[np.ndarray, "n"]
    electrons: Float[np.ndarray, "n"]
    alpha: Float[np.ndarray, "n"]
    yield_row: Float[np.ndarray, "n"]
    occlusion: Float[np.ndarray, "n"]
    shadow: Float[np.ndarray, "n"]
    rim: Float[np.ndarray, "n"]
    height_gain_per_nm: Float[np.ndarray, "n"]
    mottle: Float[np.ndarray, "n"]
    slope_x: Float[np.ndarray, "n"]
    slope_y: Float[np.ndarray, "n"]
    mean_x: Float[np.ndarray, "n"]
    mean_y: Float[np.ndarray, "n"]
    relief: Float[np.ndarray, "n"]


class _VisiblePixels(NamedTuple):
    """Visible pixels of the substrate (row 0) and of each particle.

    Attributes
    ----------
    count : (n,) number of pixels
    mean_x, mean_y : (n,) mean indices of the pixels
    """

    count: Int[np.ndarray, "n"]
    mean_x: Float[np.ndarray, "n"]
    mean_y: Float[np.ndarray, "n"]


@kernel
def _visible_pixels(particle, count):
    """Count the visible pixels of `count` particles and average their indices."""
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
def _radiance(surface, light, texture, row_of, rows, yields):
    """Compute the radiance of all pixels.

    Strategy: simple loops over the contiguous float32 arrays of a scan line, with the parameters of
    a particle gathered by its row, so that the compiler vectorizes everything.
    """
    height_px, width_px = surface.height_nm.shape
    one, half = np.float32(1), np.float32(0.5)
    strength = light.strength
    lx, ly, lz = light.direction[0], light.direction[1], light.direction[2]
    # Halfway between the light and the viewer above.
    length = np.float32(math.sqrt(lx * lx + ly * ly + (lz + one) * (lz + one))) + np.float32(1e-12)
    hx, hy, hz = lx / length, ly / length, (lz + one) / length
    per_pixel = one / surface.pixel_size_nm
    last = np.float32(yields.shape[1] - 1)
    radiance = np.empty((height_px, width_px), np.float32)
    drop = np.empty(width_px, np.float32)
    incline = np.empty(width_px, np.float32)
    row = np.empty(width_px, np.int32)
    for i in range(height_px):
        above, below = max(i - 1, 0), min(i + 1, height_px - 1)
        here = surface.height_nm[i]
        # Find the drop to the lowest neighbor and the incline of the dirt towards the light
        for j in range(width_px):
            row[j] = row_of[surface.particle[i, j]]
            drop[j] = here[j] - min(surface.height_nm[above, j], surface.height_nm[below, j])
            incline[j] = ly * half * (texture[below, j] - texture[above, j])
        for j in range(1, width_px - 1):
            drop[j] = max(drop[j], here[j] - min(here[j - 1], here[j + 1]))
            incline[j] += lx * half * (texture[i, j + 1] - texture[i, j - 1])
        for j in range(width_px):
            k = row[j]
            nx, ny = surface.normal[0, i, j], surface.normal[1, i, j]
            nz = min(max(surface.normal[2, i, j], np.float32(0)), one)
            to_light = max(nx * lx + ny * ly + nz * lz, np.float32(0))
            # Interpolate the electron yield; electrons escape more easily towards the detector
            toward_detector = one + strength * (nx * lx + ny * ly)
            place = nz * last
            cell = min(int(place), yields.shape[1] - 2)
            part = place - np.float32(cell)
            yield_row = np.int32(rows.yield_row[k])
            start = yields[yield_row, cell]
            escape = start + part * (yields[yield_row, cell + 1] - start)
            # Evaluate the microfacet reflection
            a2 = rows.alpha[k] * rows.alpha[k]
            cosine = max(nx * hx + ny * hy + nz * hz, np.float32(0))
            width = cosine * cosine * (a2 - one) + one
            toward = to_light + np.sqrt(a2 + (one - a2) * to_light * to_light)
            away = nz + np.sqrt(a2 + (one - a2) * nz * nz)
            facets = a2 / (width * width * toward * away)
            # Add the terms; light that is not directed arrives from everywhere
            even = one - strength
            value = (
                rows.constant[k]
                + rows.diffuse[k] * (even + strength * to_light)
                + rows.glossy[k] * (even + strength * to_light * facets)
                + rows.electrons[k] * escape * toward_detector
            )
            # Darken by shadow and occlusion
            lit = one - strength * rows.shadow[k] * (one - light.shadow[i, j])
            value *= lit * (one - rows.occlusion[k] * (one - light.occlusion[i, j]))
            # Vary the brightness within the particle, at its rim, with height and with dirt
            value *= (
                one
                + rows.slope_x[k] * (np.float32(j) - rows.mean_x[k])
                + (rows.slope_y[k] * (np.float32(i) - rows.mean_y[k]))
            )
            outermost = half * (drop[j] * per_pixel - np.float32(_SILHOUETTE_DROP))
            outermost = min(max(outermost, np.float32(0)), one)
            value *= one + rows.rim[k] * outermost
            value *= one + rows.height_gain_per_nm[k] * here[j]
            value *= one + rows.mottle[k] * (texture[i, j] - one)
            value *= one - strength * rows.relief[k] * incline[j]
            radiance[i, j] = max(value, np.float32(0))
    return radiance


def shade(
    surface: Surface,
    light: Light,
    materials: Sequence[MaterialBase],
    substrate: Substrate,
    texture: Float[np.ndarray, "h w"],
    particles: Particles,
) -> Float[np.ndarray, "h w"]:
    """Compute the radiance of a lit surface.

    Parameters
    ----------
    surface : traced surface
    light : light that reaches each pixel
    materials : one material for each population of particles
    substrate : settings of the substrate
    texture : (h, w) factor of the dirt on the gray level of the substrate
    particles : particles of the scene

    Returns
    -------
    radiance : (h, w) 0 is black and 1 is white; the detector saturates larger values

    Examples
    --------
    >>> from nanorender.imaging.lighting import light
    >>> from nanorender.recipe import read_recipe
    >>> from nanorender.scenes.scene import sample_scene
    >>> from nanorender.tracing.raymarch import trace
    >>> recipe, rng = read_recipe("tio2").at_scale(14.0, 64), np.random.default_rng(0)
    >>> scene = sample_scene(recipe, rng)
    >>> surface = trace(scene, scene.view)
    >>> materials = recipe.population_materials(MaterialBase)
    >>> lit, clean = light(surface, recipe.lighting, rng), np.ones((64, 64), np.float32)
    >>> radiance = shade(surface, lit, materials, recipe.substrate, clean, scene.particles)
    >>> particle = surface.particle > 0
    >>> bool(radiance[particle].mean() > radiance[~particle].mean())
    True
    """
    pixels = _VisiblePixels(*_visible_pixels(surface.particle, len(particles.population)))
    visible = 1 + np.flatnonzero(pixels.count[1:])
    row_of = np.zeros(len(pixels.count), np.int32)
    row_of[visible] = np.arange(1, len(visible) + 1)
    cosine = np.linspace(0, 1, _YIELD_STEPS)
    responses = [material.response(cosine) for material in materials]
    normal, crest = surface.normal, np.float32(1)
    if any(material.ridges > 0 for material in materials):
        normal, crest = ridged(surface, materials, particles)
    radiance = _radiance(
        surface._replace(normal=normal, pixel_size_nm=np.float32(surface.pixel_size_nm)),
        light._replace(
            direction=light.direction.astype(np.float32), strength=np.float32(light.strength)
        ),
        texture,
        row_of,
        _shading_rows(surface, materials, responses, substrate, particles, visible, pixels),
        np.stack([response.electron_yield for response in responses]).astype(np.float32),
    )
    return radiance * crest


def _shading_rows(
    surface: Surface,
    materials: Sequence[MaterialBase],
    responses: Sequence[Response],
    substrate: Substrate,
    particles: Particles,
    visible: Int[np.ndarray, "v"],
    pixels: _VisiblePixels,
) -> _ShadingRows:
    """Return the shading parameters of the substrate and of the visible particles."""
    population = particles.population[visible - 1]

    def rows(of_substrate: float, of_particles: Shaped[np.ndarray, "v"]) -> Float[np.ndarray, "n"]:
        return np.append(of_substrate, of_particles).astype(np.float32)

    def setting(name: str) -> Float[np.ndarray, "v"]:
        return np.array([getattr(material, name) for material in materials])[population]

    def weight(name: str) -> Float[np.ndarray, "v"]:
        return np.array([getattr(response, name) for response in responses])[population]

    # Directions are hashed from the positions: random, but the same in every rendering.
    hashed = particles.center_nm[visible - 1] @ (0.7548776662, 0.5698402910, 0.1)
    angle = 2 * np.pi * np.modf(np.abs(hashed) * 43.758)[0]
    radius_px = np.sqrt(pixels.count[visible] / np.pi)
    slope = setting("grain_slope").astype(np.float32) / radius_px
    level = setting("albedo") * particles.brightness[visible - 1]
    none = np.zeros(len(visible))
    return _ShadingRows(
        constant=rows(substrate.gray, none),
        diffuse=rows(0.0, weight("diffuse") * level),
        glossy=rows(0.0, weight("glossy") * level),
        electrons=rows(0.0, weight("electrons") * level),
        alpha=rows(1.0, weight("roughness") ** 2),
        yield_row=rows(0.0, population),
        occlusion=rows(substrate.occlusion, setting("occlusion")),
        shadow=rows(substrate.shadow, setting("shadow")),
        rim=rows(0.0, setting("rim")),
        height_gain_per_nm=rows(0.0, setting("height_gain_per_um") / 1000),
        mottle=rows(1.0, setting("mottle")),
        slope_x=rows(0.0, slope * np.cos(angle)),
        slope_y=rows(0.0, slope * np.sin(angle)),
        mean_x=rows(0.0, pixels.mean_x[visible]),
        mean_y=rows(0.0, pixels.mean_y[visible]),
        relief=rows(substrate.relief_nm / surface.pixel_size_nm, none),
    )

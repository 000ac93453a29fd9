"""Transmission image of a scene: matter projected along the beam, film added, wave propagated."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from nanorender.imaging.materials.transmission import Transmission
from nanorender.imaging.smooth_noise import smooth_noise
from nanorender.imaging.transmission.beam import (
    BeamSettings,
    bright_field,
    interaction_parameter,
)
from nanorender.imaging.transmission.film import FilmSettings, film_presence
from nanorender.scenes.scene import Particles, Scene, View
from nanorender.settings import Settings
from nanorender.tracing.instances import Instances, build_instances
from nanorender.tracing.thickness import ContrastBands, no_bands, projected_thickness


class TransmissionSettings(Settings):
    """How a specimen is imaged in transmission."""

    beam: BeamSettings = BeamSettings()
    """Illumination and imaging mode."""
    film: FilmSettings = FilmSettings()
    """What carries the particles."""


class Projection(NamedTuple):
    """Matter along the beam.

    Attributes
    ----------
    optical_depth : (h, w) thickness over attenuation length
    potential_v_nm : (h, w) thickness times mean inner potential, V nm
    """

    optical_depth: Float32[np.ndarray, "h w"]
    potential_v_nm: Float32[np.ndarray, "h w"]


def transmission_radiance(
    scene: Scene,
    instances: Instances,
    view: View,
    image_px: tuple[int, int],
    materials: Sequence[Transmission],
    settings: TransmissionSettings,
    texture: Float32[np.ndarray, "rays_y rays_x"],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "h w"]:
    """Return the radiance of a transmission image.

    Parameters
    ----------
    scene : particles
    instances : the particles of the scene placed in the view
    view : camera of the rays
    image_px : rows and columns of the image, of which the rays may be a multiple
    materials : material of each population
    settings : beam and film
    texture : (rays_y, rays_x) factor on the thickness of the film
    rng : source of diffraction contrast, film and defocus

    Returns
    -------
    numpy.ndarray
        (h, w) radiance of the pixels, or of the rays where these are fewer; 1 is white.
    """
    beam, film = settings.beam, settings.film
    for_particles, for_film, for_beam = rng.spawn(3)
    projection = project_particles(scene, instances, view, materials, for_particles)
    # Thickness is averaged over the rays of a pixel before the wave is propagated
    oversampling = max(1, view.height_px // image_px[0])
    projection = Projection(*(_averaged(one, oversampling) for one in projection))
    texture = _averaged(texture, oversampling)
    shape, pixel_size_nm = texture.shape, view.pixel_size_nm * oversampling
    presence = film_presence(film, shape, pixel_size_nm, for_film)
    film_depth = presence * texture * np.float32(film.thickness_nm / film.attenuation_length_nm)
    optical_depth = projection.optical_depth + film_depth
    if beam.mode == "dark_field":
        return np.float32(beam.level) * -np.expm1(-optical_depth)
    phase = projection.potential_v_nm * np.float32(interaction_parameter(beam.voltage_kv))
    speckle_rad = np.float32(film.speckle_rad.sample(for_film, 1)[0])
    if film.thickness_nm > 0 and speckle_rad > 0:
        grains = smooth_noise(shape, film.speckle_size_nm / pixel_size_nm, for_film)
        phase += speckle_rad * presence * grains
    defocus_nm = float(beam.defocus_nm.sample(for_beam, 1)[0])
    intensity = bright_field(optical_depth, phase, pixel_size_nm, beam, defocus_nm)
    return np.float32(beam.level) * intensity


def project_particles(
    scene: Scene,
    instances: Instances,
    view: View,
    materials: Sequence[Transmission],
    rng: np.random.Generator,
) -> Projection:
    """Return the matter of all particles along the beam; particles that overlap add up.

    Parameters
    ----------
    scene : particles; their brightness multiplies the attenuation, as the diffraction of crystals
        that are turned differently does
    instances : the particles of the scene placed in the view
    view : camera
    materials : material of each population
    rng : source of the diffraction contrast within particles, and of pores

    Returns
    -------
    Projection
        Optical depth and potential.
    """
    particles = scene.particles
    population = particles.population
    attenuation = np.array([1 / m.attenuation_length_nm for m in materials])[population]
    attenuation = attenuation * particles.brightness
    potential = np.array([m.inner_potential_v for m in materials])[population]
    porous = [k for k, material in enumerate(materials) if material.pore_contrast > 0]
    porous_attenuation = [
        np.where(population == k, materials[k].pore_contrast * attenuation, 0) for k in porous
    ]
    weights = np.column_stack([attenuation, potential, *porous_attenuation])
    bands = _draw_bands(particles, materials, rng)
    depth, phase, *porous_depth = projected_thickness(instances, view, weights, bands)

    # Pores: noise about the mean density of the matter
    for k, matter in zip(porous, porous_depth, strict=True):
        pore_px = materials[k].pore_diameter_nm / view.pixel_size_nm
        depth += matter * smooth_noise(depth.shape, pore_px, rng)

    # Cores: their own matter in the place of that of the particle
    for k, material in enumerate(materials):
        rows = np.flatnonzero(population == k)
        if material.core is None or rows.size == 0:
            continue
        inner = Particles(*(column[rows] for column in particles))
        inner = inner._replace(size_nm=inner.size_nm * material.core.fraction)
        core_attenuation = material.core.attenuation_per_nm * inner.brightness
        change = np.column_stack(
            [
                core_attenuation - attenuation[rows],
                material.core.inner_potential_v - potential[rows],
            ]
        )
        placed = build_instances(scene._replace(particles=inner), view)
        core_depth, core_phase = projected_thickness(placed, view, change, no_bands(len(rows)))
        depth += core_depth
        phase += core_phase
    return Projection(np.maximum(depth, 0), phase)


def _averaged(rays: Float32[np.ndarray, "_ _"], edge: int) -> Float32[np.ndarray, "_ _"]:
    """Return the means of squares of rays."""
    height, width = (side // edge for side in rays.shape)
    return rays.reshape(height, edge, width, edge).mean(axis=(1, 3), dtype=np.float32)


def _draw_bands(
    particles: Particles, materials: Sequence[Transmission], rng: np.random.Generator
) -> ContrastBands:
    """Draw a twin boundary and a bend contour for each particle, in a random direction."""
    count = len(particles.population)
    diameter_nm = particles.size_nm.min(axis=1)
    twin = np.array([m.twin_contrast for m in materials])[particles.population]
    bend = np.array([m.bend_contrast for m in materials])[particles.population]
    angle = rng.uniform(0, 2 * np.pi, count)
    return ContrastBands(
        direction=np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32),
        twin_offset_nm=(diameter_nm * rng.uniform(-0.3, 0.3, count)).astype(np.float32),
        twin_contrast=(twin * rng.uniform(-1, 1, count)).astype(np.float32),
        bend_offset_nm=(diameter_nm * rng.uniform(-0.5, 0.5, count)).astype(np.float32),
        bend_width_nm=(diameter_nm * rng.uniform(0.05, 0.2, count)).astype(np.float32),
        bend_contrast=(bend * rng.uniform(-0.3, 1, count)).astype(np.float32),
    )

"""Rendering: the order of the steps from a recipe to an image with its labels, nothing else."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, UInt8, UInt16

from nanorender.detector import detect
from nanorender.dirt import substrate_texture
from nanorender.labels import labelled
from nanorender.lighting import light
from nanorender.raymarch import Surface, trace
from nanorender.recipe import Recipe
from nanorender.scene import Scene, sample_scene
from nanorender.shaders import shade


@dataclass(frozen=True)
class Sample:
    """One synthetic micrograph and the truth about it.

    image: (h, w) gray levels
    labels: (h, w) 0 for background, k for row k - 1 of the truth
    truth: columns of one row a particle, see `labels.truth_table`
    pixel_size_nm: of image and labels
    surface: what the camera saw, in the pixels that were rendered
    scene: where everything was
    """

    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
    labels: Int32[np.ndarray, "h w"]
    truth: dict[str, np.ndarray]
    pixel_size_nm: float
    surface: Surface
    scene: Scene


def render(recipe: Recipe, seed: int, index: int) -> Sample:
    """Return sample `index` of the endless series that a recipe and a seed define.

    It depends on (recipe, seed, index) alone. Each step draws from a stream of its own, so that a
    change in one leaves the others as they were; new streams are appended last.

    Raises
    ------
    InputError
        If the recipe's numbers do not fit each other, as `scene.sample_scene` says.
    """
    streams = np.random.default_rng([seed, index]).spawn(4)
    for_scene, for_dirt, for_light, for_detector = streams
    scene = sample_scene(recipe, for_scene)
    edge_px = recipe.camera.render_px
    surface = trace(scene, scene.view.resampled(edge_px, edge_px))
    truth = labelled(scene, surface, scene.view, recipe.labels)
    texture = substrate_texture(
        recipe.dirt, surface.particle.shape, surface.pixel_size_nm, for_dirt
    )
    radiance = shade(
        surface,
        light(surface, recipe.lighting, for_light),
        recipe.population_materials(),
        recipe.substrate,
        texture,
        scene.particles,
    )
    image_px = (scene.view.height_px, scene.view.width_px)
    image = detect(radiance, recipe.detector, image_px, for_detector)
    return Sample(image, truth.labels, truth.truth, scene.view.pixel_size_nm, surface, scene)

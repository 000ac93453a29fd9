"""Rendering: the order of the steps from a recipe to an image with its labels, nothing else."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, UInt8, UInt16

from nanorender.imaging.detector import detect
from nanorender.imaging.dirt import substrate_texture
from nanorender.imaging.lighting import light
from nanorender.imaging.shaders import shade
from nanorender.labeling.labels import label_view
from nanorender.recipe import Recipe
from nanorender.scenes.scene import Scene, sample_scene
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import Surface, trace_instances


@dataclass(frozen=True)
class Sample:
    """One synthetic micrograph and the truth about it.

    image: (h, w) gray levels
    labels: (h, w) 0 for background, k for row k - 1 of the truth
    truth: columns of one row a particle, see `labels.truth_table`
    particle: row of the scene that each row of the truth is
    pixel_size_nm: of image and labels
    surface: what the camera saw, in the pixels that were rendered
    scene: where everything was
    """

    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
    labels: Int32[np.ndarray, "h w"]
    truth: dict[str, np.ndarray]
    particle: Int[np.ndarray, "k"]
    pixel_size_nm: float
    surface: Surface
    scene: Scene


def render(
    recipe: Recipe, seed: int, index: int, on_stage: Callable[[str], None] = lambda done: None
) -> Sample:
    """Return sample `index` of the endless series that a recipe and a seed define.

    It depends on (recipe, seed, index) alone. Each step draws from a stream of its own, so that a
    change in one leaves the others as they were; new streams are appended last. `on_stage` is
    called after each step with its name.

    Raises
    ------
    InputError
        If the recipe's numbers do not fit each other, as `scene.sample_scene` says.
    """
    streams = np.random.default_rng([seed, index]).spawn(4)
    for_scene, for_dirt, for_light, for_detector = streams
    scene = sample_scene(recipe, for_scene)
    on_stage("scene")
    edge_px = recipe.camera.render_px
    instances = build_instances(scene, scene.view)
    surface = trace_instances(instances, scene.view.resampled(edge_px, edge_px))
    on_stage("trace")
    labels, truth, particle, silhouettes = label_view(
        scene, instances, surface, scene.view, recipe.labels
    )
    on_stage("labels")
    shape, pixel_size_nm = surface.particle.shape, surface.pixel_size_nm
    texture = substrate_texture(recipe.dirt, shape, pixel_size_nm, for_dirt)
    on_stage("dirt")
    lit = light(surface, recipe.lighting, for_light)
    on_stage("light")
    materials = recipe.population_materials()
    radiance = shade(surface, lit, materials, recipe.substrate, texture, scene.particles)
    on_stage("shade")
    image_px = (scene.view.height_px, scene.view.width_px)
    image = detect(radiance, recipe.detector, image_px, for_detector, silhouettes)
    on_stage("detect")
    return Sample(image, labels, truth, particle, scene.view.pixel_size_nm, surface, scene)

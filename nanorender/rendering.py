"""Rendering: the sequence of steps from a recipe to an image with labels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, UInt8, UInt16

from nanorender.execution.interruptible import interruptible
from nanorender.imaging.detector import detect
from nanorender.imaging.dirt import substrate_texture
from nanorender.imaging.exposure import expose
from nanorender.imaging.lighting import light
from nanorender.imaging.materials import MaterialBase, Transmission
from nanorender.imaging.publication import hidden_by_marks, lay_out_marks, publish
from nanorender.imaging.shaders import shade
from nanorender.imaging.structures import structure_texture
from nanorender.imaging.transmission.image import transmission_radiance
from nanorender.labeling.labels import label_view, trace_labels
from nanorender.recipe import Recipe
from nanorender.scenes.scene import Scene, sample_scene
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import Surface, trace_instances
from nanorender.upsampling.upsample import upsample


@dataclass(frozen=True)
class Sample:
    """A synthetic micrograph and its ground truth.

    Attributes
    ----------
    image : (h, w) gray levels
    labels : (h, w) 0 for background, k for row k - 1 of the truth
    truth : columns with one row per particle, see `truth.truth_table`
    particle : (k) row in the scene of each row of the truth
    pixel_size_nm : of image and labels
    surface : visible surface, in rendered pixels
    scene : the particles and the view
    """

    image: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]
    labels: Int32[np.ndarray, "h w"]
    truth: dict[str, np.ndarray]
    particle: Int[np.ndarray, "k"]
    pixel_size_nm: float
    surface: Surface
    scene: Scene


@interruptible
def render(
    recipe: Recipe, seed: int, index: int, on_stage: Callable[[str], None] = lambda done: None
) -> Sample:
    """Render sample `index` of the unlimited series that a recipe and a seed define.

    A sample depends on (recipe, seed, index) alone. Each step draws from its own random stream, so
    a change in one step leaves the others unchanged; new streams are appended last. Ctrl-C and
    other signals interrupt it at any time.

    Parameters
    ----------
    recipe
        Sample and imaging conditions.
    seed, index
        Which sample to render.
    on_stage
        Called with the name of each step when it is done.

    Returns
    -------
    Sample
        Image, label map and truth table.

    Raises
    ------
    InputError
        If the settings of the recipe contradict each other, see `scene.sample_scene`.

    Examples
    --------
    >>> from nanorender.recipe import read_recipe
    >>> sample = render(read_recipe("tio2").at_scale(14.0, 64), seed=0, index=4)
    >>> sample.image.shape, len(sample.truth["label"]) == int(sample.labels.max())
    ((64, 64), True)
    """
    streams = np.random.default_rng([seed, index]).spawn(7)
    for_scene, for_dirt, for_light, for_detector, for_beam, for_publication = streams[:6]
    for_structures = streams[6]
    scene = sample_scene(recipe, for_scene)
    on_stage("scene")
    render_px, view = recipe.camera.render_px, scene.view
    image_px = (view.height_px, view.width_px)
    ray_view = view.resampled(render_px, render_px)
    instances = build_instances(scene, view)
    surface = trace_instances(instances, ray_view)
    on_stage("trace")
    if render_px < recipe.camera.image_px:
        exact, exposure = upsample(instances, surface, view)
    else:
        exact, exposure = trace_labels(instances, surface, view), expose
    marks = lay_out_marks(recipe.publication, image_px, for_publication)
    hidden = hidden_by_marks(marks, image_px) if marks else None
    labels, truth, particle = label_view(scene, instances, exact, view, recipe.labels, hidden)
    on_stage("labels")
    shape, pixel_size_nm = surface.particle.shape, surface.pixel_size_nm
    texture = substrate_texture(recipe.dirt, shape, pixel_size_nm, for_dirt)
    texture *= structure_texture(recipe.structures, shape, pixel_size_nm, for_structures)
    on_stage("dirt")
    if recipe.transmission is None:
        materials = recipe.population_materials(MaterialBase)
        lit = light(surface, recipe.lighting, for_light)
        on_stage("light")
        radiance = shade(surface, lit, materials, recipe.substrate, texture, scene.particles)
    else:
        materials = recipe.population_materials(Transmission)
        radiance = transmission_radiance(
            scene, instances, ray_view, image_px, materials, recipe.transmission, texture, for_beam
        )
    on_stage("shade")
    image = detect(radiance, recipe.detector, image_px, for_detector, exposure)
    on_stage("detect")
    if recipe.publication is not None:
        image = publish(image, marks, recipe.publication, for_publication)
        on_stage("publish")
    return Sample(image, labels, truth, particle, view.pixel_size_nm, surface, scene)

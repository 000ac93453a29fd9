"""Coverage: the share of views, and of samples much larger than a view, that particles cover."""

import math

import numpy as np

from nanorender.calibration.views import Drawing, Scale, Target, as_view, particles_in_field
from nanorender.recipe import Recipe
from nanorender.scenes.scene import Scene, View, sample_scene
from nanorender.tracing.raymarch import trace

SAMPLE_VIEWS = 8  # edge of what coverage is expected on, in edges of a view ...
SAMPLES = 4  # ... and how many of these


def coverage(recipe: Recipe, aim: Target, drawing: Drawing) -> float:
    """Return the share of the views that particles cover, from the scenes themselves."""
    drawn = as_view(recipe, aim.pixel_size_nm, aim.scale, drawing.particles)
    return float(np.mean([_covered(drawn, drawing.seed, k) for k in range(drawing.count)]))


def expected_coverage(recipe: Recipe, pixel_size_nm: float, scale: Scale, seed: int) -> float:
    """Return the share that particles cover of a sample much larger than a view.

    The whole field is looked at, so that it does not matter where its few agglomerates lie. Rays
    are as few as for a view: each falls on a particle or not, which is all that counts.
    """
    far = pixel_size_nm * SAMPLE_VIEWS
    drawn = as_view(recipe, far, scale, particles_in_field(recipe, far, scale))
    shares = []
    for index in range(SAMPLES):
        scene = _scene(drawn, seed, index)
        seen = _whole(scene, drawn.camera.render_px)
        on_particles = (trace(scene, seen).particle > 0).sum() * seen.pixel_size_nm**2
        shares.append(on_particles / (drawn.field_nm**2 * math.cos(math.radians(seen.tilt_deg))))
    return min(float(np.mean(shares)), 1.0)


def _whole(scene: Scene, edge_px: int) -> View:
    """Return a view of all particles of a scene, from where its own is seen."""
    center, size = scene.particles.center_nm[:, :2], scene.particles.size_nm
    reach = np.linalg.norm(size, axis=1, keepdims=True) / 2
    left, top = ((center - reach).min(axis=0)).tolist()
    right, bottom = ((center + reach).max(axis=0)).tolist()
    pixel_size_nm = max(right - left, bottom - top) / edge_px
    return View(left, top, pixel_size_nm, edge_px, edge_px, scene.view.tilt_deg)


def _covered(recipe: Recipe, seed: int, index: int) -> float:
    """Return the covered share of the image that `render` would draw."""
    scene = _scene(recipe, seed, index)
    edge_px = recipe.camera.render_px
    return float((trace(scene, scene.view.resampled(edge_px, edge_px)).particle > 0).mean())


def _scene(recipe: Recipe, seed: int, index: int) -> Scene:
    """Return the scene of the sample that `render` would draw."""
    return sample_scene(recipe, np.random.default_rng([seed, index]).spawn(1)[0])

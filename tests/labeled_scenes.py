"""Scenes for tests of labels."""

import numpy as np
from scipy.spatial.transform import Rotation

from nanorender.scenes.scene import Particles, Scene, View
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import template_table
from nanorender.tracing.raymarch import trace


def make_scene(names, count=40, image_px=401, seed=0, stretch=(1.0, 1.0, 1.0)) -> Scene:
    """Return particles of random sizes, places and rotations over 1 um."""
    rng = np.random.default_rng(seed)
    particles = Particles(
        template=rng.integers(0, len(names), count),
        center_nm=np.column_stack([rng.uniform(0, 1000, (count, 2)), rng.uniform(70, 200, count)]),
        size_nm=rng.uniform(60, 130, (count, 1)) * np.array(stretch),
        rotation=Rotation.random(count, rng=rng).as_matrix(),
        agglomerate=rng.integers(0, 9, count),
        population=rng.integers(0, 2, count),
        brightness=np.ones(count),
    )
    view = View(0.0, 0.0, 1000 / image_px, image_px, image_px, 0.0)
    return Scene(particles, template_table([BUILT_IN[name] for name in names]), view)


def alone(scene: Scene, row: int, margin_px: int = 200):
    """Return the mask of one particle in a frame that is wider on all sides."""
    view = scene.view
    wide = view._replace(
        left_nm=-margin_px * view.pixel_size_nm,
        top_nm=-margin_px * view.pixel_size_nm,
        height_px=view.height_px + 2 * margin_px,
        width_px=view.width_px + 2 * margin_px,
    )
    only = Particles(*(column[row : row + 1] for column in scene.particles))
    return trace(scene._replace(particles=only), wide).particle == 1

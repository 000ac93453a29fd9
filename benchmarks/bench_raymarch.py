"""Time of tracing, lighting and labeling for 250 particles in view."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nanorender.imaging.lighting import Lighting, light
from nanorender.labeling.labels import LabelSettings, label_view
from nanorender.scenes.scene import Particles, Scene, View
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import template_table
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import trace
from nanorender.upsampling.refinement import refine_labels

RENDER_PX, IMAGE_PX, COUNT, VIEW_NM = 507, 2031, 250, 4000.0
KINDS = {
    "spheres": (["sphere"], (1.0, 1.0, 1.0)),
    "grains": ([f"grain_{number}" for number in range(10)], (1.0, 1.0, 1.0)),
    "unions": (["satellite_2", "satellite_3"], (1.0, 1.0, 1.0)),
    "wires": (["wire"], (8.0, 0.5, 0.5)),
}


def scene_of(kind: str, count: int = COUNT) -> Scene:
    """Return particles of 150 to 250 nm, the first 250 of them in view."""
    names, stretch = KINDS[kind]
    rng = np.random.default_rng(0)
    center = np.column_stack([rng.uniform(0, VIEW_NM, (count, 2)), rng.uniform(125, 300, count)])
    center[COUNT:, 0] += 10 * VIEW_NM
    particles = Particles(
        template=rng.integers(0, len(names), count),
        center_nm=center,
        size_nm=rng.uniform(150, 250, (count, 1)) * np.array(stretch),
        rotation=Rotation.random(count, random_state=rng).as_matrix(),
        agglomerate=np.zeros(count, np.int64),
        population=np.zeros(count, np.int64),
        brightness=np.ones(count),
    )
    view = View(0.0, 0.0, VIEW_NM / IMAGE_PX, IMAGE_PX, IMAGE_PX, 0.0)
    return Scene(particles, template_table([BUILT_IN[name] for name in names]), view)


@pytest.mark.parametrize("kind", KINDS)
def test_trace(benchmark, kind):
    scene = scene_of(kind)
    surface = benchmark(trace, scene, scene.view.resampled(RENDER_PX, RENDER_PX))
    assert 0.1 < np.mean(surface.particle > 0) < 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_refine_labels(benchmark, kind):
    scene = scene_of(kind)
    surface = trace(scene, scene.view.resampled(RENDER_PX, RENDER_PX))
    exact = benchmark(refine_labels, build_instances(scene, scene.view), surface, scene.view)
    assert np.mean(exact.labels > 0) == pytest.approx(np.mean(surface.particle > 0), abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_label_view(benchmark, kind):
    scene, settings = scene_of(kind), LabelSettings()
    surface = trace(scene, scene.view.resampled(RENDER_PX, RENDER_PX))
    instances = build_instances(scene, scene.view)

    def refine_and_label():
        exact = refine_labels(instances, surface, scene.view)
        return label_view(scene, instances, exact, scene.view, settings)

    found = benchmark(refine_and_label)
    assert found.labels.max() == len(found.truth["label"])


def test_light(benchmark):
    scene = scene_of("grains")
    surface = trace(scene, scene.view.resampled(RENDER_PX, RENDER_PX))
    lit = benchmark(lambda: light(surface, Lighting(), np.random.default_rng(0)))
    assert lit.occlusion[surface.particle == 0].min() < 0.8


def test_trace_of_250_in_100000(benchmark):
    scene = scene_of("spheres", 100_000)
    surface = benchmark(trace, scene, scene.view.resampled(RENDER_PX, RENDER_PX))
    assert surface.particle.max() <= COUNT

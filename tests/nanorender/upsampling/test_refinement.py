import numpy as np
import pytest
from labeled_scenes import make_scene

from nanorender.labeling.label_image import LabelImage
from nanorender.labeling.labels import LabelSettings, label_view
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import trace
from nanorender.upsampling.refinement import RefinedLabels, refine_labels


def refined(scene) -> RefinedLabels:
    surface = trace(scene, scene.view.resampled(100, 100))
    return refine_labels(build_instances(scene, scene.view), surface, scene.view)


@pytest.mark.parametrize("names", [["sphere"], ["grain_0", "grain_5"], ["cube", "octahedron"]])
@pytest.mark.parametrize("tilt_deg", [0.0, 40.0])
def test_refined_labels_equal_those_of_tracing_all_pixels(names, tilt_deg):
    scene = make_scene(names)
    scene = scene._replace(view=scene.view._replace(tilt_deg=tilt_deg))
    assert np.array_equal(refined(scene).labels, trace(scene, scene.view).particle)


@pytest.mark.parametrize("name", ["satellite_3", "dimer", "wire", "rod", "hexagonal_plate"])
def test_refined_labels_miss_only_features_between_coarse_pixels(name):
    stretch = (4.0, 0.5, 0.5) if name in ("wire", "rod") else (1.0, 1.0, 1.0)
    scene = make_scene([name], stretch=stretch)
    assert np.mean(refined(scene).labels != trace(scene, scene.view).particle) < 2e-5


@pytest.mark.parametrize(
    "settings",
    [
        LabelSettings(),
        LabelSettings(border_px=3.0, background_border_px=2.0),
        LabelSettings(border_px=7.5, min_visible_px=40),
    ],
)
def test_labels_and_truth_by_cells_are_those_by_pixels(settings):
    scene = make_scene(["sphere", "grain_3"], count=80)
    instances, by_cells = build_instances(scene, scene.view), refined(scene)
    by_pixels = LabelImage(by_cells.labels.copy())
    one, other = (
        label_view(scene, instances, labels, scene.view, settings)
        for labels in (by_cells, by_pixels)
    )
    assert np.array_equal(one.labels, other.labels)
    for name, column in one.truth.items():
        assert np.array_equal(column, other.truth[name])

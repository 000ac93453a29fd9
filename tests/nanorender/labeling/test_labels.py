import numpy as np
import pytest
from labeled_scenes import alone, make_scene
from scipy.spatial.transform import Rotation

from nanorender.labeling.borders import shrink_from_background, widen_borders
from nanorender.labeling.label_image import LabelImage
from nanorender.labeling.labels import LabelSettings, label_view, trace_labels
from nanorender.labeling.outlines import amodal_outlines
from nanorender.labeling.truth import truth_table
from nanorender.scenes.scene import Scene
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import trace


@pytest.mark.parametrize("tilt_deg", [0.0, 40.0])
def test_labels_of_a_surface_with_the_same_pixels_are_its_particle_buffer(tilt_deg):
    scene = make_scene(["grain_0", "sphere"], image_px=200)
    scene = scene._replace(view=scene.view._replace(tilt_deg=tilt_deg))
    surface = trace(scene, scene.view)
    labels = trace_labels(build_instances(scene, scene.view), surface, scene.view).labels
    assert np.array_equal(labels, surface.particle)
    assert not np.shares_memory(labels, surface.particle)


@pytest.mark.parametrize("render_px", [201, 300, 400, 611])
@pytest.mark.parametrize("tilt_deg", [0.0, 40.0])
def test_labels_from_more_rays_are_those_of_tracing_all_pixels(render_px, tilt_deg):
    scene = make_scene(["grain_0", "satellite_3", "sphere"], image_px=200)
    scene = scene._replace(view=scene.view._replace(tilt_deg=tilt_deg))
    surface = trace(scene, scene.view.resampled(render_px, render_px))
    labels = trace_labels(build_instances(scene, scene.view), surface, scene.view).labels
    assert np.array_equal(labels, trace(scene, scene.view).particle)


def truth_of(scene: Scene, seen):
    """Return the truth table of a label map that nothing was taken off."""
    counts = np.bincount(seen.ravel(), minlength=len(scene.particles.template) + 1)
    instances, rows = build_instances(scene, scene.view), np.flatnonzero(counts[1:])
    outlines = amodal_outlines(scene, instances, scene.view, seen, rows)
    return truth_table(scene, scene.view, outlines, seen, counts, 1)


def exact_labels(scene: Scene) -> LabelImage:
    return LabelImage(trace(scene, scene.view).particle)


def labeled(scene: Scene, settings: LabelSettings):
    instances = build_instances(scene, scene.view)
    return label_view(scene, instances, exact_labels(scene), scene.view, settings)


@pytest.mark.parametrize("names", [["sphere"], ["grain_3", "satellite_2", "rod"]])
def test_areas_in_the_truth_are_those_of_the_masks(names):
    scene = make_scene(names, count=25, image_px=200)
    seen = trace(scene, scene.view).particle
    truth = truth_of(scene, seen)
    pixel_area = scene.view.pixel_size_nm**2
    for row, number in enumerate(truth["label"]):
        whole = alone(scene, number - 1)
        visible = seen == number
        assert truth["visible_area_nm2"][row] == pytest.approx(visible.sum() * pixel_area)
        assert np.all(whole[200:-200, 200:-200][visible])
        area = truth["amodal_area_nm2"][row] / pixel_area
        # One pixel may fall either way, since the wider frame rounds positions differently.
        assert abs(area - whole.sum()) <= 2
        frame = np.ones_like(visible)
        frame[1:-1, 1:-1] = False
        assert truth["touches_frame"][row] == (visible & frame).any()
    assert np.all(truth["visible_fraction"] <= 1)


def test_all_diameters_of_spheres_are_equal():
    scene = make_scene(["sphere"], image_px=800)
    seen = trace(scene, scene.view).particle
    truth = truth_of(scene, seen)
    rows = truth["label"] - 1
    diameter = scene.particles.size_nm[rows, 0]
    pixel = scene.view.pixel_size_nm
    for column in ("diameter_nm", "min_feret_nm", "max_feret_nm"):
        np.testing.assert_allclose(truth[column], diameter, atol=1.1 * pixel)
    np.testing.assert_allclose(truth["center_x_nm"], scene.particles.center_nm[rows, 0])
    np.testing.assert_allclose(truth["center_y_nm"], scene.particles.center_nm[rows, 1])


def test_a_tilted_wire_has_its_width_and_length_as_feret_diameters():
    scene = make_scene(["capsule"], count=1, image_px=500)
    turn = Rotation.from_euler("z", 33, degrees=True).as_matrix()[None]
    scene = scene._replace(
        particles=scene.particles._replace(
            center_nm=np.array([[500.0, 500.0, 60.0]]),
            size_nm=np.array([[700.0, 40.0, 40.0]]),
            rotation=turn,
        )
    )
    seen = trace(scene, scene.view).particle
    truth = truth_of(scene, seen)
    assert truth["min_feret_nm"][0] == pytest.approx(40, abs=2.5)
    assert truth["max_feret_nm"][0] == pytest.approx(700, abs=2.5)


@pytest.mark.parametrize("border_px", [3.0, 7.5])
def test_borders_are_removed_before_labels_are_numbered_and_measured(border_px):
    scene = make_scene(["sphere", "grain_3"], count=80)
    settings = LabelSettings(border_px=border_px, background_border_px=2.0)
    labels, truth, _ = labeled(scene, settings)
    expected = exact_labels(scene)
    widen_borders(expected, border_px)
    shrink_from_background(expected, 2.0)
    shown = np.unique(expected.labels[expected.labels > 0])
    assert np.array_equal(labels, np.searchsorted(np.append(0, shown), expected.labels))
    counts = np.bincount(labels.ravel())[1:] * scene.view.pixel_size_nm**2
    np.testing.assert_allclose(truth["visible_area_nm2"], counts)


def test_rotations_in_the_truth_turn_templates_into_their_particles():
    scene = make_scene(["cube"], count=60)
    upright = Rotation.from_euler("xyz", [[20, 90, 30], [-75, -90, 0]], degrees=True).as_matrix()
    rotation = np.concatenate([upright, scene.particles.rotation[2:]])
    scene = scene._replace(particles=scene.particles._replace(rotation=rotation))
    truth = truth_of(scene, trace(scene, scene.view).particle)
    angles = np.column_stack([truth[f"rotation_{axis}_deg"] for axis in "xyz"])
    turned = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    np.testing.assert_allclose(turned, rotation[truth["label"] - 1], atol=1e-6)


def test_labels_count_up_and_match_the_rows_of_the_truth():
    scene = make_scene(["grain_1", "sphere"], image_px=300)
    settings = LabelSettings(border_px=2.0, min_visible_px=30)
    labels, truth, _ = labeled(scene, settings)
    shown, counts = np.unique(labels[labels > 0], return_counts=True)
    assert shown.tolist() == list(range(1, len(shown) + 1)) == truth["label"].tolist()
    np.testing.assert_allclose(truth["visible_area_nm2"], counts * scene.view.pixel_size_nm**2)
    assert counts.min() >= 30


def test_particles_that_show_too_few_pixels_become_background():
    scene = make_scene(["grain_1", "sphere"], image_px=200)
    seen = exact_labels(scene).labels
    counts = np.bincount(seen.ravel())
    enough = int(np.median(counts[1:][counts[1:] > 0]))
    labels, truth, _ = labeled(scene, LabelSettings(min_visible_px=enough))
    assert np.array_equal(labels > 0, (seen > 0) & (counts[seen] >= enough))
    assert len(truth["label"]) == (counts[1:] >= enough).sum() < (counts[1:] > 0).sum()

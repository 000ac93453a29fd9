from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nanorender import rendering
from nanorender.distributions import Constant
from nanorender.labeling.labels import LabelSettings
from nanorender.recipe import Recipe, read_recipe
from nanorender.recipes import preset_names
from nanorender.rendering import render
from nanorender.tracing.raymarch import trace


def tiny(render_px: int, **labels: float) -> Recipe:
    """Return a recipe of 96 x 96 images of which `render_px` x `render_px` pixels are rendered."""
    recipe = read_recipe("sio2").at_scale(16.0, 96)
    camera = recipe.camera.model_copy(update={"render_px": render_px})
    return recipe.model_copy(update={"camera": camera, "labels": LabelSettings(**labels)})


def test_labels_of_an_image_rendered_in_full_are_the_particle_buffer():
    sample = render(tiny(96), 0, 4)
    numbers = np.zeros(sample.surface.particle.max() + 1, int)
    numbers[sample.particle + 1] = sample.truth["label"]
    assert sample.labels.max() > 1
    assert np.array_equal(sample.labels, numbers[sample.surface.particle])


@pytest.mark.parametrize("render_px", [48, 96, 192])
def test_labels_are_the_same_however_many_pixels_are_rendered(render_px):
    sample = render(tiny(render_px), 0, 4)
    assert np.array_equal(sample.labels > 0, trace(sample.scene, sample.scene.view).particle > 0)


@pytest.mark.parametrize("render_px", [48, 96, 144, 192])
def test_borders_are_the_same_however_many_pixels_are_rendered(render_px):
    settings = {"border_px": 2.0, "background_border_px": 1.5}
    sample, full = (render(tiny(edge, **settings), 0, 4) for edge in (render_px, 96))
    assert np.array_equal(sample.labels, full.labels)


def test_an_image_is_upsampled_only_if_fewer_pixels_are_rendered(monkeypatch):
    upsampled = []

    def record(instances, surface, view):
        upsampled.append(len(surface.particle))
        return upsample(instances, surface, view)

    upsample = rendering.upsample
    monkeypatch.setattr(rendering, "upsample", record)
    for render_px in (95, 96, 97, 192):
        render(tiny(render_px), 0, 4)
    assert upsampled == [95]


@pytest.mark.parametrize("name", preset_names())
def test_an_image_and_its_labels_are_as_large_as_the_recipe_says(name):
    recipe = read_recipe(name)
    sample = render(recipe, 0, 0)
    assert sample.image.shape == sample.labels.shape == (2031, 2031)
    assert sample.surface.height_nm.shape == 2 * (recipe.camera.render_px,)
    assert sample.image.dtype == np.uint8
    assert recipe.camera.pixel_size_nm.low <= sample.pixel_size_nm
    assert sample.pixel_size_nm <= recipe.camera.pixel_size_nm.high


def test_the_truth_has_a_row_for_each_label_with_its_area():
    sample = render(read_recipe("tio2").at_scale(7.0, 256), 0, 4)
    count = int(sample.labels.max())
    areas = np.bincount(sample.labels.ravel(), minlength=count + 1)[1:]
    assert list(sample.truth["label"]) == list(range(1, count + 1))
    assert sample.truth["visible_area_nm2"] == pytest.approx(areas * sample.pixel_size_nm**2)


def test_a_sample_depends_on_recipe_seed_and_index_alone():
    recipe = read_recipe("tio2").at_scale(7.0, 128)
    alone = render(recipe, 4, 2)
    for index in range(3):
        again = render(recipe, 4, index)
    assert again.image.tobytes() == alone.image.tobytes()
    assert again.labels.tobytes() == alone.labels.tobytes()
    assert render(recipe, 5, 2).image.tobytes() != alone.image.tobytes()


def test_two_threads_make_the_same_bytes_as_one():
    recipe = read_recipe("tio2").at_scale(7.0, 192)
    alone = [render(recipe, 4, index) for index in range(4)]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda index: render(recipe, 4, index), range(4)))
    for one, other in zip(alone, together, strict=True):
        assert one.image.tobytes() == other.image.tobytes()
        assert one.labels.tobytes() == other.labels.tobytes()


def test_another_detector_leaves_scene_and_labels_unchanged():
    recipe = read_recipe("tio2").at_scale(7.0, 128)
    dark = recipe.model_copy(
        update={"detector": recipe.detector.model_copy(update={"polarity": "dark"})}
    )
    assert np.array_equal(render(recipe, 0, 0).labels, render(dark, 0, 0).labels)


def test_particles_are_brighter_than_the_substrate():
    sample = render(read_recipe("tio2").at_scale(7.0, 256), 0, 4)
    inside = sample.labels > 0
    assert np.median(sample.image[inside]) > np.median(sample.image[~inside]) + 30


@pytest.mark.parametrize("name", preset_names())
def test_an_image_without_particles_has_no_label(name):
    recipe = read_recipe(name).at_scale(7.0, 96)
    sample = render(recipe.model_copy(update={"particle_count": Constant(value=0)}), 0, 0)
    assert not sample.labels.any()
    assert sample.truth["label"].size == 0
    assert sample.image.std() > 0

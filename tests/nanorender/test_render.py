from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nanorender.recipe import preset_names, read_recipe
from nanorender.render import render


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


def test_another_detector_leaves_scene_and_labels_as_they_were():
    recipe = read_recipe("tio2").at_scale(7.0, 128)
    dark = recipe.model_copy(
        update={"detector": recipe.detector.model_copy(update={"polarity": "dark"})}
    )
    assert np.array_equal(render(recipe, 0, 0).labels, render(dark, 0, 0).labels)


def test_particles_stand_out_from_the_substrate():
    sample = render(read_recipe("tio2").at_scale(7.0, 256), 0, 4)
    inside = sample.labels > 0
    assert np.median(sample.image[inside]) > np.median(sample.image[~inside]) + 30

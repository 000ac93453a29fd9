import numpy as np
import pytest

from nanorender.models import general_model
from nanorender.recipe import read_recipe
from nanorender.rendering import render
from nanorender.separation.separate import Separation
from unet.data import PixelSizes
from unet.predict import load_model
from unet.repeatability import LEAST_PARTICLES, checked_part, repeatability
from unet.segment import segment_image


@pytest.fixture(scope="module")
def model():
    return load_model(general_model())


@pytest.fixture(scope="module")
def spheres():
    """A rendered image, the label map that the general model finds, and the pixel size."""
    sample = render(read_recipe("sio2").at_scale(10.0, 320), 0, 0)
    return sample.image, segment_image(sample.image, min_confidence=0.5).labels


def repeated(model, image, labels):
    return repeatability(model, image, None, labels, Separation(), 0.5)


def test_particles_that_are_recognized_are_found_again(model, spheres):
    image, labels = spheres
    assert labels.max() >= LEAST_PARTICLES
    assert repeated(model, image, labels) > 0.8


def test_other_particles_than_those_found_again_lower_the_repeatability(model, spheres):
    image, labels = spheres
    half = np.where(labels % 2 == 0, labels, 0)
    assert repeated(model, image, half) == pytest.approx(2 / 3, abs=0.1)
    assert repeated(model, image, np.ascontiguousarray(labels[::-1, ::-1])) < 0.5


def test_few_particles_say_nothing(model, spheres):
    image, labels = spheres
    blank = np.full_like(image, 90)
    assert repeated(model, blank, np.where(labels < 5, labels, 0)) is None


@pytest.mark.parametrize(
    ("size_nm", "expected"), [(7.0, 1.2), (5.5, 1.1), (5.0, 1.0), (10.0, 1.25)]
)
def test_images_are_magnified_to_a_pixel_size_of_the_training(size_nm, expected):
    from unet.repeatability import _magnification

    trained = PixelSizes(lowest_nm=5.0, median_nm=6.0, highest_nm=8.0)
    assert _magnification(size_nm, trained) == pytest.approx(expected)
    assert _magnification(None, trained) == _magnification(size_nm, None) == 1.2


def test_the_part_is_central_and_within_the_image():
    assert checked_part((1000, 300)) == (slice(340, 660), slice(0, 300))

import numpy as np
import pytest
from scipy import ndimage

from nanorender.labeling.borders import shrink_from_background, widen_borders
from nanorender.labeling.label_image import LabelImage


def disc(radius: float):
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return x * x + y * y <= radius * radius


def random_labels() -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(90, 110)), 5)
    return np.digitize(noise, np.quantile(noise, [0.4, 0.6, 0.8])).astype(np.int32)


def eroded(erode, labels, border_px):
    image = LabelImage(labels.copy())
    erode(image, border_px)
    return image.labels


@pytest.mark.parametrize("border_px", [1.0, 2.5, 4.0, 18.0])
def test_a_widened_border_is_what_a_disc_reaches_from_another_particle(border_px):
    labels = random_labels()
    expected = labels.copy()
    for number in range(1, labels.max() + 1):
        others = (labels != number) & (labels > 0)
        reached = ndimage.binary_dilation(others, disc(border_px))
        expected[(labels == number) & reached] = 0
    assert np.array_equal(eroded(widen_borders, labels, border_px), expected)


@pytest.mark.parametrize("border_px", [1.0, 2.5, 4.0, 18.0])
def test_shrinking_from_the_background_is_a_dilation_of_the_background(border_px):
    labels = random_labels()
    reached = ndimage.binary_dilation(labels == 0, disc(border_px))
    expected = np.where(reached, 0, labels)
    assert np.array_equal(eroded(shrink_from_background, labels, border_px), expected)


def test_no_border_leaves_labels_unchanged():
    labels = random_labels()
    assert np.array_equal(eroded(widen_borders, labels, 0.0), labels)
    assert np.array_equal(eroded(shrink_from_background, labels, 0.0), labels)

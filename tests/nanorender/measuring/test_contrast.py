import numpy as np
import pytest

from nanorender.measuring.contrast import contrasts


def test_the_contrast_is_the_difference_over_the_noise_of_the_surroundings():
    labels = np.zeros((60, 90), np.int32)
    labels[20:40, 10:30], labels[20:40, 55:75] = 2, 5
    image = np.random.default_rng(0).normal(100, 8, labels.shape)
    image[labels == 2] += 40
    image[labels == 5] -= 24
    found = contrasts(labels, image.round().astype(np.uint8))
    assert found == pytest.approx([5, -3], rel=0.25)


def test_particles_without_background_around_them_have_no_contrast():
    labels = np.kron(np.arange(1, 10).reshape(3, 3), np.ones((10, 10), int))
    assert contrasts(labels, labels).size == 0
    assert contrasts(np.zeros((5, 5), int), np.zeros((5, 5), int)).size == 0

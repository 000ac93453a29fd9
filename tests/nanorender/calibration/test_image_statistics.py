import numpy as np
import pytest
from pictures import discs, noise

from nanorender.calibration.image_statistics import (
    LEVELS,
    gradient,
    image_statistics,
    radial_power,
)


def test_the_power_of_white_noise_is_even():
    power = radial_power(noise((512, 512), 3.0, (0, 0)).astype(np.float32))
    assert power[4:] == pytest.approx(power[4:].mean(), rel=0.4)
    assert power[8:] == pytest.approx(power[8:].mean(), rel=0.1)


def test_histograms_hold_every_pixel_once():
    of = image_statistics(discs() + noise((512, 512), 2.0, (0, 0)), 90.0)
    assert of.gray.shape == (LEVELS,)
    assert of.gray.sum() == pytest.approx(1)
    assert of.runs.sum() == pytest.approx(1)
    assert of.gradients.sum(axis=1) == pytest.approx(1)


def test_gradients_are_the_same_wherever_images_lie_in_memory():
    pixels = np.random.default_rng(0).uniform(0, 255, (128, 128)).astype(np.float32)
    between = [np.empty(size, np.uint8) for size in range(1, 400)]  # moves what is allocated next
    seen = set()
    for index in range(400):
        between[index % len(between)] = np.empty(1 + 37 * index % 5000, np.uint8)
        seen.add(gradient(pixels.copy(), 1.0).tobytes())
    assert len(seen) == 1

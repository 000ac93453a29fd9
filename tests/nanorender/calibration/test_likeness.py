import numpy as np
import pytest
from pictures import discs, noise

from nanorender.calibration.estimate import estimates
from nanorender.calibration.likeness import (
    LEVELS,
    Terms,
    coordinates,
    features,
    radial_power,
    reference,
)


def images(diameter_px=32, blur=2.0, levels=(40.0, 140.0), seed=0):
    return [
        np.clip(discs(diameter_px, levels=levels) + noise((512, 512), blur, (0, 0), seed), 0, 255)
    ]


def shown(group):
    return features(group, 90.0), estimates(group[0], False)


def compared(real, synthetic):
    return reference(*shown(real)).terms(coordinates(*shown(synthetic)))


def test_images_are_like_themselves():
    assert np.array(compared(images(), images())) == pytest.approx(0, abs=1e-12)
    assert compared(images(), images()).loss() == pytest.approx(0, abs=1e-12)


def test_the_number_of_images_does_not_matter():
    assert np.array(compared(images(), images() * 2)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("term", "other"),
    [
        ("gray", images(levels=(60.0, 160.0))),
        ("spectrum", images(blur=6.0)),
        ("gradients", images(blur=6.0)),
        ("contrast", images(blur=6.0)),
        ("runs", images(diameter_px=16)),
        ("particles", images(diameter_px=16)),
    ],
)
def test_each_term_tells_what_it_is_for(term, other):
    small, large = compared(images(), images(seed=1)), compared(images(), other)
    assert getattr(large, term) > 10 * getattr(small, term)


def test_a_shift_of_the_levels_is_the_distance_of_the_histograms():
    real, moved = images(levels=(40.0, 140.0)), images(levels=(50.0, 150.0))
    assert compared(real, moved).gray == pytest.approx(10 / real[0].std(), rel=0.03)


def test_brighter_images_change_the_coordinates_in_proportion():
    plain, once, twice = (
        coordinates(*shown(images(levels=(40.0 + by, 140.0 + by)))) for by in (0.0, 4.0, 8.0)
    )
    assert twice - plain == pytest.approx(2 * (once - plain), abs=0.1)
    assert (once - plain).max() == pytest.approx(4, abs=0.1)


def test_no_term_gets_better_for_a_black_image():
    real = images()
    poor = compared(real, images(diameter_px=48, blur=8.0, levels=(10.0, 220.0)))
    black = reference(*shown(real)).terms(coordinates(features([np.zeros((512, 512))], 90.0), None))
    assert black.loss() > poor.loss()
    assert min(black) > 0.3


def test_one_term_cannot_drown_the_others():
    fair = Terms(*[0.1] * 7)
    assert fair._replace(spectrum=1e9).loss() < fair.loss() + 2 / 7


def test_the_power_of_white_noise_is_even():
    power = radial_power(noise((512, 512), 3.0, (0, 0)).astype(np.float32))
    assert power[4:] == pytest.approx(power[4:].mean(), rel=0.4)
    assert power[8:] == pytest.approx(power[8:].mean(), rel=0.1)


def test_histograms_hold_every_pixel_once():
    of = features(images(), 90.0)
    assert of.gray.shape == (LEVELS,)
    assert of.gray.sum() == pytest.approx(1)
    assert of.runs.sum() == pytest.approx(1)
    assert of.gradients.sum(axis=1) == pytest.approx(1)

import numpy as np
import pytest
from pictures import discs, noise

from nanorender.calibration.estimates import direct_estimates
from nanorender.calibration.image_statistics import image_statistics, sum_statistics
from nanorender.calibration.observation import (
    LossTerms,
    Observation,
    noise_floor,
    observe_like,
    observe_reference,
    pool_observations,
)
from nanorender.errors import InputError


def images(diameter_px=32, blur=2.0, levels=(40.0, 140.0), seed=0):
    return [
        np.clip(discs(diameter_px, levels=levels) + noise((512, 512), blur, (0, 0), seed), 0, 255)
    ]


def observed(group):
    each = tuple(direct_estimates(image, False) for image in group)
    statistics = sum_statistics(image_statistics(image, 90.0) for image in group)
    return Observation(statistics, each, False, 90.0)


def compared(real, synthetic):
    return observed(real).loss_terms(observed(synthetic).features)


def test_loss_of_identical_images_is_zero():
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
def test_each_term_responds_to_its_property(term, other):
    small, large = compared(images(), images(seed=1)), compared(images(), other)
    assert getattr(large, term) > 10 * getattr(small, term)


def test_a_shift_of_the_levels_is_the_distance_of_the_histograms():
    real, moved = images(levels=(40.0, 140.0)), images(levels=(50.0, 150.0))
    assert compared(real, moved).gray == pytest.approx(10 / real[0].std(), rel=0.03)


def test_brighter_images_change_the_features_in_proportion():
    plain, once, twice = (
        observed(images(levels=(40.0 + by, 140.0 + by))).features for by in (0.0, 4.0, 8.0)
    )
    assert twice - plain == pytest.approx(2 * (once - plain), abs=0.1)
    assert (once - plain).max() == pytest.approx(4, abs=0.1)


def test_no_term_decreases_for_a_black_image():
    real = images()
    poor = compared(real, images(diameter_px=48, blur=8.0, levels=(10.0, 220.0)))
    black = compared(real, [np.zeros((512, 512))])
    assert black.loss() > poor.loss()
    assert min(black) > 0.3


def test_no_term_dominates_the_loss():
    fair = LossTerms(*[0.1] * 7)
    assert fair._replace(spectrum=1e9).loss() < fair.loss() + 2 / 7


def test_views_without_particles_are_no_reference():
    with pytest.raises(InputError, match="no particles stand out"):
        observe_reference([np.full((128, 128), 30, np.float32)], False)


def test_pooled_observations_are_those_of_all_views():
    views = [*images(seed=3), *images(diameter_px=20), *images(blur=5.0)]
    views = [view.astype(np.float32) for view in views]
    reference = observe_reference(views, False)
    pooled = pool_observations([observe_like(reference, view) for view in views])
    assert pooled.features == pytest.approx(reference.features)


def test_the_noise_floor_falls_with_the_number_of_views():
    """Every third view is darker: three of them differ from the rest by less than one does."""
    rng = np.random.default_rng(0)
    views = [discs(31) - 20.0 * (k % 3 == 0) + rng.normal(0, 2, (512, 512)) for k in range(12)]
    each = [observed([view]) for view in views]
    one, three = noise_floor(each, 1), noise_floor(each, 3)
    assert 0 < three < 0.3 * one
    assert noise_floor(each, 12) is None

import numpy as np
import pytest

from nanorender.statistics.bootstrap import Resampling, SizeSample
from nanorender.statistics.nanoscale import nanoscale_share, wilson_interval

PARTICLES = Resampling("particles", 400, 0.95)


def share(below, above, resampling=PARTICLES, images=1):
    sizes = np.repeat([50.0, 150.0], [below, above])
    image_of = np.arange(below + above) % images
    sample = SizeSample(sizes, np.ones(len(sizes)), image_of, images)
    return nanoscale_share("min_feret", sample, resampling, np.random.default_rng(0))


def test_wilson_intervals_are_those_of_newcombe():
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3
    assert wilson_interval(81 / 263, 263.0, 0.95) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15 / 148, 148.0, 0.95) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0.0, 20.0, 0.95) == pytest.approx((0.0, 0.1611), abs=1e-4)


@pytest.mark.parametrize(
    ("below", "above", "verdict"),
    [(70, 30, "above"), (30, 70, "below"), (52, 48, "undecided"), (0, 0, "undecided")],
)
def test_the_verdict_needs_the_whole_interval(below, above, verdict):
    assert share(below, above).verdict == verdict


def test_a_particle_of_100_nm_is_not_below():
    sample = SizeSample(np.array([100.0, 99.9]), np.ones(2), np.zeros(2, int), 1)
    found = nanoscale_share("min_feret", sample, PARTICLES, np.random.default_rng(0))
    assert found.value == 0.5


def test_images_that_agree_narrow_the_interval_over_images():
    over_images = Resampling("images", 400, 0.95)
    alike = share(300, 300, over_images, images=6)
    assert alike.method == "bootstrap over images"
    assert (alike.low, alike.value, alike.high) == (0.5, 0.5, 0.5)
    assert alike.verdict == "above"  # half or more is the limit

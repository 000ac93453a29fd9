import cv2
import numpy as np
import pytest
from pictures import discs, noise

from nanorender.calibration.estimates import direct_estimates, mean_estimates


@pytest.mark.parametrize("correlations", [(0.0, 0.0), (0.3, 0.1), (0.1, 0.4)])
@pytest.mark.parametrize("deviation", [1.5, 6.0])
def test_noise_is_found_with_its_correlations(deviation, correlations):
    image = np.clip(np.round(discs() + noise((512, 512), deviation, correlations)), 0, 255)
    found = direct_estimates(image.astype(np.uint8), False)
    assert found.substrate_noise == pytest.approx(deviation, rel=0.08)
    assert found.noise_correlation == pytest.approx(correlations[0], abs=0.07)
    assert found.line_correlation == pytest.approx(correlations[1], abs=0.07)


@pytest.mark.parametrize("diameter_px", [20, 32, 48])
def test_discs_are_found_with_their_size_levels_and_coverage(diameter_px):
    image = discs(diameter_px) + noise((512, 512), 2.0, (0, 0))
    found = direct_estimates(image, False)
    assert np.exp(found.log_diameter) == pytest.approx(diameter_px, abs=1.5)
    assert found.log_diameter_spread < 0.03
    assert found.coverage == pytest.approx(np.pi / 4 * (diameter_px / 64) ** 2, rel=0.12)
    assert found.substrate_level == pytest.approx(40, abs=0.5)
    assert found.particle_level == pytest.approx(140, abs=0.5)
    assert found.members == 1


def test_discs_that_touch_are_counted_together():
    found = direct_estimates(discs(diameter_px=34, spacing_px=32, edge_px=256), False)
    assert found.members == pytest.approx(64)


def test_discs_that_overlap_are_found_with_their_size_by_the_line_between_them():
    rows, columns = np.mgrid[:384, :384] + 0.5
    image = np.full((384, 384), 40.0)
    dark = np.full(image.shape, 99.0)
    for k, y in enumerate(range(64, 384, 64)):
        for x in range(64, 330, 25):  # of 32 px in diameter, each on the one before
            away = 16 - np.hypot(rows - y, columns - x - 3 * k)
            image[away > 0] = 140.0
            dark = np.where(away > 0, away, np.minimum(dark, -away))
    image -= 50.0 * (image > 90) * np.exp(-((dark / 1.5) ** 2))  # contacts and outlines
    found = direct_estimates(cv2.GaussianBlur(image, (0, 0), 0.7), False)
    assert found.discs == pytest.approx(5 * 11, abs=6)
    assert np.exp(found.log_diameter) == pytest.approx(25, abs=4)  # what is seen of them
    assert found.members == pytest.approx(11, abs=2)


@pytest.mark.parametrize("sharp", [0.6, 1.0])
def test_blur_adds_to_the_variance_of_lines(sharp):
    ring = np.zeros((512, 512))
    for y in range(64, 512, 128):
        for x in range(64, 512, 128):
            cv2.circle(ring, (x, y), 30, 1.0, 1)
    bodies = discs(60, 128, levels=(40, 90))

    def variance(blur_px):
        image = cv2.GaussianBlur(bodies + 400 * ring, (0, 0), blur_px)
        return direct_estimates(image, False).blur_variance

    assert variance(np.sqrt(sharp**2 + 0.5)) - variance(sharp) == pytest.approx(0.5, abs=0.25)


def test_dark_particles_give_the_estimates_of_bright_ones():
    image = np.round(discs() + noise((512, 512), 3.0, (0, 0))).clip(0, 255).astype(np.uint8)
    bright, dark = direct_estimates(image, False), direct_estimates(255 - image, True)
    assert np.array(dark) == pytest.approx(np.array(bright))


def test_rim_and_halo_are_estimated():
    plain = discs()
    depth = cv2.distanceTransform((plain > 90).astype(np.uint8), cv2.DIST_L2, 5)
    away = cv2.distanceTransform((plain <= 90).astype(np.uint8), cv2.DIST_L2, 5)
    changed = plain + 30 * ((depth > 0) & (depth < 5)) - 12 * ((away > 0) & (away < 5))
    before, after = direct_estimates(plain, False), direct_estimates(changed, False)
    assert after.rim - before.rim > 0.15
    assert before.halo - after.halo > 0.1


def test_an_image_of_one_level_has_no_estimates():
    assert direct_estimates(np.full((128, 128), 7, np.uint8), False) is None


def test_mean_sizes_are_weighted_by_coverage_and_discs():
    many, few = direct_estimates(discs(20, 32), False), direct_estimates(discs(32, 256), False)
    mean = mean_estimates([many, few])
    assert abs(mean.log_diameter - many.log_diameter) < abs(mean.log_diameter - few.log_diameter)
    assert mean.coverage == pytest.approx((many.coverage + few.coverage) / 2)


def test_dim_particles_are_not_counted_as_substrate_patches():
    plain = discs(spacing_px=128) + noise((512, 512), 2.0, (0, 0))
    dim = plain.copy()
    for y, x in ((128, 128), (256, 384), (384, 128)):
        cv2.circle(dim, (x, y), 14, 60.0, -1)
    before, after = direct_estimates(plain, False), direct_estimates(dim, False)
    assert after.patches == pytest.approx(before.patches, abs=0.01)
    assert after.halo == pytest.approx(before.halo, abs=0.01)

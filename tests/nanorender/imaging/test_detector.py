import numpy as np
import pytest
from detectors import FAULTLESS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from nanorender.errors import InputError
from nanorender.imaging.detector import DetectorSettings, detect

OFF = {**FAULTLESS, "blur_px": 0}


def detector(**values) -> DetectorSettings:
    return DetectorSettings.model_validate(OFF | values)


def seen(radiance, image_px=None, seed=0, **values):
    radiance = np.asarray(radiance, np.float32)
    rng = np.random.default_rng(seed)
    return detect(radiance, detector(**values), image_px or radiance.shape, rng)


def flat(level: float, shape=(300, 300)):
    return np.full(shape, level, np.float32)


def random_image(shape=(40, 50)):
    return np.random.default_rng(1).random(shape).astype(np.float32)


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_with_every_effect_off_the_image_is_the_radiance_rounded(bits, dtype):
    radiance = random_image()
    image = seen(radiance, bits=bits)
    assert image.dtype == dtype
    exact = radiance.astype(float) * (2**bits - 1)
    np.testing.assert_allclose(image, exact, atol=0.5 + 0.01)


@pytest.mark.parametrize("bits", [8, 16])
def test_black_and_white_saturate(bits):
    radiance = np.repeat(np.array([[0.0, 1.0, 7.0]], np.float32), 4, axis=0)
    white = 2**bits - 1
    np.testing.assert_array_equal(seen(radiance, bits=bits)[0], [0, white, white])
    np.testing.assert_array_equal(
        seen(radiance, bits=bits, black_level=0, contrast=3)[0], [0, white, white]
    )


@pytest.mark.parametrize("image_px", [(80, 100), (97, 131), (40, 50), (23, 31), (1, 1)])
def test_resampling_is_bilinear_between_the_middles_of_pixels(image_px):
    radiance = random_image()
    y, x = (
        (np.arange(count) + 0.5) * source / count - 0.5
        for count, source in zip(image_px, radiance.shape, strict=True)
    )
    places = np.meshgrid(y, x, indexing="ij")
    expected = map_coordinates(radiance.astype(float), places, order=1, mode="nearest") * 65535
    np.testing.assert_allclose(seen(radiance, image_px, bits=16), expected, atol=4)


def test_a_ramp_stays_a_ramp_when_magnified():
    radiance = np.broadcast_to((np.arange(60) + 0.5) / 60, (20, 60))
    image = seen(radiance, (80, 240), bits=16)
    expected = (np.arange(240) + 0.5) / 240 * 65535
    inside = slice(2, -2)  # beyond the middle of the outermost pixels there is nothing to blend
    np.testing.assert_allclose(image[40, inside], expected[inside], atol=4)


def moments(image):
    weight = image.astype(float) / image.sum()
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    dy, dx = y - (weight * y).sum(), x - (weight * x).sum()
    return np.array([(weight * dx * dx).sum(), (weight * dx * dy).sum(), (weight * dy * dy).sum()])


def point():
    radiance = np.zeros((81, 81), np.float32)
    radiance[40, 40] = 1
    return radiance


@pytest.mark.parametrize("sigma", [0.5, 0.9, 2.0, 3.5])
def test_the_point_spread_is_a_gaussian(sigma):
    image = seen(point() * 5 * sigma**2, blur_px=sigma, bits=16) / (65535 * 5 * sigma**2)
    expected = gaussian_filter(point(), sigma)
    np.testing.assert_allclose(moments(image), (sigma**2, 0, sigma**2), atol=0.01 * sigma**2 + 0.01)
    if sigma >= 0.9:  # narrower ones are sampled too coarsely to have a shape
        np.testing.assert_allclose(image, expected, atol=0.06 * expected.max())


def test_astigmatism_stretches_the_point_spread_along_its_direction():
    image = seen(point() * 16, blur_px=2.0, astigmatism=1.5, astigmatism_deg=30, bits=16)
    angle, long, short = np.deg2rad(30), 4 * 1.5, 4 / 1.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = turn @ np.diag([long, short]) @ turn.T
    np.testing.assert_allclose(
        moments(image), (expected[0, 0], expected[0, 1], expected[1, 1]), atol=0.08
    )


def test_the_blur_is_in_pixels_of_the_image_however_coarse_the_radiance():
    radiance = np.zeros((41, 41), np.float32)
    radiance[20, 20] = 0.9
    sharp, blurred = (seen(radiance, (164, 164), blur_px=s, bits=16) for s in (0, 3))
    np.testing.assert_allclose(moments(blurred) - moments(sharp), (9, 0, 9), atol=0.1)


@pytest.mark.parametrize("level", [0.15, 0.5, 0.8])
@pytest.mark.parametrize("counts", [200, 2000])
def test_shot_noise_has_the_variance_of_the_counts(level, counts):
    image = seen(flat(level), counts_at_white=counts, bits=16) / 65535
    assert image.mean() == pytest.approx(level, abs=5 * np.sqrt(level / counts) / 300)
    assert image.var() == pytest.approx(level / counts, rel=0.03)


@pytest.mark.parametrize("bits", [8, 16])
def test_constant_noise_has_its_standard_deviation_in_levels_of_eight_bits(bits):
    image = seen(flat(0.5), noise_levels=6.0, bits=bits) * (255 / (2**bits - 1))
    rounding = 1 / 12 if bits == 8 else 0
    assert image.mean() == pytest.approx(127.5, abs=0.1)
    assert image.var() == pytest.approx(36 + rounding, rel=0.03)


def test_noise_is_normal_and_white():
    noise = seen(flat(0.5, (400, 400)), noise_levels=20, bits=16).astype(float)
    z = (noise - noise.mean()) / noise.std()
    assert np.mean(z**3) == pytest.approx(0, abs=0.03)
    assert np.mean(z**4) == pytest.approx(3, abs=0.06)
    for shift in ((0, 1), (1, 0), (1, 1), (0, 2), (16, 0)):
        assert np.mean(z * np.roll(z, shift, (0, 1))) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("along", "across"), [(0.3, 0.0), (0.45, 0.2), (0.0, 0.5)])
def test_noise_has_its_correlation_and_variance(along, across):
    noise = seen(
        flat(0.5), noise_levels=20, noise_correlation=along, line_correlation=across, bits=16
    )
    z = (noise - noise.mean()) / noise.std()
    assert noise.std() / 257 == pytest.approx(20, rel=0.02)
    assert np.mean(z[:, 1:] * z[:, :-1]) == pytest.approx(along, abs=0.02)
    assert np.mean(z[1:] * z[:-1]) == pytest.approx(across, abs=0.02)
    assert np.mean(z[2:] * z[:-2]) == pytest.approx(0, abs=0.02)


def test_a_correlation_that_neighbors_cannot_have_is_refused():
    with pytest.raises(InputError, match=r"0 to 0\.5, got 0\.7"):
        seen(flat(0.5), noise_correlation=0.7)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(InputError, match="at least 1 x 1"):
        seen(flat(0.5), (0, 5))


def test_noise_does_not_depend_on_the_height_of_the_image():
    short, tall = (seen(flat(0.5, (h, 60)), noise_levels=5) for h in (20, 30))
    np.testing.assert_array_equal(short, tall[:20])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(seed):
    radiance, everything = random_image(), DetectorSettings(line_jitter_px=0.3, drift_px=1)
    first, second, other = (
        detect(radiance, everything, (90, 95), np.random.default_rng(s))
        for s in (seed, seed, seed + 1)
    )
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_the_radiance_is_not_changed():
    radiance = random_image()
    before = radiance.copy()
    detect(radiance, DetectorSettings(), (90, 95), np.random.default_rng(0))
    np.testing.assert_array_equal(radiance, before)


def test_tone_is_gamma_then_gain_then_contrast_about_middle_gray():
    radiance = random_image()
    image = seen(radiance, gain=0.8, gamma=1.5, black_level=0.1, contrast=0.7, bits=16)
    expected = 0.5 + 0.7 * (0.1 + 0.8 * radiance.astype(float) ** 1.5 - 0.5)
    np.testing.assert_allclose(image, expected * 65535, atol=3)


def test_dark_particles_are_the_negative_of_bright_ones():
    radiance = random_image()
    bright, dark = (seen(radiance, polarity=p, bits=16).astype(int) for p in ("bright", "dark"))
    np.testing.assert_allclose(bright + dark, 65535, atol=1)


def test_jitter_shifts_each_line_as_a_whole_by_its_standard_deviation():
    ramp = np.broadcast_to(0.1 + 0.001 * np.arange(500), (400, 500))
    image = seen(ramp, line_jitter_px=2.0, bits=16)
    shift = (image[:, 50:450] / 65535 - 0.1) / 0.001 - np.arange(50, 450)
    assert np.ptp(shift, axis=1).max() < 0.1
    assert shift[:, 0].std() == pytest.approx(2, rel=0.15)


def test_drift_builds_up_to_its_length():
    y, x = np.mgrid[:200, :200]
    drifted = [
        seen(0.1 + 0.001 * axis, drift_px=8.0, bits=16) / 65.535 - 100 - axis for axis in (y, x)
    ]
    first, last = (np.array([d[row, 100] for d in drifted]) for row in (20, 170))
    slope = (last - first) / 150 * 199
    assert np.hypot(*slope) == pytest.approx(8, rel=0.02)


def test_lines_differ_in_brightness_by_their_standard_deviation():
    image = seen(flat(0.5, (2000, 8)), line_noise_levels=3.0, bits=16) / 257
    assert np.ptp(image, axis=1).max() == 0
    assert image[:, 0].std() == pytest.approx(3, rel=0.1)


def test_streaks_lie_along_the_lines_of_bright_particles_only_and_fade():
    radiance = flat(0.3, (120, 400))
    radiance[50:70, 180:200] = 0.9
    change = seen(radiance, streak_strength=0.5, streak_length_px=30, bits=16) / 65535 - 0.3
    assert np.abs(change[:40]).max() < 1e-4
    assert np.abs(change[80:]).max() < 1e-4
    beside = np.abs(change[50:70, 205:]).max(axis=0)
    assert beside[0] > 0.02
    assert beside[30] / beside[0] == pytest.approx(np.exp(-1), rel=0.03)


def test_gradient_is_linear_and_has_its_strength():
    image = seen(flat(0.5, (101, 101)), gradient_strength=0.2, bits=16) / 65535
    assert image[50, 50] == pytest.approx(0.5, abs=1e-4)
    slope_y, slope_x = (image[100, 50] - image[0, 50]) / 0.5, (image[50, 100] - image[50, 0]) / 0.5
    assert np.hypot(slope_y, slope_x) == pytest.approx(0.2, abs=1e-3)

import numpy as np

from nanorender.imaging.smooth_noise import smooth_noise


def test_noise_is_smooth_over_its_size():
    noise = smooth_noise((512, 512), 8.0, np.random.default_rng(0))
    correlation = [float((noise * np.roll(noise, shift, 1)).mean()) for shift in (0, 4, 8, 16)]
    # Of a Gaussian of full width w, the correlation at a distance d is exp(-2 ln 2 d^2 / w^2)
    expected = [2 ** (-2 * d**2 / 8.0**2) for d in (0, 4, 8, 16)]
    np.testing.assert_allclose(correlation, expected, atol=0.05)

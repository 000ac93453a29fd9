"""Smooth noise: white noise filtered by a Gaussian, for films, pores and substrates."""

import numpy as np
import scipy.fft
from jaxtyping import Float32

_FWHM_OVER_SD = 2.3548


def smooth_noise(
    shape: tuple[int, int], size_px: float, rng: np.random.Generator
) -> Float32[np.ndarray, "h w"]:
    """Return Gaussian noise of mean 0 and variance 1, smooth over a distance.

    Parameters
    ----------
    shape : rows and columns
    size_px : full width at half maximum of the Gaussian that white noise is smoothed with
    rng : source of the white noise

    Returns
    -------
    numpy.ndarray
        (h, w) noise; opposite edges of it continue each other.

    Examples
    --------
    >>> noise = smooth_noise((64, 64), 3.0, np.random.default_rng(0))
    >>> round(float(noise.std()), 3)
    1.0
    """
    sd_px = size_px / _FWHM_OVER_SD
    white = rng.standard_normal(shape, dtype=np.float32)
    rows = np.exp(-2 * (np.pi * sd_px * scipy.fft.fftfreq(shape[0])) ** 2).astype(np.float32)
    columns = np.exp(-2 * (np.pi * sd_px * scipy.fft.rfftfreq(shape[1])) ** 2).astype(np.float32)
    spectrum = np.asarray(scipy.fft.rfft2(white)) * (rows[:, None] * columns)
    spectrum[0, 0] = 0
    noise = np.asarray(scipy.fft.irfft2(spectrum, shape, overwrite_x=True))
    return noise / max(float(noise.std()), 1e-12)

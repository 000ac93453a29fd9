"""Statistics of gray images: levels, gradients, local contrast, run lengths and power spectra."""

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Integer

LEVELS = 256
OCTAVES = 3  # of the gradients: at full, half and quarter resolution
WINDOWS_PX = (5, 17)  # of the local standard deviations
RUN_BINS, RUN_BINS_PER_OCTAVE = 40, 5  # of run lengths, from 1 px on
SPECTRUM_BANDS = 16
SPECTRUM_EDGE_PX = 128  # edge of the squares that power spectra are averaged over
_RUN_SMOOTHING_PX = 1.5

GrayImage = Float32[np.ndarray, "_ _"]
"""A gray image of levels from 0 to 255."""


class ImageStatistics(NamedTuple):
    """Histograms and power spectrum of an image, or their sums over several images.

    Each histogram of one image adds up to 1, so `gray.sum()` is the number of images.

    Attributes
    ----------
    gray : share of pixels at each gray level
    gradients : share of pixels at each gradient, in quarters of a level per px, at three octaves
    contrasts : share of pixels at each local standard deviation, in halves of a level, in two
        windows
    runs : share of pixels in dark and in bright runs of each length, along rows and columns
    spectrum : power in each band of spatial frequency, levels^2
    """

    gray: Float[np.ndarray, "levels"]
    gradients: Float[np.ndarray, "octaves levels"]
    contrasts: Float[np.ndarray, "windows levels"]
    runs: Float[np.ndarray, "2 bins"]
    spectrum: Float[np.ndarray, "bands"]


def image_statistics(
    image: Integer[np.ndarray, "h w"] | Float[np.ndarray, "h w"], threshold: float
) -> ImageStatistics:
    """Compute the statistics of an image of 256 gray levels.

    Parameters
    ----------
    image : gray levels from 0 to 255
    threshold : level that separates dark from bright runs

    Returns
    -------
    Histograms that each add up to 1, and the power spectrum.

    Examples
    --------
    >>> import numpy as np
    >>> stripes = np.zeros((64, 64))
    >>> stripes[:, ::2] = 100
    >>> image_statistics(stripes, threshold=50.0).gray[[0, 100]].tolist()
    [0.5, 0.5]
    """
    levels = np.asarray(image, np.float32)
    octaves: list[np.ndarray] = [levels]
    for _ in range(OCTAVES - 1):
        finer = octaves[-1]
        octaves.append(cv2.resize(finer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    smooth = cv2.GaussianBlur(levels, (0, 0), _RUN_SMOOTHING_PX)
    return ImageStatistics(
        gray=_histogram(levels),
        gradients=np.stack([_histogram(4 * gradient(octave, 1.0)) for octave in octaves]),
        contrasts=np.stack([_histogram(2 * local_deviation(levels, w)) for w in WINDOWS_PX]),
        runs=_run_lengths(smooth > threshold),
        spectrum=radial_power(levels),
    )


def sum_statistics(several: Iterable[ImageStatistics]) -> ImageStatistics:
    """Add up the statistics of several images.

    Parameters
    ----------
    several : statistics of one or more images

    Returns
    -------
    Sums of all histograms and power spectra.
    """
    return reduce(_add, several)


def _add(one: ImageStatistics, other: ImageStatistics) -> ImageStatistics:
    return ImageStatistics(*(a + b for a, b in zip(one, other, strict=True)))


def _histogram(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "levels"]:
    """Return the share of pixels at each level; higher values count as the highest level."""
    rounded = np.minimum(values + 0.5, LEVELS - 1).astype(np.uint8)
    return np.bincount(rounded.ravel(), minlength=LEVELS) / values.size


def gradient(levels: Float[np.ndarray, "h w"], smoothing_px: float) -> Float[np.ndarray, "h w"]:
    """Compute the gradient magnitude of a smoothed image.

    Parameters
    ----------
    levels : gray levels
    smoothing_px : standard deviation of the Gaussian filter

    Returns
    -------
    Gradient magnitude, levels per px.
    """
    smooth = cv2.GaussianBlur(levels, (0, 0), smoothing_px)
    x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return np.sqrt(x * x + y * y)  # rounding of cv2.magnitude depends on addresses


def local_deviation(levels: Float[np.ndarray, "h w"], window_px: int) -> Float[np.ndarray, "h w"]:
    """Compute the standard deviation in a square window around each pixel.

    Parameters
    ----------
    levels : gray levels
    window_px : edge of the window

    Returns
    -------
    Standard deviation, levels.
    """
    mean = cv2.blur(levels, (window_px, window_px))
    squares = cv2.sqrBoxFilter(levels, cv2.CV_32F, (window_px, window_px))
    return np.sqrt(np.maximum(squares - mean * mean, 0))


def _run_lengths(bright: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "2 bins"]:
    """Return the share of pixels in dark and bright runs of each length, in rows and columns."""
    counted = np.zeros((2, RUN_BINS))
    for lines in (bright, bright.T):
        ended = np.ones(lines.shape, bool)
        ended[:, :-1] = lines[:, 1:] != lines[:, :-1]
        ends = np.flatnonzero(ended)
        lengths = np.diff(ends, prepend=-1)
        bins = np.minimum((RUN_BINS_PER_OCTAVE * np.log2(lengths)).astype(np.int64), RUN_BINS - 1)
        kind = np.ascontiguousarray(lines).ravel()[ends].astype(np.int64)
        weights = lengths / bright.size / 2
        counted += np.bincount(kind * RUN_BINS + bins, weights, 2 * RUN_BINS).reshape(2, RUN_BINS)
    return counted


def radial_power(levels: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "bands"]:
    """Compute the radially averaged power spectrum, as a mean over squares (Welch 1967).

    Parameters
    ----------
    levels : gray levels

    Returns
    -------
    Power in 16 bands of equal width on a logarithmic frequency axis, from one period per square of
    128 px to the Nyquist frequency, levels^2.
    """
    # Assign each frequency to a band; the outermost two include all frequencies beyond.
    edge = min(SPECTRUM_EDGE_PX, *levels.shape)
    window = np.outer(np.hanning(edge), np.hanning(edge)).astype(np.float32)
    frequency = np.hypot(np.fft.fftfreq(edge)[:, None], np.fft.rfftfreq(edge)[None])
    position = np.log(np.maximum(frequency, 1e-9) * edge) / np.log(edge / 2) * (SPECTRUM_BANDS - 1)
    band = np.clip(np.round(position), -1, SPECTRUM_BANDS).astype(np.int64).ravel() + 1
    size = np.maximum(np.bincount(band, minlength=SPECTRUM_BANDS + 2), 1)
    # Average the spectra of all squares.
    power, squares = np.zeros(SPECTRUM_BANDS + 2), 0
    for top in range(0, levels.shape[0] - edge + 1, edge):
        for left in range(0, levels.shape[1] - edge + 1, edge):
            square = levels[top : top + edge, left : left + edge]
            spectrum = np.abs(np.fft.rfft2((square - square.mean()) * window)) ** 2
            power += np.bincount(band, spectrum.ravel(), SPECTRUM_BANDS + 2) / size
            squares += 1
    return power[1:-1] / squares / window.sum() ** 2

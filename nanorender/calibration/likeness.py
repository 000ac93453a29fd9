"""Likeness: how far the look of synthetic images is from that of real ones, in normalised terms.

Every term is a distance between distributions in units of the real images' own spread. It is
therefore a pure number, about 1 where nothing agrees, whatever the contrast of the images; and as
the synthetic images are in no denominator, none becomes small for a black image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Integer

from nanorender.calibration.estimate import Estimates, gradient

LEVELS = 256
OCTAVES = 3
WINDOWS_PX = (5, 17)
RUN_BINS = 40  # of run lengths, from 1 px on, 5 to an octave
BANDS = 16  # of spatial frequency
PATCH_PX = 128  # edge of the squares that power spectra are taken from


class Features(NamedTuple):
    """How images look, summed over images of equal weight.

    gray: (256) pixels of each level
    gradients: (3, 256) pixels of each gradient, in fourths of a level per px, at three octaves
    contrasts: (2, 256) pixels of each local standard deviation, in halves of a level, of two
        windows
    runs: (2, 40) pixels in runs of each length along lines and columns, dark and bright
    spectrum: (16) power at each spatial frequency, levels^2
    """

    gray: Float[np.ndarray, "levels"]
    gradients: Float[np.ndarray, "octaves levels"]
    contrasts: Float[np.ndarray, "windows levels"]
    runs: Float[np.ndarray, "kinds bins"]
    spectrum: Float[np.ndarray, "bands"]


class Terms(NamedTuple):
    """The terms of the loss, each 0 for equal images and about 1 where nothing agrees.

    gray: distance of the gray-level histograms, over the standard deviation of the real one
    spectrum: mean difference of the logarithm of the radial power spectra, in factors of ten
    gradients: distance of gradient magnitudes over their mean in the real images, over 3 octaves
    contrast: distance of local standard deviations over their mean, in windows of 5 and 17 px
    runs: distance of the logarithm of run lengths, below and above a threshold between the levels
    particles: mean difference of size, its spread, coverage and agglomeration, on logarithms
    """

    gray: float
    spectrum: float
    gradients: float
    contrast: float
    runs: float
    particles: float

    def loss(self) -> float:
        """Return the mean of the terms, each bent so that one of them cannot drown the others."""
        return float(np.mean([term / (1 + 0.5 * term) for term in self]))


def features(
    images: Sequence[Integer[np.ndarray, "h w"] | Float[np.ndarray, "h w"]], threshold: float
) -> Features:
    """Return the features of images of 256 gray levels; `threshold` parts runs into two kinds."""
    return Features(
        *(np.sum(parts, axis=0) for parts in zip(*_all(images, threshold), strict=True))
    )


def _all(images, threshold):
    return [_one(np.asarray(image, np.float32), threshold) for image in images]


def _one(levels: Float[np.ndarray, "h w"], threshold: float) -> Features:
    octaves = [levels]
    for _ in range(OCTAVES - 1):
        finer = octaves[-1]
        octaves.append(cv2.resize(finer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    slopes = [_histogram(4 * gradient(octave, 1.0)) for octave in octaves]
    deviations = [_histogram(2 * local_deviation(levels, window)) for window in WINDOWS_PX]
    smooth = cv2.GaussianBlur(levels, (0, 0), 1.5)
    return Features(
        gray=_histogram(levels),
        gradients=np.stack(slopes),
        contrasts=np.stack(deviations),
        runs=_runs(smooth > threshold),
        spectrum=radial_power(levels),
    )


def _histogram(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "levels"]:
    """Return the shares of pixels of each level, the topmost saturated."""
    rounded = np.minimum(values + 0.5, LEVELS - 1).astype(np.uint8)
    return np.bincount(rounded.ravel(), minlength=LEVELS) / values.size


def local_deviation(levels: Float[np.ndarray, "h w"], window: int) -> Float[np.ndarray, "h w"]:
    """Return the standard deviation in a square window about each pixel."""
    mean = cv2.blur(levels, (window, window))
    squares = cv2.sqrBoxFilter(levels, cv2.CV_32F, (window, window))
    return np.sqrt(np.maximum(squares - mean * mean, 0))


def _runs(bright: np.ndarray) -> Float[np.ndarray, "2 bins"]:
    """Return the share of pixels in runs of each length, along rows and along columns."""
    counted = np.zeros((2, RUN_BINS))
    for lines in (bright, bright.T):
        ended = np.ones((lines.shape[0], lines.shape[1]), bool)
        ended[:, :-1] = lines[:, 1:] != lines[:, :-1]
        ends = np.flatnonzero(ended)
        lengths = np.diff(ends, prepend=-1)
        bins = np.minimum((5 * np.log2(lengths)).astype(np.int64), RUN_BINS - 1)
        kind = np.ascontiguousarray(lines).ravel()[ends].astype(np.int64)
        weights = lengths / bright.size / 2
        counted += np.bincount(kind * RUN_BINS + bins, weights, 2 * RUN_BINS).reshape(2, RUN_BINS)
    return counted


def radial_power(levels: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "bands"]:
    """Return the power at spatial frequencies in bands, mean over squares (Welch 1967).

    Bands are equally wide on the logarithm of the frequency, from one period in a square to 1/2 px.
    """
    edge = min(PATCH_PX, *levels.shape)
    window = np.outer(np.hanning(edge), np.hanning(edge)).astype(np.float32)
    frequency = np.hypot(np.fft.fftfreq(edge)[:, None], np.fft.rfftfreq(edge)[None])
    position = np.log(np.maximum(frequency, 1e-9) * edge) / np.log(edge / 2) * (BANDS - 1)
    band = np.clip(np.round(position), -1, BANDS).astype(np.int64) + 1
    power, squares = np.zeros(BANDS + 2), 0
    size = np.maximum(np.bincount(band.ravel(), minlength=BANDS + 2), 1)
    for top in range(0, levels.shape[0] - edge + 1, edge):
        for left in range(0, levels.shape[1] - edge + 1, edge):
            square = levels[top : top + edge, left : left + edge]
            spectrum = np.abs(np.fft.rfft2((square - square.mean()) * window)) ** 2
            power += np.bincount(band.ravel(), spectrum.ravel(), BANDS + 2) / size
            squares += 1
    return power[1:-1] / squares / window.sum() ** 2


def terms(
    real: Features, synthetic: Features, of_real: Estimates, of_synthetic: Estimates | None
) -> Terms:
    """Return how far synthetic images are from real ones; without particles is as far as can be."""
    # Each image's histogram adds up to one, so that their sum is the number of images.
    power = np.log10(
        np.maximum(synthetic.spectrum / synthetic.gray.sum(), 1e-9)
        / np.maximum(real.spectrum / real.gray.sum(), 1e-9)
    )
    level = real.gray / real.gray.sum()
    mean = float(level @ np.arange(LEVELS))
    deviation = float(np.sqrt(level @ (np.arange(LEVELS) - mean) ** 2))
    return Terms(
        gray=_distance(real.gray, synthetic.gray) / max(deviation, 1.0),
        spectrum=float(np.abs(power).mean()),
        gradients=_relative(real.gradients, synthetic.gradients),
        contrast=_relative(real.contrasts, synthetic.contrasts),
        runs=_distance(real.runs.ravel(), synthetic.runs.ravel()) / 5,
        particles=_particles(of_real, of_synthetic),
    )


def _distance(a: Float[np.ndarray, "n"], b: Float[np.ndarray, "n"]) -> float:
    """Return the earth mover's distance of two histograms, in bins."""
    difference = np.cumsum(a / max(a.sum(), 1e-12)) - np.cumsum(b / max(b.sum(), 1e-12))
    return float(np.abs(difference).sum())


def _relative(a: Float[np.ndarray, "m n"], b: Float[np.ndarray, "m n"]) -> float:
    """Return the mean over rows of the distance over the mean of `a`."""
    means = a @ np.arange(a.shape[1]) / a.sum(axis=1)
    return float(np.mean([_distance(x, y) for x, y in zip(a, b, strict=True)] / means))


def _particles(real: Estimates, synthetic: Estimates | None) -> float:
    if synthetic is None:
        return 2.0
    differences = (
        2 * (real.log_diameter - synthetic.log_diameter),
        real.log_diameter_spread - synthetic.log_diameter_spread,
        np.log(real.coverage / max(synthetic.coverage, 1e-4)),
        np.log(real.members / synthetic.members) / 2,
    )
    return float(np.mean(np.abs(differences)))

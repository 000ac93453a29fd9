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
from scipy.linalg import block_diag

from nanorender.calibration.estimate import Estimates, gradient

LEVELS = 256
OCTAVES = 3
WINDOWS_PX = (5, 17)
RUN_BINS, RUN_OCTAVE = 40, 5  # of run lengths, from 1 px on, and how many are an octave
BANDS = 16  # of spatial frequency
PATCH_PX = 128  # edge of the squares that power spectra are taken from
QUANTILES = 128  # of each histogram
PARTICLE_WEIGHTS = (2.0, 1.0, 1.0, 0.5)  # of size, its spread, coverage and members
SHADING_WEIGHTS = (4.0, 2.0, 1.0, 1.0, 0.5, 0.5)  # of levels, rim, halo, spread and mottle
NOTHING_SEEN = 2.0  # difference of what particles show where there are none


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
    shading: mean difference of the levels of particles and substrate, of rims, of the substrate
        beside particles, and of how brightness varies from particle to particle and within them
    """

    gray: float
    spectrum: float
    gradients: float
    contrast: float
    runs: float
    particles: float
    shading: float

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
        bins = np.minimum((RUN_OCTAVE * np.log2(lengths)).astype(np.int64), RUN_BINS - 1)
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


class Reference(NamedTuple):
    """Real images as what synthetic ones are held against.

    shows: their coordinates
    weights: (7, coordinates) of absolute differences in each of the terms
    """

    shows: Float[np.ndarray, "coordinates"]
    weights: Float[np.ndarray, "terms coordinates"]

    def terms(self, shown: Float[np.ndarray, "coordinates"]) -> Terms:
        """Return how far what synthetic images show is from the real ones."""
        apart = np.nan_to_num(np.abs(shown - self.shows), nan=NOTHING_SEEN)
        return Terms(*(self.weights @ apart).tolist())


def reference(real: Features, of_real: Estimates) -> Reference:
    """Return real images as what synthetic ones are held against."""
    level = real.gray / real.gray.sum()
    mean = float(level @ np.arange(LEVELS))
    deviation = float(np.sqrt(level @ (np.arange(LEVELS) - mean) ** 2))
    terms = [
        [_shares(1 / max(deviation, 1.0))],
        [np.full(BANDS, 1 / BANDS)],
        [_shares(1 / mean / OCTAVES) for mean in _means(real.gradients)],
        [_shares(1 / mean / len(WINDOWS_PX)) for mean in _means(real.contrasts)],
        [np.full(2 * RUN_BINS, 1 / RUN_OCTAVE)],
        [np.array(PARTICLE_WEIGHTS) / len(PARTICLE_WEIGHTS)],
        [np.array(SHADING_WEIGHTS) / len(SHADING_WEIGHTS)],
    ]
    weights = np.asarray(block_diag(*(np.concatenate(rows) for rows in terms)))
    return Reference(coordinates(real, of_real), weights)


def coordinates(of: Features, estimates: Estimates | None) -> Float[np.ndarray, "coordinates"]:
    """Return what images show as numbers that settings change nearly in proportion.

    Histograms are given by quantiles, which a brighter image moves by as much as it is brighter;
    lengths of runs by cumulative shares; power and sizes by logarithms. In quantiles as in
    cumulative shares the sum of absolute differences is the earth mover's distance of histograms.
    What particles show is not a number where there are none.
    """
    # Each image's histogram adds up to one, so that their sum is the number of images.
    power = np.log10(np.maximum(of.spectrum / of.gray.sum(), 1e-9))
    rows = [of.gray, *of.gradients, *of.contrasts]
    gray, *slopes = map(_quantiles, rows)
    runs = np.cumsum(of.runs.ravel() / of.runs.sum())
    return np.concatenate([gray, power, *slopes, runs, _of_particles(estimates)])


def _quantiles(histogram: Float[np.ndarray, "n"]) -> Float[np.ndarray, "quantiles"]:
    """Return quantiles, in bins, at evenly spread shares."""
    below = np.concatenate([[0.0], np.cumsum(histogram)]) / histogram.sum()
    return np.interp((np.arange(QUANTILES) + 0.5) / QUANTILES, below, np.arange(below.size))


def _of_particles(estimates: Estimates | None) -> Float[np.ndarray, "10"]:
    if estimates is None:
        return np.full(len(PARTICLE_WEIGHTS) + len(SHADING_WEIGHTS), np.nan)
    return np.array(
        [
            estimates.log_diameter,
            estimates.log_diameter_spread,
            np.log(max(estimates.coverage, 1e-4)),
            np.log(estimates.members),
            np.log(max(estimates.particle_level, 1.0)),
            np.log(max(estimates.substrate_level, 1.0)),
            estimates.rim,
            estimates.halo,
            np.log(max(estimates.brightness_spread, 0.01)),
            np.log(max(estimates.mottle, 0.005)),
        ]
    )


def _shares(weight: float) -> Float[np.ndarray, "quantiles"]:
    return np.full(QUANTILES, weight / QUANTILES)


def _means(histograms: Float[np.ndarray, "m n"]) -> list[float]:
    """Return the mean of each of several histograms, in bins."""
    return (histograms @ np.arange(LEVELS) / histograms.sum(axis=1)).tolist()

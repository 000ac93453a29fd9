"""Exposure: gray levels read line by line as a beam scans, with the noise of counting.

All of it works at the resolution of the finished image, so it is what decides how long an image
takes: every step is one plain loop over a line.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from scipy.special import ndtri

from nanorender.jit import kernel

QUANTILES = 4096


class Noise(NamedTuple):
    """What the kernel needs to know about noise, in gray levels of the image.

    gaussian_variance: of the noise that does not depend on the signal, levels^2
    shot_variance: of shot noise, levels^2 per level of signal
    along, across: weights of the next pixel and of the next line in a moving average
    seed: of the hash
    """

    gaussian_variance: np.float32
    shot_variance: np.float32
    along: np.float32
    across: np.float32
    seed: np.uint32


class Lines(NamedTuple):
    """Where every scan line is read, and how much brighter it is.

    source_y: (height) row of the radiance, a fraction
    shift_x: (height) columns of the radiance
    offset: (height) gray levels
    """

    source_y: Float32[np.ndarray, "n"]
    shift_x: Float32[np.ndarray, "n"]
    offset: Float32[np.ndarray, "n"]


def _normal_quantiles() -> Float32[np.ndarray, "n"]:
    """Return equally likely values of a normal distribution: mean 0, variance 1 exactly."""
    values = ndtri((np.arange(QUANTILES) + 0.5) / QUANTILES)
    return (values / values.std()).astype(np.float32)


_NORMAL = _normal_quantiles()


@kernel
def _draw_line(target, line, seed, quantiles):
    """Fill `target` with standard normal noise for a scan line.

    Counter-based: the hash (Wellons 2018, "lowbias32") of a pixel's number picks a quantile, so
    that noise depends on nothing but the seed and the place.
    """
    first = np.uint32(np.uint32(line) * np.uint32(target.shape[0]))
    for j in range(target.shape[0]):
        h = np.uint32(np.uint32(first + np.uint32(j)) ^ seed)
        h = np.uint32(h ^ np.uint32(h >> np.uint32(16)))
        h = np.uint32(h * np.uint32(0x7FEB352D))
        h = np.uint32(h ^ np.uint32(h >> np.uint32(15)))
        h = np.uint32(h * np.uint32(0x846CA68B))
        target[j] = quantiles[np.uint32(h >> np.uint32(20))]


@kernel
def _place(left, part, shift, scale):
    """Find the columns that the pixels of a line lie between.

    left: (width) column to the left; part: (width) how far on to the next, 0 to 1
    """
    last = np.float32(round(scale * left.shape[0]) - 1)
    half, zero = np.float32(0.5), np.float32(0)
    for j in range(left.shape[0]):
        x = (np.float32(j) + half) * scale - half + shift
        x = min(max(x, zero), last)
        column = np.int32(x)
        left[j] = column
        part[j] = x - np.float32(column)


@kernel
def _stretch(signal, source, step, left, part):
    """Fill a line with linear interpolation; `step` is the difference to the next column."""
    for j in range(signal.shape[0]):
        column = left[j]
        signal[j] = source[column] + part[j] * step[column]


@kernel
def _average(averaged, drawn, drawn_next, noise):
    """Fill `averaged` with a moving average of noise over two pixels of two lines."""
    for j in range(averaged.shape[0]):
        here = drawn[j] + noise.along * drawn[j + 1]
        averaged[j] = here + noise.across * (drawn_next[j] + noise.along * drawn_next[j + 1])


@kernel
def _add_noise(signal, drawn, noise):
    """Add normal noise of the variance that each level has."""
    for j in range(signal.shape[0]):
        counted = max(signal[j], np.float32(0)) * noise.shot_variance
        signal[j] += drawn[j] * np.sqrt(noise.gaussian_variance + counted)


@kernel
def _store(target, signal, white):
    """Round to whole levels, saturated at black and white."""
    for j in range(target.shape[0]):
        level = min(max(signal[j] + np.float32(0.5), np.float32(0)), white)
        target[j] = np.int32(level)


@kernel
def _expose(image, levels, lines, noise, quantiles):
    """Fill `image` with `levels` resampled bilinearly, with noise, rounded and saturated.

    Strategy: line by line, with buffers of a line's length and one plain loop a step, each of
    which the compiler vectorises; fused into one loop they took twice as long.
    """
    rows, columns = levels.shape
    height, width = image.shape
    white = np.float32(255 if image.itemsize == 1 else 65535)
    left, part = np.empty(width, np.int32), np.empty(width, np.float32)
    source, step = np.empty(columns, np.float32), np.zeros(columns, np.float32)
    signal, averaged = np.empty(width, np.float32), np.empty(width, np.float32)
    drawn = np.empty((2, width + 1), np.float32)
    correlated = noise.along != 0 or noise.across != 0
    noisy = noise.gaussian_variance > 0 or noise.shot_variance > 0
    _draw_line(drawn[0], 0, noise.seed, quantiles)
    for i in range(height):
        y = min(max(lines.source_y[i], np.float32(0)), np.float32(rows - 1))
        top = int(y)
        down = y - np.float32(top)
        above, below = levels[top], levels[min(top + 1, rows - 1)]
        for j in range(columns):
            source[j] = above[j] + down * (below[j] - above[j]) + lines.offset[i]
        for j in range(columns - 1):
            step[j] = source[j + 1] - source[j]
        if i == 0 or lines.shift_x[i] != lines.shift_x[i - 1]:
            _place(left, part, lines.shift_x[i], np.float32(columns / width))
        _stretch(signal, source, step, left, part)
        if noisy and correlated:
            _draw_line(drawn[(i + 1) % 2], i + 1, noise.seed, quantiles)
            _average(averaged, drawn[i % 2], drawn[(i + 1) % 2], noise)
            _add_noise(signal, averaged, noise)
        elif noisy:
            _draw_line(drawn[0], i, noise.seed, quantiles)
            _add_noise(signal, drawn[0], noise)
        _store(image[i], signal, white)


def expose(
    image: UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"],
    levels: Float32[np.ndarray, "h w"],
    lines: Lines,
    noise: Noise,
) -> None:
    """Fill `image` with `levels`, resampled bilinearly, with noise, rounded and saturated."""
    _expose(image, levels, lines, noise, _NORMAL)

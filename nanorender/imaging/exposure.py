"""Exposure: gray levels read line by line as a beam scans, with the noise of counting.

All of it works at the resolution of the finished image and takes most of the time of the
detector, so every step is one plain loop over a line.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64, UInt8, UInt16

from nanorender.jit import kernel, subroutine


class Noise(NamedTuple):
    """Noise in gray levels of the image.

    Attributes
    ----------
    gaussian_variance : of the noise that does not depend on the signal, levels^2
    shot_variance : of shot noise, levels^2 per level of signal
    along, across : weights of the next pixel and of the next line in a moving average
    seed : of the hash
    """

    gaussian_variance: np.float32
    shot_variance: np.float32
    along: np.float32
    across: np.float32
    seed: np.uint32


class Lines(NamedTuple):
    """Position and brightness of the scan lines.

    Attributes
    ----------
    source_y : (n) row of the radiance that each line reads, a fraction
    shift_x : (n) shift to the right, columns of the radiance
    offset : (n) added gray levels
    """

    source_y: Float32[np.ndarray, "n"]
    shift_x: Float32[np.ndarray, "n"]
    offset: Float32[np.ndarray, "n"]


class _Reader(NamedTuple):
    """Buffers of the line that is read.

    Attributes
    ----------
    left, part : (w) column of the radiance to the left of each pixel, and how far on to the next
    step : (columns) differences between columns of a row
    stretched : (2, w) the two rows of the radiance around the line at the image's width
    held : (2) which rows these are
    """

    left: Int32[np.ndarray, "w"]
    part: Float32[np.ndarray, "w"]
    step: Float32[np.ndarray, "columns"]
    stretched: Float32[np.ndarray, "2 w"]
    held: Int64[np.ndarray, "2"]


class _Grain(NamedTuple):
    """Buffers of noise: of this and the next line, (2, w + 1), and their moving average, (w)."""

    drawn: Float32[np.ndarray, "2 w+1"]
    averaged: Float32[np.ndarray, "w"]


def _cubic() -> tuple[float, float]:
    """Return the weights of z and z^3 that make the sum z of four bytes less 510 nearly normal.

    The cubic has variance 1 and fourth cumulant 0, an expansion of Cornish and Fisher (1938); its
    quantiles are within 0.04 of the normal's up to 3 standard deviations.
    """
    chance = np.array([1.0])
    for _ in range(4):
        chance = np.convolve(chance, np.full(256, 1 / 256))
    z = np.arange(chance.size) - 510.0
    z_scale = np.sqrt((chance * z**2).sum())
    z, bend = z / z_scale, 0.0
    for _ in range(50):
        bent = z + bend * (z**3 - 3 * z)
        variance = (chance * bent**2).sum()
        bend -= ((chance * bent**4).sum() / variance**2 - 3) / 24
    scale = 1 / np.sqrt(variance)
    return scale * (1 - 3 * bend) / z_scale, scale * bend / z_scale**3


_LINEAR, _CUBED = (np.float32(weight) for weight in _cubic())


@subroutine
def _draw_line(target, line, seed):
    """Fill `target` with standard normal noise for a scan line.

    Counter-based: the four bytes of a hash (Wellons 2018, "lowbias32") of the pixel's index are
    summed, so noise depends only on seed and position. A table of quantiles instead of the sum
    takes four times as long.
    """
    first, byte = np.uint32(np.uint32(line) * np.uint32(target.shape[0])), np.uint32(0xFF)
    for j in range(target.shape[0]):
        h = np.uint32(np.uint32(first + np.uint32(j)) ^ seed)
        h = np.uint32(h ^ np.uint32(h >> np.uint32(16)))
        h = np.uint32(h * np.uint32(0x7FEB352D))
        h = np.uint32(h ^ np.uint32(h >> np.uint32(15)))
        h = np.uint32(h * np.uint32(0x846CA68B))
        h = np.uint32(h ^ np.uint32(h >> np.uint32(16)))
        two = np.uint32(np.uint32(h & byte) + np.uint32(np.uint32(h >> np.uint32(8)) & byte))
        more = np.uint32(np.uint32(np.uint32(h >> np.uint32(16)) & byte) + (h >> np.uint32(24)))
        z = np.float32(np.int32(two + more) - np.int32(510))
        target[j] = z * (_LINEAR + _CUBED * z * z)


@subroutine
def _place(left, part, shift, scale):
    """Find the column to the left of each pixel of a line, and how far on it lies to the next."""
    last = np.float32(round(scale * left.shape[0]) - 1)
    half, zero = np.float32(0.5), np.float32(0)
    for j in range(left.shape[0]):
        x = (np.float32(j) + half) * scale - half + shift
        x = min(max(x, zero), last)
        column = np.int32(x)
        left[j] = column
        part[j] = x - np.float32(column)


@subroutine
def _stretch(target, source, step, left, part):
    """Interpolate a row of the radiance between its columns."""
    for j in range(source.shape[0] - 1):
        step[j] = source[j + 1] - source[j]
    for j in range(target.shape[0]):
        column = left[j]
        target[j] = source[column] + part[j] * step[column]


@subroutine
def _between(signal, above, below, down, offset):
    """Interpolate between two stretched rows, `down` of the way to the lower one."""
    for j in range(signal.shape[0]):
        signal[j] = above[j] + down * (below[j] - above[j]) + offset


@subroutine
def _average(averaged, drawn, drawn_next, noise):
    """Compute the moving average of noise over two pixels of two lines."""
    for j in range(averaged.shape[0]):
        here = drawn[j] + noise.along * drawn[j + 1]
        averaged[j] = here + noise.across * (drawn_next[j] + noise.along * drawn_next[j + 1])


@subroutine
def _add_noise(signal, drawn, noise):
    """Add normal noise with the variance of each level."""
    for j in range(signal.shape[0]):
        counted = max(signal[j], np.float32(0)) * noise.shot_variance
        signal[j] += drawn[j] * np.sqrt(noise.gaussian_variance + counted)


@subroutine
def _store(target, signal, white):
    """Round to integer levels, saturated at black and white."""
    for j in range(target.shape[0]):
        level = min(max(signal[j] + np.float32(0.5), np.float32(0)), white)
        target[j] = np.int32(level)


@subroutine
def new_reader(columns, width):
    """Return a reader of lines of `width` pixels from a radiance of `columns` columns."""
    return _Reader(
        np.empty(width, np.int32),
        np.empty(width, np.float32),
        np.zeros(columns, np.float32),
        np.empty((2, width), np.float32),
        np.full(2, -1),
    )


@subroutine
def new_grain(width, noise):
    """Return the noise of the first of lines of `width` pixels."""
    drawn = np.empty((2, width + 1), np.float32)
    _draw_line(drawn[0], 0, noise.seed)
    return _Grain(drawn, np.empty(width, np.float32))


@subroutine
def read_line(signal, i, levels, lines, reader):
    """Fill `signal` with line i of the image, interpolated bilinearly in `levels`.

    Strategy: one plain loop a step, each of which the compiler vectorizes; fused into one loop
    they took twice as long. A row of the radiance is stretched once for all lines that read it.
    """
    rows, columns = levels.shape
    left, part, step, stretched, held = reader
    # Find the columns, which change if the line is shifted otherwise than the one before
    y = min(max(lines.source_y[i], np.float32(0)), np.float32(rows - 1))
    top = int(y)
    if i == 0 or lines.shift_x[i] != lines.shift_x[i - 1]:
        _place(left, part, lines.shift_x[i], np.float32(columns / signal.size))
        held[:] = -1
    # Stretch the rows above and below, unless the line before has done so
    for row in (top, min(top + 1, rows - 1)):
        if held[row % 2] != row:
            _stretch(stretched[row % 2], levels[row], step, left, part)
            held[row % 2] = row
    above, below = stretched[top % 2], stretched[min(top + 1, rows - 1) % 2]
    _between(signal, above, below, y - np.float32(top), lines.offset[i])


@subroutine
def store_line(image, i, signal, noise, grain):
    """Add noise to `signal` and store it as line i of the image, rounded and saturated."""
    drawn, averaged = grain
    noisy = noise.gaussian_variance > 0 or noise.shot_variance > 0
    if noisy and (noise.along != 0 or noise.across != 0):
        _draw_line(drawn[(i + 1) % 2], i + 1, noise.seed)
        _average(averaged, drawn[i % 2], drawn[(i + 1) % 2], noise)
        _add_noise(signal, averaged, noise)
    elif noisy:
        _draw_line(drawn[0], i, noise.seed)
        _add_noise(signal, drawn[0], noise)
    _store(image[i], signal, np.float32(255 if image.itemsize == 1 else 65535))


@kernel
def _expose(image, levels, lines, noise):
    """Read and store the lines of an image one by one."""
    height, width = image.shape
    signal = np.empty(width, np.float32)
    reader, grain = new_reader(levels.shape[1], width), new_grain(width, noise)
    for i in range(height):
        read_line(signal, i, levels, lines, reader)
        store_line(image, i, signal, noise, grain)


def expose(
    image: UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"],
    levels: Float32[np.ndarray, "h w"],
    lines: Lines,
    noise: Noise,
    spread_px2: Float[np.ndarray, "2 2"],
) -> None:
    """Fill an image with gray levels: resampled bilinearly, with noise, rounded and saturated.

    Parameters
    ----------
    image
        The image to fill.
    levels
        Gray levels in the pixels of the radiance, blurred already.
    lines
        Position and brightness of the scan lines.
    noise
        Variances, correlations and seed.
    spread_px2
        Covariance of the point spread in pixels of the image. It matters only to exposures that
        add detail to `levels`, see `upsampling.exposure`.
    """
    _expose(image, levels, lines, noise)

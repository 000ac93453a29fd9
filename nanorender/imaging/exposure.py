"""Exposure: gray levels read line by line as a beam scans, with the noise of counting.

All of it works at the resolution of the finished image, so it is what decides how long an image
takes: every step is one plain loop over a line.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from nanorender.jit import kernel, subroutine
from nanorender.upsampling.silhouettes import Silhouettes, sharpen_line


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


class PointSpread(NamedTuple):
    """A Gaussian as repeated weighting of 3 x 3 pixels.

    weights: (3, 3) of one step
    steps: how many; 0 for none
    """

    weights: Float32[np.ndarray, "3 3"]
    steps: int


def _cubic() -> tuple[float, float]:
    """Return the weights of z and z^3 that make the sum z of four bytes less 510 nearly normal.

    Its cubic that has variance 1 and the fourth cumulant 0, as Cornish and Fisher (1938) expand
    quantiles; they are within 0.04 of the normal's up to 3 standard deviations.
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

    Counter-based: the four bytes of a hash (Wellons 2018, "lowbias32") of the pixel's number are
    summed, so that noise depends on nothing but the seed and the place. A table of quantiles in
    place of the sum takes four times as long.
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


@subroutine
def _stretch(target, source, step, left, part):
    """Fill a line with a row of the radiance, interpolated between its columns."""
    for j in range(source.shape[0] - 1):
        step[j] = source[j + 1] - source[j]
    for j in range(target.shape[0]):
        column = left[j]
        target[j] = source[column] + part[j] * step[column]


@subroutine
def _between(signal, above, below, down, offset):
    """Fill a line with levels between those of two stretched rows."""
    for j in range(signal.shape[0]):
        signal[j] = above[j] + down * (below[j] - above[j]) + offset


@subroutine
def _average(averaged, drawn, drawn_next, noise):
    """Fill `averaged` with a moving average of noise over two pixels of two lines."""
    for j in range(averaged.shape[0]):
        here = drawn[j] + noise.along * drawn[j + 1]
        averaged[j] = here + noise.across * (drawn_next[j] + noise.along * drawn_next[j + 1])


@subroutine
def _add_noise(signal, drawn, noise):
    """Add normal noise of the variance that each level has."""
    for j in range(signal.shape[0]):
        counted = max(signal[j], np.float32(0)) * noise.shot_variance
        signal[j] += drawn[j] * np.sqrt(noise.gaussian_variance + counted)


@subroutine
def _store(target, signal, white):
    """Round to whole levels, saturated at black and white."""
    for j in range(target.shape[0]):
        level = min(max(signal[j] + np.float32(0.5), np.float32(0)), white)
        target[j] = np.int32(level)


@subroutine
def _spread(target, above, here, below, weights):
    """Fill all but the ends of a line with three lines under nine weights."""
    w00, w01, w02 = weights[0, 0], weights[0, 1], weights[0, 2]
    w10, w11, w12 = weights[1, 0], weights[1, 1], weights[1, 2]
    w20, w21, w22 = weights[2, 0], weights[2, 1], weights[2, 2]
    for j in range(1, target.shape[0] - 1):
        upper = w00 * above[j - 1] + w01 * above[j] + w02 * above[j + 1]
        middle = w10 * here[j - 1] + w11 * here[j] + w12 * here[j + 1]
        target[j] = upper + middle + (w20 * below[j - 1] + w21 * below[j] + w22 * below[j + 1])


@subroutine
def _sharpen(spreading, i, levels, lines, silhouettes, weights):
    """Read line i of what silhouettes gain, and spread each of the lines before it a step further.

    spreading: (steps + 1, 3, width + 2) the last three lines after each step
    """
    height, width = lines.source_y.size, spreading.shape[2] - 2
    row, shift = height, 0
    if i < height:
        y = (lines.source_y[i] + np.float32(0.5)) * (height / levels.shape[0])
        row = round(y - 0.5)
        shift = round(lines.shift_x[i] * (width / levels.shape[1]))
    sharpen_line(spreading[0, i % 3], levels, silhouettes, row, shift)
    for step in range(1, spreading.shape[0]):
        line, before = i - step, spreading[step - 1]
        if line >= 0:
            above, below = before[(line - 1) % 3], before[(line + 1) % 3]
            _spread(spreading[step, line % 3], above, before[line % 3], below, weights)


@subroutine
def _add(signal, gained):
    """Add to a line what silhouettes gain in it."""
    for j in range(signal.shape[0]):
        signal[j] += gained[j + 1]


@kernel
def _expose(image, levels, lines, noise, silhouettes, point_spread):
    """Fill `image` with `levels` resampled bilinearly, with noise, rounded and saturated.

    Strategy: line by line, with buffers of a line's length and one plain loop a step, each of
    which the compiler vectorises; fused into one loop they took twice as long. A row of the
    radiance is stretched once for all the lines that it serves.
    """
    rows, columns = levels.shape
    height, width = image.shape
    white = np.float32(255 if image.itemsize == 1 else 65535)
    left, part = np.empty(width, np.int32), np.empty(width, np.float32)
    step = np.zeros(columns, np.float32)
    stretched, held = np.empty((2, width), np.float32), np.full(2, -1)
    signal, averaged = np.empty(width, np.float32), np.empty(width, np.float32)
    drawn = np.empty((2, width + 1), np.float32)
    correlated = noise.along != 0 or noise.across != 0
    noisy = noise.gaussian_variance > 0 or noise.shot_variance > 0
    _draw_line(drawn[0], 0, noise.seed)
    weights, sharp = point_spread.weights, silhouettes.column.size > 0
    ahead = point_spread.steps if sharp else 0
    spreading = np.zeros((ahead + 1, 3, width + 2), np.float32)
    for i in range(ahead):
        _sharpen(spreading, i, levels, lines, silhouettes, weights)
    for i in range(height):
        y = min(max(lines.source_y[i], np.float32(0)), np.float32(rows - 1))
        top = int(y)
        if i == 0 or lines.shift_x[i] != lines.shift_x[i - 1]:
            _place(left, part, lines.shift_x[i], np.float32(columns / width))
            held[:] = -1
        for row in (top, min(top + 1, rows - 1)):
            if held[row % 2] != row:
                _stretch(stretched[row % 2], levels[row], step, left, part)
                held[row % 2] = row
        above, below = stretched[top % 2], stretched[min(top + 1, rows - 1) % 2]
        _between(signal, above, below, y - np.float32(top), lines.offset[i])
        if sharp:
            _sharpen(spreading, i + ahead, levels, lines, silhouettes, weights)
            _add(signal, spreading[ahead, i % 3])
        if noisy and correlated:
            _draw_line(drawn[(i + 1) % 2], i + 1, noise.seed)
            _average(averaged, drawn[i % 2], drawn[(i + 1) % 2], noise)
            _add_noise(signal, averaged, noise)
        elif noisy:
            _draw_line(drawn[0], i, noise.seed)
            _add_noise(signal, drawn[0], noise)
        _store(image[i], signal, white)


def expose(
    image: UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"],
    levels: Float32[np.ndarray, "h w"],
    lines: Lines,
    noise: Noise,
    silhouettes: Silhouettes,
    point_spread: PointSpread,
) -> None:
    """Fill `image` with `levels`, resampled bilinearly, with noise, rounded and saturated.

    Along silhouettes only rendered pixels of the same particle are interpolated; what that changes
    is spread by the point spread, in pixels of the image.
    """
    _expose(image, levels, lines, noise, silhouettes, point_spread)

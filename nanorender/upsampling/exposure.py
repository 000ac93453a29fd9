"""Exposure of a magnified image, with outlines as sharp as its own point spread."""

import math

import numpy as np
from jaxtyping import Float, Float32, UInt8, UInt16

from nanorender.imaging.exposure import (
    Lines,
    Noise,
    expose,
    new_grain,
    new_reader,
    read_line,
    store_line,
)
from nanorender.imaging.point_spread import point_spread
from nanorender.jit import kernel, subroutine
from nanorender.upsampling.silhouettes import Silhouettes

WIDEST_PX = 0.5  # standard deviation above which the point spread hides outlines, rendered pixels


def expose_sharpened(
    silhouettes: Silhouettes,
    image: UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"],
    levels: Float32[np.ndarray, "h w"],
    lines: Lines,
    noise: Noise,
    spread_px2: Float[np.ndarray, "2 2"],
) -> None:
    """Fill an image as `imaging.exposure.expose`, but with sharp silhouettes.

    Along silhouettes only rendered pixels of the same particle are interpolated. The difference
    to bilinear interpolation is spread by the point spread in pixels of the image. Under a point
    spread of more than half a rendered pixel, nothing is sharpened.

    Parameters
    ----------
    silhouettes
        Of the exact labels in the pixels of the image.
    image, levels, lines, noise, spread_px2
        As in `imaging.exposure.expose`.
    """
    per_pixel = np.array(levels.shape[::-1]) / np.array(image.shape[::-1])
    coarse_spread = spread_px2 * np.outer(per_pixel, per_pixel)
    if silhouettes.column.size == 0 or coarse_spread.diagonal().max() > WIDEST_PX**2:
        expose(image, levels, lines, noise, spread_px2)
    else:
        weights, steps = point_spread(spread_px2)
        _expose_sharpened(image, levels, lines, noise, silhouettes, weights, steps)


@kernel
def _expose_sharpened(image, levels, lines, noise, silhouettes, weights, steps):
    """Read, sharpen and store the lines of an image one by one.

    The gain of a line spreads over `steps` lines above and below, so as many are read ahead.
    """
    height, width = image.shape
    signal = np.empty(width, np.float32)
    reader, grain = new_reader(levels.shape[1], width), new_grain(width, noise)
    gains = np.zeros((steps + 1, 3, width + 2), np.float32)
    for i in range(steps):
        _read_gain(gains, i, levels, lines, silhouettes, weights)
    for i in range(height):
        read_line(signal, i, levels, lines, reader)
        _read_gain(gains, i + steps, levels, lines, silhouettes, weights)
        gain = gains[steps, i % 3]
        for j in range(width):
            signal[j] += gain[j + 1]
        store_line(image, i, signal, noise, grain)


@subroutine
def _read_gain(gains, i, levels, lines, silhouettes, weights):
    """Compute the gain of line i, and spread that of each of the lines before it a step further.

    gains: (steps + 1, 3, width + 2) the last three lines after each step
    """
    height, width = lines.source_y.size, gains.shape[2] - 2
    # Find the row and the shift of the labels that the line shows
    row, shift = height, 0
    if i < height:
        y = (lines.source_y[i] + np.float32(0.5)) * (height / levels.shape[0])
        row = round(y - 0.5)
        shift = round(lines.shift_x[i] * (width / levels.shape[1]))
    _gain_of_row(gains[0, i % 3], levels, silhouettes, row, shift)
    # Spread each line once the next one is known
    for step in range(1, gains.shape[0]):
        line, before = i - step, gains[step - 1]
        if line >= 0:
            above, below = before[(line - 1) % 3], before[(line + 1) % 3]
            _spread_line(gains[step, line % 3], above, before[line % 3], below, weights)


@subroutine
def _spread_line(target, above, here, below, weights):
    """Fill all but the ends of a line with three lines under nine weights."""
    w00, w01, w02 = weights[0, 0], weights[0, 1], weights[0, 2]
    w10, w11, w12 = weights[1, 0], weights[1, 1], weights[1, 2]
    w20, w21, w22 = weights[2, 0], weights[2, 1], weights[2, 2]
    for j in range(1, target.shape[0] - 1):
        upper = w00 * above[j - 1] + w01 * above[j] + w02 * above[j + 1]
        middle = w10 * here[j - 1] + w11 * here[j] + w12 * here[j + 1]
        target[j] = upper + middle + (w20 * below[j - 1] + w21 * below[j] + w22 * below[j + 1])


@subroutine
def _gain_of_row(gain, levels, silhouettes, r, shift):
    """Compute the change of row r of the image if only the same particle is interpolated.

    gain: (w + 2) a line of the image, `shift` pixels to the left of the labels, with a pixel
        more at each end; 0 away from silhouettes
    """
    gain[:] = np.float32(0)
    height, width = silhouettes.first.size - 1, gain.size - 2
    rows, columns = levels.shape
    if not 0 <= r < height:
        return
    # Find the cell between rendered pixels, as in `cells`
    y = (r + 0.5) * (rows / height) + 0.5
    a = math.floor(y)
    down = np.float32(y - a)
    above, below = levels[max(a - 1, 0)], levels[min(a, rows - 1)]
    for n in range(silhouettes.first[r], silhouettes.first[r + 1]):
        c, same = silhouettes.column[n], silhouettes.same[n]
        if not 0 <= c - shift < width:
            continue
        x = (c + 0.5) * (columns / width) + 0.5
        b = math.floor(x)
        across = np.float32(x - b)
        left, right = max(b - 1, 0), min(b, columns - 1)
        # Interpolate all four corners, and those of the same particle
        total = same_total = same_weight = np.float32(0)
        for k in range(4):
            line = below if k & 2 else above
            level = line[right] if k & 1 else line[left]
            weight = across if k & 1 else np.float32(1) - across
            weight *= down if k & 2 else np.float32(1) - down
            total += weight * level
            if same & (1 << k):
                same_weight += weight
                same_total += weight * level
        if same_weight > 0:
            gain[c - shift + 1] = same_total / same_weight - total

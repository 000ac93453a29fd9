"""Fractal textures by the diamond-square algorithm."""

import math

import numpy as np
from jaxtyping import Float

from nanorender.jit import kernel


@kernel
def _refine(corners, drawn, amplitude, side_ratio):
    """Return a grid of twice the resolution: one diamond step and one square step.

    corners: (m, m); drawn: 3 (m, m) random numbers from 0 to 1, of which not all are used
    amplitude: maximum displacement of the diamond step
    side_ratio: maximum displacement of the square step, relative to that of the diamond step

    Strategy: the centers of the squares and the middles of their upper and left sides are rows of
    their own, so that loops are contiguous; at edges the missing neighbor is mirrored.
    """
    m = corners.shape[0]
    fine = np.empty((2 * m - 1, 2 * m - 1), np.float32)
    quarter, scale = np.float32(0.25), np.float32(2 * amplitude)
    # Diamond step: displace the centers of the squares
    middles = np.empty((m - 1, m - 1), np.float32)
    for i in range(m - 1):
        upper, lower, target, chance = corners[i], corners[i + 1], middles[i], drawn[0, i]
        for j in range(m - 1):
            around = upper[j] + upper[j + 1] + lower[j] + lower[j + 1]
            target[j] = around * quarter + scale * (chance[j] - np.float32(0.5))
    scale *= side_ratio
    side = np.empty(m, np.float32)
    for i in range(m):
        # Square step: displace the middles of the upper sides and interleave them with corners
        here = corners[i]
        above, below = middles[i - 1 if i > 0 else 0], middles[i if i < m - 1 else m - 2]
        chance = drawn[1, i]
        for j in range(m - 1):
            around = above[j] + below[j] + here[j] + here[j + 1]
            side[j] = around * quarter + scale * (chance[j] - np.float32(0.5))
        target = fine[2 * i]
        for j in range(m - 1):
            target[2 * j] = here[j]
            target[2 * j + 1] = side[j]
        target[2 * m - 2] = here[m - 1]
        if i == m - 1:
            break
        # Displace the middles of the left sides and interleave them with the centers
        between, lower, chance = middles[i], corners[i + 1], drawn[2, i]
        for j in range(1, m - 1):
            around = between[j - 1] + between[j] + here[j] + lower[j]
            side[j] = around * quarter + scale * (chance[j] - np.float32(0.5))
        # The integer makes the sums at the edges double precision; samples depend on it
        for j, inner in ((0, 0), (m - 1, m - 2)):
            around = 2 * between[inner] + here[j] + lower[j]
            side[j] = around * quarter + scale * (chance[j] - np.float32(0.5))
        target = fine[2 * i + 1]
        for j in range(m - 1):
            target[2 * j] = side[j]
            target[2 * j + 1] = between[j]
        target[2 * m - 2] = side[m - 1]
    return fine


def diamond_square(
    size: int, roughness: float, rng: np.random.Generator
) -> Float[np.ndarray, "size size"]:
    """Generate a fractal texture (Fournier, Fussell & Carpenter 1982).

    The surface is a fractional Brownian one of Hurst exponent H = 1 - roughness: mean squared
    differences grow as distance^(2H), the power spectrum falls as frequency^-(2H + 2).

    Parameters
    ----------
    size : edge length, px; at least 1
    roughness : from 0 (smooth clouds) to 1 (equally strong at all scales)
    rng : random generator

    Returns
    -------
    texture : (size, size) values from -1 to 1

    Examples
    --------
    >>> texture = diamond_square(65, 0.6, np.random.default_rng(0))
    >>> round(float(texture.min()), 3), round(float(texture.max()), 3)
    (-1.0, 1.0)
    """
    hurst = 1.0 - roughness
    levels = max(1, math.ceil(math.log2(max(size - 1, 1))))
    texture = (2 * rng.random((2, 2), dtype=np.float32) - 1).astype(np.float32)
    amplitude, side_ratio = 1.0, np.float32(0.5 ** (hurst / 2))
    for _ in range(levels):
        # The deviation of a point from the mean of four neighbors at distance d, in a surface of
        # squared differences d^(2H), has a variance proportional to d^(2H); the neighbors of the
        # middle of a side are nearer than those of a center by a factor of sqrt(2).
        amplitude *= 0.5**hurst
        drawn = rng.random((3, *texture.shape), dtype=np.float32)
        texture = _refine(texture, drawn, np.float32(amplitude), side_ratio)
    # Cut out a random part and stretch it to -1 to 1
    top, left = rng.integers(0, texture.shape[0] - size + 1, 2)
    cut = texture[top : top + size, left : left + size]
    low, high = cut.min(), cut.max()
    if low == high:
        return np.zeros((size, size), np.float32)
    return (cut - (low + high) / 2) * np.float32(2 / (high - low))

"""Fractal textures by the diamond-square algorithm."""

import math

import numpy as np
from jaxtyping import Float32


def _refine(
    corners: Float32[np.ndarray, "m m"],
    drawn: Float32[np.ndarray, "3 m m"],
    amplitude: np.float32,
    side_ratio: np.float32,
) -> Float32[np.ndarray, "k k"]:
    """Return a grid of twice the resolution: one diamond step and one square step.

    drawn: random numbers from 0 to 1, of which not all are used
    amplitude: maximum displacement of the diamond step
    side_ratio: maximum displacement of the square step, relative to that of the diamond step
    """
    m = len(corners)
    half, quarter = np.float32(0.5), np.float32(0.25)
    fine = np.empty((2 * m - 1, 2 * m - 1), np.float32)
    fine[::2, ::2] = corners
    # Diamond step: displace the centers of the squares
    scale = 2 * amplitude
    around = corners[:-1, :-1] + corners[:-1, 1:] + corners[1:, :-1] + corners[1:, 1:]
    centers = around * quarter + scale * (drawn[0, :-1, :-1] - half)
    fine[1::2, 1::2] = centers
    # Square step: displace the middles of the sides; at edges the missing neighbor is mirrored
    scale = scale * side_ratio
    padded = np.pad(centers, 1, mode="edge")
    around = padded[:-1, 1:-1] + padded[1:, 1:-1] + corners[:, :-1] + corners[:, 1:]
    fine[::2, 1::2] = around * quarter + scale * (drawn[1, :, :-1] - half)
    around = padded[1:-1, :-1] + padded[1:-1, 1:] + corners[:-1] + corners[1:]
    fine[1::2, ::2] = around * quarter + scale * (drawn[2, :-1] - half)
    return fine


def diamond_square(
    size: int, roughness: float, rng: np.random.Generator
) -> Float32[np.ndarray, "size size"]:
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

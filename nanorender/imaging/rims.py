"""Rims: wobbly ellipses and arcs of them, as dried droplets and flakes leave on a substrate."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.jit import kernel

HARMONICS = 3  # of the wobble that turns an ellipse into an outline found in nature


class Rims(NamedTuple):
    """Wobbly ellipses in pixels, of which an arc is drawn; one row each.

    center: (n, 2) x, y, px
    radius: (n, 2) half axes, px
    angle: (n) of the first half axis to x, rad
    wobble: (n, 3, 2) amplitude as a fraction of the radius, and phase, of harmonics 2, 3, 4
    start, extent: (n) where the arc starts and how far it goes, rad
    strength: (n) brightness of the rim at the middle of the arc, as a change of the factor
    width_px: standard deviation of the rim's profile, px
    """

    center: Float[np.ndarray, "n 2"]
    radius: Float[np.ndarray, "n 2"]
    angle: Float[np.ndarray, "n"]
    wobble: Float[np.ndarray, "n 3 2"]
    start: Float[np.ndarray, "n"]
    extent: Float[np.ndarray, "n"]
    strength: Float[np.ndarray, "n"]
    width_px: float


@kernel
def draw_rims(factor, rims, shift):
    """Add the arcs to `factor`, a Gaussian dab every half pixel along them.

    shift: (n) 1 for rims that fade towards their ends, 0 for rims of even brightness.
    """
    height, width = factor.shape
    sigma = max(rims.width_px, 0.35)
    reach = math.ceil(2.5 * sigma)
    across = np.empty(2 * reach + 1)
    # A line of dabs half a pixel apart then peaks at the rim's strength.
    dab = np.float32(0.5 / (math.sqrt(2 * math.pi) * sigma))
    for k in range(rims.angle.shape[0]):
        a, b = rims.radius[k]
        cosine, sine = math.cos(rims.angle[k]), math.sin(rims.angle[k])
        count = int(2 * max(a, b) * rims.extent[k]) + 2
        for step in range(count):
            along = step / count
            phi = rims.start[k] + along * rims.extent[k]
            scale = 1.0
            for m in range(HARMONICS):
                scale += rims.wobble[k, m, 0] * math.cos((m + 2) * phi + rims.wobble[k, m, 1])
            u, v = a * scale * math.cos(phi), b * scale * math.sin(phi)
            x = rims.center[k, 0] + cosine * u - sine * v - 0.5
            y = rims.center[k, 1] + sine * u + cosine * v - 0.5
            fade = 1.0 - shift[k] * (1.0 - math.sin(math.pi * along))
            weight = dab * rims.strength[k] * fade
            # The profile is separable: one exponential for each column, not for each pixel.
            first = max(0, round(x) - reach)
            last = min(width, round(x) + reach + 1)
            for j in range(first, last):
                across[j - first] = math.exp(-0.5 * ((j - x) / sigma) ** 2)
            for i in range(max(0, round(y) - reach), min(height, round(y) + reach + 1)):
                row = weight * math.exp(-0.5 * ((i - y) / sigma) ** 2)
                for j in range(first, last):
                    factor[i, j] += row * across[j - first]


@kernel
def fill(factor, rims, level):
    """Add `level` inside closed rims, softened over a pixel at the rim."""
    height, width = factor.shape
    for k in range(rims.angle.shape[0]):
        a, b = rims.radius[k]
        cosine, sine = math.cos(rims.angle[k]), math.sin(rims.angle[k])
        x0, y0 = rims.center[k, 0] - 0.5, rims.center[k, 1] - 0.5
        reach = math.ceil(1.8 * max(a, b)) + 1
        for i in range(max(0, int(y0) - reach), min(height, int(y0) + reach + 1)):
            for j in range(max(0, int(x0) - reach), min(width, int(x0) + reach + 1)):
                u = (cosine * (j - x0) + sine * (i - y0)) / a
                v = (cosine * (i - y0) - sine * (j - x0)) / b
                phi = math.atan2(v, u)
                scale = 1.0
                for m in range(HARMONICS):
                    scale += rims.wobble[k, m, 0] * math.cos((m + 2) * phi + rims.wobble[k, m, 1])
                inside = 0.5 + (scale - math.hypot(u, v)) * math.sqrt(a * b)
                factor[i, j] += level[k] * min(max(inside, 0.0), 1.0)


def flattening(rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
    """Return minor over major axes."""
    return rng.uniform(0.5, 1.0, count)


def wobble(rng: np.random.Generator, count: int) -> Float[np.ndarray, "n m 2"]:
    """Return amplitudes, falling with the harmonic, and phases."""
    amplitude = rng.normal(0, 0.12, (count, HARMONICS)) / np.arange(1, HARMONICS + 1)
    return np.stack((amplitude, rng.uniform(0, 2 * np.pi, (count, HARMONICS))), axis=-1)

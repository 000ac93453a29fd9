"""Rims: wobbly ellipses and arcs of them, as dried droplets and flakes leave on a substrate."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.jit import kernel, subroutine

_HARMONICS = 3  # of the wobble that makes an ellipse irregular


class Rims(NamedTuple):
    """Wobbly ellipses, of which an arc is drawn; one row each.

    Attributes
    ----------
    center : (n, 2) x, y, px
    radius : (n, 2) half axes, px
    angle : (n,) angle between the first half axis and x, rad
    wobble : (n, 3, 2) amplitude, relative to the radius, and phase of the harmonics 2, 3, 4
    start, extent : (n,) start and extent of the arc, rad
    strength : (n,) change of the factor on the line, in the middle of the arc
    width_px : standard deviation of the profile of the line, px
    """

    center: Float[np.ndarray, "n 2"]
    radius: Float[np.ndarray, "n 2"]
    angle: Float[np.ndarray, "n"]
    wobble: Float[np.ndarray, "n 3 2"]
    start: Float[np.ndarray, "n"]
    extent: Float[np.ndarray, "n"]
    strength: Float[np.ndarray, "n"]
    width_px: float


@subroutine
def _wobbled(wobble, phi):
    """Return the radius in the direction phi, relative to that of the ellipse."""
    scale = 1.0
    for m in range(_HARMONICS):
        scale += wobble[m, 0] * math.cos((m + 2) * phi + wobble[m, 1])
    return scale


@kernel
def draw_rims(factor, rims, shift):
    """Add arcs to the factor, as Gaussian dabs at intervals of half a pixel.

    shift: (n) 1 for arcs that fade towards their ends, 0 for arcs of constant brightness
    """
    height, width = factor.shape
    sigma = max(rims.width_px, 0.35)
    reach = math.ceil(2.5 * sigma)
    across = np.empty(2 * reach + 1)
    # A line of dabs half a pixel apart then peaks at the strength of the rim
    dab = np.float32(0.5 / (math.sqrt(2 * math.pi) * sigma))
    for k in range(rims.angle.shape[0]):
        a, b = rims.radius[k]
        cos, sin = math.cos(rims.angle[k]), math.sin(rims.angle[k])
        count = int(2 * max(a, b) * rims.extent[k]) + 2
        for step in range(count):
            # Find the position and the weight of the dab
            along = step / count
            phi = rims.start[k] + along * rims.extent[k]
            scale = _wobbled(rims.wobble[k], phi)
            u, v = a * scale * math.cos(phi), b * scale * math.sin(phi)
            x = rims.center[k, 0] + cos * u - sin * v - 0.5
            y = rims.center[k, 1] + sin * u + cos * v - 0.5
            fade = 1.0 - shift[k] * (1.0 - math.sin(math.pi * along))
            weight = dab * rims.strength[k] * fade
            # Add it; the profile is separable, so each column takes one exponential
            first = max(0, round(x) - reach)
            last = min(width, round(x) + reach + 1)
            for j in range(first, last):
                across[j - first] = math.exp(-0.5 * ((j - x) / sigma) ** 2)
            for i in range(max(0, round(y) - reach), min(height, round(y) + reach + 1)):
                row = weight * math.exp(-0.5 * ((i - y) / sigma) ** 2)
                for j in range(first, last):
                    factor[i, j] += row * across[j - first]


@kernel
def fill_rims(factor, rims, level):
    """Add `level`, (n), inside closed rims, antialiased over a pixel."""
    height, width = factor.shape
    for k in range(rims.angle.shape[0]):
        a, b = rims.radius[k]
        cos, sin = math.cos(rims.angle[k]), math.sin(rims.angle[k])
        x0, y0 = rims.center[k, 0] - 0.5, rims.center[k, 1] - 0.5
        reach = math.ceil(1.8 * max(a, b)) + 1
        for i in range(max(0, int(y0) - reach), min(height, int(y0) + reach + 1)):
            for j in range(max(0, int(x0) - reach), min(width, int(x0) + reach + 1)):
                u = (cos * (j - x0) + sin * (i - y0)) / a
                v = (cos * (i - y0) - sin * (j - x0)) / b
                scale = _wobbled(rims.wobble[k], math.atan2(v, u))
                inside = 0.5 + (scale - math.hypot(u, v)) * math.sqrt(a * b)
                factor[i, j] += level[k] * min(max(inside, 0.0), 1.0)


def draw_aspect(rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
    """Draw the ratio of the minor to the major axis of rims.

    Parameters
    ----------
    rng : random generator
    count : number of rims

    Returns
    -------
    aspect : (count,) ratios, 0.5 to 1
    """
    return rng.uniform(0.5, 1.0, count)


def draw_wobble(rng: np.random.Generator, count: int) -> Float[np.ndarray, "n m 2"]:
    """Draw the amplitudes of the wobble, decreasing with the harmonic, and its phases.

    Parameters
    ----------
    rng : random generator
    count : number of rims

    Returns
    -------
    wobble : (count, 3, 2) amplitude, relative to the radius, and phase, rad, of each harmonic
    """
    amplitude = rng.normal(0, 0.12, (count, _HARMONICS)) / np.arange(1, _HARMONICS + 1)
    return np.stack((amplitude, rng.uniform(0, 2 * np.pi, (count, _HARMONICS))), axis=-1)

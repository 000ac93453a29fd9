"""The detector: from radiance to the gray image that a microscope stores."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8, UInt16

from nanorender.distributions import (
    Constant,
    NonNegativeDistribution,
    PositiveDistribution,
    Uniform,
)
from nanorender.errors import InputError
from nanorender.imaging.exposure import Lines, Noise, expose
from nanorender.imaging.point_spread import blur, covariance_px2
from nanorender.jit import kernel
from nanorender.settings import Settings

Exposure = Callable[[Any, Any, Lines, Noise, Any], None]
"""Function that fills the image, with the parameters of `exposure.expose`."""


class DetectorSettings(Settings):
    """From radiance to gray levels, with values drawn for each image.

    A strength of 0 turns an effect off, as do a gain, contrast, gamma and astigmatism of 1. A
    radiance r becomes black_level + gain * r^gamma, as a fraction of white, before the contrast is
    applied. Gray levels are those of an 8-bit image, whatever `bits` is.
    """

    blur_px: NonNegativeDistribution = Uniform(low=0.5, high=0.9)
    """Standard deviation of the point spread, in pixels of the image; geometric mean of both
    axes."""
    astigmatism: PositiveDistribution = Uniform(low=1.0, high=1.2)
    """Ratio of the long to the short axis of the point spread."""
    astigmatism_deg: NonNegativeDistribution = Uniform(low=0.0, high=180.0)
    """Direction of the long axis of the point spread, from x towards y, in degrees."""
    gain: PositiveDistribution = Uniform(low=0.85, high=1.2)
    """Factor on the signal."""
    gamma: PositiveDistribution = Constant(value=1.0)
    """Exponent of the radiance."""
    black_level: NonNegativeDistribution = Uniform(low=0.0, high=0.06)
    """Gray level without signal, as a fraction of white."""
    contrast: PositiveDistribution = Constant(value=1.0)
    """Factor on the difference from middle gray."""
    counts_at_white: NonNegativeDistribution = Uniform(low=900.0, high=2500.0)
    """Number of electrons counted in a white pixel, which sets the shot noise; 0 for none. The
    Poisson distribution is approximated by a normal one, accurate from about 20 counts."""
    noise_levels: NonNegativeDistribution = Uniform(low=0.5, high=1.5)
    """Standard deviation of the noise that is independent of the signal, in gray levels."""
    noise_correlation: NonNegativeDistribution = Uniform(low=0.25, high=0.45)
    """Correlation of the noise of neighbors along a scan line, from 0 to 0.5, as a slow amplifier
    produces."""
    line_correlation: NonNegativeDistribution = Uniform(low=0.15, high=0.35)
    """Correlation of the noise of neighbors in successive lines, from 0 to 0.5, as resampling
    produces."""
    line_noise_levels: NonNegativeDistribution = Uniform(low=0.0, high=0.4)
    """Standard deviation of the brightness of whole scan lines, in gray levels."""
    line_jitter_px: NonNegativeDistribution = Constant(value=0.0)
    """Standard deviation of the sideways shift of scan lines, in pixels; labels are not shifted."""
    drift_px: NonNegativeDistribution = Constant(value=0.0)
    """Shift from the first to the last line, in a random direction, in pixels; labels are not
    shifted."""
    streak_strength: NonNegativeDistribution = Uniform(low=0.0, high=0.08)
    """Strength of dark or bright tails beside bright particles along the scan, relative to their
    excess over the mean."""
    streak_length_px: PositiveDistribution = Uniform(low=50.0, high=200.0)
    """Length over which a tail decreases to 1/e, in pixels."""
    gradient_strength: NonNegativeDistribution = Uniform(low=0.0, high=0.05)
    """Change of brightness over the image, as a fraction."""
    bits: Literal[8, 16] = 8
    """Bit depth of the image."""
    polarity: Literal["bright", "dark"] = "bright"
    """Whether particles are brighter or darker than the substrate."""


@kernel
def _add_streaks(image, band, decay):
    """Add tails of pixels above the mean, decaying to both sides along the rows.

    band: (h) strength of the tails in each row
    """
    mean = np.float32(image.mean())
    height, width = image.shape
    tail = np.empty(width, np.float32)
    fresh = np.float32(1) - decay
    for i in range(height):
        level = np.float32(0)
        for j in range(width):
            tail[j] = level
            level = decay * level + fresh * max(image[i, j] - mean, np.float32(0))
        level = np.float32(0)
        for j in range(width - 1, -1, -1):
            tail[j] += level
            level = decay * level + fresh * max(image[i, j] - mean, np.float32(0))
        for j in range(width):
            image[i, j] += band[i] * tail[j]


def detect(
    radiance: Float[np.ndarray, "h w"],
    settings: DetectorSettings,
    image_px: tuple[int, int],
    rng: np.random.Generator,
    exposure: Exposure = expose,
) -> UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"]:
    """Detect the radiance as the image that a microscope stores.

    Point spread, tone, streaks and gradient are applied in the pixels of the radiance; then come
    bilinear resampling, shifts of scan lines, noise and rounding in those of the image.

    Parameters
    ----------
    radiance
        0 is black and 1 is white; more saturates.
    settings
        Distributions from which the properties of this image are drawn.
    image_px
        Height and width of the image.
    rng
        Source of the drawn properties and of the noise.
    exposure
        How gray levels become the image; `upsample` provides one that sharpens outlines.

    Returns
    -------
    (H, W) array
        Gray levels of 8 or 16 bits.

    Raises
    ------
    InputError
        If `image_px` is below 1 x 1, or a correlation drawn is above 1/2.

    Examples
    --------
    >>> import numpy as np
    >>> radiance = np.full((4, 5), 0.5, np.float32)
    >>> image = detect(radiance, DetectorSettings(), (8, 10), np.random.default_rng(0))
    >>> image.shape, str(image.dtype)
    ((8, 10), 'uint8')
    """
    if min(image_px) < 1:
        raise InputError(f"image_px must be at least 1 x 1, got {image_px[0]} x {image_px[1]}")
    drawn = {
        name: getattr(settings, name).draw(rng)
        for name in DetectorSettings.model_fields
        if name not in ("bits", "polarity")
    }
    height, width = image_px
    rows, columns = radiance.shape
    image = np.empty(image_px, np.uint8 if settings.bits == 8 else np.uint16)
    white = 2**settings.bits - 1
    noise = _noise(drawn, white, rng)
    # Blur, adjust the tone and add streaks and gradient in the pixels of the radiance
    spread = covariance_px2(drawn["blur_px"], drawn["astigmatism"], drawn["astigmatism_deg"])
    per_pixel = np.array((columns / width, rows / height))
    levels = _tone(blur(radiance, spread * np.outer(per_pixel, per_pixel)), settings, drawn)
    if drawn["streak_strength"] > 0:
        band = drawn["streak_strength"] * _bands(rows, rng)
        decay = np.exp(-1 / (drawn["streak_length_px"] * per_pixel[0]))
        _add_streaks(levels, band, np.float32(decay))
    if drawn["gradient_strength"] > 0:
        levels *= 1 + drawn["gradient_strength"] * _gradient(levels.shape, rng)
    levels *= white
    # Scan the lines of the image
    lines = _lines(drawn, levels.shape, image_px, white / 255, rng)
    exposure(image, levels, lines, noise, spread)
    return image


def _lines(
    drawn: dict[str, float],
    radiance_px: tuple[int, int],
    image_px: tuple[int, int],
    per_level: float,
    rng: np.random.Generator,
) -> Lines:
    """Draw the scan lines; `per_level` is the number of levels in a level of 8 bits."""
    height, width = image_px
    angle = rng.uniform(0, 2 * np.pi)
    built_up = drawn["drift_px"] * np.linspace(0, 1, height)
    shift_x = built_up * np.cos(angle) + drawn["line_jitter_px"] * rng.standard_normal(height)
    source_y = np.arange(height) + 0.5 + built_up * np.sin(angle)
    offset = drawn["line_noise_levels"] * per_level * rng.standard_normal(height)
    return Lines(
        source_y=(source_y * (radiance_px[0] / height) - 0.5).astype(np.float32),
        shift_x=(shift_x * (radiance_px[1] / width)).astype(np.float32),
        offset=offset.astype(np.float32),
    )


def _noise(drawn: dict[str, float], white: int, rng: np.random.Generator) -> Noise:
    """Return noise with the variances and correlations drawn for an image."""
    along = _next_weight(drawn["noise_correlation"])
    across = _next_weight(drawn["line_correlation"])
    # The weights of neighbors increase the variance of the average: divide by their effect.
    averaged = (1 + along**2) * (1 + across**2)
    counts = drawn["counts_at_white"]
    return Noise(
        gaussian_variance=np.float32((drawn["noise_levels"] * white / 255) ** 2 / averaged),
        shot_variance=np.float32(white / counts / averaged if counts > 0 else 0),
        along=np.float32(along),
        across=np.float32(across),
        seed=np.uint32(rng.integers(2**32)),
    )


def _tone(
    radiance: Float[np.ndarray, "h w"], settings: DetectorSettings, drawn: dict[str, float]
) -> Float[np.ndarray, "h w"]:
    """Return the level as a fraction of white, not saturated, in a new array."""
    level = 1 - np.minimum(radiance, 1) if settings.polarity == "dark" else radiance
    if drawn["gamma"] != 1:
        level = np.exp(np.float32(drawn["gamma"]) * np.log(np.maximum(level, np.float32(1e-9))))
    slope = drawn["contrast"] * drawn["gain"]
    base = 0.5 + drawn["contrast"] * (drawn["black_level"] - 0.5)
    return np.float32(slope) * level + np.float32(base)


def _next_weight(correlation: float) -> float:
    """Return the weight c for which z[j] + c z[j + 1] of white noise z has a given correlation.

    The correlation of neighbors is c / (1 + c^2), which is at most 1/2.
    """
    if correlation > 0.5:
        raise InputError(f"a noise correlation must be from 0 to 0.5, got {correlation:g}")
    if correlation == 0:
        return 0.0
    return (1 - math.sqrt(1 - 4 * correlation**2)) / (2 * correlation)


def _bands(count: int, rng: np.random.Generator) -> Float[np.ndarray, "h"]:
    """Return strengths of rows, -1 to 1, in bands about six rows wide."""
    noise = np.convolve(rng.standard_normal(count + 12), np.hanning(13), mode="valid")
    return np.tanh(noise / 2).astype(np.float32)


def _gradient(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return a plane inclined in a random direction, from -1/2 to 1/2 along it, 0 in the middle."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = (np.linspace(-0.5, 0.5, count, dtype=np.float32) for count in shape)
    return np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y[:, None]

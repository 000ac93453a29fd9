"""Direct estimates from a gray image alone: levels, noise, point spread, sizes and coverage.

Each is simple and slightly biased: a threshold counts some rims as substrate, and touching
particles are separated at their necks. Calibration measures synthetic images in the same way and
compares estimates with estimates, so that a common bias cancels (indirect inference; Gourieroux,
Monfort & Renault 1993, J. Appl. Econometrics 8, S85).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer

from nanorender.calibration.image_statistics import gradient
from nanorender.calibration.inscribed_discs import (
    SMOOTHING_PX,
    inscribed_discs,
    split_at_valleys,
    thin,
    thinned_median,
)

_SHARPNESS_SCALES_PX = (1.0, 2.0)
_LEAST_PARTICLES = 3
_SATURATED = 245.0  # noise is clipped from this level on
_LEAST_CONTRAST = 2.5  # of particles against the substrate, in standard deviations of the noise
_LEAST_SHARE_OF_CONTRAST = 0.4  # of a particle in its image, or an image in its series: else dirt
_LEAST_SHARE_OF_SIZE = 0.35  # of a particle, relative to the typical one in its image
_TRIMMED_SHARE = 0.5  # share of squares kept for the noise, the smallest: edges are in the others
_TRIMMED_VARIANCE = 0.14265183548851879  # E[z^2 | z^2 below its median] of a standard normal z


class Estimates(NamedTuple):
    """Direct estimates from an image, or their mean over several; lengths in px, gray in levels.

    Attributes
    ----------
    substrate_level, particle_level : median levels of substrate and particles
    brightness_spread : standard deviation of the logarithm of particle levels
    rim : level of rims minus that of interiors, relative to the contrast
    halo : level of the substrate beside particles, relative to that far from them
    coverage : share of the image that is foreground
    discs : number of inscribed discs
    log_diameter : mean logarithm of disc diameters, over their middle half
    log_diameter_spread : standard deviation of the logarithm, from the quartiles
    members : geometric mean number of discs in the connected region of a disc
    substrate_noise, particle_noise : standard deviation of the noise
    noise_correlation, line_correlation : of the noise, along and across scan lines
    blur_variance : variance of the point spread, taking edges for lines, which rims nearly are
    patches : standard deviation of the smoothed substrate, relative to its level
    rings : 99th percentile of the substrate minus its median, relative to its level
    mottle : standard deviation of fine structure inside particles, relative to their level
    """

    substrate_level: float
    particle_level: float
    brightness_spread: float
    rim: float
    halo: float
    coverage: float
    discs: float
    log_diameter: float
    log_diameter_spread: float
    members: float
    substrate_noise: float
    particle_noise: float
    noise_correlation: float
    line_correlation: float
    blur_variance: float
    patches: float
    rings: float
    mottle: float


_OF_IMAGES = (
    "substrate_level",
    "substrate_noise",
    "noise_correlation",
    "line_correlation",
    "patches",
    "rings",
    "discs",
)
_OF_DISCS = ("log_diameter", "log_diameter_spread", "members")


def direct_estimates(
    image: Integer[np.ndarray, "h w"] | Float[np.ndarray, "h w"], dark: bool
) -> Estimates | None:
    """Estimate levels, sizes, noise and sharpness from one image.

    Parameters
    ----------
    image : gray levels from 0 to 255
    dark : whether particles are darker than the substrate; levels are then counted from white

    Returns
    -------
    Estimates, or None if the image shows fewer than three particles or nothing stands out from the
    noise.

    Examples
    --------
    >>> import numpy as np
    >>> rows, columns = np.mgrid[:200, :200] % 50
    >>> image = np.where(np.hypot(rows - 25, columns - 25) <= 12, 180, 40)
    >>> found = direct_estimates(image, dark=False)
    >>> found.discs, found.substrate_level, found.particle_level
    (16.0, 40.0, 180.0)
    """
    levels = np.asarray(image, np.float32)
    levels = np.float32(255) - levels if dark else levels
    found = inscribed_discs(levels)
    if len(found.diameters_px) < _LEAST_PARTICLES:
        return None
    # Divide the image by the distance to outlines.
    smooth = cv2.GaussianBlur(levels, (0, 0), SMOOTHING_PX)
    radius = _typical(found.diameters_px) / 2
    relative = found.depth_px / radius
    away = cv2.distanceTransform((~found.foreground).astype(np.uint8), cv2.DIST_L2, 5)
    far = away > max(0.6 * radius, 4.0)
    if far.sum() < 200:
        far = away > 0
    inner = relative > 0.5
    edge = found.foreground & (relative > 0.1) & (relative <= 0.3)
    near = (away > 2.0) & (away <= max(0.3 * radius, 4.0))
    # Measure levels and noise.
    substrate, middle = thinned_median(levels[far]), thinned_median(levels[inner])
    particle = thinned_median(levels[found.depth_px > 1])
    noise, along, across = _noise(levels, far)
    contrast = particle - substrate
    if contrast < max(_LEAST_CONTRAST * noise, 1.0):
        return None
    # Separate grains, leaving out dim and small ones.
    grains = split_at_valleys(levels, found)
    tops = smooth[grains.rows, grains.columns]
    kept = tops - substrate >= _LEAST_SHARE_OF_CONTRAST * contrast
    kept &= grains.diameters_px >= _LEAST_SHARE_OF_SIZE * _typical(found.diameters_px)
    if kept.sum() < _LEAST_PARTICLES:
        return None
    log_diameter = np.sort(np.log(grains.diameters_px[kept]))
    _, region, count = np.unique(grains.component[kept], return_inverse=True, return_counts=True)
    # Compare smoothed images for structure of the substrate and of the particles.
    ground = thin(smooth[far]) / max(substrate, 1.0)
    coarse = cv2.GaussianBlur(levels, (0, 0), 4 * SMOOTHING_PX)
    shape = cv2.GaussianBlur(levels, (0, 0), 0.3 * radius)
    rim = float(levels[edge].mean()) if edge.any() else middle
    return Estimates(
        substrate_level=substrate,
        particle_level=particle,
        brightness_spread=float(np.std(np.log(tops[kept]))),
        rim=(rim - middle) / contrast,
        halo=(thinned_median(levels[near]) if near.any() else substrate) / max(substrate, 1.0),
        coverage=float(found.foreground.mean()),
        discs=float(kept.sum()),
        log_diameter=_mean_of_middle_half(log_diameter),
        log_diameter_spread=_quartile_deviation(log_diameter),
        members=float(np.exp(np.log(count)[region].mean())),
        substrate_noise=noise,
        particle_noise=_noise(levels, _flatter_half(levels, inner & (levels < _SATURATED)))[0],
        noise_correlation=along,
        line_correlation=across,
        blur_variance=_blur_variance(levels, (found.depth_px > 0) & (found.depth_px <= 3)),
        patches=_quartile_deviation(coarse[far]) / max(substrate, 1.0),
        rings=float(np.quantile(ground, 0.99) - np.median(ground)),
        mottle=_quartile_deviation((smooth - shape)[inner]) / max(particle, 1.0),
    )


def with_particles(several: Sequence[Estimates | None]) -> list[Estimates]:
    """Keep the estimates from images of a series that show particles rather than dirt and noise.

    Parameters
    ----------
    several : estimates from each image

    Returns
    -------
    Those with at least 0.4 times the highest contrast.
    """
    found = [estimate for estimate in several if estimate is not None]
    contrasts = [estimate.particle_level - estimate.substrate_level for estimate in found]
    least = _LEAST_SHARE_OF_CONTRAST * max(contrasts, default=0.0)
    return [e for e, contrast in zip(found, contrasts, strict=True) if contrast >= least]


def mean_estimates(several: Sequence[Estimates | None]) -> Estimates | None:
    """Average estimates over images.

    Parameters
    ----------
    several : estimates from each image; images without particles have a coverage of 0

    Returns
    -------
    Means, None if no image shows particles. Estimates from particles are weighted by coverage, and
    means over discs by the number of discs.
    """
    rows = np.array(with_particles(several))
    if len(rows) == 0:
        return None
    covered = rows[:, _columns(("coverage",))]
    weights = np.repeat(covered, rows.shape[1], axis=1)
    weights[:, _columns(_OF_IMAGES)] = 1.0
    weights[:, _columns(_OF_DISCS)] = rows[:, _columns(("discs",))]
    mean = Estimates(*(float(v) for v in (rows * weights).sum(axis=0) / weights.sum(axis=0)))
    return mean._replace(coverage=float(covered.sum() / len(several)))


def _columns(names: Sequence[str]) -> list[int]:
    return [Estimates._fields.index(name) for name in names]


def _typical(diameters: Float[np.ndarray, "n"]) -> float:
    """Return the area-weighted median diameter."""
    ordered = np.sort(diameters)
    covered = np.cumsum(ordered**2)
    return float(ordered[np.searchsorted(covered, covered[-1] / 2)])


def _mean_of_middle_half(ordered: Float[np.ndarray, "n"]) -> float:
    """Return the interquartile mean of sorted values, which excludes merged and broken discs."""
    rest = len(ordered) // 4
    return float(ordered[rest : len(ordered) - rest].mean())


def _quartile_deviation(values: Float[np.ndarray, "n"]) -> float:
    """Return the standard deviation from the quartiles, which outliers hardly affect."""
    low, high = np.quantile(thin(values), (0.25, 0.75))
    return float(high - low) / 1.349


def _flatter_half(
    levels: Float[np.ndarray, "h w"], where: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """Return the half of a region with the smaller gradients of the smoothed image."""
    slope = gradient(levels, max(_SHARPNESS_SCALES_PX))
    return where & (slope <= (thinned_median(slope[where]) if where.any() else 0.0))


def _noise(
    levels: Float[np.ndarray, "h w"], where: Bool[np.ndarray, "h w"]
) -> tuple[float, float, float]:
    """Return standard deviation and correlations along and across lines of noise in a region.

    From the Haar wavelet of 2 x 2 pixels: of noise of variance v and correlations c, d along and
    across the lines, the differences in both directions have the variance v (1 - c) (1 - d), those
    across alone v (1 + c) (1 - d), those along alone v (1 - c) (1 + d). The largest squares are
    trimmed, as edges are among them (Donoho & Johnstone 1994 take the median, which would be
    quantized here, as gray levels are).
    """
    height, width = (side - side % 2 for side in levels.shape)
    a, b = levels[0:height:2, 0:width:2], levels[0:height:2, 1:width:2]
    c, d = levels[1:height:2, 0:width:2], levels[1:height:2, 1:width:2]
    inside = where[0:height:2, 0:width:2] & where[1:height:2, 1:width:2]
    both = _trimmed_variance((a - b - c + d)[inside] / 2)
    along = _trimmed_variance((a - b + c - d)[inside] / 2)
    across = _trimmed_variance((a + b - c - d)[inside] / 2)
    correlation = float(np.clip((across - both) / (across + both), 0.0, 0.5))
    line_correlation = float(np.clip((along - both) / (along + both), 0.0, 0.5))
    variance = both / ((1 - correlation) * (1 - line_correlation))
    return float(np.sqrt(variance)), correlation, line_correlation


def _trimmed_variance(values: Float[np.ndarray, "n"]) -> float:
    """Return the variance about 0 of normal values, from the smallest of their squares."""
    if values.size < 10:
        return 1e-6
    squares = np.sort(np.square(thin(values), dtype=np.float64))
    squares = squares[: int(_TRIMMED_SHARE * squares.size)]
    return max(float(squares.mean()) / _TRIMMED_VARIANCE, 1e-6)


def _blur_variance(levels: Float[np.ndarray, "h w"], edges: Bool[np.ndarray, "h w"]) -> float:
    """Return the variance of the point spread from the sharpest edges, px^2.

    The ratio of an edge's gradients after two smoothings gives its blur (Zhuo & Sim 2011, Pattern
    Recognition 44, 1852). A line under a Gaussian of variance v has a gradient in proportion to
    1 / (v + t^2) after smoothing by t, a step to the root of that: rims of the edge effect lie
    between the two, and the former never gives a negative variance.
    """
    fine, coarse = _SHARPNESS_SCALES_PX
    steep, gentle = gradient(levels, fine), gradient(levels, coarse)
    ridge = edges & (steep == cv2.dilate(steep, np.ones((3, 3), np.uint8)))
    if ridge.sum() < 10:
        return 1.0
    sharp = ridge & (steep >= np.quantile(steep[ridge], 0.5))
    ratio = float(np.median(steep[sharp] / np.maximum(gentle[sharp], 1e-3)))
    ratio = min(max(ratio, 1.05), coarse**2 / fine**2)
    return (coarse**2 - ratio * fine**2) / (ratio - 1)

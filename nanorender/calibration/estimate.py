"""Direct estimates from a gray image alone: levels, noise, point spread, sizes and coverage.

Each is simple and a little biased: a threshold takes some rims for substrate, touching particles
are parted at their necks. Calibration measures synthetic images in the same way and compares
estimates with estimates, so that a bias that both share cancels (indirect inference; Gourieroux,
Monfort & Renault 1993, J. Appl. Econometrics 8, S85).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer

from nanorender.calibration.inscribed import SMOOTHING_PX, median, parted, segment, thinned

SHARPNESS_SCALES_PX = (1.0, 2.0)
LEAST_PARTICLES = 3
SATURATED = 245.0  # levels from here on hide the noise
LEAST_CONTRAST = 2.5  # of particles against the substrate, in standard deviations of the noise
LEAST_SHARE_OF_CONTRAST = 0.4  # of a particle in its image, and of an image in its series: not dirt
LEAST_SHARE_OF_SIZE = 0.35  # of a particle, of the typical one of its image
TRIMMED_SHARE = 0.5  # of squares, the smallest: edges and dirt are in the others


class Estimates(NamedTuple):
    """What is measured on an image, or the mean over several; lengths in px, gray in levels.

    substrate_level, particle_level: medians of substrate and particles
    brightness_spread: standard deviation of the logarithm of the levels of particles
    rim: level of rims over that of inner parts, relative to the contrast, less 1
    halo: level of the substrate beside particles over that far from them
    coverage: share of the image that is foreground
    discs: number of inscribed discs
    log_diameter: mean logarithm of the diameters of inscribed discs, of their middle half
    log_diameter_spread: standard deviation of it, from the quartiles
    members: discs in the connected region of a disc, the geometric mean
    substrate_noise, particle_noise: standard deviation of noise
    noise_correlation, line_correlation: of noise at neighbors along and across scan lines
    blur_variance: of the point spread, if edges were lines: rims are nearly that
    patches: standard deviation of the smoothed substrate, relative to its level
    rings: how far its brightest percent outshines it, relative to its level
    mottle: standard deviation inside particles of what is finer than they are, over their level
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


OF_SUBSTRATE = (
    "substrate_level",
    "substrate_noise",
    "noise_correlation",
    "line_correlation",
    "patches",
    "rings",
)

OF_DISCS = ("log_diameter", "log_diameter_spread", "members")


def estimates(
    image: Integer[np.ndarray, "h w"] | Float[np.ndarray, "h w"], dark: bool
) -> Estimates | None:
    """Return the estimates for an image, or None where it shows no particles.

    That is fewer than three, or nothing that stands out from the noise.

    image: of 256 gray levels
    dark: whether particles are darker than the substrate; levels are then counted from white
    """
    levels = np.asarray(image, np.float32)
    levels = np.float32(255) - levels if dark else levels
    found = segment(levels)
    if len(found.diameters_px) < LEAST_PARTICLES:
        return None
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
    substrate, middle = median(levels[far]), median(levels[inner])
    particle = median(levels[found.depth_px > 1])
    noise, along, across = _noise(levels, far)
    contrast = particle - substrate
    if contrast < max(LEAST_CONTRAST * noise, 1.0):
        return None
    grains = parted(levels, found)
    tops = smooth[grains.rows, grains.columns]
    kept = tops - substrate >= LEAST_SHARE_OF_CONTRAST * contrast
    kept &= grains.diameters_px >= LEAST_SHARE_OF_SIZE * _typical(found.diameters_px)
    if kept.sum() < LEAST_PARTICLES:
        return None
    log_diameter = np.sort(np.log(grains.diameters_px[kept]))
    _, region, count = np.unique(grains.component[kept], return_inverse=True, return_counts=True)
    ground = thinned(smooth[far]) / max(substrate, 1.0)
    coarse = cv2.GaussianBlur(levels, (0, 0), 4 * SMOOTHING_PX)
    fine = cv2.GaussianBlur(levels, (0, 0), 0.3 * radius)
    return Estimates(
        substrate_level=substrate,
        particle_level=particle,
        brightness_spread=float(np.std(np.log(tops[kept]))),
        rim=(_mean(levels[edge], middle) - middle) / contrast,
        halo=(median(levels[near]) if near.any() else substrate) / max(substrate, 1.0),
        coverage=float(found.foreground.mean()),
        discs=float(kept.sum()),
        log_diameter=_middle_mean(log_diameter),
        log_diameter_spread=_spread(log_diameter),
        members=float(np.exp(np.log(count)[region].mean())),
        substrate_noise=noise,
        particle_noise=_noise(levels, _even(levels, inner & (levels < SATURATED)))[0],
        noise_correlation=along,
        line_correlation=across,
        blur_variance=_blur_variance(levels, (found.depth_px > 0) & (found.depth_px <= 3)),
        patches=_spread(coarse[far]) / max(substrate, 1.0),
        rings=float(np.quantile(ground, 0.99) - np.median(ground)),
        mottle=_spread((smooth - fine)[inner]) / max(particle, 1.0),
    )


def with_particles(several: Sequence[Estimates | None]) -> list[Estimates]:
    """Return the estimates of images of a series that show particles, rather than dirt and noise.

    Their contrast is no more than a few times less than that of the others.
    """
    found = [estimate for estimate in several if estimate is not None]
    contrasts = [estimate.particle_level - estimate.substrate_level for estimate in found]
    least = LEAST_SHARE_OF_CONTRAST * max(contrasts, default=0.0)
    return [e for e, contrast in zip(found, contrasts, strict=True) if contrast >= least]


def mean_estimates(several: Sequence[Estimates | None]) -> Estimates | None:
    """Return the mean of each estimate over images, None where no image has any.

    What is measured on particles weighs as they cover the image; images without any cover none.
    What is a mean over discs weighs as there are discs, so that it is one over all of them.
    """
    rows = np.array(with_particles(several))
    if len(rows) == 0:
        return None
    covered = rows[:, _columns(("coverage",))]
    weights = np.repeat(covered, rows.shape[1], axis=1)
    weights[:, _columns((*OF_SUBSTRATE, "discs"))] = 1.0
    weights[:, _columns(OF_DISCS)] = rows[:, _columns(("discs",))]
    mean = Estimates(*(float(v) for v in (rows * weights).sum(axis=0) / weights.sum(axis=0)))
    return mean._replace(coverage=float(covered.sum() / len(several)))


def _columns(names: Sequence[str]) -> list[int]:
    return [Estimates._fields.index(name) for name in names]


def _typical(diameters: Float[np.ndarray, "n"]) -> float:
    """Return the diameter at which discs cover half of what all cover."""
    ordered = np.sort(diameters)
    covered = np.cumsum(ordered**2)
    return float(ordered[np.searchsorted(covered, covered[-1] / 2)])


def _middle_mean(ordered: Float[np.ndarray, "n"]) -> float:
    """Return the mean of the middle half of values in order: merged and broken ones lie outside."""
    rest = len(ordered) // 4
    return float(ordered[rest : len(ordered) - rest].mean())


def _spread(values: Float[np.ndarray, "n"]) -> float:
    """Return the standard deviation from the quartiles: outlines and dim particles lie outside."""
    low, high = np.quantile(thinned(values), (0.25, 0.75))
    return float(high - low) / 1.349


def _mean(values: Float[np.ndarray, "n"], otherwise: float) -> float:
    return float(values.mean()) if values.size else otherwise


def _even(
    levels: Float[np.ndarray, "h w"], where: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """Return the flatter half of a region, by the gradient of the smoothed image."""
    slope = gradient(levels, max(SHARPNESS_SCALES_PX))
    return where & (slope <= (median(slope[where]) if where.any() else 0.0))


def _noise(
    levels: Float[np.ndarray, "h w"], where: Bool[np.ndarray, "h w"]
) -> tuple[float, float, float]:
    """Return standard deviation and correlations along and across lines of noise in a region.

    From the Haar wavelet of 2 x 2 pixels: of noise of variance v and correlations c, d along and
    across the lines, the differences in both directions have the variance v (1 - c) (1 - d), those
    across alone v (1 + c) (1 - d), those along alone v (1 - c) (1 + d). The largest squares are
    trimmed off, as edges are in them (Donoho & Johnstone 1994 take the median, which would count
    in steps here, as gray levels do).
    """
    height, width = (side - side % 2 for side in levels.shape)
    a, b = levels[0:height:2, 0:width:2], levels[0:height:2, 1:width:2]
    c, d = levels[1:height:2, 0:width:2], levels[1:height:2, 1:width:2]
    inside = where[0:height:2, 0:width:2] & where[1:height:2, 1:width:2]
    both = _trimmed((a - b - c + d)[inside] / 2)
    along = _trimmed((a - b + c - d)[inside] / 2)
    across = _trimmed((a + b - c - d)[inside] / 2)
    correlation = float(np.clip((across - both) / (across + both), 0.0, 0.5))
    line_correlation = float(np.clip((along - both) / (along + both), 0.0, 0.5))
    variance = both / ((1 - correlation) * (1 - line_correlation))
    return float(np.sqrt(variance)), correlation, line_correlation


def _trimmed(values: Float[np.ndarray, "n"]) -> float:
    """Return the variance of values about 0 from the smallest of their squares, if normal."""
    if values.size < 10:
        return 1e-6
    squares = np.sort(np.square(thinned(values), dtype=np.float64))
    squares = squares[: int(TRIMMED_SHARE * squares.size)]
    return max(float(squares.mean()) / _CUT_VARIANCE, 1e-6)


def _cut_variance(share: float) -> float:
    """Return E[z^2 : z^2 in the smallest `share`] of a standard normal z."""
    from scipy.stats import norm

    cut = norm.ppf(0.5 + share / 2)
    return float(1 - 2 * cut * norm.pdf(cut) / share)


_CUT_VARIANCE = _cut_variance(TRIMMED_SHARE)


def _blur_variance(levels: Float[np.ndarray, "h w"], edges: Bool[np.ndarray, "h w"]) -> float:
    """Return the variance of the point spread from the sharpest edges, px^2.

    What two smoothings leave of the gradient of an edge gives its blur (Zhuo & Sim 2011, Pattern
    Recognition 44, 1852). A line under a Gaussian of variance v has a gradient in proportion to
    1 / (v + t^2) where it is smoothed by another t, a step to the root of that: rims of the edge
    effect are between the two, and the former never gives a negative variance.
    """
    fine, coarse = SHARPNESS_SCALES_PX
    steep, gentle = gradient(levels, fine), gradient(levels, coarse)
    ridge = edges & (steep == cv2.dilate(steep, np.ones((3, 3), np.uint8)))
    if ridge.sum() < 10:
        return 1.0
    sharp = ridge & (steep >= np.quantile(steep[ridge], 0.5))
    ratio = float(np.median(steep[sharp] / np.maximum(gentle[sharp], 1e-3)))
    ratio = min(max(ratio, 1.05), coarse**2 / fine**2)
    return (coarse**2 - ratio * fine**2) / (ratio - 1)


def gradient(levels: Float[np.ndarray, "h w"], smoothing_px: float) -> Float[np.ndarray, "h w"]:
    """Return the magnitude of the gradient of the smoothed image, levels per pixel."""
    smooth = cv2.GaussianBlur(levels, (0, 0), smoothing_px)
    x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return cv2.magnitude(x, y)

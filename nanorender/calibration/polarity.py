"""Micrographs that nothing can be fitted to: flat, without particles, or the other way round."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float
from skimage.filters import threshold_otsu

from nanorender.calibration.estimate import estimates
from nanorender.calibration.inscribed import SMOOTHING_PX, median, segment, thinned
from nanorender.calibration.likeness import local_deviation
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph

MOST_MICROGRAPHS = 10
ROUND = 0.6  # least circularity of what is taken for particles in the other polarity
MANY = 3
EVEN = 0.3  # spread of levels of a ground at most, over that of particles
SHADED_SMOOTHING_PX = 2.0  # leaves little of the noise
SHADED_WINDOW_PX = 9
INSIDE_PX = 13  # edge of a square that lies in one part: nothing of the outline is in the window
LEAST_INSIDE = 0.08  # share of the image, of each part
SHADED = 0.3  # logarithm of how much less the brighter part varies, if it is the ground
LEAST_EDGE_PX = 128


def refuse_unfit(micrographs: Sequence[Micrograph], dark: bool) -> None:
    """Raise InputError, saying how to go on, for micrographs that no recipe can be fitted to."""
    if not 1 <= len(micrographs) <= MOST_MICROGRAPHS:
        raise InputError(
            f"{len(micrographs)} micrographs were given; give 1 to {MOST_MICROGRAPHS} that are "
            "typical of the series"
        )
    for micrograph in micrographs:
        image, name = micrograph.image, micrograph.path.name
        if image.max() == image.min():
            raise InputError(f"{name} is flat: every pixel is {image.min()}; leave it out")
        if min(image.shape) < LEAST_EDGE_PX:
            raise InputError(
                f"{name} has {image.shape[0]} x {image.shape[1]} pixels; calibration needs at "
                f"least {LEAST_EDGE_PX} x {LEAST_EDGE_PX}"
            )
    upright = [_upright(micrograph, dark) for micrograph in micrographs]
    reversed_ones = [
        _round_gaps(levels) or _even_foreground(levels) or _shaded_background(levels)
        for levels in upright
    ]
    if sum(reversed_ones) > len(micrographs) / 2:
        name = micrographs[reversed_ones.index(True)].path.name
        look, go_on = ("brighter", "leave out") if dark else ("darker", "give")
        raise InputError(
            f"particles look {look} than the background (in {name}, for one); {go_on} "
            "--dark-particles"
        )
    if all(estimates(levels, False) is None for levels in upright):
        option = "leave out" if dark else "give"
        raise InputError(
            f"no particles stand out from the background of {micrographs[0].path.name}; choose "
            f"other micrographs, keep a part with --crop, or {option} --dark-particles"
        )


def _upright(micrograph: Micrograph, dark: bool) -> Float[np.ndarray, "h w"]:
    """Return gray levels in which particles should be bright."""
    white = np.float32(np.iinfo(micrograph.image.dtype).max)
    levels = micrograph.image.astype(np.float32) * np.float32(255 / white)
    return 255 - levels if dark else levels


def _round_gaps(levels: Float[np.ndarray, "h w"]) -> bool:
    """Tell whether the darker part of an image looks more like particles than the brighter one.

    It is the smaller part, lies in several pieces surrounded by the brighter, and these are round:
    gaps between particles are too, but for the last, as particles bulge into them.
    """
    bright = segment(levels).foreground
    if not 0.5 < bright.mean() < 0.999:
        return False
    return _roundness(~bright) > ROUND


def _even_foreground(levels: Float[np.ndarray, "h w"]) -> bool:
    """Tell whether the brighter part is far more even than the darker one, as only a ground is."""
    bright = segment(levels).foreground
    smooth = cv2.GaussianBlur(levels, (0, 0), SMOOTHING_PX)
    if not 0.5 < bright.mean() < 0.999:
        return False
    ranges = [
        float(np.subtract(*np.quantile(thinned(smooth[part]), (0.9, 0.1))))
        for part in (bright, ~bright)
    ]
    return ranges[0] < EVEN * ranges[1]


def _shaded_background(levels: Float[np.ndarray, "h w"]) -> bool:
    """Tell whether brightness varies more within the darker part of an image, away from outlines.

    Particles are round, rough and lie at all heights, so that their brightness changes from place
    to place; the ground is flat. That holds however crowded they are and whatever the gaps between
    them look like. Nothing is said where one part is too narrow to have an inside.
    """
    smooth = cv2.GaussianBlur(levels, (0, 0), SHADED_SMOOTHING_PX)
    bright = smooth > threshold_otsu(smooth[::2, ::2])
    varies = local_deviation(smooth, SHADED_WINDOW_PX)
    square = np.ones((INSIDE_PX, INSIDE_PX), np.uint8)
    inside = [cv2.erode(part.astype(np.uint8), square) > 0 for part in (bright, ~bright)]
    if min(part.mean() for part in inside) < LEAST_INSIDE:
        return False
    of_bright, of_dark = (median(varies[part]) for part in inside)
    return bool(np.log(of_bright / of_dark) < -SHADED)


def _roundness(mask: Bool[np.ndarray, "h w"]) -> float:
    """Return the mean circularity of pieces off the border, weighted by area; 0 for few pieces."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    area = np.array([cv2.contourArea(outline) for outline in outlines])
    length = np.array([cv2.arcLength(outline, True) for outline in outlines])
    large = area > 40
    if large.sum() < MANY:
        return 0.0
    circularity = 4 * np.pi * area[large] / length[large] ** 2
    return float(np.average(circularity, weights=area[large]))

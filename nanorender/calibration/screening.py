"""Screening of micrographs: flat ones, those without particles, and those of opposite polarity."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float
from skimage.filters import threshold_otsu

from nanorender.calibration.estimates import direct_estimates
from nanorender.calibration.image_statistics import GrayImage, local_deviation
from nanorender.calibration.inscribed_discs import (
    SMOOTHING_PX,
    inscribed_discs,
    thin,
    thinned_median,
)
from nanorender.calibration.views import gray_levels, white_level
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph

_MOST_MICROGRAPHS = 10
_LEAST_EDGE_PX = 128
_ROUND = 0.6  # least circularity of dark regions that are particles
_LEAST_ROUND_REGIONS = 3
_LEAST_REGION_PX = 40
_EVEN = 0.3  # range of levels of the substrate, relative to that of particles, at most
_SHADING_SMOOTHING_PX = 2.0  # removes most of the noise
_SHADING_WINDOW_PX = 9
_INSIDE_PX = 13  # square within one part, so that the window contains no outline
_LEAST_INSIDE = 0.08  # share of the image, of each part
_SHADED = 0.3  # log ratio of the variation in both parts, if the brighter one is the substrate


def refuse_unsuitable(micrographs: Sequence[Micrograph], dark: bool) -> None:
    """Raise an error for micrographs that no recipe can be fitted to.

    Parameters
    ----------
    micrographs : of one series
    dark : whether particles are expected to be darker than the substrate

    Raises
    ------
    InputError
        If there are none or too many, one is flat or too small, most show particles of the opposite
        polarity, or none shows particles.

    Examples
    --------
    >>> refuse_unsuitable([], dark=False)
    Traceback (most recent call last):
        ...
    nanorender.errors.InputError: 0 micrographs were given; give 1 to 10 that are typical of the
    series
    """
    if not 1 <= len(micrographs) <= _MOST_MICROGRAPHS:
        raise InputError(
            f"{len(micrographs)} micrographs were given; give 1 to {_MOST_MICROGRAPHS} that are "
            "typical of the series"
        )
    for micrograph in micrographs:
        image, name = micrograph.image, micrograph.path.name
        if image.max() == image.min():
            raise InputError(f"{name} is flat: every pixel is {image.min()}; leave it out")
        if min(image.shape) < _LEAST_EDGE_PX:
            raise InputError(
                f"{name} has {image.shape[0]} x {image.shape[1]} pixels; calibration needs at "
                f"least {_LEAST_EDGE_PX} x {_LEAST_EDGE_PX}"
            )
    # Count images in which particles have the opposite polarity.
    white = white_level(micrographs)
    images = [gray_levels(micrograph, white) for micrograph in micrographs]
    images = [255 - levels for levels in images] if dark else images
    reversed_ones = [_has_dark_particles(levels) for levels in images]
    if sum(reversed_ones) > len(micrographs) / 2:
        name = micrographs[reversed_ones.index(True)].path.name
        look, remedy = (
            ("brighter", "choose a recipe of bright particles, or leave out --dark-particles")
            if dark
            else ("darker", "give --dark-particles, or choose a recipe of transmission images")
        )
        raise InputError(
            f"particles look {look} than the background (in {name}, for example); {remedy}"
        )
    if all(direct_estimates(levels, dark=False) is None for levels in images):
        remedy = "leave out" if dark else "give"
        raise InputError(
            f"no particles stand out from the background of {micrographs[0].path.name}; choose "
            f"other micrographs, keep a part with --crop, or {remedy} --dark-particles"
        )


def show_dark_particles(micrographs: Sequence[Micrograph]) -> bool:
    """Return whether most micrographs show particles that are darker than the background.

    Parameters
    ----------
    micrographs : of one series

    Returns
    -------
    Polarity; bright where it is undecided, or there are no micrographs.

    Examples
    --------
    >>> show_dark_particles([])
    False
    """
    white = white_level(micrographs)
    shown = (one for one in micrographs if one.image.max() > one.image.min())
    images = [gray_levels(one, white) for one in shown]
    return sum(map(_has_dark_particles, images)) > len(images) / 2


def _has_dark_particles(levels: GrayImage) -> bool:
    """Return whether the darker part of an image shows the particles."""
    bright = inscribed_discs(levels).foreground
    if 0.5 < bright.mean() < 0.999 and (_circularity(~bright) > _ROUND or _is_even(levels, bright)):
        return True
    return _has_shaded_background(levels)


def _circularity(mask: Bool[np.ndarray, "h w"]) -> float:
    """Return the mean circularity of regions, weighted by area; 0 if there are few regions.

    Dark particles are round regions in several places. Gaps between bright particles are not round,
    as particles bulge into them.
    """
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    area = np.array([cv2.contourArea(outline) for outline in outlines])
    length = np.array([cv2.arcLength(outline, True) for outline in outlines])
    large = area > _LEAST_REGION_PX
    if large.sum() < _LEAST_ROUND_REGIONS:
        return 0.0
    circularity = 4 * np.pi * area[large] / length[large] ** 2
    return float(np.average(circularity, weights=area[large]))


def _is_even(levels: Float[np.ndarray, "h w"], bright: Bool[np.ndarray, "h w"]) -> bool:
    """Return whether the brighter part is so much more uniform that it is the substrate."""
    smooth = cv2.GaussianBlur(levels, (0, 0), SMOOTHING_PX)
    ranges = [
        float(np.subtract(*np.quantile(thin(smooth[part]), (0.9, 0.1))))
        for part in (bright, ~bright)
    ]
    return ranges[0] < _EVEN * ranges[1]


def _has_shaded_background(levels: GrayImage) -> bool:
    """Return whether brightness varies more within the darker part of an image, away from outlines.

    Particles are round, rough and lie at all heights, so their brightness varies from place to
    place, while the substrate is flat. This holds for any coverage and any shape of the gaps
    between them. It is undecided where one part is too narrow to have an inside.
    """
    smooth = cv2.GaussianBlur(levels, (0, 0), _SHADING_SMOOTHING_PX)
    bright = smooth > threshold_otsu(smooth[::2, ::2])
    deviation = local_deviation(smooth, _SHADING_WINDOW_PX)
    square = np.ones((_INSIDE_PX, _INSIDE_PX), np.uint8)
    inside = [cv2.erode(part.astype(np.uint8), square) > 0 for part in (bright, ~bright)]
    if min(part.mean() for part in inside) < _LEAST_INSIDE:
        return False
    of_bright, of_dark = (max(thinned_median(deviation[part]), 1e-3) for part in inside)
    return bool(np.log(of_bright / of_dark) < -_SHADED)

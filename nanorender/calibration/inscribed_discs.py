"""Inscribed discs: a classical segmentation that finds particles without training."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer
from skimage.filters import threshold_li

SMOOTHING_PX = 1.5
_SMALLEST_RADIUS_PX = 3.0
_VALLEY_WIDTH_PX = 7  # wider dark lines do not separate particles
_VALLEY_SMOOTHING_PX = 1.0
_LEAST_VALLEY = 0.2  # depth, relative to the contrast of its sides against the substrate ...
_LEAST_VALLEY_OF_NOISE = 3.0  # ... and to the median depth of valleys in the substrate
_ENOUGH_VALUES = 16384  # for medians and quantiles


class InscribedDiscs(NamedTuple):
    """The foreground of an image, and one inscribed disc for each particle.

    Attributes
    ----------
    foreground : (h, w) whether a pixel belongs to a particle
    depth_px : (h, w) distance to the outline, 0 outside
    rows, columns : (n) centers of the discs
    diameters_px : (n) of the discs
    component : (n) number of the connected region that contains the disc
    """

    foreground: Bool[np.ndarray, "h w"]
    depth_px: Float[np.ndarray, "h w"]
    rows: Integer[np.ndarray, "n"]
    columns: Integer[np.ndarray, "n"]
    diameters_px: Float[np.ndarray, "n"]
    component: Integer[np.ndarray, "n"]


def inscribed_discs(image: Float[np.ndarray, "h w"]) -> InscribedDiscs:
    """Find bright particles and the discs inscribed in them.

    The image is smoothed and thresholded, small holes are filled, and the maxima of the distance
    transform become centers of discs.

    Parameters
    ----------
    image : gray levels

    Returns
    -------
    Foreground and discs; no discs in an image without contrast.

    Examples
    --------
    >>> import numpy as np
    >>> rows, columns = np.mgrid[:100, :100]
    >>> image = np.where(np.hypot(rows - 50, columns - 50) <= 20, 180, 40).astype(np.float32)
    >>> discs = inscribed_discs(image)
    >>> int(discs.rows[0]), int(discs.columns[0]), round(float(discs.diameters_px[0]))
    (50, 50, 41)
    """
    smooth = cv2.GaussianBlur(image, (0, 0), SMOOTHING_PX)
    if smooth.max() - smooth.min() < 1e-3:
        none = np.empty(0, np.int64)
        flat = np.zeros(image.shape, bool)
        return InscribedDiscs(flat, smooth * 0, none, none, np.empty(0, np.float32), none)
    foreground = _fill_holes(smooth > _threshold(smooth), image.size // 2000)
    return _with_discs(foreground, foreground)


def split_at_valleys(image: Float[np.ndarray, "h w"], found: InscribedDiscs) -> InscribedDiscs:
    """Inscribe discs between narrow dark lines as well.

    Overlapping grains leave no substrate between them but a dark line, which the black top hat
    extracts (Meyer 1979, J. Histochem. Cytochem. 27, 128). Without this step a clump counts as one
    disc in one place and several in another.

    Parameters
    ----------
    image : gray levels
    found : foreground and discs of the image

    Returns
    -------
    The same foreground with new discs.
    """
    ground = ~found.foreground
    if not ground.any():
        return found
    smooth = cv2.GaussianBlur(image, (0, 0), _VALLEY_SMOOTHING_PX)
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_VALLEY_WIDTH_PX, _VALLEY_WIDTH_PX))
    closed = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, element)
    depth = closed - smooth
    least = _LEAST_VALLEY_OF_NOISE * thinned_median(depth[ground])
    contrast = closed - thinned_median(smooth[ground])
    valley = depth > np.maximum(_LEAST_VALLEY * contrast, least)
    return _with_discs(found.foreground, found.foreground & ~valley)


def _with_discs(
    foreground: Bool[np.ndarray, "h w"], grains: Bool[np.ndarray, "h w"]
) -> InscribedDiscs:
    """Return the discs inscribed in `grains`, a part of the foreground."""
    # Find maxima of the distance transform.
    depth = cv2.distanceTransform(grains.astype(np.uint8), cv2.DIST_L2, 5)
    hill = cv2.GaussianBlur(depth, (0, 0), 1.0)
    width = 2 * int(2 * _SMALLEST_RADIUS_PX) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    tops = (hill == cv2.dilate(hill, disc)) & (depth >= _SMALLEST_RADIUS_PX)
    # Keep one pixel of each plateau; maxima one pixel apart share a plateau.
    joined = cv2.dilate(tops.astype(np.uint8), np.ones((3, 3), np.uint8))
    plateaus = cv2.connectedComponents(joined)[1]
    rows, columns = np.nonzero(tops)
    first = np.unique(plateaus[rows, columns], return_index=True)[1]
    rows, columns = rows[first], columns[first]
    # The outline lies half a pixel beyond the center of the outermost pixel.
    diameters = 2.0 * depth[rows, columns] - 1.0
    regions = cv2.connectedComponents(foreground.astype(np.uint8), connectivity=4)[1]
    return InscribedDiscs(foreground, depth, rows, columns, diameters, regions[rows, columns])


def _threshold(smooth: Float[np.ndarray, "h w"]) -> float:
    """Return the level that separates particles from the substrate.

    Halfway between the threshold of Li & Tam 1998, which keeps dim particles on a dark ground, and
    the middle of both median levels, which puts outlines in the right place.
    """
    thinned = smooth[::2, ::2].ravel()
    first = float(threshold_li(thinned))
    bright = thinned > first
    middle = (thinned_median(thinned[bright]) + thinned_median(thinned[~bright])) / 2
    return (first + middle) / 2


def _fill_holes(mask: Bool[np.ndarray, "h w"], area_px: int) -> Bool[np.ndarray, "h w"]:
    """Fill holes of up to a given area."""
    _, holes, boxes, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = boxes[:, cv2.CC_STAT_AREA] <= area_px
    small[0] = False
    return mask | small[holes.astype(np.int64)]


def thin(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "m"]:
    """Subsample values evenly to about the number that order statistics need.

    Parameters
    ----------
    values : any number of values

    Returns
    -------
    At least 16384 of the values, or all if there are fewer.

    Examples
    --------
    >>> thin(np.arange(40000.0)).size
    20000
    """
    return values[:: max(1, values.size // _ENOUGH_VALUES)]


def thinned_median(values: Float[np.ndarray, "n"]) -> float:
    """Compute the median of evenly subsampled values.

    Parameters
    ----------
    values : at least one value

    Returns
    -------
    Median of `thin(values)`.
    """
    return float(np.median(thin(values)))

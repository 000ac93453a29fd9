"""Inscribed discs: a classical segmentation, as a first look at particles without training."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Integer
from skimage.filters import threshold_li

SMALLEST_RADIUS_PX = 3.0
SMOOTHING_PX = 1.5
VALLEY_WIDTH_PX = 7  # what is as dark and narrower parts particles
VALLEY_SMOOTHING_PX = 1.0
LEAST_VALLEY = 0.2  # depth, over what its sides are brighter than the substrate ...
LEAST_VALLEY_OF_NOISE = 3.0  # ... and over the median of what noise digs into the substrate
ORDERED = 16384  # values that are enough for medians and quantiles


class Segmentation(NamedTuple):
    """A classical segmentation: threshold, and one disc for each particle.

    foreground: (h, w) whether a pixel is of a particle
    depth_px: (h, w) distance from the substrate, or from valleys too, 0 on them
    rows, columns: (n) middles of inscribed discs
    diameters_px: (n) of these discs
    component: (n) number of the connected region that each lies in
    """

    foreground: Bool[np.ndarray, "h w"]
    depth_px: Float[np.ndarray, "h w"]
    rows: Integer[np.ndarray, "n"]
    columns: Integer[np.ndarray, "n"]
    diameters_px: Float[np.ndarray, "n"]
    component: Integer[np.ndarray, "n"]


def segment(image: Float[np.ndarray, "h w"]) -> Segmentation:
    """Return a first segmentation of bright particles, without training.

    Smoothed, thresholded, small holes of textured particles closed, and maxima of the distance to
    the substrate taken for middles.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), SMOOTHING_PX)
    if smooth.max() - smooth.min() < 1e-3:
        none = np.empty(0, np.int64)
        flat = np.zeros(image.shape, bool)
        return Segmentation(flat, smooth * 0, none, none, np.empty(0, np.float32), none)
    foreground = _without_holes(smooth > _threshold(smooth), image.size // 2000)
    return _with_discs(foreground, foreground)


def parted(image: Float[np.ndarray, "h w"], found: Segmentation) -> Segmentation:
    """Return a segmentation with discs that valleys of the gray levels bound, too.

    Grains that overlap leave no substrate between them, but a dark line: what a closing fills in
    (the black top hat; Meyer 1979, J. Histochem. Cytochem. 27, 128). Without it a clump gives one
    disc here, another there, and sizes depend on how few clumps happen to lie.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), VALLEY_SMOOTHING_PX)
    width = (VALLEY_WIDTH_PX, VALLEY_WIDTH_PX)
    closed = cv2.morphologyEx(
        smooth, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, width)
    )
    ground = ~found.foreground
    if not ground.any():
        return found
    dug = closed - smooth
    least = LEAST_VALLEY_OF_NOISE * median(dug[ground])
    valley = dug > np.maximum(LEAST_VALLEY * (closed - median(smooth[ground])), least)
    return _with_discs(found.foreground, found.foreground & ~valley)


def _with_discs(
    foreground: Bool[np.ndarray, "h w"], grains: Bool[np.ndarray, "h w"]
) -> Segmentation:
    """Return the segmentation whose discs are inscribed in `grains`, a part of the foreground."""
    depth = cv2.distanceTransform(grains.astype(np.uint8), cv2.DIST_L2, 5)
    hill = cv2.GaussianBlur(depth, (0, 0), 1.0)
    width = 2 * int(2 * SMALLEST_RADIUS_PX) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    top = (hill == cv2.dilate(hill, disc)) & (depth >= SMALLEST_RADIUS_PX)
    rows, columns = _one_each(top)
    _, regions = cv2.connectedComponents(foreground.astype(np.uint8), connectivity=4)
    # Half a pixel lies between the outermost pixel's middle and the outline.
    diameters = 2.0 * depth[rows, columns] - 1.0
    return Segmentation(foreground, depth, rows, columns, diameters, regions[rows, columns])


def _one_each(tops: Bool[np.ndarray, "h w"]) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of one pixel of every plateau; tops a pixel apart are one."""
    joined = cv2.dilate(tops.astype(np.uint8), np.ones((3, 3), np.uint8))
    _, plateaus = cv2.connectedComponents(joined)
    rows, columns = np.nonzero(tops)
    _, first = np.unique(plateaus[rows, columns], return_index=True)
    return rows[first], columns[first]


def _threshold(smooth: Float[np.ndarray, "h w"]) -> float:
    """Return the level that parts particles from the substrate.

    Between the threshold of Li & Tam 1998, which keeps dim particles on a dark ground, and the
    middle of the levels of both, where outlines are in their place.
    """
    thinned = smooth[::2, ::2].ravel()
    first = float(threshold_li(thinned))
    bright = thinned > first
    return (first + (median(thinned[bright]) + median(thinned[~bright])) / 2) / 2


def _without_holes(mask: Bool[np.ndarray, "h w"], area_px: int) -> Bool[np.ndarray, "h w"]:
    """Return the mask with holes of up to an area filled."""
    _, holes, boxes, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = boxes[:, cv2.CC_STAT_AREA] <= area_px
    small[0] = False
    return mask | small[holes.astype(np.int64)]


def thinned(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "m"]:
    """Return evenly spaced values, no more than order statistics need."""
    return values[:: max(1, values.size // ORDERED)]


def median(values: Float[np.ndarray, "n"]) -> float:
    """Return the median of evenly spaced values."""
    return float(np.median(thinned(values)))

"""Contrast of particles with the background around them."""

import numpy as np
from jaxtyping import Float, Integer
from scipy import ndimage

_GAP_PX = 1  # between a particle and the ring around it, blurred by the point spread
_RING_PX = 3
_LEAST_RING_PX = 12  # pixels of a ring from which a contrast is known


def contrasts(
    labels: Integer[np.ndarray, "h w"], image: Integer[np.ndarray, "h w"]
) -> Float[np.ndarray, "n"]:
    """Compute how much brighter particles are than their surroundings, relative to the noise there.

    Parameters
    ----------
    labels : (h, w) label map
    image : (h, w) gray levels

    Returns
    -------
    contrasts : (n,) difference of the mean gray levels over the standard deviation of the
        surroundings, of the particles with enough background around them

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.pad(np.ones((8, 8), int), 8)
    >>> image = np.where(labels > 0, 90, np.indices(labels.shape).sum(axis=0) % 2 * 20 + 40)
    >>> contrasts(labels, image).round(1).tolist()
    [4.0]
    """
    count = int(labels.max(initial=0)) + 1
    inside, _, area = _gray_levels(image, labels, count)
    around, spread, ring_area = _gray_levels(image, _rings(labels), count)
    known = (area > 0) & (ring_area >= _LEAST_RING_PX)
    known[0] = False
    return (inside - around)[known] / np.maximum(spread[known], 1.0)


def _gray_levels(
    image: Integer[np.ndarray, "h w"], labels: Integer[np.ndarray, "h w"], count: int
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"], Integer[np.ndarray, "n"]]:
    """Return mean and spread of the gray levels of each label, and the number of its pixels."""
    pixels = np.bincount(labels.ravel(), minlength=count)
    gray = image.ravel().astype(float)
    mean = np.bincount(labels.ravel(), gray, count) / np.maximum(pixels, 1)
    square = np.bincount(labels.ravel(), gray**2, count) / np.maximum(pixels, 1)
    return mean, np.sqrt(np.maximum(square - mean**2, 0)), pixels


def _rings(labels: Integer[np.ndarray, "h w"]) -> Integer[np.ndarray, "h w"]:
    """Assign the background near each particle to it, without the pixels that touch a particle."""
    near = ndimage.maximum_filter(labels, 2 * _GAP_PX + 1)
    wide = ndimage.maximum_filter(labels, 2 * (_GAP_PX + _RING_PX) + 1)
    return np.where(near == 0, wide, 0)

"""Comparison of found particles with what a classical threshold separates from the background."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Integer
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label as label_components

LARGEST_PX = 2048
"""Edge above which pixels are left out."""

SMOOTHING_PX = 2.0
"""Standard deviation of the Gaussian filter before the threshold, against noise."""

SMALLEST_OBJECT_PX = 20
"""Area below which what a threshold separates is no object."""

BLANK_PERCENTILES = (0.1, 99.9)
"""Percentiles of the gray levels that are equal in a blank image."""

_LEAST_RELATIVE_AREA = 0.25  # of an object, relative to the median area of the particles
_UNTOUCHED = 0.1  # share of an object within particles up to which it was missed


class ThresholdAgreement(NamedTuple):
    """Agreement of particles with the objects that a threshold separates.

    Attributes
    ----------
    separability : variance between the two classes of gray levels, relative to the whole variance;
        about 0.64 for normally distributed noise, 0.75 for a gradient, and 1 for two gray levels
    overlap : area common to particles and objects, relative to the area of both together
    objects : number of objects about as large as the particles, or larger
    missed : number of these that hardly share pixels with particles
    """

    separability: float
    overlap: float
    objects: int
    missed: int


def agreement_with_threshold(
    image: Integer[np.ndarray, "h w"], labels: Integer[np.ndarray, "h w"]
) -> ThresholdAgreement:
    """Compare particles with the objects that Otsu's threshold separates.

    Objects are brighter than the threshold if the particles are brighter than the rest of the
    image, else darker; without particles, they are the smaller part of the image. The threshold is
    that of Otsu (1979, IEEE Trans. Syst. Man Cybern. 9, 62), and separability his criterion eta.

    Parameters
    ----------
    image : (h, w) gray values
    labels : (h, w) label map

    Returns
    -------
    agreement : separability of the image, and overlap and number of the objects; all 0 for a
        blank image

    Examples
    --------
    >>> image = np.full((40, 60), 50, np.uint8)
    >>> image[10:30, 5:25] = image[10:30, 35:55] = 200
    >>> labels = np.zeros(image.shape, int)
    >>> labels[10:30, 5:25] = 1
    >>> found = agreement_with_threshold(image, labels)
    >>> found.objects, found.missed
    (2, 1)
    """
    step = max(1, -(-max(image.shape) // LARGEST_PX))
    levels = ndimage.gaussian_filter(image[::step, ::step].astype(np.float32), SMOOTHING_PX / step)
    labels = labels[::step, ::step]
    variance = float(levels.var())
    darkest, brightest = np.percentile(image, BLANK_PERCENTILES)
    if variance == 0.0 or darkest == brightest:
        return ThresholdAgreement(0.0, 0.0, 0, 0)

    # Separate the gray levels, on the side of the particles
    bright = levels > threshold_otsu(levels)
    share = float(bright.mean())
    if not 0.0 < share < 1.0:
        return ThresholdAgreement(0.0, 0.0, 0, 0)
    apart = float(levels[bright].mean() - levels[~bright].mean())
    separability = share * (1.0 - share) * apart**2 / variance
    found = labels > 0
    if found.any() and not found.all():
        are_bright = bool(levels[found].mean() > levels[~found].mean())
    else:
        are_bright = share < 0.5
    separated = bright if are_bright else ~bright

    # Count the objects, and those without particles
    areas = np.bincount(labels.ravel())[1:]
    typical = float(np.median(areas[areas > 0])) if areas.any() else 0.0
    components = np.asarray(label_components(separated, connectivity=1))
    size = np.bincount(components.ravel())
    shared = np.bincount(components[found], minlength=len(size))
    objects = size >= max(_LEAST_RELATIVE_AREA * typical, SMALLEST_OBJECT_PX / step**2)
    objects[0] = False
    missed = objects & (shared < _UNTOUCHED * size)
    overlap = float((found & separated).sum() / max((found | separated).sum(), 1))
    return ThresholdAgreement(separability, overlap, int(objects.sum()), int(missed.sum()))

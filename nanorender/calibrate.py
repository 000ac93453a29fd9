"""Calibration: what a recipe needs to know of unlabelled micrographs."""

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Integer
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.morphology import remove_small_holes

from nanorender.errors import InputError
from nanorender.micrograph import Micrograph
from nanorender.recipe import Recipe

SMALLEST_RADIUS_PX = 3.0


def inscribed_diameters_px(image: Integer[np.ndarray, "h w"]) -> np.ndarray:
    """Return diameters (n) of discs inscribed in the bright regions of an image, px.

    A first estimate of sizes that needs no training: smoothed, thresholded (Otsu 1979), holes of
    textured particles closed, and the maxima of the distance to the background taken for middles.
    """
    smooth = gaussian(image.astype(np.float32), 1.5)
    if smooth.max() == smooth.min():
        return np.empty(0)
    bright = smooth > threshold_otsu(smooth)
    bright = remove_small_holes(bright, max_size=image.size // 2000)
    distance = cv2.distanceTransform(bright.astype(np.uint8), cv2.DIST_L2, 5)
    middles = peak_local_max(
        gaussian(distance, 1.0),
        min_distance=int(2 * SMALLEST_RADIUS_PX),
        threshold_abs=SMALLEST_RADIUS_PX,
    )
    return 2 * distance[tuple(middles.T)]


def assumed_pixel_size_nm(micrographs: Iterable[Micrograph], recipe: Recipe) -> float:
    """Return the pixel size at which a recipe's particles are as large as those of micrographs.

    For micrographs of unknown pixel size: the recipe is only drawn to their scale by it; nothing is
    measured in nm.

    Raises
    ------
    InputError
        If no particles stand out from the background.
    """
    found = [inscribed_diameters_px(micrograph.image) for micrograph in micrographs]
    diameters = np.concatenate(found)
    if diameters.size < 3:
        raise InputError(
            "no particles stand out from the background, so the recipe cannot be drawn to their "
            "scale; give --pixel-size-nm"
        )
    # An inscribed disc is as wide as a particle is short: the recipe's widths are its match.
    widths = [
        kind.diameter_nm.typical() / np.sqrt(kind.aspect.typical()) for kind in recipe.particles
    ]
    shares = [kind.share for kind in recipe.particles]
    return float(np.average(widths, weights=shares) / np.median(diameters))

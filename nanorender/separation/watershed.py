"""Extended maxima and morphological reconstruction as in MorphoLibJ.

Legland, Arganda-Carreras and Andrey, "MorphoLibJ: integrated library and plugins for mathematical
morphology with ImageJ", Bioinformatics 32 (2016) 3532.
"""

import cv2
import numpy as np
from jaxtyping import Float32, Int32

from nanorender.jit import kernel
from nanorender.separation.connectivity import (
    NEIGHBORS,
    Connectivity,
    connected_regions,
    neighborhood,
)


def extended_maxima(
    height: Float32[np.ndarray, "h w"], dynamic: float, connectivity: Connectivity
) -> Int32[np.ndarray, "h w"]:
    """Label the regional maxima that exceed their saddles by more than a dynamic.

    As in MorphoLibJ, a maximum that exceeds its saddles by exactly `dynamic` does not count; it
    does in `h_maxima` of scikit-image.

    Parameters
    ----------
    height : (h, w) finite heights, positive in the foreground and 0 elsewhere
    dynamic : smallest height of a maximum above its saddles
    connectivity : 4 or 8 neighbors

    Returns
    -------
    maxima : (h, w) label map of the maxima

    Examples
    --------
    >>> import numpy as np
    >>> height = np.array([[0, 5, 3, 6, 0, 2, 0]], np.float32)
    >>> extended_maxima(height, 1.0, 4).tolist()
    [[0, 1, 0, 2, 0, 3, 0]]
    >>> extended_maxima(height, 2.0, 4).tolist()
    [[0, 0, 0, 1, 0, 0, 0]]
    """
    ground = height > 0
    lowered = reconstruct(np.where(ground, height - np.float32(dynamic), 0), height, connectivity)
    kernel = neighborhood(connectivity)
    summit = (cv2.dilate(lowered, kernel) <= lowered) & ground
    # Exclude plateaus with a pixel that has a higher neighbor.
    slope = np.where(summit, -np.inf, lowered).astype(np.float32)
    continued = summit & np.equal(cv2.dilate(slope, kernel), lowered)
    labels = connected_regions(summit, connectivity)
    kept = np.ones(labels.max(initial=0) + 1, bool)
    kept[labels[continued]] = False
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]


def impose_maxima(
    height: Float32[np.ndarray, "h w"],
    markers: Int32[np.ndarray, "h w"],
    connectivity: Connectivity,
) -> Float32[np.ndarray, "h w"]:
    """Lower heights until the markers are the only maxima.

    Soille, "Morphological Image Analysis" (2003), section 6.3.7.

    Parameters
    ----------
    height : (h, w) heights
    markers : (h, w) positive on the maxima to impose
    connectivity : 4 or 8 neighbors

    Returns
    -------
    imposed : (h, w) heights without other maxima
    """
    top = np.where(markers > 0, height.max(initial=0), height)
    low = np.where(markers > 0, top, height.min(initial=0)).astype(np.float32)
    return reconstruct(low, top.astype(np.float32), connectivity)


def reconstruct(
    marker: Float32[np.ndarray, "h w"],
    ceiling: Float32[np.ndarray, "h w"],
    connectivity: Connectivity,
) -> Float32[np.ndarray, "h w"]:
    """Reconstruct an image by dilation under another one.

    Vincent, "Morphological grayscale reconstruction in image analysis", IEEE Trans. Image
    Processing 2 (1993) 176, section IV.D.

    Parameters
    ----------
    marker : (h, w) image to dilate
    ceiling : (h, w) upper limit of each pixel
    connectivity : 4 or 8 neighbors

    Returns
    -------
    reconstruction : (h, w) result of repeated dilation
    """
    result = np.pad(np.minimum(marker, ceiling), 1, constant_values=-np.inf)
    limit = np.pad(ceiling, 1, constant_values=-np.inf)
    width = result.shape[1]
    steps = np.array([right + down * width for right, down in NEIGHBORS[connectivity]])
    _rise(result.ravel(), limit.ravel(), width, np.sort(steps))
    return result[1:-1, 1:-1].copy()


@kernel
def _rise(result, limit, width, steps):
    """Raise `result` in place; both arrays are flat, with a frame of minus infinity."""
    # Sweep forward over the preceding neighbors.
    before, behind = steps[: len(steps) // 2], steps[len(steps) // 2 :]
    for pixel in range(width, len(result) - width):
        if result[pixel] < limit[pixel]:
            highest = result[pixel]
            for step in before:
                highest = max(highest, result[pixel + step])
            result[pixel] = min(highest, limit[pixel])
    # Sweep backward and queue the pixels that can still rise. A pixel is queued at most once at a
    # time, so a ring as long as the image suffices.
    queue = np.empty(len(result), np.int32)
    waiting = np.zeros(len(result), np.bool_)
    count = 0
    for pixel in range(len(result) - width - 1, width - 1, -1):
        highest = result[pixel]
        if highest < limit[pixel]:
            for step in behind:
                highest = max(highest, result[pixel + step])
            result[pixel] = highest = min(highest, limit[pixel])
        for step in behind:
            below = result[pixel + step]
            if below < highest and below < limit[pixel + step] and not waiting[pixel]:
                waiting[pixel] = True
                queue[count] = pixel
                count += 1
    # Propagate from the queue.
    start = 0
    while count > 0:
        pixel = queue[start]
        start = (start + 1) % len(queue)
        count -= 1
        waiting[pixel] = False
        for step in steps:
            neighbor = pixel + step
            higher = min(result[pixel], limit[neighbor])
            if result[neighbor] < higher:
                result[neighbor] = higher
                if not waiting[neighbor]:
                    waiting[neighbor] = True
                    queue[(start + count) % len(queue)] = neighbor
                    count += 1

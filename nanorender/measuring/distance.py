"""Exact Euclidean distances between pixels."""

import cv2
import numpy as np
from jaxtyping import Bool, Float


def distance_to_background(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Compute the distance of each pixel center to the nearest center outside the mask.

    Parameters
    ----------
    mask : (h, w) foreground, with at least one pixel of background

    Returns
    -------
    distance : (h, w) distance in pixels, 0 outside the mask

    Examples
    --------
    >>> import numpy as np
    >>> distance_to_background(np.array([[False, True, True], [False, True, True]])).tolist()
    [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
    """
    rough = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squared distances are whole numbers; the last digit of OpenCV's depends on the alignment.
    return np.sqrt(np.rint(rough.astype(np.float64) ** 2))

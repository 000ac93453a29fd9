"""Neighborhoods of pixels and connected regions."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Int32

Connectivity = Literal[4, 8]

# Offsets (columns right, rows down) to each neighbor, in the order in which MorphoLibJ visits them.
NEIGHBORS = {
    4: ((-1, 0), (0, -1), (1, 0), (0, 1)),
    8: ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)),
}


def connected_regions(
    mask: Bool[np.ndarray, "h w"], connectivity: Connectivity
) -> Int32[np.ndarray, "h w"]:
    """Label the connected regions of a mask.

    Parameters
    ----------
    mask : (h, w) foreground
    connectivity : 4 or 8 neighbors

    Returns
    -------
    regions : (h, w) label map, regions numbered from 1
    """
    _, regions = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return np.asarray(regions, np.int32)


def neighborhood(connectivity: Connectivity) -> np.ndarray:
    """Return a pixel and its neighbors as a structuring element of OpenCV.

    Parameters
    ----------
    connectivity : 4 or 8 neighbors

    Returns
    -------
    element : (3, 3) 1 for the pixel and its neighbors
    """
    shape = cv2.MORPH_CROSS if connectivity == 4 else cv2.MORPH_RECT
    return cv2.getStructuringElement(shape, (3, 3))

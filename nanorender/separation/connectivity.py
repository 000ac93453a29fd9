"""Which pixels are neighbors, and the regions that hang together by them."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Int32

Connectivity = Literal[4, 8]

# Columns right and rows down to each neighbor, in the order in which MorphoLibJ visits them.
NEIGHBORS = {
    4: ((-1, 0), (0, -1), (1, 0), (0, 1)),
    8: ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)),
}


def connected_regions(
    mask: Bool[np.ndarray, "h w"], connectivity: Connectivity
) -> Int32[np.ndarray, "h w"]:
    """Return the connected regions of `mask`, numbered from 1, 0 outside."""
    _, regions = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return np.asarray(regions, np.int32)


def neighborhood(connectivity: Connectivity) -> np.ndarray:
    """Return the pixel with its 4 or 8 neighbors as OpenCV's structuring element."""
    shape = cv2.MORPH_CROSS if connectivity == 4 else cv2.MORPH_RECT
    return cv2.getStructuringElement(shape, (3, 3))

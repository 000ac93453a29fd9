"""Chamfer distances to the background as in MorphoLibJ.

Legland, Arganda-Carreras and Andrey, "MorphoLibJ: integrated library and plugins for mathematical
morphology with ImageJ", Bioinformatics 32 (2016) 3532.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from nanorender.jit import kernel


class ChamferWeights(NamedTuple):
    """Lengths of the steps of a chamfer distance.

    Attributes
    ----------
    side : step to one of the 4 nearest neighbors
    diagonal : step to a diagonal neighbor
    knight : step by a knight's move; infinite for a mask of 3 x 3 pixels
    """

    side: float
    diagonal: float
    knight: float = np.inf


# Borgefors, "Distance transformations in digital images", CVGIP 34 (1986) 344. The weights 3-4 were
# the default of MorphoLibJ until it changed to the chess knight's in 2022.
CHAMFER_WEIGHTS = {
    "borgefors": ChamferWeights(3, 4),
    "chessknight": ChamferWeights(5, 7, 11),
    "quasi_euclidean": ChamferWeights(1, float(np.sqrt(2))),
    "city_block": ChamferWeights(1, 2),
}
_MARGIN = 2  # reach of a knight's move beyond the image, pixels


def chamfer_distance(
    mask: Bool[np.ndarray, "h w"], weights: ChamferWeights
) -> Float32[np.ndarray, "h w"]:
    """Compute the length of the shortest chamfer path from each pixel to the background.

    Parameters
    ----------
    mask : (h, w) foreground; the outside of the image is not background, as in MorphoLibJ
    weights : lengths of the steps

    Returns
    -------
    distance : (h, w) distance in units of the weights, infinite without any background

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.array([[False, True, True], [True, True, True]])
    >>> chamfer_distance(mask, CHAMFER_WEIGHTS["borgefors"]).tolist()
    [[0.0, 3.0, 6.0], [3.0, 4.0, 7.0]]
    """
    padded = np.full([edge + 2 * _MARGIN for edge in mask.shape], np.inf, np.float32)
    inner = padded[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    inner[~mask] = 0
    # Offsets (rows up, columns left) to the neighbors that precede a pixel in raster order.
    steps = [(0, 1, weights.side), (1, 1, weights.diagonal)]
    steps += [(1, 0, weights.side), (1, -1, weights.diagonal)]
    if np.isfinite(weights.knight):
        steps += [(up, left, weights.knight) for up, left in ((1, 2), (1, -2), (2, 1), (2, -1))]
    back = np.array([up * padded.shape[1] + left for up, left, _ in steps])
    lengths = np.array([length for *_, length in steps], np.float32)
    _sweep(padded.ravel(), padded.shape[1], back, lengths)
    _sweep(padded.ravel(), padded.shape[1], -back, lengths)
    return inner.copy()


@kernel
def _sweep(padded, width, back, lengths):
    """Relax distances in place through the pixels at offsets `back`, in raster order.

    `padded` is flat and has a frame of `_MARGIN` pixels; negative offsets mean reverse order.
    """
    last = len(padded) - 1
    forward = back[0] > 0
    for row in range(_MARGIN, len(padded) // width - _MARGIN):
        for column in range(_MARGIN, width - _MARGIN):
            pixel = row * width + column
            if not forward:
                pixel = last - pixel
            least = padded[pixel]
            if least > 0:
                for step in range(len(back)):
                    least = min(least, padded[pixel - back[step]] + lengths[step])
                padded[pixel] = least

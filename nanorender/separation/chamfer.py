"""Chamfer distances to the background, as MorphoLibJ computes them.

Legland, Arganda-Carreras and Andrey, "MorphoLibJ: integrated library and plugins for mathematical
morphology with ImageJ", Bioinformatics 32 (2016) 3532.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from nanorender.jit import kernel


class ChamferWeights(NamedTuple):
    """Lengths of the steps of a chamfer distance; `knight` is infinite in a 3 x 3 mask."""

    side: float
    diagonal: float
    knight: float = np.inf


# Borgefors, "Distance transformations in digital images", CVGIP 34 (1986) 344; MorphoLibJ's
# default when the 3-4 mask was the customary one, replaced by the chess knight's in 2022.
CHAMFER_WEIGHTS = {
    "borgefors": ChamferWeights(3, 4),
    "chessknight": ChamferWeights(5, 7, 11),
    "quasi_euclidean": ChamferWeights(1, float(np.sqrt(2))),
    "city_block": ChamferWeights(1, 2),
}
MARGIN = 2  # rows and columns that a knight's move reaches beyond the image


def chamfer_distance(
    mask: Bool[np.ndarray, "h w"], weights: ChamferWeights
) -> Float32[np.ndarray, "h w"]:
    """Return the length of the shortest chamfer path to the background, in units of the weights.

    What is outside the image is not background, as in MorphoLibJ. An image without background
    has infinite distances.
    """
    padded = np.full([edge + 2 * MARGIN for edge in mask.shape], np.inf, np.float32)
    inner = padded[MARGIN:-MARGIN, MARGIN:-MARGIN]
    inner[~mask] = 0
    # Rows up, columns left of the pixels that come before in the order of reading.
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
    """Shorten the distances by paths through the pixels `back` behind, in reading order.

    `padded` is flat with a frame of `MARGIN` pixels; negative steps are behind in reverse order.
    """
    last = len(padded) - 1
    forward = back[0] > 0
    for row in range(MARGIN, len(padded) // width - MARGIN):
        for column in range(MARGIN, width - MARGIN):
            pixel = row * width + column
            if not forward:
                pixel = last - pixel
            least = padded[pixel]
            if least > 0:
                for step in range(len(back)):
                    least = min(least, padded[pixel - back[step]] + lengths[step])
                padded[pixel] = least

"""Chamfer distances, extended maxima and flooding from markers, as MorphoLibJ computes them.

Legland, Arganda-Carreras and Andrey, "MorphoLibJ: integrated library and plugins for mathematical
morphology with ImageJ", Bioinformatics 32 (2016) 3532.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32
from skimage import segmentation

Connectivity = Literal[4, 8]


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


def chamfer_distance(
    mask: Bool[np.ndarray, "h w"], weights: ChamferWeights
) -> Float32[np.ndarray, "h w"]:
    """Return the length of the shortest chamfer path to the background, in units of the weights.

    What is outside the image is not background, as in MorphoLibJ. An image without background
    has infinite distances.
    """
    height, width = mask.shape
    padded = np.full((height + 4, width + 4), np.inf, np.float32)
    inner = padded[2:-2, 2:-2]
    inner[~mask] = 0
    _sweep(padded, weights)
    _sweep(padded[::-1, ::-1], weights)
    return inner.copy()


def _sweep(padded: np.ndarray, weights: ChamferWeights) -> None:
    """Shorten the distances in place by paths that come from the rows above or from the left.

    Strategy: within a row, d[x] = min(c[x], d[x-1] + side) is a running minimum of c - side x.
    """
    side, diagonal, knight = weights
    width = padded.shape[1] - 4
    ramp = np.arange(width, dtype=np.float32) * np.float32(side)
    steps = [(1, 1, diagonal), (1, 2, side), (1, 3, diagonal)]
    if np.isfinite(knight):
        steps += [(1, 0, knight), (1, 4, knight), (2, 1, knight), (2, 3, knight)]
    shifted = np.empty(width, np.float32)
    for y in range(2, padded.shape[0] - 2):
        row = padded[y, 2:-2]
        if not row.any():
            continue
        for up, left, length in steps:
            np.add(padded[y - up, left : left + width], np.float32(length), out=shifted)
            np.minimum(row, shifted, out=row)
        np.subtract(row, ramp, out=shifted)
        np.minimum.accumulate(shifted, out=shifted)
        np.add(shifted, ramp, out=shifted)
        np.minimum(row, shifted, out=row)


def connected_regions(
    mask: Bool[np.ndarray, "h w"], connectivity: Connectivity
) -> Int32[np.ndarray, "h w"]:
    """Return the connected regions of `mask`, numbered from 1, 0 outside."""
    _, regions = cv2.connectedComponents(
        mask.astype(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return np.asarray(regions, np.int32)


def extended_maxima(
    height: Float32[np.ndarray, "h w"], dynamic: float, connectivity: Connectivity
) -> Int32[np.ndarray, "h w"]:
    """Return the labelled regional maxima that rise by more than `dynamic` above their passes.

    A maximum exactly as high as `dynamic` is none: MorphoLibJ has it so, scikit-image's
    `h_maxima` keeps it. `height` must be finite, zero where there is no ground and positive else.
    """
    ground = height > 0
    lowered = reconstruct(np.where(ground, height - np.float32(dynamic), 0), height, connectivity)
    kernel = _neighborhood(connectivity)
    summit = (cv2.dilate(lowered, kernel) <= lowered) & ground
    # A flat summit that continues in a pixel with a higher neighbor is no maximum.
    slope = np.where(summit, -np.inf, lowered).astype(np.float32)
    continued = summit & np.equal(cv2.dilate(slope, kernel), lowered)
    labels = connected_regions(summit, connectivity)
    kept = np.ones(labels.max(initial=0) + 1, bool)
    kept[labels[continued]] = False
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]


def reconstruct(
    marker: Float32[np.ndarray, "h w"],
    ceiling: Float32[np.ndarray, "h w"],
    connectivity: Connectivity,
) -> Float32[np.ndarray, "h w"]:
    """Return the morphological reconstruction of `marker` by dilation under `ceiling`.

    Vincent, "Morphological grayscale reconstruction in image analysis", IEEE Trans. Image
    Processing 2 (1993) 176. Dilations are repeated in the window that still changes: on distance
    maps that is twenty times faster than scikit-image's sorted list of pixels.
    """
    kernel = _neighborhood(connectivity)
    result = np.minimum(marker, ceiling).astype(np.float32)
    rows, columns = slice(0, result.shape[0]), slice(0, result.shape[1])
    steps = 16
    while True:
        window = result[rows, columns]
        limit = np.ascontiguousarray(ceiling[rows, columns])
        before = np.ascontiguousarray(window)
        for _ in range(steps):
            after = cv2.min(cv2.dilate(before, kernel), limit)
            before, last = after, before
        window[:] = before
        changed = before != last
        if not changed.any():
            return result
        rows, columns = _window_around(changed, rows, columns, result.shape, steps + 1)


def _window_around(
    changed: np.ndarray, rows: slice, columns: slice, shape: tuple[int, ...], margin: int
) -> tuple[slice, slice]:
    """Return the rows and columns that hold all changes and `margin` pixels around them."""
    y = np.flatnonzero(changed.any(axis=1)) + rows.start
    x = np.flatnonzero(changed.any(axis=0)) + columns.start
    return (
        slice(max(y[0] - margin, 0), min(y[-1] + margin + 1, shape[0])),
        slice(max(x[0] - margin, 0), min(x[-1] + margin + 1, shape[1])),
    )


def _neighborhood(connectivity: Connectivity) -> np.ndarray:
    """Return the pixel with its 4 or 8 neighbors as OpenCV's structuring element."""
    shape = cv2.MORPH_CROSS if connectivity == 4 else cv2.MORPH_RECT
    return cv2.getStructuringElement(shape, (3, 3))


def flood(
    height: Float32[np.ndarray, "h w"],
    markers: Int32[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"],
    connectivity: Connectivity,
) -> Int32[np.ndarray, "h w"]:
    """Return the basins that spread from labelled markers over `mask`, from high to low.

    Meyer and Beucher, "Morphological segmentation", J. Visual Communication and Image
    Representation 1 (1990) 21, with pixels of one height in the order in which they are reached,
    as in MorphoLibJ. Wavefronts as numpy arrays were no faster than scikit-image's queue, and
    parted overlapping discs three times worse.
    """
    if not markers.any():
        return np.zeros_like(markers)
    basins = segmentation.watershed(
        -height, markers, connectivity=1 if connectivity == 4 else 2, mask=mask
    )
    return basins.astype(np.int32)


def dams(basins: Int32[np.ndarray, "h w"], connectivity: Connectivity) -> Bool[np.ndarray, "h w"]:
    """Return the pixels of a line one pixel wide between every two basins that touch.

    Of two neighbors the one in the larger basin is the dam, which changes its area least.
    (scikit-image's `watershed_line` is within a pixel of it and takes three times the flooding.)
    """
    area = np.bincount(basins.ravel())
    # Rank of a basin by area, then by label; background never is a dam.
    rank = np.zeros(len(area), np.int32)
    rank[1:][np.argsort(area[1:], kind="stable")] = np.arange(1, len(area))
    ranked = rank[basins]
    found = np.zeros(basins.shape, bool)
    offsets = ((0, 1), (1, 0)) if connectivity == 4 else ((0, 1), (1, 0), (1, 1), (1, -1))
    height, width = basins.shape
    for down, right in offsets:
        left, columns = max(-right, 0), width - abs(right)
        here = (slice(0, height - down), slice(left, left + columns))
        there = (slice(down, height), slice(left + right, left + right + columns))
        touching = (ranked[here] != ranked[there]) & (ranked[here] > 0) & (ranked[there] > 0)
        found[here] |= touching & (ranked[here] > ranked[there])
        found[there] |= touching & (ranked[there] > ranked[here])
    return found

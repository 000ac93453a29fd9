"""Borders in label maps: gaps between particles that touch, and along their outlines."""

import numpy as np
from jaxtyping import Int32

from nanorender.jit import kernel

_TILE = 16  # edge of the squares that are looked at or left out, px


def widen_borders(labels: Int32[np.ndarray, "h w"], border_px: float) -> Int32[np.ndarray, "h w"]:
    """Return labels in which pixels within `border_px` of another particle are background."""
    return _eroded(labels, border_px, False) if border_px > 0 else labels


def shrink_from_background(
    labels: Int32[np.ndarray, "h w"], border_px: float
) -> Int32[np.ndarray, "h w"]:
    """Return labels in which pixels within `border_px` of background are background."""
    return _eroded(labels, border_px, True) if border_px > 0 else labels


def _eroded(labels: Int32[np.ndarray, "h w"], border_px: float, from_background: bool):
    """Return labels without what a disc about each pixel of a border between two of them covers.

    With `from_background` only borders with label 0 count, otherwise only those without.
    """
    eroded = labels.copy()
    _erode(labels, eroded, border_px, from_background, _extremes(labels, from_background))
    return eroded


@kernel
def _extremes(labels, from_background):
    """Return lowest and highest label of each tile of the map, (2, a, b).

    Unless `from_background`, 0 does not count.
    """
    height, width = labels.shape
    extremes = np.empty((2, (height - 1) // _TILE + 1, (width - 1) // _TILE + 1), np.int32)
    nothing = np.int32(0 if from_background else 2147483647)
    extremes[0], extremes[1] = 2147483647, 0
    for r in range(height):
        for b in range(extremes.shape[2]):
            block = labels[r, b * _TILE : min((b + 1) * _TILE, width)]
            low, high = np.int32(2147483647), np.int32(0)
            for c in range(block.size):
                low = min(low, block[c] if block[c] else nothing)
                high = max(high, block[c])
            a = r // _TILE
            extremes[0, a, b] = min(extremes[0, a, b], low)
            extremes[1, a, b] = max(extremes[1, a, b], high)
    return extremes


@kernel
def _erode(labels, eroded, border_px, from_background, extremes):
    """Strategy: only tiles that have two labels within the reach of the disc are looked at."""
    height, width = labels.shape
    reach = int(border_px)
    spans = np.empty(reach + 1, np.int64)
    for d in range(reach + 1):
        spans[d] = int(np.sqrt(border_px * border_px - d * d))
    around = max(reach - 1, 0) // _TILE + 1
    for a in range(extremes.shape[1]):
        for b in range(extremes.shape[2]):
            near = extremes[
                :, max(a - around, 0) : a + around + 1, max(b - around, 0) : b + around + 1
            ]
            if near[0].min() >= near[1].max():
                continue
            for r in range(a * _TILE, min((a + 1) * _TILE, height)):
                for c in range(b * _TILE, min((b + 1) * _TILE, width)):
                    here = labels[r, c]
                    if (here == 0) != from_background or not _is_edge(labels, r, c):
                        continue
                    for y in range(max(0, r - reach), min(height, r + reach + 1)):
                        span = spans[abs(y - r)]
                        for x in range(max(0, c - span), min(width, c + span + 1)):
                            if labels[y, x] != here:
                                eroded[y, x] = 0


@kernel
def _is_edge(labels, r, c):
    """Return whether one of the four neighbors of a pixel has another label."""
    here = labels[r, c]
    return (
        labels[max(r - 1, 0), c] != here
        or labels[min(r + 1, labels.shape[0] - 1), c] != here
        or labels[r, max(c - 1, 0)] != here
        or labels[r, min(c + 1, labels.shape[1] - 1)] != here
    )

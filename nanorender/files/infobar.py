"""The info bar under a micrograph, found in the picture."""

import numpy as np
from jaxtyping import Integer

SMALLEST_BAR, LARGEST_BAR = 0.02, 0.3
"""Height of an info bar as a fraction of the image's."""

FLAT_SHARE, FIRST_ROW_SHARE = 0.5, 0.9
"""Share of a row that has one and the same value: at least so much throughout an info bar, in
spite of the writing, and so much in its first row, which no writing reaches."""

SMALLEST_WRITING = 0.002
"""Share of an info bar's pixels that are writing; less is an empty piece of substrate."""


def info_bar_rows(image: Integer[np.ndarray, "h w"]) -> int:
    """Return how many rows at the bottom are a microscope's info bar, 0 if there is none.

    In a bar most of each row has one value exactly, however noisy the image above; it begins
    abruptly, holds writing, and reaches the bottom but for a row or two.
    """
    height = image.shape[0]
    low = height - int(height * LARGEST_BAR) - 1
    if low < 1:
        return 0
    share = np.array([_commonest_share(row) for row in image[low:]])
    if np.median([_commonest_share(row) for row in image[:low:8]]) >= FLAT_SHARE:
        return 0
    flat = np.flatnonzero(share >= FLAT_SHARE)
    if not flat.size or len(share) - 1 - flat[-1] > max(3, height // 100):
        return 0
    above = np.flatnonzero(share[: flat[-1]] < FLAT_SHARE)
    first = int(above[-1]) + 1 if above.size else 0
    bar = image[low + first : low + int(flat[-1]) + 1]
    if first == 0 or share[first] < FIRST_ROW_SHARE or len(bar) < SMALLEST_BAR * height:
        return 0
    contrast = np.abs(bar.astype(np.int32) - int(np.median(bar)))
    writing = np.mean(contrast > 0.5 * max(int(np.ptp(image)), 1))
    return height - low - first if writing >= SMALLEST_WRITING else 0


def _commonest_share(row: np.ndarray) -> float:
    """Return the share of the commonest value in a row."""
    return float(np.unique(row, return_counts=True)[1].max() / row.size)

"""Detection of a microscope's info bar below a micrograph."""

import numpy as np
from jaxtyping import Integer

SMALLEST_BAR, LARGEST_BAR = 0.02, 0.3
"""Height of an info bar as a fraction of the image's."""

FLAT_SHARE, FIRST_ROW_SHARE = 0.5, 0.9
"""Share of the most frequent value in a row: minimum within an info bar, despite its text, and
minimum in its first row, which has no text."""

SMALLEST_WRITING = 0.002
"""Minimum share of text in an info bar; a flat area without text is substrate."""


def info_bar_rows(image: Integer[np.ndarray, "h w"]) -> int:
    """Count the rows of the info bar at the bottom of an image.

    In an info bar most pixels of each row have exactly the same value, however noisy the image. It
    begins abruptly, contains text, and reaches the bottom up to a few rows.

    Parameters
    ----------
    image
        (h, w) gray values.

    Returns
    -------
    int
        Rows from the top of the bar to the bottom of the image, 0 without info bar.
    """
    # Find flat rows in the lowest part of the image, unless the image itself is flat.
    height = image.shape[0]
    low = height - int(height * LARGEST_BAR) - 1
    if low < 1:
        return 0
    share = np.array([_most_frequent_share(row) for row in image[low:]])
    if np.median([_most_frequent_share(row) for row in image[:low:8]]) >= FLAT_SHARE:
        return 0
    flat = np.flatnonzero(share >= FLAT_SHARE)
    if not flat.size or len(share) - 1 - flat[-1] > max(3, height // 100):
        return 0

    # Take the last run of flat rows as the bar, and check its first row, height and text.
    above = np.flatnonzero(share[: flat[-1]] < FLAT_SHARE)
    first = int(above[-1]) + 1 if above.size else 0
    bar = image[low + first : low + int(flat[-1]) + 1]
    if first == 0 or share[first] < FIRST_ROW_SHARE or len(bar) < SMALLEST_BAR * height:
        return 0
    contrast = np.abs(bar.astype(np.int32) - int(np.median(bar)))
    writing = np.mean(contrast > 0.5 * max(int(np.ptp(image)), 1))
    return height - low - first if writing >= SMALLEST_WRITING else 0


def _most_frequent_share(row: np.ndarray) -> float:
    """Return the share of the most frequent value in a row."""
    return float(np.unique(row, return_counts=True)[1].max() / row.size)

"""Lines with ticks at both ends, and rows of ticks."""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nanorender.files.scalebars.bar import LEAST_CONTRAST, SHORTEST_PX, WHITE, Bar, contrast_beside
from nanorender.files.scalebars.rectangle import Rectangle

MOST_SPECKS = 500
"""Specks around a text from which they are noise, not ticks."""

TICKS = 11
"""Ticks in the row of a Hitachi microscope, which spans the length printed below."""


def ticked_line(
    strip: UInt8[np.ndarray, "h w"], box: Rectangle, shape: Bool[np.ndarray, "a b"]
) -> Bar | None:
    """Measure a line with ticks at both ends, from the middle of one to that of the other.

    Parameters
    ----------
    strip
        (h, w) gray levels.
    box
        Box of a component of the image.
    shape
        (a, b) pixels of the component within its box.

    Returns
    -------
    Bar or None
        None if the component is no such line, or its ticks are thick.

    Examples
    --------
    >>> strip = np.full((30, 60), 90, np.uint8)
    >>> strip[14:16, 10:50] = strip[10:20, 10:12] = strip[10:20, 48:50] = 200
    >>> bar = ticked_line(strip, Rectangle(10, 10, 50, 20), strip[10:20, 10:50] > 100)
    >>> bar.first, bar.last
    (11.0, 49.0)
    """
    # Find the line, and the ticks above and below it, which are at its ends
    width = shape.shape[1]
    core = np.flatnonzero(shape.sum(axis=1) >= 0.93 * width)
    if width < SHORTEST_PX or not core.size or core[-1] - core[0] + 1 != core.size:
        return None
    outside = shape.copy()
    outside[core[0] : core[-1] + 1] = False
    columns = np.flatnonzero(outside.any(axis=0))
    left, right = columns[columns < width // 2], columns[columns >= width // 2]
    if not (left.size and right.size) or shape.shape[0] < core.size + 4:
        return None
    widths = int(left[-1]) + 1, width - int(right[0])
    if abs(widths[0] - widths[1]) > 2 or max(widths) > 0.08 * width + 1:
        return None  # thick ticks: it is unknown to which of their edges the length refers

    # Compare the line with its ground, and find the middle of each tick
    line = Rectangle(box.left + widths[0] + 1, box.top + int(core[0]), box.right - widths[1] - 1, 0)
    line = line._replace(bottom=box.top + int(core[-1]) + 1)
    level = float(np.median(strip[line.top : line.bottom, line.left : line.right]))
    contrast = contrast_beside(strip, line, level)
    rows = box.top + np.flatnonzero(outside.any(axis=1))
    if contrast < LEAST_CONTRAST or rows.size < 3:
        return None
    first = _tick_place(strip, rows, box.left, box.left + widths[0])
    last = _tick_place(strip, rows, box.right - widths[1], box.right)
    return Bar(first, last, box, contrast)


def _tick_place(strip: UInt8[np.ndarray, "h w"], rows: np.ndarray, left: int, right: int) -> float:
    """Return the middle of a tick, weighted by its contrast."""
    low, high = max(0, left - 2), min(strip.shape[1], right + 2)
    profile = strip[rows, low:high].mean(axis=0)
    weight = np.abs(profile - (profile[0] + profile[-1]) / 2)
    weight[weight < 0.15 * weight.max()] = 0
    return float((weight * (np.arange(low, high) + 0.5)).sum() / weight.sum())


def tick_rows(stats: np.ndarray, centers: np.ndarray, text: Rectangle) -> Iterator[Bar]:
    """Find rows of equal ticks at equal distances.

    Parameters
    ----------
    stats
        (n, 5) boxes and areas of the components of an image, as OpenCV returns them.
    centers
        (n, 2) their centers.
    text
        Box of the text.

    Yields
    ------
    Bar
        Each row of `TICKS` ticks, from the middle of the first to that of the last.

    Examples
    --------
    >>> left = 20 + 10 * np.arange(11)
    >>> stats = np.column_stack([left, left * 0 + 30, left * 0 + 2, left * 0 + 6, left * 0 + 12])
    >>> centers = np.column_stack([left + 0.5, left * 0 + 32.5])
    >>> [bar.length_px for bar in tick_rows(stats, centers, Rectangle(50, 10, 90, 26))]
    [100.0]
    """
    small = (stats[:, cv2.CC_STAT_WIDTH] <= 8) & (stats[:, cv2.CC_STAT_HEIGHT] <= 30)
    small &= np.abs(centers[:, 1] - text.middle) < 2 * text.height
    stats, centers = stats[small], centers[small]
    if len(stats) > MOST_SPECKS:
        return  # noise
    heights = stats[:, cv2.CC_STAT_HEIGHT]
    bottoms = stats[:, cv2.CC_STAT_TOP] + heights
    for bottom, height in {(int(b), int(h)) for b, h in zip(bottoms, heights, strict=True)}:
        # The first, sixth and last tick may be longer than the others
        alike = (abs(bottoms - bottom) <= 2) & (heights >= height - 3) & (heights <= 2 * height + 2)
        if not TICKS <= np.count_nonzero(alike) <= 3 * TICKS:
            continue
        top = bottom - int(heights[alike].max())
        places = np.sort(centers[alike, 0]) + 0.5
        inside = (
            text.top + 0.1 * text.height < bottom - height / 2 < text.bottom - (0.1 * text.height)
        )
        for chain in _even_chains(places):
            if chain[-1] - chain[0] < 1.2 * text.width or (inside and chain[0] < text.right):
                continue  # the feet of letters
            width = round(float(stats[alike, cv2.CC_STAT_WIDTH].max()))
            left, right = int(chain[0] - width / 2), int(chain[-1] + width / 2) + 1
            yield Bar(float(chain[0]), float(chain[-1]), Rectangle(left, top, right, bottom), WHITE)


def _even_chains(places: Float[np.ndarray, "n"]) -> Iterator[Float[np.ndarray, "m"]]:
    """Yield the chains of `TICKS` places at equal distances that nothing continues."""
    for index, first in enumerate(places):
        for second in places[index + 1 : index + 4]:
            step = second - first
            if step < 5:
                continue
            at = first + step * np.arange(-1, TICKS + 1)
            nearest = places[np.abs(places[:, None] - at).argmin(axis=0)]
            there = np.abs(nearest - at) < 1.0 + 0.01 * np.abs(at - first)
            if there[1:-1].all() and not there[0] and not there[-1]:
                yield nearest[1:-1]

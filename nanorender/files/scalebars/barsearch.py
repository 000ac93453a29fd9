"""Search for the bars that may belong to a text, at many gray levels."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from nanorender.files.scalebars.bar import SHORTEST_PX, Bar
from nanorender.files.scalebars.brokenlines import HalfLine, broken_lines, half_line
from nanorender.files.scalebars.rectangle import Rectangle
from nanorender.files.scalebars.solidbars import solid_bar
from nanorender.files.scalebars.ticks import tick_rows, ticked_line

LARGEST_SHARE = 0.7
"""Length of the longest bar as a fraction of the image's width."""

LEVELS = (12, 24, 40, 56, 72, 96, 120, 144, 168, 192, 208, 224, 236, 244, 250)
"""Gray levels at which bars are parted from what surrounds them."""

OPENING = np.ones((1, 11), np.uint8)
"""Structuring element that removes what touches a bar."""


def bars_beside(levels: UInt8[np.ndarray, "h w"], text: Rectangle) -> list[Bar]:
    """Find the bars that may belong to a text: above, below, around or beside it.

    Parameters
    ----------
    levels
        (h, w) gray levels.
    text
        Box of the text.

    Returns
    -------
    list of Bar
        Bars in order of contrast and thickness.

    Examples
    --------
    >>> image = np.full((100, 200), 90, np.uint8)
    >>> image[80:84, 100:150] = 255
    >>> [bar.length_px for bar in bars_beside(image, Rectangle(105, 60, 145, 76))]
    [50.0]
    """
    margin = 3 * text.height + 4
    top, bottom = max(0, text.top - margin), min(levels.shape[0], text.bottom + margin)
    strip, inside = levels[top:bottom], text.moved(0, -top)
    cut = (top == 0, bottom == levels.shape[0])
    bars = [bar for bar in _bars(strip, inside, cut) if _belongs(strip, bar, inside)]
    return [bar._replace(box=bar.box.moved(0, top)) for bar in _distinct(bars, text)]


def _bars(strip: UInt8[np.ndarray, "h w"], text: Rectangle, cut: tuple[bool, bool]) -> list[Bar]:
    """Find bars, lines and rows of ticks in rows of an image, at every level."""
    found: list[Bar] = []
    for level in LEVELS:
        for mask in (strip >= level, strip < level):
            mask = mask.astype(np.uint8)
            _, labels, stats, centers = cv2.connectedComponentsWithStats(mask, connectivity=8)
            found += tick_rows(stats[1:], centers[1:], text)
            halves: list[HalfLine] = []
            for box, shape in _wide(labels, stats, text, cut):
                bar = ticked_line(strip, box, shape)
                if bar is not None:
                    found.append(bar)
                half = half_line(box, shape, text)
                halves += [half] if half is not None else []
            found += broken_lines(halves, text)

            # What touches a bar, such as text and noise, is narrow
            opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, OPENING)
            _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
            for box, shape in _wide(labels, stats, text, cut):
                bar = solid_bar(strip, box, shape)
                if bar is not None:
                    found.append(bar)
    return found


def _wide(
    labels: np.ndarray, stats: np.ndarray, text: Rectangle, cut: tuple[bool, bool]
) -> Iterator[tuple[Rectangle, Bool[np.ndarray, "a b"]]]:
    """Yield the box and the shape of each component that may be a bar."""
    height, width = labels.shape
    across, down = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    likely = (across >= SHORTEST_PX / 2) & (down <= across)
    likely &= across <= LARGEST_SHARE * width
    for index in np.flatnonzero(likely):
        if index == 0:
            continue  # the ground
        left, top, across, down, area = (int(value) for value in stats[index])
        box = Rectangle(left, top, left + across, top + down)
        touches = (cut[0] and top == 0) or (cut[1] and box.bottom == height)
        if touches or box.contains(text) or area < across:
            continue
        if not _is_near(box, text):
            continue
        yield box, labels[top : box.bottom, left : box.right] == index


def _is_near(box: Rectangle, text: Rectangle) -> bool:
    """Return whether a component is near enough to a text to be its bar or a half of it."""
    apart = max(text.top - box.bottom, box.top - text.bottom)
    gap = max(box.left - text.right, text.left - box.right)
    return apart < 1.5 * text.height if gap < 0 else abs(box.middle - text.middle) < text.height


def _belongs(strip: UInt8[np.ndarray, "h w"], bar: Bar, text: Rectangle) -> bool:
    """Return whether a bar is where the bar of a text may be."""
    box, size = bar.box, text.height
    overlap = min(box.right, text.right) - max(box.left, text.left)
    if bar.around_text:
        return True
    within = text.top < box.middle < text.bottom and overlap > 0
    if box.width < (1.0 if within else 0.6) * size:
        return False  # a stroke of a letter
    if overlap > 0.3 * min(box.width, text.width):
        apart = max(text.top - box.bottom, box.top - text.bottom)
        return abs(box.middle - text.middle) > 0.25 * size and apart < 1.5 * size
    if abs(box.middle - text.middle) > 0.6 * size:
        return False
    gap = -overlap
    if gap < 3 * size:
        return True
    # Farther away only on the empty ground of an info bar
    left, right = (box.right, text.left) if box.left < text.left else (text.right, box.left)
    between = strip[box.top : box.bottom, left + 2 : right - 2]
    return gap < 15 * size and between.size > 0 and int(np.ptp(between)) < 12


def _distinct(bars: Sequence[Bar], text: Rectangle) -> list[Bar]:
    """Keep one of the bars found at the same place at several levels, and no halos of a bar."""
    kept: list[Bar] = []
    for bar in sorted(bars, key=lambda each: -each.contrast * each.box.height**0.5):
        if not any(_is_shadow(bar, other, text) for other in kept):
            kept.append(bar)
    strongest = max((bar.contrast for bar in kept), default=0.0)
    return [bar for bar in kept if bar.contrast > 0.35 * strongest]


def _is_shadow(bar: Bar, other: Bar, text: Rectangle) -> bool:
    """Return whether a bar is another one at another level, or the ringing beside it."""
    if bar.box.overlaps(other.box):
        return True
    across = min(bar.box.right, other.box.right) - max(bar.box.left, other.box.left)
    apart = max(other.box.top - bar.box.bottom, bar.box.top - other.box.bottom)
    close = across > 0.8 * bar.box.width and apart < 0.5 * text.height
    return close and apart <= 2

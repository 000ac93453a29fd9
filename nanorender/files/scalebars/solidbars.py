"""Bars without end ticks, measured at half of their contrast."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from nanorender.files.scalebars.bar import CUT, LEAST_CONTRAST, SHORTEST_PX, Bar, contrast_beside
from nanorender.files.scalebars.rectangle import Rectangle

LEAST_EVENNESS, LARGEST_OUTLINE = 0.8, 1.6
"""Least level within a bar, and largest one of an outline around it, relative to its contrast."""


def solid_bar(
    strip: UInt8[np.ndarray, "h w"], box: Rectangle, shape: Bool[np.ndarray, "a b"]
) -> Bar | None:
    """Measure a bar without end ticks at half of its contrast.

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
        None if the component is no bar.

    Examples
    --------
    >>> strip = np.full((20, 60), 90, np.uint8)
    >>> strip[8:12, 15:45] = 200
    >>> bar = solid_bar(strip, Rectangle(15, 8, 45, 12), np.ones((4, 30), bool))
    >>> bar.first, bar.last
    (15.0, 45.0)
    """
    # Columns of equal thickness in a straight row, which may be slightly tilted
    height, width = shape.shape
    thickness = shape.sum(axis=0)
    thick = float(np.median(thickness))
    if width < SHORTEST_PX or height > min(0.65 * width, thick + max(2, 0.3 * thick, 0.05 * width)):
        return None
    if np.mean(np.abs(thickness - thick) > max(1.0, 0.25 * thick)) > 0.07:
        return None
    values = strip[box.top : box.bottom, box.left : box.right][shape]
    level = float(np.median(values))
    if np.subtract(*np.percentile(values, (75, 25))) > 24:
        return None
    contrast = contrast_beside(strip, box, level)
    if contrast < LEAST_CONTRAST:
        return None
    if box.left == 0 or box.right == strip.shape[1]:
        return Bar(CUT, CUT, box, contrast)

    # Place of the ends, each in the rows that are there
    ends, ticks = [], []
    for start, step, part in (
        (box.left, -1, shape[:, : max(3, width // 6)]),
        (box.right - 1, 1, shape[:, -max(3, width // 6) :]),
    ):
        rows = box.top + np.flatnonzero(part.mean(axis=1) > 0.6)
        rows = rows[1:-1] if rows.size > 3 else rows
        if not rows.size:
            return None
        ticks.append(_has_tick(strip, start, step, rows, level))
        ends.append(_edge(np.median(strip[rows], axis=0).astype(float), start, step, level, width))
    first, last = ends
    if first is None or last is None or all(ticks):
        return None
    return Bar(first, last, box, contrast)


def _has_tick(
    strip: UInt8[np.ndarray, "h w"], start: int, step: int, rows: np.ndarray, level: float
) -> bool:
    """Return whether a line continues upwards or downwards at its end."""
    columns = slice(*sorted((start - 2 * step, start + 2 * step)))
    within = slice(*sorted((start - 12 * step, start - 6 * step)))
    for row in (int(rows[0]) - 4, int(rows[-1]) + 4):
        if 0 <= row < strip.shape[0]:
            ground = float(np.median(strip[row, within]))
            nearest = float(np.abs(strip[row, columns].astype(float) - level).min())
            if nearest < 0.4 * abs(level - ground):
                return True
    return False


def _edge(
    profile: Float[np.ndarray, "w"], start: int, step: int, level: float, length: int
) -> float | None:
    """Return the place where a profile passes half of its contrast; None if there is no edge."""
    beyond = [start + step * k for k in range(3, 9)]  # beyond the blur
    beyond = [at for at in beyond if 0 <= at < profile.size]
    if len(beyond) < 2:
        return None
    ground = float(np.median(profile[beyond]))
    contrast = abs(level - ground)
    if contrast < LEAST_CONTRAST:
        return None
    inside = (profile - ground) / (level - ground)
    outline = inside[[at for at in range(start, start + 4 * step, step) if 0 <= at < profile.size]]
    if outline.min() < -LARGEST_OUTLINE:
        return None  # the inner part of an outlined bar: it is unknown what the length refers to
    at = start - 4 * step
    while 0 <= at + step < profile.size and inside[at + step] > 0.5:
        at += step
        if abs(at - start) > 4:
            return None
    if not 0 <= at + step < profile.size or inside[at] <= 0.5:
        return None
    # Something of another gray beside the bar is no part of it
    outer = inside[at - 2 * step : at - 2 * step - length // 4 * step : -step]
    if not outer.size or outer.min() < LEAST_EVENNESS:
        return None
    # Half a pixel from the middle of the last pixel if the next one shows nothing of the bar
    return at + 0.5 + step * float((inside[at] - 0.5) / (inside[at] - inside[at + step]))

"""Measured bars, and their contrast with what surrounds them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from nanorender.files.scalebars.rectangle import Rectangle

SHORTEST_PX = 18.0
"""Length of the shortest bar."""

WHITE, LEAST_CONTRAST = 255.0, 18.0
"""Largest and least difference between a bar and what surrounds it."""

CUT = -1.0
"""Place of the ends of a bar that is cut by the edge of the image."""


class Bar(NamedTuple):
    """A bar, a line or a row of ticks.

    Attributes
    ----------
    first, last
        Columns of its ends, with fractions; `CUT` if it is cut by the edge of the image.
    box
        Its box with end ticks.
    contrast
        Difference from what surrounds it, gray levels.
    around_text
        Whether its text takes its middle.
    """

    first: float
    last: float
    box: Rectangle
    contrast: float
    around_text: bool = False

    @property
    def length_px(self) -> float:
        """Distance of its ends."""
        return self.last - self.first


def contrast_beside(strip: UInt8[np.ndarray, "h w"], box: Rectangle, level: float) -> float:
    """Find the least difference of a bar from the rows above and below it.

    Parameters
    ----------
    strip
        (h, w) gray levels.
    box
        Box of the bar.
    level
        Gray level of the bar.

    Returns
    -------
    float
        The difference in gray levels, 0 if there are no such rows.

    Examples
    --------
    >>> strip = np.full((20, 40), 90, np.uint8)
    >>> strip[8:12, 5:35] = 200
    >>> contrast_beside(strip, Rectangle(5, 8, 35, 12), 200.0)
    110.0
    """
    above = slice(max(0, box.top - 4), max(0, box.top - 1))
    below = slice(box.bottom + 1, box.bottom + 4)
    beside = [strip[rows, box.left : box.right] for rows in (above, below)]
    return min((abs(float(np.median(each)) - level) for each in beside if each.size), default=0.0)

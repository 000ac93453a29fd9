"""Lines whose middle is taken by their text."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from nanorender.files.scalebars.bar import WHITE, Bar
from nanorender.files.scalebars.rectangle import Rectangle


class HalfLine(NamedTuple):
    """Half of a line that is broken by its text.

    Attributes
    ----------
    box
        Its box with a tick.
    row
        Middle of the line, px.
    first, last
        Its ends, or the middle of ticks there, px.
    """

    box: Rectangle
    row: float
    first: float
    last: float


def half_line(box: Rectangle, shape: Bool[np.ndarray, "a b"], text: Rectangle) -> HalfLine | None:
    """Measure what may be half of a line that is broken by its text.

    Parameters
    ----------
    box
        Box of a component of the image.
    shape
        (a, b) pixels of the component within its box.
    text
        Box of the text.

    Returns
    -------
    HalfLine or None
        None if the component is no thin line beside the text.

    Examples
    --------
    >>> half_line(Rectangle(0, 9, 30, 11), np.ones((2, 30), bool), Rectangle(32, 2, 70, 18))
    HalfLine(box=Rectangle(left=0, top=9, right=30, bottom=11), row=9.5, first=0.0, last=30.0)
    """
    beside = box.right < text.left + text.height or box.left > text.right - text.height
    if not beside or abs(box.middle - text.middle) > 0.4 * text.height:
        return None
    core = np.flatnonzero(shape.sum(axis=1) >= 0.9 * shape.shape[1])
    if not core.size or core.size > 4 or core[-1] - core[0] + 1 != core.size:
        return None
    outside = shape.copy()
    outside[core[0] : core[-1] + 1] = False
    columns = np.flatnonzero(outside.any(axis=0))
    near, far = columns[columns < 6], columns[columns >= shape.shape[1] - 6]
    if near.size + far.size < columns.size:
        return None
    first = near.mean() + 0.5 if near.size else 0.0
    last = far.mean() + 0.5 if far.size else float(shape.shape[1])
    row = box.top + float(core.mean())
    return HalfLine(box, row, box.left + float(first), box.left + float(last))


def broken_lines(halves: Sequence[HalfLine], text: Rectangle) -> Iterator[Bar]:
    """Find lines whose middle is taken by their text.

    Parameters
    ----------
    halves
        What may be half of a line.
    text
        Box of the text.

    Yields
    ------
    Bar
        Each line, with both halves.

    Examples
    --------
    >>> left = HalfLine(Rectangle(0, 9, 30, 11), 9.5, 0.0, 30.0)
    >>> right = HalfLine(Rectangle(72, 9, 102, 11), 9.5, 72.0, 102.0)
    >>> [bar.length_px for bar in broken_lines([left, right], Rectangle(32, 2, 70, 18))]
    [102.0]
    """
    for left, right in permutations(halves, 2):
        length = right.last - left.first
        level = abs(left.row - right.row) <= 1 and (abs(left.row - text.middle) < 0.3 * text.height)
        parted = left.box.right < text.left + text.height and (
            right.box.left > text.right - text.height
        )
        if not (level and parted and length > 1.2 * text.width):
            continue
        center = (left.first + right.last - text.left - text.right) / 2
        if abs(center) < 0.1 * length:
            yield Bar(left.first, right.last, left.box.united(right.box), WHITE, True)

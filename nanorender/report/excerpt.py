"""What the page of a report shows of a large study, so that a browser can open it.

The files beside the page are complete: tables, overlays and outlines of all images.
"""

from collections.abc import Sequence

import numpy as np

from nanorender.scoring.plausibility import raised_doubts
from nanorender.scoring.results import ImageResult

MAX_PICTURES = 100
"""Images shown with their particles."""

MAX_IMAGE_ROWS = 1000
"""Images in each table of images."""

MAX_ROWS = 10_000
"""Rows of the particle table."""

MAX_PARTICLES = 100_000
"""Particles of a study up to which they can be struck out on the page, since the sizes then follow
from all of them."""


def pictured_images(results: Sequence[ImageResult]) -> list[int]:
    """Choose the images that the page shows with their particles.

    Up to `MAX_PICTURES` images are all shown. Of more, up to half of the pictures are of images in
    doubt, and the others of the remaining images, each spread evenly over the study.

    Parameters
    ----------
    results : images of a study

    Returns
    -------
    indices of the images, ascending
    """
    if len(results) <= MAX_PICTURES:
        return list(range(len(results)))
    is_in_doubt = np.array([bool(raised_doubts(result)) for result in results])
    in_doubt, others = np.flatnonzero(is_in_doubt), np.flatnonzero(~is_in_doubt)
    least = MAX_PICTURES - len(others)  # where nearly all images are in doubt
    first = evenly_spread(in_doubt.tolist(), max(MAX_PICTURES // 2, least))
    return sorted(first + evenly_spread(others.tolist(), MAX_PICTURES - len(first)))


def evenly_spread(items: Sequence[int], count: int) -> list[int]:
    """Choose items at equal distances, the first and the last among them.

    Parameters
    ----------
    items : to choose from
    count : largest number of items

    Returns
    -------
    all items, or `count` of them in their order

    Examples
    --------
    >>> evenly_spread(range(100, 111), 3)
    [100, 105, 110]
    """
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]

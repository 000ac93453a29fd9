"""Particles that consist of pieces with background between them."""

import numpy as np
from jaxtyping import Integer
from scipy.spatial import KDTree
from skimage.draw import line
from skimage.measure import label, regionprops

MOST_BACKGROUND = 0.5
"""Share of the shortest line between two pieces in the background, above which nothing hides their
connection."""

LEAST_PIECE = 0.05
"""Area of a piece, relative to that of the largest one, below which it is a speck."""


def particles_in_pieces(labels: Integer[np.ndarray, "h w"]) -> list[int]:
    """Find particles in several pieces between which there is background.

    Pieces with another particle between them may be the visible parts of one particle, such as a
    wire under another wire, and are not listed.

    Parameters
    ----------
    labels
        (h, w) label map.

    Returns
    -------
    list of int
        Labels in ascending order.

    Examples
    --------
    >>> particles_in_pieces(np.array([[1, 0, 0, 1, 0, 2, 3, 3, 2]]))
    [1]
    """
    pieces = np.asarray(label(labels, background=0, connectivity=2))
    count = int(pieces.max(initial=0))
    first = np.zeros(count + 1, labels.dtype)
    first[pieces.ravel()] = labels.ravel()
    numbers, occurrences = np.unique(first[1:], return_counts=True)
    several = numbers[occurrences > 1]
    if not len(several):
        return []
    apart = []
    for region in regionprops(np.where(np.isin(labels, several), labels, 0)):
        top, left, bottom, right = region.bbox
        box = np.where(region.image, pieces[top:bottom, left:right], 0)
        if _is_apart(box, labels[top:bottom, left:right]):
            apart.append(int(region.label))
    return apart


def _is_apart(pieces: Integer[np.ndarray, "h w"], labels: Integer[np.ndarray, "h w"]) -> bool:
    """Return whether background separates a piece that is not a speck from the largest one."""
    numbers, areas = np.unique(pieces[pieces > 0], return_counts=True)
    largest = np.argwhere(pieces == numbers[areas.argmax()])
    tree = KDTree(largest)
    for number, area in zip(numbers, areas, strict=True):
        if number == numbers[areas.argmax()] or area < LEAST_PIECE * areas.max():
            continue
        piece = np.argwhere(pieces == number)
        distances, nearest = map(np.asarray, tree.query(piece))
        start, end = piece[distances.argmin()], largest[nearest[distances.argmin()]]
        between = labels[line(*start, *end)][1:-1]
        if len(between) and float((between == 0).mean()) > MOST_BACKGROUND:
            return True
    return False

"""Corrections of a label map by hand: merge, split and delete particles.

Each correction is the list of pixels that change, so that a program can undo it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Integer
from scipy import ndimage
from skimage.draw import line

from nanorender.errors import InputError
from nanorender.measuring.distance import distance_to_background
from nanorender.separation.connectivity import connected_regions
from nanorender.separation.flooding import flood
from nanorender.separation.separate import grow
from nanorender.separation.watershed import extended_maxima, impose_maxima

NECK_PX = 0.75
"""Depth of a neck, in pixels of the distance to the background, that separates two seeds."""

FRAGMENT_PX = 4
"""Number of pixels below which what a cut leaves belongs to the part beside it."""

Point = tuple[float | int, float | int]
"""Row and column in pixels, with the center of the first pixel at (0, 0)."""


class Edit(NamedTuple):
    """Pixels of a label map that change.

    Attributes
    ----------
    rows, columns
        (n,) places of the pixels.
    values
        (n,) new labels.
    """

    rows: Integer[np.ndarray, "n"]
    columns: Integer[np.ndarray, "n"]
    values: Int32[np.ndarray, "n"]

    def apply_to(self, labels: Integer[np.ndarray, "h w"]) -> None:
        """Change a label map in place.

        Parameters
        ----------
        labels
            (h, w) label map.
        """
        labels[self.rows, self.columns] = self.values


def label_at(labels: Integer[np.ndarray, "h w"], point: Point) -> int:
    """Return the label at a point.

    Parameters
    ----------
    labels
        (h, w) label map.
    point
        Row and column.

    Returns
    -------
    int
        0 for background and outside the image.

    Examples
    --------
    >>> label_at(np.array([[0, 7]]), (0.2, 0.9)), label_at(np.array([[0, 7]]), (0, 3))
    (7, 0)
    """
    row, column = round(point[0]), round(point[1])
    inside = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
    return int(labels[row, column]) if inside else 0


def delete_particle(labels: Integer[np.ndarray, "h w"], label: int) -> Edit:
    """Make a particle background.

    Parameters
    ----------
    labels
        (h, w) label map.
    label
        The particle.

    Returns
    -------
    Edit
        Its pixels.

    Examples
    --------
    >>> delete_particle(np.array([[1, 2, 2]]), 2).columns.tolist()
    [1, 2]
    """
    rows, columns = np.nonzero(labels == label)
    return Edit(rows, columns, np.zeros(len(rows), np.int32))


def merge_particles(labels: Integer[np.ndarray, "h w"], kept: int, other: int) -> Edit:
    """Add a particle to another one, with the line of background, one pixel wide, between them.

    Parameters
    ----------
    labels
        (h, w) label map.
    kept
        The particle whose label both get.
    other
        The particle to add; it need not touch the first one.

    Returns
    -------
    Edit
        The pixels added.

    Raises
    ------
    InputError
        If both are the same particle.

    Examples
    --------
    >>> merge_particles(np.array([[1, 0, 2, 0]]), 1, 2).columns.tolist()
    [1, 2]
    """
    if kept == other:
        raise InputError(f"particle {kept} cannot be merged with itself; click another particle")
    place = _window(np.isin(labels, (kept, other)))
    window = labels[place]
    square = np.ones((3, 3), bool)
    beside = [ndimage.binary_dilation(window == each, square) for each in (kept, other)]
    gap = np.all([*beside, window == 0], axis=0)
    # Keep only the gap between the particles, not the pixels around its two ends.
    both = np.pad(np.isin(window, (kept, other)), 2)
    closed = np.asarray(ndimage.binary_closing(both, square), bool)[2:-2, 2:-2]
    rows, columns = np.nonzero((window == other) | (gap & closed))
    top, left = place[0].start, place[1].start
    return Edit(rows + top, columns + left, np.full(len(rows), kept, np.int32))


def split_by_line(
    labels: Integer[np.ndarray, "h w"], start: Point, end: Point, first_label: int
) -> Edit:
    """Cut every particle that a line divides.

    The largest part keeps the label.

    Parameters
    ----------
    labels
        (h, w) label map.
    start, end
        Ends of the line, which may lie outside the image.
    first_label
        Label of the first new part; the others follow.

    Returns
    -------
    Edit
        Pixels of the new parts.

    Raises
    ------
    InputError
        If the line divides no particle.

    Examples
    --------
    >>> labels = np.ones((3, 7), np.int32)
    >>> split_by_line(labels, (-1, 4), (3, 4), first_label=2).apply_to(labels)
    >>> labels[:, [0, 3, 5, 6]].tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2]]
    """
    # Find the particles on the line.
    rows, columns = line(*(round(each) for each in (*start, *end)))
    inside = (rows >= 0) & (rows < labels.shape[0]) & (columns >= 0) & (columns < labels.shape[1])
    rows, columns = rows[inside], columns[inside]
    crossed = np.unique(labels[rows, columns])
    crossed = crossed[crossed > 0]
    cut = np.zeros(labels.shape, bool)
    cut[rows, columns] = True

    # Cut each of them, and number the new parts.
    edits = []
    for label in crossed.tolist():
        place = _window(labels == label)
        top, left = place[0].start, place[1].start
        parts = _parts(labels[place] == label, cut[place])
        order = np.argsort(-np.bincount(parts.ravel())[1:], kind="stable") + 1
        for part in order[1:].tolist():
            y, x = np.nonzero(parts == part)
            edits.append(Edit(y + top, x + left, np.full(len(y), first_label, np.int32)))
            first_label += 1
    if not edits:
        if not len(crossed):
            raise InputError("the line crosses no particle; draw it over the particle to cut")
        raise InputError("the line divides no particle; draw it from edge to edge")
    return Edit(*(np.concatenate(each) for each in zip(*edits, strict=True)))


def _parts(mask: Bool[np.ndarray, "h w"], cut: Bool[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Return the parts into which a cut divides a particle, so that each has its number."""
    # Regions that are connected without the cut stay together, also if they are in several pieces.
    pieces = connected_regions(mask, 8)
    touched = np.unique(pieces[mask & cut])
    whole = ~np.isin(pieces, touched)  # pieces beside the line, and the background
    parts = connected_regions(mask & ~cut & ~whole, 4)
    areas = np.bincount(parts.ravel())
    parts[(areas < FRAGMENT_PX)[parts]] = 0
    if not parts.any():
        return mask.astype(np.int32)
    numbers = np.unique(parts[parts > 0])
    parts = np.searchsorted(numbers, parts).astype(np.int32) + (parts > 0)
    grown = np.where(mask, grow(parts, float(sum(mask.shape))), 0)
    largest = int(np.bincount(grown[~whole & mask].ravel()).argmax())
    return np.where(mask & whole, largest, grown).astype(np.int32)


def split_by_seeds(
    labels: Integer[np.ndarray, "h w"], first: Point, second: Point, new_label: int
) -> Edit:
    """Divide a particle between two points.

    A watershed of the distance to the background cuts at the neck between them; without a neck,
    each pixel belongs to the nearer point.

    Parameters
    ----------
    labels
        (h, w) label map.
    first, second
        A point in each part; the larger part keeps the label.
    new_label
        Label of the other part.

    Returns
    -------
    Edit
        Pixels of the new part.

    Raises
    ------
    InputError
        If the points lie in different particles, in the background, or in the same pixel.

    Examples
    --------
    >>> labels = np.zeros((9, 16), np.int32)
    >>> labels[1:8, 1:8] = labels[4, 8] = labels[1:8, 9:15] = 1
    >>> split_by_seeds(labels, (4, 2), (4, 13), new_label=2).apply_to(labels)
    >>> np.bincount(labels.ravel())[1:].tolist()
    [49, 43]
    """
    # Check the points.
    label, other = label_at(labels, first), label_at(labels, second)
    if not label or label != other:
        raise InputError("the two points must lie in the same particle; click both again")
    place = _window(labels == label)
    top, left = place[0].start, place[1].start
    mask = np.pad(labels[place] == label, 1)
    shift = np.array([1 - top, 1 - left])
    seeds = [tuple(np.round(point).astype(int) + shift) for point in (first, second)]
    if seeds[0] == seeds[1]:
        raise InputError("the two points are the same pixel; click two places of the particle")

    # Divide the particle at the neck, or halfway.
    height = distance_to_background(mask).astype(np.float32)
    maxima = extended_maxima(height, NECK_PX, 8)
    basins = flood(impose_maxima(height, maxima, 8), maxima, mask, 8)
    one, two = (basins[seed] for seed in seeds)
    if one != two:
        markers = np.where(maxima == one, 1, np.where(maxima == two, 2, 0)).astype(np.int32)
        parts = flood(impose_maxima(height, markers, 8), markers, mask, 8)
    else:
        y, x = np.indices(mask.shape)
        away = [(y - seed[0]) ** 2 + (x - seed[1]) ** 2 for seed in seeds]
        parts = np.where(away[0] <= away[1], 1, 2) * mask

    # Parts that no flood reaches stay with the larger one.
    areas = np.bincount(parts.ravel(), minlength=3)
    smaller = 1 if areas[1] < areas[2] else 2
    rows, columns = np.nonzero(parts == smaller)
    return Edit(rows + top - 1, columns + left - 1, np.full(len(rows), new_label, np.int32))


def _window(mask: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """Return rows and columns of the bounding box of a mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

"""Contacts between particles of a label map, and the agglomerates that they form."""

import numpy as np
from jaxtyping import Integer
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import expand_labels

# Offsets (down, right) to half of the neighbors of a pixel; the other half is their mirror image.
_ADJACENT = ((0, 1), (1, 0), (1, 1), (1, -1))
_ACROSS_A_LINE = ((0, 2), (2, 0))


def adjacent_pairs(labels: Integer[np.ndarray, "h w"]) -> Integer[np.ndarray, "n 2"]:
    """Find the pairs of labels with pixels that have an edge or a corner in common.

    Parameters
    ----------
    labels : (h, w) label map

    Returns
    -------
    pairs : (n, 2) each pair once and in ascending order, the smaller label first

    Examples
    --------
    >>> import numpy as np
    >>> adjacent_pairs(np.array([[1, 1, 0, 3], [2, 2, 0, 3]])).tolist()
    [[1, 2]]
    """
    return _pairs_at(labels, _ADJACENT)


def contacts(labels: Integer[np.ndarray, "h w"]) -> Integer[np.ndarray, "n 2"]:
    """Find the pairs of particles in contact.

    Particles separated by a watershed line one pixel wide are in contact.

    Parameters
    ----------
    labels : (h, w) label map

    Returns
    -------
    pairs : (n, 2) each pair once and in ascending order, the smaller label first

    Examples
    --------
    >>> import numpy as np
    >>> contacts(np.array([[1, 1, 0, 3], [2, 2, 0, 3]])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    return _pairs_at(labels, _ADJACENT + _ACROSS_A_LINE)


def nearby_pairs(
    labels: Integer[np.ndarray, "h w"], distance_px: int
) -> Integer[np.ndarray, "n 2"]:
    """Find the pairs of particles that touch or lie close to each other.

    Parameters
    ----------
    labels : (h, w) label map
    distance_px : approximate largest gap in pixels

    Returns
    -------
    pairs : (n, 2) each pair once and in ascending order, the smaller label first

    Examples
    --------
    >>> import numpy as np
    >>> nearby_pairs(np.array([[1, 0, 0, 2, 0, 0, 0, 0, 0, 3]]), 2).tolist()
    [[1, 2]]
    """
    return adjacent_pairs(expand_labels(labels, (distance_px + 1) // 2))


def _pairs_at(
    labels: Integer[np.ndarray, "h w"], offsets: tuple[tuple[int, int], ...]
) -> Integer[np.ndarray, "n 2"]:
    """Find the pairs of labels at offsets, which contain those of adjacent pixels."""
    # Start from pixels at outlines alone: particles that others connect are adjacent there, too
    height, width = labels.shape
    at_outline = np.zeros(labels.shape, bool)
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differ = labels[before] != labels[after]
        at_outline[before] |= differ
        at_outline[after] |= differ
    y, x = np.nonzero(at_outline)
    span = int(labels.max(initial=0)) + 1
    codes = [np.zeros(0, np.int64)]
    for down, right in offsets:
        inside = (y + down < height) & (x + right >= 0) & (x + right < width)
        here = y[inside], x[inside]
        one = labels[here].astype(np.int64)
        other = labels[here[0] + down, here[1] + right].astype(np.int64)
        pair = (one > 0) & (other > 0) & (one != other)
        one, other = one[pair], other[pair]
        codes.append(np.unique(np.minimum(one, other) * span + np.maximum(one, other)))
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), span), axis=1)


def neighbor_counts(
    pairs: Integer[np.ndarray, "n 2"], labels: Integer[np.ndarray, "m"]
) -> Integer[np.ndarray, "m"]:
    """Count the particles in contact with each particle.

    Parameters
    ----------
    pairs : (n, 2) pairs of labels in contact
    labels : (m,) labels of the particles

    Returns
    -------
    counts : (m,) number of particles in contact
    """
    counts = np.bincount(pairs.ravel(), minlength=int(labels.max(initial=0)) + 1)
    return counts[labels]


def agglomerates(
    pairs: Integer[np.ndarray, "n 2"], labels: Integer[np.ndarray, "m"]
) -> Integer[np.ndarray, "m"]:
    """Assign a number to each group of particles connected by contacts.

    Parameters
    ----------
    pairs : (n, 2) pairs of labels in contact
    labels : (m,) labels of the particles

    Returns
    -------
    numbers : (m,) agglomerate of each particle, 1 to n in the order of their first labels
    """
    size = int(labels.max(initial=0)) + 1
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (size, size))
    _, group = connected_components(graph, directed=False)
    _, first, number = np.unique(group[labels], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(1, len(first) + 1)
    return rank[number]

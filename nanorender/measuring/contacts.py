"""Which particles of a label map touch, and the agglomerates that they form."""

import numpy as np
from jaxtyping import Integer
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Side by side, corner to corner, or across a line of background one pixel wide.
OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))


def contacts(labels: Integer[np.ndarray, "h w"]) -> Integer[np.ndarray, "n 2"]:
    """Return the pairs of labels that touch, the smaller first, each pair once.

    Particles parted by a watershed line one pixel wide touch.
    """
    height, width = labels.shape
    codes = [np.zeros(0, np.int64)]
    span = int(labels.max(initial=0)) + 1
    for down, right in OFFSETS:
        columns = width - abs(right)
        here = labels[: height - down, max(-right, 0) : max(-right, 0) + columns]
        there = labels[down:, max(right, 0) : max(right, 0) + columns]
        y, x = np.nonzero((here != there) & (here > 0) & (there > 0))
        one, other = here[y, x].astype(np.int64), there[y, x].astype(np.int64)
        codes.append(np.unique(np.minimum(one, other) * span + np.maximum(one, other)))
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), span), axis=1)


def neighbor_counts(
    pairs: Integer[np.ndarray, "n 2"], labels: Integer[np.ndarray, "m"]
) -> Integer[np.ndarray, "m"]:
    """Return with how many others each of the listed labels is in contact."""
    counts = np.bincount(pairs.ravel(), minlength=int(labels.max(initial=0)) + 1)
    return counts[labels]


def agglomerates(
    pairs: Integer[np.ndarray, "n 2"], labels: Integer[np.ndarray, "m"]
) -> Integer[np.ndarray, "m"]:
    """Return the agglomerate of each listed label, 1 to n in the order of their first label."""
    size = int(labels.max(initial=0)) + 1
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (size, size))
    _, group = connected_components(graph, directed=False)
    _, first, number = np.unique(group[labels], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(1, len(first) + 1)
    return rank[number]

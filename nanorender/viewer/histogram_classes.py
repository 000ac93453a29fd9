"""Size classes of the histogram."""

import numpy as np
from jaxtyping import Float

MOST_CLASSES = 40
"""Largest number of classes, so that a single large particle does not thin out the others."""


def histogram_edges(sizes: Float[np.ndarray, "n"]) -> Float[np.ndarray, "m"]:
    """Return the edges of the classes of a histogram.

    The number of classes is the larger one of Sturges and of Freedman and Diaconis.

    Parameters
    ----------
    sizes
        (n,) sizes, at least one.

    Returns
    -------
    array
        (m,) edges in ascending order, at equal distances.

    Examples
    --------
    >>> histogram_edges(np.array([10.0, 20.0, 20.0, 30.0])).tolist()
    [10.0, 15.0, 20.0, 25.0, 30.0]
    >>> histogram_edges(np.array([10.0])).tolist()
    [9.5, 10.5]
    """
    edges = np.histogram_bin_edges(sizes, "auto")
    if len(edges) <= MOST_CLASSES + 1:
        return edges
    return np.histogram_bin_edges(sizes, MOST_CLASSES)

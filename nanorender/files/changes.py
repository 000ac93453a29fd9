"""Differences between two label maps of the same image."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Integer


class Changes(NamedTuple):
    """Differences of a label map from an earlier one.

    Attributes
    ----------
    particles
        Number of particles in the label map.
    added, removed
        Number of particles that only one of the two has.
    changed
        Number of particles of other pixels.
    """

    particles: int
    added: int
    removed: int
    changed: int


def unchanged_labels(
    before: Integer[np.ndarray, "h w"], after: Integer[np.ndarray, "h w"]
) -> list[int]:
    """List the labels whose pixels are the same in two label maps.

    Parameters
    ----------
    before, after
        (h, w) label maps.

    Returns
    -------
    list of int
        Labels in ascending order.

    Examples
    --------
    >>> unchanged_labels(np.array([[1, 2, 2, 3]]), np.array([[1, 2, 0, 4]]))
    [1]
    """
    return np.setdiff1d(after[after > 0], _touched(before, after)).tolist()


def count_changes(before: Integer[np.ndarray, "h w"], after: Integer[np.ndarray, "h w"]) -> Changes:
    """Count the particles in which two label maps differ.

    Parameters
    ----------
    before, after
        (h, w) label maps.

    Returns
    -------
    Changes
        Their number.

    Examples
    --------
    >>> count_changes(np.array([[1, 1, 2, 0]]), np.array([[1, 0, 0, 3]]))
    Changes(particles=2, added=1, removed=1, changed=1)
    """
    old, new = np.unique(before[before > 0]), np.unique(after[after > 0])
    changed = np.intersect1d(np.intersect1d(old, new), _touched(before, after))
    added, removed = np.setdiff1d(new, old), np.setdiff1d(old, new)
    return Changes(len(new), len(added), len(removed), len(changed))


def _touched(
    before: Integer[np.ndarray, "h w"], after: Integer[np.ndarray, "h w"]
) -> Integer[np.ndarray, "n"]:
    """Return the labels of all pixels that differ, in either map."""
    differ = before != after
    return np.union1d(before[differ], after[differ])

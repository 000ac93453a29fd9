"""A threshold of the confidence on a label map that is being corrected by hand."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from nanorender.viewer.editing import Edit


class Thresholded(NamedTuple):
    """Outcome of a threshold.

    Attributes
    ----------
    edit
        Pixels of the label map that change.
    dropped
        Labels of the particles that the threshold leaves out.
    """

    edit: Edit
    dropped: frozenset[int]


def edited_labels(
    labels: Integer[np.ndarray, "h w"], found: Integer[np.ndarray, "h w"]
) -> set[int]:
    """Return the labels of which a pixel was gained or lost by a correction.

    Parameters
    ----------
    labels
        (h, w) label map.
    found
        (h, w) label map before the corrections.

    Returns
    -------
    set of int
        Labels, also of particles that were removed or left out by a threshold.

    Examples
    --------
    >>> sorted(edited_labels(np.array([[1, 3, 3, 4]]), np.array([[1, 2, 3, 4]])))
    [2, 3]
    """
    differ = labels != found
    touched = np.union1d(labels[differ], found[differ])
    return set(touched[touched > 0].tolist())


def apply_threshold(
    labels: Integer[np.ndarray, "h w"],
    found: Integer[np.ndarray, "h w"],
    confidence: Float[np.ndarray, "n"],
    least: float,
    dropped: frozenset[int],
) -> Thresholded:
    """Leave out particles below a confidence, and put those above it back.

    Corrections have priority: a particle that was changed by hand is kept whatever its confidence,
    and one whose place was taken by another stays out.

    Parameters
    ----------
    labels
        (h, w) label map with corrections.
    found
        (h, w) label map before the corrections, with the particles of every confidence.
    confidence
        (n,) confidence of the labels 1 to n of `found`.
    least
        Confidence from which particles are kept.
    dropped
        Labels that an earlier threshold left out.

    Returns
    -------
    Thresholded
        What changes.

    Examples
    --------
    >>> found, confidence = np.array([[1, 1, 2, 3]], np.int32), np.array([0.9, 0.2, 0.3])
    >>> edit, dropped = apply_threshold(found, found, confidence, 0.25, frozenset())
    >>> edit.columns.tolist(), edit.values.tolist(), sorted(dropped)
    ([2], [0], [2])
    """
    present = set(np.unique(labels[labels > 0]).tolist())
    low = {int(label) for label in np.flatnonzero(confidence < least) + 1}
    leave_out = frozenset(present & low) - edited_labels(labels, found) - dropped
    occupied = set(np.unique(found[labels > 0]).tolist())
    put_back = dropped - low - present - occupied
    return Thresholded(_set_particles(found, leave_out, put_back), (dropped | leave_out) - put_back)


def _set_particles(
    found: Integer[np.ndarray, "h w"], leave_out: frozenset[int], put_back: frozenset[int]
) -> Edit:
    """Return the pixels of particles, 0 for those to leave out."""
    change = np.zeros(int(found.max(initial=0)) + 1, bool)
    values = np.arange(len(change), dtype=np.int32)
    change[sorted(leave_out | put_back)] = True
    values[sorted(leave_out)] = 0
    rows, columns = np.nonzero(change[found])
    return Edit(rows, columns, values[found[rows, columns]])

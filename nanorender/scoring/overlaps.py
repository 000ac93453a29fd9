"""The pixels that the regions of two label maps share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer

from nanorender.errors import InputError


@dataclass(frozen=True)
class Overlaps:
    """Sparse table of the pixels that predicted and true regions share.

    Attributes
    ----------
    predicted, truth: (n,) labels of each overlapping pair, 0 for background
    pixels: (n,) pixels shared
    predicted_area, truth_area: pixels of each label; index 0 is background
    """

    predicted: np.ndarray
    truth: np.ndarray
    pixels: np.ndarray
    predicted_area: np.ndarray
    truth_area: np.ndarray


def overlap_table(
    predicted: Integer[np.ndarray, "h w"], truth: Integer[np.ndarray, "rows columns"]
) -> Overlaps:
    """Return how many pixels every pair of regions shares.

    Raises
    ------
    InputError
        If the two maps differ in shape.
    """
    check_shapes(predicted, truth)
    predicted_area = np.bincount(predicted.ravel())
    truth_area = np.bincount(truth.ravel())
    code = predicted.astype(np.int64).ravel() * len(truth_area) + truth.ravel()
    code, pixels = np.unique(code, return_counts=True)
    return Overlaps(*np.divmod(code, len(truth_area)), pixels, predicted_area, truth_area)


def check_shapes(predicted: np.ndarray, truth: np.ndarray) -> None:
    """Raise InputError if two label maps cannot be compared pixel by pixel."""
    if predicted.shape != truth.shape:
        raise InputError(
            f"predicted labels {predicted.shape} and true labels {truth.shape} must have one "
            "shape; crop both alike"
        )

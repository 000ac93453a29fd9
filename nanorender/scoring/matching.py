"""Overlaps of predicted and true regions, and their one-to-one matching."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from scipy.optimize import linear_sum_assignment

from nanorender.errors import InputError


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Sparse table of the pixels that predicted and true regions share.

    Attributes
    ----------
    predicted, truth : (n,) labels of each overlapping pair, 0 for background
    pixels : (n,) number of shared pixels
    predicted_area, truth_area : area of each label in pixels; index 0 is background
    """

    predicted: Integer[np.ndarray, "n"]
    truth: Integer[np.ndarray, "n"]
    pixels: Integer[np.ndarray, "n"]
    predicted_area: Integer[np.ndarray, "_"]
    truth_area: Integer[np.ndarray, "_"]


@dataclass(frozen=True, eq=False)
class Matching:
    """One-to-one pairs of predicted and true labels, and the labels that count.

    Attributes
    ----------
    pairs : (n, 2) predicted and true label
    iou : (n,) intersection over union of each pair
    counted_predicted, counted_truth : labels that are neither too small nor on ignored truth
    n_ignored : number of predicted labels on ignored truth
    """

    pairs: Integer[np.ndarray, "n 2"]
    iou: Float[np.ndarray, "n"]
    counted_predicted: Integer[np.ndarray, "_"]
    counted_truth: Integer[np.ndarray, "_"]
    n_ignored: int


def overlap_table(
    predicted: Integer[np.ndarray, "h w"], truth: Integer[np.ndarray, "rows columns"]
) -> Overlaps:
    """Count the pixels that each pair of regions shares.

    Parameters
    ----------
    predicted : (h, w) predicted label map
    truth : (h, w) true label map

    Returns
    -------
    overlaps : table of all pairs that share a pixel

    Raises
    ------
    InputError
        If the two maps differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> table = overlap_table(np.array([[1, 1, 0]]), np.array([[1, 0, 2]]))
    >>> np.stack([table.predicted, table.truth, table.pixels], axis=1).tolist()
    [[0, 2, 1], [1, 0, 1], [1, 1, 1]]
    """
    if predicted.shape != truth.shape:
        raise InputError(
            f"predicted labels {predicted.shape} and true labels {truth.shape} must have the same "
            "shape; crop both to the same region"
        )
    predicted_area = np.bincount(predicted.ravel())
    truth_area = np.bincount(truth.ravel())
    code = predicted.astype(np.int64).ravel() * len(truth_area) + truth.ravel()
    code, pixels = np.unique(code, return_counts=True)
    return Overlaps(*np.divmod(code, len(truth_area)), pixels, predicted_area, truth_area)


def match(overlaps: Overlaps, iou: float, min_area_px: int) -> Matching:
    """Match regions one to one so that the total IoU is largest.

    Above an IoU of 0.5 a region has at most one partner; otherwise the assignment problem is
    solved. True regions smaller than `min_area_px` are ignored, and an unmatched predicted region
    is ignored too if at least half of its area lies on ignored truth.

    Parameters
    ----------
    overlaps : table of `overlap_table`
    iou : least intersection over union of a pair, above 0 and at most 1
    min_area_px : area of the smallest true region that counts, in pixels

    Returns
    -------
    matching : pairs and the labels that count

    Raises
    ------
    InputError
        If `iou` is out of range.
    """
    if not 0 < iou <= 1:
        raise InputError(f"iou must be above 0 and at most 1, got {iou}")
    truth_counts = overlaps.truth_area >= max(min_area_px, 1)
    truth_counts[0] = False

    # Assign pairs of sufficient IoU.
    on_particles = (overlaps.predicted > 0) & (overlaps.truth > 0)
    candidate = on_particles & truth_counts[overlaps.truth]
    predicted, truth = overlaps.predicted[candidate], overlaps.truth[candidate]
    pixels = overlaps.pixels[candidate]
    ratio = pixels / (overlaps.predicted_area[predicted] + overlaps.truth_area[truth] - pixels)
    close = ratio >= iou
    pairs, ratio = _assign(predicted[close], truth[close], ratio[close])

    # Leave out unmatched predictions on ignored truth.
    on_ignored = on_particles & ~truth_counts[overlaps.truth]
    ignored_px = np.zeros(len(overlaps.predicted_area))
    np.add.at(ignored_px, overlaps.predicted[on_ignored], overlaps.pixels[on_ignored])
    left_out = (ignored_px > 0) & (ignored_px >= overlaps.predicted_area / 2)
    left_out[pairs[:, 0]] = False
    predicted_counts = (overlaps.predicted_area > 0) & ~left_out
    predicted_counts[0] = False
    return Matching(
        pairs=pairs,
        iou=ratio,
        counted_predicted=np.flatnonzero(predicted_counts),
        counted_truth=np.flatnonzero(truth_counts),
        n_ignored=int(np.count_nonzero(left_out)),
    )


def _assign(
    predicted: np.ndarray, truth: np.ndarray, ratio: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the one-to-one pairs (n, 2) with the largest total ratio, and their ratios."""
    rows, row = np.unique(predicted, return_inverse=True)
    columns, column = np.unique(truth, return_inverse=True)
    if len(rows) < len(predicted) or len(columns) < len(truth):
        gain = np.zeros((len(rows), len(columns)))
        gain[row, column] = ratio
        chosen_row, chosen_column = linear_sum_assignment(gain, maximize=True)
        ratio = gain[chosen_row, chosen_column]
        real = ratio > 0
        predicted, truth = rows[chosen_row[real]], columns[chosen_column[real]]
        ratio = ratio[real]
    return np.stack([predicted, truth], axis=1), ratio


def count_splits_and_merges(overlaps: Overlaps, matching: Matching) -> tuple[int, int]:
    """Count true particles that were split and predicted particles that merge several.

    A true particle is split if two or more counted predicted particles lie mostly within it and
    each covers at least a tenth of it. A predicted particle merges several if two or more counted
    true particles lie mostly within it and each fills at least a tenth of it.

    Parameters
    ----------
    overlaps : table of `overlap_table`
    matching : labels that count, from `match`

    Returns
    -------
    n_split, n_merged : numbers of true and of predicted particles
    """
    counted = np.isin(overlaps.predicted, matching.counted_predicted)
    counted &= np.isin(overlaps.truth, matching.counted_truth)
    predicted, truth = overlaps.predicted[counted], overlaps.truth[counted]
    of_predicted = overlaps.pixels[counted] / overlaps.predicted_area[predicted]
    of_truth = overlaps.pixels[counted] / overlaps.truth_area[truth]
    part_of_truth = truth[(of_predicted > 0.5) & (of_truth >= 0.1)]
    part_of_predicted = predicted[(of_truth > 0.5) & (of_predicted >= 0.1)]
    split = np.count_nonzero(np.bincount(part_of_truth) > 1)
    merged = np.count_nonzero(np.bincount(part_of_predicted) > 1)
    return int(split), int(merged)

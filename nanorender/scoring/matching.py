"""How well a label map agrees with the true one, by pixel and by particle."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Integer
from scipy.optimize import linear_sum_assignment

from nanorender.errors import InputError
from nanorender.scoring.overlaps import Overlaps, check_shapes, overlap_table

IOU_LEVELS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True)
class PixelScores:
    """Agreement of foreground pixels; ratios without any pixel to count are 1.

    Attributes
    ----------
    precision: share of the predicted foreground that is true
    recall: share of the true foreground that is predicted
    accuracy: share of all pixels that agree
    f1: harmonic mean of precision and recall
    """

    precision: float
    recall: float
    accuracy: float
    f1: float

    def to_dict(self) -> dict[str, float]:
        """Return the scores by name."""
        return asdict(self)


@dataclass(frozen=True)
class ObjectScores:
    """Agreement of particles under a one-to-one matching; ratios of nothing are 1.

    Attributes
    ----------
    iou: intersection over union from which two regions count as the same particle
    n_truth: true particles of at least the least area
    n_predicted: predicted particles that count
    n_ignored: predicted particles left out, since they lie mostly on ignored truth
    n_matched: pairs
    precision: pairs / predicted particles
    recall: pairs / true particles
    f1: harmonic mean of both
    average_precision: pairs / (pairs + missed + invented), as StarDist and Cellpose define it
    mean_iou: mean IoU of the pairs, 0 without any
    panoptic_quality: f1 times the mean IoU of the pairs (Kirillov et al., CVPR 2019)
    n_split: true particles of which two or more predicted ones cover a part (`count_splits`)
    n_merged: predicted particles that cover two or more true ones (`count_splits`)
    """

    iou: float
    n_truth: int
    n_predicted: int
    n_ignored: int
    n_matched: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    mean_iou: float
    panoptic_quality: float
    n_split: int
    n_merged: int

    def to_dict(self) -> dict[str, float]:
        """Return the scores by name."""
        return asdict(self)


@dataclass(frozen=True)
class SizeClassRecall:
    """Recall among true particles of equivalent diameter in [least_px, most_px)."""

    least_px: float
    most_px: float
    n_truth: int
    n_matched: int

    @property
    def recall(self) -> float:
        """Share of the class that was found; not a number for an empty class."""
        return self.n_matched / self.n_truth if self.n_truth else float("nan")


@dataclass(frozen=True)
class Matching:
    """One-to-one pairs of predicted and true labels, with the labels that count.

    Attributes
    ----------
    pairs: (n, 2) predicted and true label
    iou: (n,) of each pair
    counted_truth, counted_predicted: labels that are neither too small nor on ignored truth
    n_ignored: predicted labels left out
    """

    pairs: np.ndarray
    iou: np.ndarray
    counted_truth: np.ndarray
    counted_predicted: np.ndarray
    n_ignored: int


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 1.0


def pixel_scores(
    predicted: Integer[np.ndarray, "h w"], truth: Integer[np.ndarray, "rows columns"]
) -> PixelScores:
    """Return the agreement of everything labelled with everything truly labelled.

    Raises
    ------
    InputError
        If the two maps differ in shape.
    """
    check_shapes(predicted, truth)
    found, real = predicted > 0, truth > 0
    hits = int(np.count_nonzero(found & real))
    n_found, n_real = int(found.sum()), int(real.sum())
    return PixelScores(
        precision=_ratio(hits, n_found),
        recall=_ratio(hits, n_real),
        accuracy=float((found == real).mean()) if truth.size else 1.0,
        f1=_ratio(2 * hits, n_found + n_real),
    )


def object_scores(
    predicted: Integer[np.ndarray, "h w"],
    truth: Integer[np.ndarray, "rows columns"],
    iou: float = 0.5,
    min_area_px: int = 50,
) -> ObjectScores:
    """Return the agreement of particles at one IoU; raises InputError as `match`."""
    overlaps = overlap_table(predicted, truth)
    matching = match(overlaps, iou, min_area_px)
    n_truth, n_predicted = len(matching.counted_truth), len(matching.counted_predicted)
    matched = len(matching.pairs)
    f1 = _ratio(2 * matched, n_truth + n_predicted)
    mean_iou = float(matching.iou.mean()) if matched else 0.0
    split, merged = count_splits(overlaps, matching)
    return ObjectScores(
        iou=iou,
        n_truth=n_truth,
        n_predicted=n_predicted,
        n_ignored=matching.n_ignored,
        n_matched=matched,
        precision=_ratio(matched, n_predicted),
        recall=_ratio(matched, n_truth),
        f1=f1,
        average_precision=_ratio(matched, n_truth + n_predicted - matched),
        mean_iou=mean_iou,
        panoptic_quality=f1 * mean_iou if n_truth + n_predicted else 1.0,
        n_split=split,
        n_merged=merged,
    )


def mean_average_precision(
    predicted: Integer[np.ndarray, "h w"],
    truth: Integer[np.ndarray, "rows columns"],
    min_area_px: int = 50,
) -> float:
    """Return the average precision, averaged over IoU 0.5 to 0.95 in steps of 0.05."""
    scores = [object_scores(predicted, truth, iou, min_area_px) for iou in IOU_LEVELS]
    return float(np.mean([score.average_precision for score in scores]))


def recall_by_size(
    predicted: Integer[np.ndarray, "h w"],
    truth: Integer[np.ndarray, "rows columns"],
    edges_px: tuple[float, ...],
    min_area_px: int = 50,
) -> tuple[SizeClassRecall, ...]:
    """Return the recall at IoU 0.5 in classes of the true equivalent circle diameter.

    `edges_px` are the limits of the classes in ascending order, in pixels.
    """
    overlaps = overlap_table(predicted, truth)
    matching = match(overlaps, 0.5, min_area_px)
    diameter = np.sqrt(4 * overlaps.truth_area / np.pi)
    every, _ = np.histogram(diameter[matching.counted_truth], edges_px)
    found, _ = np.histogram(diameter[matching.pairs[:, 1]], edges_px)
    return tuple(
        SizeClassRecall(low, high, int(n), int(hits))
        for low, high, n, hits in zip(edges_px[:-1], edges_px[1:], every, found, strict=True)
    )


def match(overlaps: Overlaps, iou: float, min_area_px: int) -> Matching:
    """Return the one-to-one matching with the largest total IoU among pairs of at least `iou`.

    At an IoU above 0.5 a region has one partner at most; at 0.5 and below the assignment problem
    is solved. Rule for small truth: true regions under `min_area_px` are ignored, and an unmatched
    predicted region counts neither as invented nor as found if at least half of its area lies on
    ignored truth.

    Raises
    ------
    InputError
        If `iou` is not in (0, 1].
    """
    if not 0 < iou <= 1:
        raise InputError(f"iou (={iou}) must be above 0 and at most 1")
    truth_counts = overlaps.truth_area >= max(min_area_px, 1)
    truth_counts[0] = False
    shared = (overlaps.predicted > 0) & truth_counts[overlaps.truth]
    predicted, truth = overlaps.predicted[shared], overlaps.truth[shared]
    pixels = overlaps.pixels[shared]
    union = overlaps.predicted_area[predicted] + overlaps.truth_area[truth] - pixels
    ratio = pixels / union
    close = ratio >= iou
    pairs, ratio = _assign(predicted[close], truth[close], ratio[close])

    on_ignored = (overlaps.predicted > 0) & (overlaps.truth > 0) & ~truth_counts[overlaps.truth]
    ignored_px = np.zeros(len(overlaps.predicted_area))
    np.add.at(ignored_px, overlaps.predicted[on_ignored], overlaps.pixels[on_ignored])
    left_out = (ignored_px > 0) & (ignored_px >= overlaps.predicted_area / 2)
    left_out[pairs[:, 0]] = False
    predicted_counts = (overlaps.predicted_area > 0) & ~left_out
    predicted_counts[0] = False
    return Matching(
        pairs=pairs,
        iou=ratio,
        counted_truth=np.flatnonzero(truth_counts),
        counted_predicted=np.flatnonzero(predicted_counts),
        n_ignored=int(np.count_nonzero(left_out)),
    )


def _assign(
    predicted: np.ndarray, truth: np.ndarray, ratio: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return one-to-one pairs (n, 2) of the largest total ratio, and their ratios."""
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


def count_splits(overlaps: Overlaps, matching: Matching) -> tuple[int, int]:
    """Return how many true particles were split and how many predicted ones merge several.

    A true particle is split if two or more counted predicted ones lie mostly in it and each
    covers at least a tenth of it. A predicted particle merges if two or more counted true ones
    lie mostly in it and each fills at least a tenth of it.
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

"""Scores of a label map against the true one, by pixel, by particle and by size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.stats import kstest, wasserstein_distance

from nanorender.scoring.matching import (
    Matching,
    Overlaps,
    count_splits_and_merges,
    match,
    overlap_table,
)

IOU_LEVELS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
MIN_TRUE_AREA_PX = 50  # smaller regions of an annotation are usually slivers


@dataclass(frozen=True)
class PixelScores:
    """Agreement of the foreground; ratios without any pixel to count are 1.

    Attributes
    ----------
    precision : share of the predicted foreground that is true
    recall : share of the true foreground that is predicted
    accuracy : share of all pixels that agree
    f1 : harmonic mean of precision and recall
    """

    precision: float
    recall: float
    accuracy: float
    f1: float


@dataclass(frozen=True)
class ObjectScores:
    """Agreement of particles matched one to one; ratios without any particle to count are 1.

    Attributes
    ----------
    iou : least intersection over union of a matched pair
    n_truth : number of true particles, those smaller than the least area left out
    n_predicted : number of predicted particles, those on ignored truth left out
    n_ignored : number of predicted particles on ignored truth
    n_matched : number of pairs
    precision : pairs / predicted particles
    recall : pairs / true particles
    f1 : harmonic mean of precision and recall
    average_precision : pairs / (pairs + missed + false), as in StarDist and Cellpose
    mean_iou : mean IoU of the pairs, 0 without any
    panoptic_quality : F1 times the mean IoU of the pairs (Kirillov et al., CVPR 2019)
    n_split : number of true particles split into several predicted ones
    n_merged : number of predicted particles that merge several true ones
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


@dataclass(frozen=True)
class SizeAgreement:
    """Distance between two size distributions; NaN where one of them is empty.

    Attributes
    ----------
    wasserstein : earth mover's distance, in the unit of the sizes
    kolmogorov_smirnov : largest difference of the cumulative distributions, 0 to 1
    median_ratio : measured over true median
    mean_ratio : measured over true mean
    """

    wasserstein: float
    kolmogorov_smirnov: float
    median_ratio: float
    mean_ratio: float


class SizeClassRecall(NamedTuple):
    """Recall of the true particles in one class of size, or of another property.

    Attributes
    ----------
    low, high : limits of the class, `high` excluded
    n_truth : number of true particles in the class
    n_matched : number of those that were found
    """

    low: float
    high: float
    n_truth: int
    n_matched: int

    @property
    def recall(self) -> float:
        """Share of the class that was found; NaN for an empty class."""
        return self.n_matched / self.n_truth if self.n_truth else float("nan")


@dataclass(frozen=True, eq=False)
class LabelScores:
    """Every score of one label map, all read from one table of overlaps.

    Attributes
    ----------
    overlaps : pixels shared by predicted and true regions
    min_area_px : area of the smallest true region that counts, in pixels
    """

    overlaps: Overlaps
    min_area_px: int

    @cached_property
    def pixels(self) -> PixelScores:
        """Agreement of the foreground."""
        table = self.overlaps
        foreground = (table.predicted > 0) & (table.truth > 0)
        hits = int(table.pixels[foreground].sum())
        n_found, n_true = int(table.predicted_area[1:].sum()), int(table.truth_area[1:].sum())
        n_pixels = int(table.pixels.sum())
        return PixelScores(
            precision=_ratio(hits, n_found),
            recall=_ratio(hits, n_true),
            accuracy=_ratio(n_pixels - n_found - n_true + 2 * hits, n_pixels),
            f1=_ratio(2 * hits, n_found + n_true),
        )

    @cached_property
    def matching(self) -> Matching:
        """Pairs of particles at an IoU of at least 0.5."""
        return match(self.overlaps, IOU_LEVELS[0], self.min_area_px)

    @cached_property
    def objects(self) -> ObjectScores:
        """Agreement of particles at an IoU of at least 0.5."""
        return self._of_matching(IOU_LEVELS[0], self.matching)

    @cached_property
    def objects_by_iou(self) -> tuple[ObjectScores, ...]:
        """Agreement of particles at each of `IOU_LEVELS`."""
        return (self.objects, *(self.objects_at(iou) for iou in IOU_LEVELS[1:]))

    def objects_at(self, iou: float) -> ObjectScores:
        """Score particles at another IoU.

        Parameters
        ----------
        iou : least intersection over union of a matched pair, above 0 and at most 1

        Returns
        -------
        scores : agreement of particles

        Raises
        ------
        InputError
            If `iou` is out of range.
        """
        return self._of_matching(iou, match(self.overlaps, iou, self.min_area_px))

    def _of_matching(self, iou: float, matching: Matching) -> ObjectScores:
        """Return the object scores of one matching."""
        n_truth, n_predicted = len(matching.counted_truth), len(matching.counted_predicted)
        n_matched = len(matching.pairs)
        f1 = _ratio(2 * n_matched, n_truth + n_predicted)
        mean_iou = float(matching.iou.mean()) if n_matched else 0.0
        n_split, n_merged = count_splits_and_merges(self.overlaps, matching)
        return ObjectScores(
            iou=iou,
            n_truth=n_truth,
            n_predicted=n_predicted,
            n_ignored=matching.n_ignored,
            n_matched=n_matched,
            precision=_ratio(n_matched, n_predicted),
            recall=_ratio(n_matched, n_truth),
            f1=f1,
            average_precision=_ratio(n_matched, n_truth + n_predicted - n_matched),
            mean_iou=mean_iou,
            panoptic_quality=f1 * mean_iou if n_truth + n_predicted else 1.0,
            n_split=n_split,
            n_merged=n_merged,
        )

    @property
    def predicted_diameters_px(self) -> Float[np.ndarray, "n"]:
        """Equivalent circle diameters of the predicted particles that count, in pixels."""
        return _diameters(self.overlaps.predicted_area[self.matching.counted_predicted])

    @property
    def true_diameters_px(self) -> Float[np.ndarray, "n"]:
        """Equivalent circle diameters of the true particles that count, in pixels."""
        return _diameters(self.overlaps.truth_area[self.matching.counted_truth])

    @property
    def truth_is_found(self) -> Bool[np.ndarray, "n"]:
        """Whether each true particle that counts has a partner at an IoU of at least 0.5."""
        return np.isin(self.matching.counted_truth, self.matching.pairs[:, 1])


def score_labels(
    labels: Integer[np.ndarray, "h w"],
    truth: Integer[np.ndarray, "rows columns"],
    min_area_px: int = MIN_TRUE_AREA_PX,
) -> LabelScores:
    """Score a label map against the true one.

    Parameters
    ----------
    labels : (h, w) predicted label map
    truth : (h, w) true label map
    min_area_px : area of the smallest true region that counts, in pixels; a predicted region
        mostly on smaller ones counts neither as found nor as false

    Returns
    -------
    scores : scores of pixels, particles and sizes, computed when they are read

    Raises
    ------
    InputError
        If the two maps differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.zeros((40, 60), int)
    >>> truth[5:15, 5:15], truth[20:35, 30:50] = 1, 2
    >>> labels = np.where(truth == 1, 1, 0)
    >>> scores = score_labels(labels, truth)
    >>> scores.pixels.precision, scores.pixels.recall
    (1.0, 0.25)
    >>> scores.objects.n_matched, scores.objects.recall
    (1, 0.5)
    """
    return LabelScores(overlap_table(labels, truth), min_area_px)


def size_agreement(
    sizes: Float[np.ndarray, "n"], true_sizes: Float[np.ndarray, "m"]
) -> SizeAgreement:
    """Compare a measured size distribution with the true one.

    Parameters
    ----------
    sizes, true_sizes : (n,) and (m,) sizes in the same unit

    Returns
    -------
    agreement : distances and ratios of the distributions

    Examples
    --------
    >>> import numpy as np
    >>> size_agreement(np.array([12.0, 22.0]), np.array([10.0, 20.0])).wasserstein
    2.0
    """
    if not len(sizes) or not len(true_sizes):
        return SizeAgreement(*[float("nan")] * 4)
    return SizeAgreement(
        wasserstein=float(wasserstein_distance(sizes, true_sizes)),
        kolmogorov_smirnov=float(kstest(sizes, true_sizes, method="asymp").statistic),
        median_ratio=float(np.median(sizes) / np.median(true_sizes)),
        mean_ratio=float(sizes.mean() / true_sizes.mean()),
    )


def recall_by_class(
    values: Float[np.ndarray, "n"], is_found: Bool[np.ndarray, "n"], edges: Sequence[float]
) -> list[SizeClassRecall]:
    """Compute the recall of true particles in classes of their size, or of another property.

    Parameters
    ----------
    values : (n,) property of each true particle
    is_found : (n,) whether it has a partner, as `LabelScores.truth_is_found`
    edges : limits of the classes, ascending

    Returns
    -------
    recalls : one entry for each class

    Examples
    --------
    >>> import numpy as np
    >>> diameters, is_found = np.array([8.0, 9.0, 20.0]), np.array([True, False, True])
    >>> recalls = recall_by_class(diameters, is_found, [5.0, 15.0, 30.0])
    >>> [(each.n_truth, each.recall) for each in recalls]
    [(2, 0.5), (1, 1.0)]
    """
    recalls = []
    for low, high in pairwise(edges):
        chosen = (values >= low) & (values < high)
        recalls.append(SizeClassRecall(low, high, int(chosen.sum()), int(is_found[chosen].sum())))
    return recalls


def _ratio(part: int, whole: int) -> float:
    """Return a ratio of counts, 1 for a ratio of nothing."""
    return part / whole if whole else 1.0


def _diameters(area_px: Integer[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return the diameters of circles of the given areas."""
    return np.sqrt(4 * area_px / np.pi)

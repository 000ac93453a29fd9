import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanorender.errors import InputError
from nanorender.scoring.matching import match, overlap_table
from nanorender.scoring.scores import IOU_LEVELS, recall_by_class, score_labels, size_agreement


def squares(*places, shape=(40, 60), edge=10):
    """Return a label map of squares with their first pixel at each (row, column)."""
    labels = np.zeros(shape, np.int32)
    for label, (y, x) in enumerate(places, start=1):
        labels[y : y + edge, x : x + edge] = label
    return labels


def test_pixel_scores_are_those_of_the_confusion_table():
    truth, predicted = squares((5, 5)), squares((5, 8))
    scores = score_labels(predicted, truth).pixels
    assert scores.precision == scores.recall == scores.f1 == pytest.approx(0.7)
    assert scores.accuracy == pytest.approx(1 - 60 / 2400)


def test_perfect_prediction_scores_one_for_any_numbering():
    truth = squares((2, 2), (2, 20), (20, 40))
    renumbered = np.array([0, 30, 10, 20], np.int32)[truth]
    scores = score_labels(renumbered, truth).objects_at(0.95)
    assert scores.f1 == scores.average_precision == scores.panoptic_quality == 1
    assert (scores.n_split, scores.n_merged) == (0, 0)


def test_object_scores_of_a_hit_a_miss_and_a_false_positive():
    truth = squares((2, 2), (2, 20))
    predicted = squares((2, 4), (25, 40))
    scores = score_labels(predicted, truth).objects
    assert (scores.n_matched, scores.n_truth, scores.n_predicted) == (1, 2, 2)
    assert scores.precision == scores.recall == scores.f1 == 0.5
    assert scores.average_precision == pytest.approx(1 / 3)
    assert scores.mean_iou == pytest.approx(80 / 120)
    assert scores.panoptic_quality == pytest.approx(0.5 * 80 / 120)


def test_a_pair_counts_from_its_iou_on():
    truth, predicted = squares((2, 2)), squares((2, 4))  # IoU 2/3
    assert score_labels(predicted, truth).objects_at(0.65).n_matched == 1
    assert score_labels(predicted, truth).objects_at(0.70).n_matched == 0


def test_two_halves_of_one_particle_match_it_once():
    truth = squares((2, 2))
    predicted = truth.copy()
    predicted[2:7, 2:12] = 2  # both halves have an IoU of exactly 0.5
    scores = score_labels(predicted, truth).objects
    assert (scores.n_matched, scores.n_predicted, scores.n_split) == (1, 2, 1)


def test_matching_maximizes_the_total_iou():
    truth = np.zeros((1, 40), np.int32)
    truth[0, :10], truth[0, 10:20] = 1, 2
    predicted = np.zeros((1, 40), np.int32)
    predicted[0, :4], predicted[0, 4:14] = 1, 2
    # Label 2 overlaps both (6/14 and 4/16): taking its best partner would leave label 1 alone.
    pairs = match(overlap_table(predicted, truth), 0.2, 1).pairs
    assert sorted(map(tuple, pairs)) == [(1, 1), (2, 2)]


def test_one_region_over_two_particles_is_a_merge():
    truth = squares((2, 2), (2, 12))
    scores = score_labels((truth > 0).astype(np.int32), truth).objects
    assert (scores.n_merged, scores.n_split) == (1, 0)
    assert scores.n_matched == 1  # 100 of 200 pixels: an IoU of exactly 0.5


def test_predictions_on_small_truth_are_ignored():
    truth = squares((2, 2))
    truth[20:24, 20:24] = 2  # 16 pixels
    predicted = truth.copy()
    predicted[30:34, 40:44] = 3  # on nothing
    scores = score_labels(predicted, truth, min_area_px=50).objects
    assert (scores.n_truth, scores.n_predicted, scores.n_ignored) == (1, 2, 1)
    assert scores.precision == 0.5
    assert score_labels(predicted, truth, min_area_px=1).objects.n_truth == 2


def test_recall_by_size():
    truth = squares((2, 2), (2, 20))
    truth[15:35, 2:22] = 3
    scores = score_labels(np.where(truth == 2, 0, truth), truth)
    small, large = recall_by_class(
        scores.true_diameters_px, scores.truth_is_found, (5.0, 15.0, 30.0)
    )
    assert (small.n_truth, small.recall) == (2, 0.5)
    assert (large.n_truth, large.recall) == (1, 1.0)


def test_empty_maps_agree_and_an_empty_prediction_finds_nothing():
    empty, truth = squares(), squares((2, 2))
    nothing = score_labels(empty, empty)
    assert nothing.objects.f1 == nothing.pixels.f1 == nothing.objects.panoptic_quality == 1
    scores = score_labels(empty, truth).objects
    assert (scores.recall, scores.f1, scores.mean_iou) == (0, 0, 0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_exchanging_prediction_and_truth_exchanges_precision_and_recall(seed):
    rng = np.random.default_rng(seed)
    one = squares(*rng.integers(0, (30, 50), (6, 2)), edge=9)
    other = np.roll(one, rng.integers(-3, 4, 2), (0, 1))
    there, back = score_labels(other, one, 0).objects, score_labels(one, other, 0).objects
    assert (there.precision, there.recall) == (back.recall, back.precision)
    assert there.mean_iou == pytest.approx(back.mean_iou)
    assert (there.n_split, there.n_merged) == (back.n_merged, back.n_split)
    found = [each.n_matched for each in score_labels(other, one, 0).objects_by_iou]
    assert len(found) == len(IOU_LEVELS)
    assert found == sorted(found, reverse=True)


def test_maps_of_two_shapes_and_impossible_overlaps_are_refused():
    with pytest.raises(InputError, match="the same shape"):
        score_labels(squares(shape=(4, 5)), squares(shape=(5, 4)))
    with pytest.raises(InputError, match="above 0"):
        score_labels(squares(), squares()).objects_at(0.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_pixel_scores_from_overlaps_are_those_counted_on_the_maps(seed):
    found, truth = np.random.default_rng(seed).integers(0, 4, (2, 9, 11))
    scores = score_labels(found, truth).pixels
    assert scores.accuracy == pytest.approx(np.mean((found > 0) == (truth > 0)))
    hits = np.count_nonzero((found > 0) & (truth > 0))
    assert scores.precision == pytest.approx(hits / max(np.count_nonzero(found), 1))
    assert scores.recall == pytest.approx(hits / max(np.count_nonzero(truth), 1))


def test_a_shifted_distribution_is_as_far_as_its_shift():
    sizes = np.random.default_rng(0).normal(50, 5, 300)
    found = size_agreement(sizes + 4, sizes)
    assert found.wasserstein == pytest.approx(4)
    assert found.median_ratio == pytest.approx((np.median(sizes) + 4) / np.median(sizes))


def test_the_kolmogorov_smirnov_distance_is_the_largest_difference_of_cumulative_shares():
    rng = np.random.default_rng(1)
    sizes, true_sizes = rng.normal(50, 5, 80).round(), rng.normal(53, 8, 120).round()
    steps = np.union1d(sizes, true_sizes)
    shares = [np.mean(values[:, None] <= steps, axis=0) for values in (sizes, true_sizes)]
    found = size_agreement(sizes, true_sizes).kolmogorov_smirnov
    assert found == pytest.approx(np.abs(shares[0] - shares[1]).max())


def test_nothing_agrees_with_an_empty_distribution():
    found = size_agreement(np.zeros(0), np.ones(3))
    assert np.isnan(list(vars(found).values())).all()

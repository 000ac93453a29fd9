import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from nanorender.errors import InputError
from nanorender.files.tiff import write_labels
from nanorender.scoring.evaluate import (
    Evaluation,
    evaluate_folder,
    evaluation_record,
    format_evaluation,
    full_table,
    iou_table,
    object_table,
    pixel_table,
    size_table,
)
from nanorender.scoring.scores import score_labels

SHIFT = 5  # of a square of 20 px: IoU 15 * 20 / (25 * 20) = 0.6


def squares():
    truth = np.zeros((100, 100), np.int32)
    truth[10:30, 10:30], truth[50:70, 50:70] = 1, 2
    return truth


def evaluated(found, truth, pixel_size_nm, min_area_px):
    return Evaluation("x", score_labels(found, truth, min_area_px), pixel_size_nm)


@pytest.fixture
def folders(tmp_path):
    truth = squares()
    for name, found in (("a", np.roll(truth, SHIFT, axis=1)), ("b", truth * (truth == 1))):
        for folder, labels in (("labels", found), ("truth", truth)):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_labels(tmp_path / folder / f"{name}.tif", labels, 2.0)
    return tmp_path / "labels", tmp_path / "truth"


def test_pixels_are_scored_as_scikit_learn_scores_them():
    rng = np.random.default_rng(0)
    found, truth = (rng.integers(0, 3, (40, 50)).astype(np.int32) for _ in range(2))
    (row,) = pixel_table([evaluated(found, truth, None, 1)]).loc[["x"]].to_numpy()
    pair = (truth.ravel() > 0, found.ravel() > 0)
    scores = (precision_score, recall_score, accuracy_score, f1_score)
    assert row.tolist() == pytest.approx([score(*pair) for score in scores])


def test_shifted_squares_match_up_to_their_overlap(folders):
    found = evaluate_folder(folders[0], str(folders[1]), 50)
    assert [each.scores.objects.n_matched for each in found] == [2, 1]
    assert [level.n_matched for level in found[0].scores.objects_by_iou] == [2] * 3 + [0] * 7
    by_iou = iou_table(found)
    # Image b finds one of two at every level.
    assert by_iou["average_precision"].iloc[:-1].tolist() == [0.75] * 3 + [0.25] * 7
    assert by_iou["average_precision"]["mean"] == pytest.approx(0.4)
    assert object_table(found, 0.5)["panoptic_quality"]["a"] == pytest.approx(0.6)


def test_counts_are_added_up_and_ratios_averaged(folders):
    last = object_table(evaluate_folder(folders[0], str(folders[1]), 50), 0.5).loc["mean"]
    assert (last["n_truth"], last["n_predicted"], last["n_matched"]) == (4, 3, 3)
    assert last["recall"] == pytest.approx(0.75)


def test_size_distributions_are_compared_in_nm(folders):
    # All squares are alike.
    sizes = size_table(evaluate_folder(folders[0], str(folders[1]), 50))
    assert sizes["wasserstein"].tolist() == pytest.approx([0, 0, 0])
    found = np.zeros((100, 100), np.int32)
    found[:40, :40] = 1
    wider = size_table([evaluated(found, squares(), 2.0, 50)])
    assert wider["wasserstein"]["x"] == pytest.approx(2 * np.sqrt(4 / np.pi) * 20)
    assert wider["median_ratio"]["x"] == pytest.approx(2)


def test_small_regions_of_the_truth_are_ignored():
    truth = squares()
    truth[90:93, 90:93] = 3
    found = evaluated(squares(), truth, None, 10)
    assert found.scores.objects_by_iou[-1].f1 == 1
    assert len(found.scores.true_diameters_px) == 2


def test_one_file_is_scored_against_one_file(folders):
    (found,) = evaluate_folder(folders[0] / "b.tif", str(folders[1] / "b.tif"), 50)
    assert found.scores.objects.recall == 0.5
    with pytest.raises(InputError, match="give a folder"):
        evaluate_folder(folders[0], str(folders[1] / "b.tif"), 50)


def test_scores_as_text_json_and_table(folders):
    found = evaluate_folder(folders[0], str(folders[1]), 50)
    text = format_evaluation(found, 50)
    assert "Particles at IoU 0.5" in text
    assert "wasserstein_nm" in text
    told = json.loads(json.dumps(evaluation_record(found), allow_nan=False))
    assert told["objects"]["0.60"]["a"]["n_matched"] == 2
    assert told["pixels"]["mean"]["recall"] == pytest.approx((0.75 + 0.5) / 2)
    table = full_table(found)
    assert len(table) == 2 * 10
    assert {"image", "iou", "pixel_f1", "n_split", "size_wasserstein_nm"} <= set(table.columns)


def test_empty_maps_agree_and_have_no_sizes():
    empty = np.zeros((20, 20), np.int32)
    found = [evaluated(empty, empty, None, 50)]
    assert object_table(found, 0.5)["f1"]["x"] == 1
    assert evaluation_record(found)["sizes"]["x"]["median_ratio"] is None
    assert "Pixels" in format_evaluation(found, 50)

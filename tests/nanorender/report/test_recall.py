import numpy as np

from nanorender.measuring.measure import measure
from nanorender.report.recall import recall_sentences
from nanorender.scoring.results import image_result

LABELS = np.zeros((60, 100), np.int32)
LABELS[10:20, 10:20], LABELS[10:20, 60:70], LABELS[30:55, 30:55] = 1, 2, 3


def result(confidence=None, truth=None):
    image = np.zeros(LABELS.shape, np.uint8)
    table = measure(LABELS, 5.0, image, confidence=confidence)
    return image_result("a", image, LABELS, 5.0, "header", table, truth)


def test_without_truth_the_confidence_tells_how_many_are_real():
    unknown, expected = recall_sentences([result(np.array([0.9, 0.6, 0.5]))], "min_feret", None)
    assert "is not known without annotations or twins" in unknown
    assert expected == "By their confidence, about 2 of 2 found below 100 nm are particles."
    assert len(recall_sentences([result()], "min_feret", None)) == 1


def test_with_truth_the_recall_on_both_sides_is_told():
    truth = LABELS.copy()
    truth[40:50, 80:90] = 4
    truth[truth == 2] = 0
    (sentence,) = recall_sentences([result(truth=truth)], "min_feret", None)
    assert "Of 2 annotated particles below 100 nm, 1 (50 %) are found" in sentence
    assert "of 1 larger ones 1 (100 %)" in sentence
    assert "1 of the 2 found below 100 nm match no annotated particle" in sentence


def test_particles_cut_by_the_frame_are_told_apart():
    labels = np.where(LABELS == 1, 0, LABELS)
    labels[0:10, 0:10] = 1
    table = measure(labels, 5.0, confidence=np.array([0.9, 0.8, 0.9]))
    cut = image_result("a", np.zeros(labels.shape, np.uint8), labels, 5.0, "header", table)
    _, expected, frame = recall_sentences([cut], "min_feret", None, "keep")
    assert "about 2 of 2" in expected
    assert frame == "1 of all these are cut by the frame, and may be larger."
    assert "about 1 of 1" in recall_sentences([cut], "min_feret", None, "drop")[1]


def test_particles_without_confidence_are_counted_apart():
    _, expected, others = recall_sentences(
        [result(np.array([0.9, np.nan, 0.9]))], "min_feret", None
    )
    assert "about 1 of 1 found below 100 nm" in expected
    assert others == "1 others have no confidence."

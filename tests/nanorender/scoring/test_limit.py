import numpy as np

from nanorender.measuring.measure import measure
from nanorender.scoring.limit import LimitDetection, annotated_detection
from nanorender.scoring.results import image_result

SMALL, LARGE = 10, 30


def squares(edges):
    """A label map of squares in a row, 0 for a gap."""
    labels = np.zeros((50, 50 * len(edges)), np.int32)
    for index, edge in enumerate(edges):
        labels[10 : 10 + edge, 50 * index + 10 :][:, :edge] = (index + 1) * (edge > 0)
    return labels


def result(found, truth, pixel_size_nm=5.0):
    image = np.zeros(truth.shape, np.uint8)
    table = measure(found, pixel_size_nm, image)
    return image_result("a", image, found, pixel_size_nm, "header", table, truth)


def test_particles_are_counted_on_both_sides_of_the_limit():
    """The limit of 100 nm is 20 px: three small particles are true, of which one is found."""
    truth = squares([SMALL, SMALL, SMALL, LARGE, LARGE, 0])
    found = squares([SMALL, 0, 0, LARGE, 0, SMALL])
    study = [result(found, truth), result(found, truth)]
    counts = LimitDetection(6, 4, 2, 2, 4, 2)
    assert annotated_detection(study, "min_feret", 100.0) == counts


def test_images_without_truth_or_scale_do_not_count():
    labels = squares([SMALL])
    assert annotated_detection([result(labels, labels, None)], "min_feret", 100.0) is None
    image = np.zeros(labels.shape, np.uint8)
    bare = image_result("b", image, labels, 5.0, "header", measure(labels, 5.0, image))
    assert annotated_detection([bare], "min_feret", 100.0) is None

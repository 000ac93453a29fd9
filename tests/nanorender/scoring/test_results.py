from dataclasses import replace

import numpy as np

from nanorender.measuring.measure import measure
from nanorender.scoring.results import TableRows, image_result, particle_table, particle_tables


def squares():
    """Return a true label map with a square of 100 pixels and a sliver of 49."""
    truth = np.zeros((40, 60), np.int32)
    truth[5:15, 5:15] = 1
    truth[20:27, 5:12] = 2
    return truth


def test_slivers_of_the_truth_count_neither_as_particles_nor_as_sizes():
    truth = squares()
    result = image_result("a", truth, truth, 2.0, "", measure(truth, 2.0), truth)
    assert result.scores.objects.n_truth == 1
    assert result.true_table["area_nm2"].tolist() == [400]
    assert result.scores.pixels.f1 == 1


def test_tables_of_all_images_are_concatenated():
    truth = squares()
    image = np.zeros(truth.shape, np.uint8)
    empty = np.zeros_like(truth)
    results = [
        image_result(name, image, labels, 2.0, "", measure(labels, 2.0))
        for name, labels in (("a", truth), ("none", empty), ("b", truth))
    ]
    table = particle_table(results)
    assert table["image"].tolist() == ["a", "a", "b", "b"]
    assert table.columns[0] == "image"
    struck = results[2].table.assign(struck_out=True)
    marked = replace(results[2], rows=TableRows(lambda: struck, 0, 2))
    parts = list(particle_tables([results[0], marked]))
    assert [len(part) for part in parts] == [2, 2]
    assert parts[0].columns.tolist() == parts[1].columns.tolist() == [*table.columns, "struck_out"]
    assert list(particle_table(results, {"area_nm2", "area_px2"})) == ["image", "area_nm2"]
    nothing = particle_table(results[1:2])
    assert (len(nothing), nothing.columns.tolist()) == (0, table.columns.tolist())

import numpy as np
import pytest

from nanorender.correction.response import match_twin, pool_twins
from nanorender.errors import InputError


def squares(shape, *boxes):
    labels = np.zeros(shape, int)
    for label, (top, left, edge) in enumerate(boxes, start=1):
        labels[top : top + edge, left : left + edge] = label
    return labels


@pytest.fixture
def twin():
    true = squares((60, 90), (5, 5, 20), (5, 25, 20), (35, 60, 10), (35, 5, 12))
    found = np.zeros_like(true)
    found[5:25, 5:45] = 1  # both large ones together
    found[35:45, 60:72] = 2  # the third, too wide
    found[50:56, 30:36] = 3  # none
    return match_twin(0, true, np.array([1.0, 0.5, 1.0, 1.0]), found)


def test_found_missed_and_false_particles(twin):
    assert twin.true["row"].tolist() == [0, -1, 1, -1]
    assert twin.found["row"].tolist() == [0, 2, -1]


def test_particles_found_together_are_known(twin):
    assert twin.true["shared"].tolist() == [True, True, False, False]


def test_visible_fraction_belongs_to_the_label():
    true = squares((20, 20), (2, 2, 5)) * 3  # labels 1 and 2 are outside the view
    twin = match_twin(0, true, np.array([0.1, 0.2, 0.3]), true)
    assert twin.true["visible_fraction"].tolist() == [0.3]


def test_hidden_parts_of_true_particles_are_known_except_beyond_the_frame():
    true = squares((40, 40), (5, 5, 10), (0, 25, 8))
    twin = match_twin(0, true, np.array([0.25, 0.5]), true)
    inside, cut = twin.true["amodal_diameter_px"]
    assert inside == pytest.approx(2 * twin.true["equivalent_diameter_px"][0])
    assert cut == pytest.approx(twin.true["equivalent_diameter_px"][1])
    assert twin.true["visible_share"].tolist() == [0.25, 1.0]
    assert twin.found["amodal_diameter_px"][0] == pytest.approx(inside / 2)


def test_pooled_sizes_have_the_unit_of_each_micrograph(twin):
    response = pool_twins([twin, twin._replace(micrograph=1)], "sqrt_area", [1.0, 2.0])
    assert response.true[:4].tolist() == [20.0, 20.0, 10.0, 12.0]
    assert response.true[4:].tolist() == [40.0, 40.0, 20.0, 24.0]
    assert np.isnan(response.measured[[1, 3, 5, 7]]).all()
    assert response.false.tolist() == [6.0, 12.0]
    assert response.area == 60 * 90 * (1 + 4)
    assert response.false_twin.tolist() == [0, 1]


def test_empty_images_are_matched():
    nothing = np.zeros((10, 10), int)
    twin = match_twin(0, nothing, np.zeros(0), nothing)
    response = pool_twins([twin], "equivalent_diameter", [1.0])
    assert len(response.true) == len(response.false) == 0


def test_twins_of_an_earlier_version_are_refused_for_a_later_quantity(twin):
    earlier = twin._replace(true=twin.true.drop(columns="amodal_diameter_px"))
    assert len(pool_twins([earlier], "equivalent_diameter", [1.0]).true) == 4
    with pytest.raises(InputError, match="have no amodal_diameter; make them again"):
        pool_twins([earlier], "amodal_diameter", [1.0])

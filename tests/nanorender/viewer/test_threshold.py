import numpy as np
import pytest

from nanorender.viewer.threshold import apply_threshold

CONFIDENCE = np.array([0.9, 0.2, 0.5])


@pytest.fixture
def found():
    return np.repeat(np.array([[0, 1, 1, 2, 2, 0, 3, 3]], np.int32), 3, axis=0)


def threshold(labels, found, least, dropped=frozenset()):
    after = labels.copy()
    edit, dropped = apply_threshold(labels, found, CONFIDENCE, least, dropped)
    edit.apply_to(after)
    return after, dropped


def test_raising_and_lowering_the_threshold_gives_the_label_map_back(found):
    high, dropped = threshold(found, found, 0.6)
    assert np.unique(high).tolist() == [0, 1]
    assert dropped == {2, 3}
    middle, dropped = threshold(high, found, 0.5, dropped)
    assert np.unique(middle).tolist() == [0, 1, 3]
    low, dropped = threshold(middle, found, 0.0, dropped)
    assert np.array_equal(low, found)
    assert dropped == frozenset()


def test_a_corrected_particle_is_kept_whatever_its_confidence(found):
    labels = found.copy()
    labels[0, 5] = 2
    after, dropped = threshold(labels, found, 1.0)
    assert np.array_equal(after, np.where(np.isin(labels, [1, 3]), 0, labels))
    assert dropped == {1, 3}


def test_a_deleted_particle_does_not_come_back(found):
    labels = np.where(found == 3, 0, found)
    high, dropped = threshold(labels, found, 0.6)
    low, _ = threshold(high, found, 0.0, dropped)
    assert np.unique(low).tolist() == [0, 1, 2]


def test_a_particle_whose_place_is_taken_stays_out(found):
    high, dropped = threshold(found, found, 0.6)
    high[0, 3] = 7
    low, dropped = threshold(high, found, 0.0, dropped)
    assert np.unique(low).tolist() == [0, 1, 3, 7]
    assert dropped == {2}


def test_a_drawn_particle_with_the_number_of_one_left_out_is_kept(found):
    high, dropped = threshold(found, found, 0.6)
    high[:, 5] = 2
    for least in (0.0, 1.0):
        after, out = threshold(high, found, least, dropped)
        assert (after[:, 5] == 2).all()
        assert not (after[:, 3] == 2).any()
        assert 2 in out


def test_a_second_threshold_changes_nothing(found):
    once, dropped = threshold(found, found, 0.6)
    twice, again = threshold(once, found, 0.6, dropped)
    assert np.array_equal(once, twice)
    assert again == dropped

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nanorender.errors import InputError
from nanorender.viewer.editing import (
    delete_particle,
    label_at,
    merge_particles,
    split_by_line,
    split_by_seeds,
)

LABEL_MAPS = arrays.arrays(np.int32, (9, 11), elements=st.integers(0, 3))


def dumbbell():
    """Two discs of radius 15 whose centers are 24 pixels apart along x, as one particle."""
    y, x = np.mgrid[:40, :70]
    left, right = (np.hypot(y - 20, x - center) <= 15 for center in (22, 46))
    return np.where(left | right, 5, 0).astype(np.int32)


def test_merging_closes_the_line_between_two_particles_but_not_their_surroundings():
    labels = np.zeros((12, 15), np.int32)
    labels[2:10, 1:7], labels[2:10, 8:14] = 3, 7
    merge_particles(labels, 3, 7).apply_to(labels)
    expected = np.zeros((12, 15), np.int32)
    expected[2:10, 1:14] = 3
    assert np.array_equal(labels, expected)


def test_merging_does_not_take_pixels_of_a_third_particle():
    labels = np.array([[1, 1, 0, 2, 2], [1, 1, 9, 2, 2], [1, 1, 0, 2, 2]], np.int32)
    merge_particles(labels, 2, 1).apply_to(labels)
    assert labels.tolist() == [[2, 2, 2, 2, 2], [2, 2, 9, 2, 2], [2, 2, 2, 2, 2]]


def test_a_particle_is_not_merged_with_itself():
    with pytest.raises(InputError, match="particle 5 cannot be merged with itself"):
        merge_particles(dumbbell(), 5, 5)


def test_a_line_divides_where_it_is_drawn_and_no_pixel_is_lost():
    labels = dumbbell()
    split_by_line(labels, (-5.0, 30.2), (60.0, 30.2), first_label=6).apply_to(labels)
    assert np.array_equal(labels > 0, dumbbell() > 0)
    columns = [np.nonzero(labels == label)[1] for label in (5, 6)]
    # The larger part, right of the line, keeps the label; pixels on the line go to either.
    assert columns[0].min() >= 30
    assert columns[1].max() <= 30


def test_a_line_over_several_particles_divides_each_of_them():
    labels = np.zeros((20, 30), np.int32)
    for number, left in enumerate((1, 11, 21), 1):
        labels[4:16, left : left + 8] = number
    split_by_line(labels, (8.0, 0.0), (8.0, 18.0), first_label=4).apply_to(labels)
    areas = np.bincount(labels.ravel())[1:]
    assert areas[2] == 96  # the line ends before the third one
    assert areas[[0, 3]].sum() == areas[[1, 4]].sum() == 96
    assert len(areas) == 5


def test_pieces_beside_the_line_stay_with_the_largest_part():
    labels = np.zeros((20, 40), np.int32)
    labels[2:18, 2:20] = labels[2:6, 30:34] = 1
    split_by_line(labels, (0.0, 6.0), (19.0, 6.0), first_label=2).apply_to(labels)
    assert set(np.unique(labels[2:6, 30:34])) == {1}
    assert labels[10, 3] == 2


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ((1.0, 1.0), (1.0, 60.0), "crosses no particle; draw it over"),
        ((20.0, 20.0), (20.0, 40.0), "divides no particle; draw it from edge to edge"),
        ((-9.0, -9.0), (-3.0, -2.0), "crosses no particle"),
    ],
)
def test_a_line_that_divides_nothing_says_why(start, end, message):
    with pytest.raises(InputError, match=message):
        split_by_line(dumbbell(), start, end, first_label=6)


@pytest.mark.parametrize(("first", "second"), [((20, 14), (20, 55)), ((30, 20), (11, 50))])
def test_two_seeds_cut_at_the_neck_wherever_they_are_in_the_halves(first, second):
    labels = dumbbell()
    split_by_seeds(labels, first, second, new_label=6).apply_to(labels)
    assert np.array_equal(labels > 0, dumbbell() > 0)
    assert label_at(labels, first) != label_at(labels, second)
    columns = np.indices(labels.shape)[1]
    left = label_at(labels, (20, 14))
    wrong = ((labels == left) & (columns > 35)) | ((labels > 0) & (labels != left) & (columns < 33))
    assert wrong.sum() == 0


def test_without_a_neck_pixels_belong_to_the_nearer_seed():
    labels = np.zeros((30, 30), np.int32)
    labels[5:25, 5:25] = 1
    split_by_seeds(labels, (15, 8), (15, 20), new_label=2).apply_to(labels)
    assert set(np.unique(labels[5:25, 5:15])) == {1}
    assert set(np.unique(labels[5:25, 15:25])) == {2}


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((20, 20), (1, 1), "must lie in the same particle"),
        ((1, 1), (2, 2), "must lie in the same particle"),
        ((20.1, 20.2), (20.0, 19.9), "are the same pixel"),
    ],
)
def test_seeds_that_divide_nothing_say_why(first, second, message):
    with pytest.raises(InputError, match=message):
        split_by_seeds(dumbbell(), first, second, new_label=6)


@given(LABEL_MAPS, st.tuples(*[st.floats(-3, 13)] * 4))
def test_a_cut_keeps_the_foreground_and_other_particles(labels, line):
    after = labels.copy()
    try:
        split_by_line(labels, line[:2], line[2:], first_label=4).apply_to(after)
    except InputError:
        return
    assert np.array_equal(after > 0, labels > 0)
    kept = after < 4
    assert np.array_equal(after[kept], labels[kept])
    for label in np.unique(after[after >= 4]):
        (parent,) = np.unique(labels[after == label])
        assert (after == parent).sum() >= (after == label).sum()


@given(LABEL_MAPS, st.integers(0, 98), st.integers(0, 98))
def test_seeds_divide_one_particle_into_two(labels, first, second):
    points = [divmod(place, 11) for place in (first, second)]
    after = labels.copy()
    try:
        split_by_seeds(labels, *points, new_label=9).apply_to(after)
    except InputError:
        return
    parent = label_at(labels, points[0])
    assert np.array_equal(np.where(after == 9, parent, after), labels)
    assert (after == 9).any()
    assert (after == parent).sum() >= (after == 9).sum()


@given(LABEL_MAPS, st.integers(1, 3))
def test_deleting_leaves_all_others(labels, label):
    after = labels.copy()
    delete_particle(labels, label).apply_to(after)
    assert np.array_equal(after, np.where(labels == label, 0, labels))

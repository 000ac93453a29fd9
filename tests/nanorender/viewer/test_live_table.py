import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nanorender.measuring.measure import measure
from nanorender.viewer.histogram_classes import MOST_CLASSES, histogram_edges
from nanorender.viewer.live_table import SHOWN, measure_again

LABEL_MAPS = arrays.arrays(np.int32, (8, 10), elements=st.sampled_from([0, 1, 2, 5, 2**31 - 1]))
IMAGE = np.zeros((8, 10), np.uint8)


@given(LABEL_MAPS, LABEL_MAPS)
def test_measuring_what_changed_equals_measuring_all(before, after):
    table = measure_again(None, None, before, IMAGE, 2.0)
    updated = measure_again(table, before, after, IMAGE, 2.0)
    whole = measure_again(None, None, after, IMAGE, 2.0)
    pd.testing.assert_frame_equal(updated, whole)


def test_the_columns_are_those_of_the_particle_table():
    labels = np.zeros((30, 30), np.int32)
    labels[3:9, 4:12], labels[20:29, 15:30] = 4, 2
    table = measure_again(None, None, labels, np.zeros(labels.shape, np.uint8), 3.2)
    full = measure(labels, 3.2)
    assert table["label"].tolist() == [2, 4]
    assert len(table.columns) == len(SHOWN) + 1
    pd.testing.assert_frame_equal(table, full[list(table.columns)])


@given(arrays.arrays(float, st.integers(1, 200), elements=st.floats(0.1, 1e5)))
def test_size_classes_contain_all_sizes_and_are_not_too_many(sizes):
    edges = histogram_edges(sizes)
    assert edges[0] <= sizes.min()
    assert edges[-1] >= sizes.max()
    assert 2 <= len(edges) <= MOST_CLASSES + 1

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nanorender.measuring.contacts import adjacent_pairs, contacts, nearby_pairs


def test_particles_a_few_pixels_apart_are_nearby_and_far_ones_are_not():
    labels = np.zeros((20, 60), np.int32)
    labels[5:10, 5:10] = 1
    labels[5:10, 13:20] = 2
    labels[5:10, 40:45] = 3
    assert nearby_pairs(labels, 3).tolist() == [[1, 2]]
    assert contacts(labels).tolist() == []


def pairs_at(labels, offsets):
    """Return the pairs of labels at offsets, pixel by pixel."""
    height, width = labels.shape
    found = set()
    for (y, x), one in np.ndenumerate(labels):
        for down, right in offsets:
            if 0 <= y + down < height and 0 <= x + right < width:
                other = labels[y + down, x + right]
                if one and other and one != other:
                    found.add((min(one, other), max(one, other)))
    return [list(pair) for pair in sorted(found)]


@settings(deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 4))
)
def test_all_pairs_in_contact_are_found(labels):
    adjacent = [(0, 1), (1, 0), (1, 1), (1, -1)]
    assert adjacent_pairs(labels).tolist() == pairs_at(labels, adjacent)
    assert contacts(labels).tolist() == pairs_at(labels, [*adjacent, (0, 2), (2, 0)])

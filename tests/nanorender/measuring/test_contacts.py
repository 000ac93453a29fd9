import numpy as np

from nanorender.measuring.contacts import contacts, nearby_pairs


def test_particles_a_few_pixels_apart_are_nearby_and_far_ones_are_not():
    labels = np.zeros((20, 60), np.int32)
    labels[5:10, 5:10] = 1
    labels[5:10, 13:20] = 2
    labels[5:10, 40:45] = 3
    assert nearby_pairs(labels, 3).tolist() == [[1, 2]]
    assert contacts(labels).tolist() == []

import numpy as np
from scipy import ndimage

from nanorender.measuring.distance import distance_to_background


def test_distances_are_those_of_scipy():
    mask = np.random.default_rng(0).random((60, 75)) > 0.03
    expected = ndimage.distance_transform_edt(mask)
    np.testing.assert_allclose(distance_to_background(mask), expected, rtol=1e-15)

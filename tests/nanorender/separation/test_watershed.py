import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction

from nanorender.separation.watershed import extended_maxima, impose_maxima, reconstruct

CROSS = ndimage.generate_binary_structure(2, 1)
heights = arrays(np.float32, (12, 17), elements=st.integers(0, 9).map(float))


@pytest.mark.parametrize("connectivity", [4, 8])
@settings(max_examples=30, deadline=None)
@given(height=heights, dynamic=st.integers(1, 4))
def test_extended_maxima_are_the_regional_maxima_of_a_reconstruction(height, dynamic, connectivity):
    footprint = CROSS if connectivity == 4 else np.ones((3, 3), bool)
    ground = height > 0
    lowered = np.where(ground, height - dynamic, 0).clip(max=height)
    expected = reconstruction(lowered, height, footprint=footprint)
    np.testing.assert_array_equal(
        reconstruct(lowered.astype(np.float32), height, connectivity), expected
    )
    maxima = local_maxima(expected, connectivity=1 if connectivity == 4 else 2) & ground
    if not ground.all():
        found = extended_maxima(height, float(dynamic), connectivity)
        np.testing.assert_array_equal(found > 0, maxima)


def test_reconstruction_follows_a_winding_path_to_its_end():
    corridor = np.zeros((40, 41), np.float32)
    corridor[::2] = 5
    corridor[1::4, -1] = corridor[3::4, 0] = 5
    corridor[39] = 0
    marker = np.zeros_like(corridor)
    marker[0, 0] = 4
    np.testing.assert_array_equal(reconstruct(marker, corridor, 4), np.minimum(corridor, 4))


@pytest.mark.parametrize(("dynamic", "maxima"), [(2.9, 2), (3.0, 1), (3.1, 1)])
def test_a_maximum_must_be_deeper_than_the_dynamic_and_not_equal(dynamic, maxima):
    profile = np.array([[0, 5, 8, 5, 7, 9, 6, 0]], np.float32)
    ridge = np.repeat(np.pad(profile, ((1, 1), (0, 0))), [1, 1, 1], axis=0)
    assert extended_maxima(ridge, dynamic, 4).max() == maxima


@settings(deadline=None, max_examples=50)
@given(heights, arrays(bool, (12, 17)), st.sampled_from([4, 8]))
def test_after_imposing_all_maxima_are_markers_and_nothing_has_risen(height, seeds, connectivity):
    links = 1 if connectivity == 4 else 2
    structure = CROSS if connectivity == 4 else np.ones((3, 3), bool)
    markers, _ = ndimage.label(seeds, structure)
    imposed = impose_maxima(height, markers.astype(np.int32), connectivity)
    assert (imposed <= height)[markers == 0].all()
    summits, count = ndimage.label(local_maxima(imposed, connectivity=links), structure)
    assert set(range(1, count + 1)) <= set(summits[markers > 0])

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from shapes import disc
from skimage.morphology import local_maxima, reconstruction

from nanorender.analysis.watershed import (
    CHAMFER_WEIGHTS,
    chamfer_distance,
    dams,
    extended_maxima,
    flood,
    reconstruct,
)

CROSS = ndimage.generate_binary_structure(2, 1)
heights = arrays(np.float32, (12, 17), elements=st.integers(0, 9).map(float))


def offsets_from_the_center(size):
    y, x = np.abs(np.mgrid[:size, :size] - size // 2)
    return np.maximum(x, y), np.minimum(x, y)


@pytest.mark.parametrize("name", ["borgefors", "quasi_euclidean", "city_block"])
def test_a_single_background_pixel_is_reached_by_diagonal_then_straight_steps(name):
    mask = np.ones((21, 21), bool)
    mask[10, 10] = False
    long, short = offsets_from_the_center(21)
    weights = CHAMFER_WEIGHTS[name]
    expected = weights.diagonal * short + weights.side * (long - short)
    np.testing.assert_allclose(chamfer_distance(mask, weights), expected, rtol=1e-6)


def test_the_chess_knight_takes_its_move_where_it_is_shorter():
    mask = np.ones((21, 21), bool)
    mask[10, 10] = False
    long, short = offsets_from_the_center(21)
    flat = 11 * short + 5 * (long - 2 * short)
    steep = 11 * (long - short) + 7 * (2 * short - long)
    expected = np.where(2 * short <= long, flat, steep)
    np.testing.assert_array_equal(chamfer_distance(mask, CHAMFER_WEIGHTS["chessknight"]), expected)


@settings(deadline=None, max_examples=30)
@given(arrays(bool, (9, 14)))
def test_city_block_distances_are_those_of_scipy(mask):
    mask[0, 0] = False
    expected = ndimage.distance_transform_cdt(mask, metric="taxicab")
    np.testing.assert_array_equal(chamfer_distance(mask, CHAMFER_WEIGHTS["city_block"]), expected)


def test_without_background_the_distance_is_infinite():
    distance = chamfer_distance(np.ones((4, 6), bool), CHAMFER_WEIGHTS["borgefors"])
    assert np.isinf(distance).all()


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


@settings(max_examples=20, deadline=None)
@given(height=heights, seeds=arrays(bool, (12, 17)), connectivity=st.sampled_from([4, 8]))
def test_floods_reach_what_is_connected_and_dams_part_every_two_basins(height, seeds, connectivity):
    mask = height > 2
    structure = CROSS if connectivity == 4 else np.ones((3, 3), bool)
    markers, count = ndimage.label(seeds & mask, structure)
    markers = markers.astype(np.int32)
    regions, _ = ndimage.label(mask, structure)
    reachable = np.isin(regions, regions[markers > 0]) & mask
    whole = flood(height, markers, mask, connectivity)
    np.testing.assert_array_equal(whole > 0, reachable)
    parted = np.where(dams(whole, connectivity), 0, whole)
    for label in range(1, count + 1):
        grown = ndimage.binary_dilation(parted == label, structure)
        assert set(np.unique(parted[grown])) <= {0, label}
        assert ndimage.label(whole == label, structure)[1] == 1


def test_discs_are_parted_where_their_circles_cross():
    rng = np.random.default_rng(5)
    for _ in range(10):
        angle = rng.uniform(0, np.pi)
        radius = rng.uniform(15, 25, 2)
        first = 60 + rng.uniform(-1, 1, 2)
        second = first + radius.sum() * 0.8 * np.array([np.cos(angle), np.sin(angle)])
        mask = disc((130, 130), *first, 2 * radius[0]) | disc((130, 130), *second, 2 * radius[1])
        distance = chamfer_distance(mask, CHAMFER_WEIGHTS["chessknight"])
        markers = extended_maxima(distance, 5.0, 4)
        basins = flood(distance, markers, mask, 4)
        # The line through the crossings has equal power to both circles.
        y, x = np.mgrid[:130, :130] + 0.5
        power = [
            (x - center[0]) ** 2 + (y - center[1]) ** 2 - r**2
            for center, r in zip((first, second), radius, strict=True)
        ]
        own = markers[int(first[1]), int(first[0])]
        assert markers.max() == 2
        assert ((basins == own) != (power[0] < power[1]))[mask].mean() < 0.03


def test_a_dam_is_taken_from_the_larger_basin():
    basins = np.repeat([[1, 1, 1, 2, 2, 2, 2]], 3, axis=0).astype(np.int32)
    np.testing.assert_array_equal(dams(basins, 4), np.repeat([[0, 0, 0, 1, 0, 0, 0]], 3, axis=0))
    np.testing.assert_array_equal(dams(basins[:, ::-1].copy(), 4)[0], [0, 0, 0, 1, 0, 0, 0])

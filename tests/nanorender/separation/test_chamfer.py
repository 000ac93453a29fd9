import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from nanorender.separation.chamfer import CHAMFER_WEIGHTS, chamfer_distance


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

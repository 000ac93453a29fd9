import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from nanorender.files.drawn import DrawnParticle, Patch, Rings, ellipse, rectangle

SHAPE = (30, 40)
points = st.tuples(st.floats(-10, 50), st.floats(-10, 50))


def image(patch, shape=SHAPE):
    """Place a patch in an empty image."""
    whole = np.zeros(shape, bool)
    rows, columns = patch.mask.shape
    whole[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.mask
    return whole


@settings(max_examples=60, deadline=None)
@given(st.lists(points, min_size=3, max_size=3))
def test_a_triangle_covers_the_pixels_whose_centers_are_inside(corners):
    corners = np.array(corners)
    middles = np.argwhere(np.ones(SHAPE))[:, ::-1] + 0.5
    to, edge = middles[:, None] - corners, np.roll(corners, -1, axis=0) - corners
    side = edge[:, 0] * to[..., 1] - edge[:, 1] * to[..., 0]
    inside = np.all(side > 1e-6, axis=1) | np.all(side < -1e-6, axis=1)
    clear = np.all(np.abs(side) > 1e-6, axis=1)
    covered = image(Rings((corners,)).patch(SHAPE)).ravel()
    assert np.array_equal(covered[clear], inside[clear])


def test_a_concave_outline_is_filled_as_by_scikit_image():
    corners = np.array([[2.3, 2.1], [30.2, 5.7], [12.4, 11.2], [25.6, 27.9], [4.1, 20.3]])
    expected = polygon2mask(SHAPE, corners[:, ::-1] - 0.5)
    assert np.array_equal(image(Rings((corners,)).patch(SHAPE)), expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 30))
def test_outlines_with_common_edges_share_no_pixel_and_leave_none(x, y):
    quarters = [
        rectangle(left, top, width, height)
        for left, width in ((0, x), (x, 40 - x))
        for top, height in ((0, y), (y, 30 - y))
    ]
    count = sum(image(quarter.patch(SHAPE)).astype(int) for quarter in quarters)
    assert np.all(count == 1)


def test_a_ring_in_a_ring_is_a_hole_and_a_second_part_is_added():
    outer, inner = (rectangle(*box).corners[0] for box in ((2, 2, 10, 10), (5, 5, 4, 4)))
    hollow = Rings((outer, inner))
    assert image(hollow.patch(SHAPE)).sum() == 100 - 16
    filled = DrawnParticle("a", (hollow, Rings((inner,)), rectangle(20, 20, 3, 1)))
    assert image(filled.patch(SHAPE)).sum() == 100 + 3


def test_an_ellipse_covers_its_area_and_is_cut_by_the_image():
    assert ellipse(0, 0, 400, 300).patch((300, 400)).mask.sum() == pytest.approx(
        np.pi * 200 * 150, rel=1e-3
    )
    half = image(ellipse(-20, 5, 40, 20).patch(SHAPE)).sum()
    assert half == pytest.approx(np.pi * 20 * 10 / 2, rel=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300])
def test_impossible_coordinates_and_too_few_points_are_refused(value):
    with pytest.raises(ValueError, match="coordinate"):
        Rings((np.array([[0, 0], [1, 1], [value, 2]]),)).patch(SHAPE)
    with pytest.raises(ValueError, match="three points"):
        Rings((np.array([[0.0, 0], [1, 1]]),)).patch(SHAPE)


def test_a_patch_is_cut_and_moved_by_a_crop():
    whole = np.zeros(SHAPE, bool)
    whole[4:20, 6:30] = True
    patch = Patch(np.ones((16, 24), bool), 4, 6)
    for crop in ((0, 30, 0, 40), (10, 18, 10, 40), (2, 9, 0, 7), (25, 30, 35, 40), (20, 30, 6, 30)):
        top, bottom, left, right = crop
        cut = patch.within(crop)
        assert np.array_equal(
            image(cut, (bottom - top, right - left)), whole[top:bottom, left:right]
        )

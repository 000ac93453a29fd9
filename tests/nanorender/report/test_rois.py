import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from roifile import ImagejRoi, roiread
from skimage.draw import polygon2mask

from nanorender.report.rois import outlines, svg_path, write_rois

masks = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def filled(pieces, shape):
    """Fill outlines by the even-odd rule: pixel centers to the right of an odd number of edges."""
    centers = np.array([(y + 0.5, x + 0.5) for y in range(shape[0]) for x in range(shape[1])])
    inside = np.zeros(len(centers), bool)
    for corners in pieces:
        for (x0, y0), (_, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            between = (centers[:, 0] > min(y0, y1)) & (centers[:, 0] < max(y0, y1))
            inside ^= between & (x0 < centers[:, 1])  # edges that change y are vertical
    return inside.reshape(shape)


@settings(max_examples=60, deadline=None)
@given(masks)
def test_outlines_filled_by_the_even_odd_rule_give_the_mask_back(mask):
    pieces = outlines(mask.astype(np.int32)).get(1, [])
    assert np.array_equal(filled(pieces, mask.shape), mask)


@settings(max_examples=60, deadline=None)
@given(masks)
def test_an_outline_turns_at_every_corner_and_goes_along_pixel_edges(mask):
    for corners in outlines(mask.astype(np.int32)).get(1, []):
        steps = np.roll(corners, -1, axis=0) - corners
        assert ((steps == 0).sum(axis=1) == 1).all()
        turned = np.roll(steps, -1, axis=0)
        assert ((steps[:, 0] == 0) != (turned[:, 0] == 0)).all()


def test_a_rectangle_has_its_four_corners():
    labels = np.zeros((10, 12), np.int32)
    labels[2:5, 3:9] = 7
    (corners,) = outlines(labels)[7]
    assert {tuple(corner) for corner in corners.tolist()} == {(3, 2), (9, 2), (9, 5), (3, 5)}


def test_the_svg_path_of_one_pixel_goes_around_it():
    labels = np.zeros((3, 3), np.int32)
    labels[1, 2] = 1
    path = svg_path(outlines(labels)[1])
    assert path[0] == "M"
    assert path[-1] == "z"
    assert sorted(path.count(letter) for letter in "hv") == [1, 2]  # z draws the fourth edge


def test_imagej_regions_reproduce_the_pixels(tmp_path):
    labels = np.zeros((30, 40), np.int32)
    labels[3:9, 4:20] = 1
    labels[9:14, 4:8] = 1
    labels[20:28, 30:39] = 12
    write_rois(tmp_path / "image.zip", labels)
    regions = roiread(tmp_path / "image.zip")
    assert [region.name for region in regions] == ["00001", "00012"]
    for region in regions:
        corners = region.integer_coordinates + np.array([region.left, region.top])
        mask = polygon2mask(labels.shape, corners[:, ::-1] - 0.5)
        assert np.array_equal(mask, labels == int(region.name))
        assert (region.left, region.top) == tuple(corners.min(axis=0))
        assert (region.right, region.bottom) == tuple(corners.max(axis=0))


def test_a_particle_with_a_hole_becomes_a_composite_region(tmp_path):
    labels = np.zeros((20, 20), np.int32)
    labels[4:16, 5:17] = 3
    labels[8:10, 9:12] = 0
    write_rois(tmp_path / "image.zip", labels)
    region = roiread(tmp_path / "image.zip")
    region = region[0] if isinstance(region, list) else region
    assert isinstance(region, ImagejRoi)
    assert region.composite
    pieces = [piece.astype(int) for piece in region.coordinates(multi=True)]
    assert np.array_equal(filled(pieces, labels.shape), labels == 3)


def test_the_same_labels_give_the_same_bytes_and_no_particles_an_empty_archive(tmp_path):
    labels = np.zeros((9, 9), np.int32)
    write_rois(tmp_path / "empty.zip", labels)
    labels[2:6, 2:6] = 1
    for name in ("first", "second"):
        write_rois(tmp_path / f"{name}.zip", labels)
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    assert not roiread(tmp_path / "empty.zip")


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_label_maps_of_any_integer_type_are_outlined(dtype):
    labels = np.zeros((5, 5), dtype)
    labels[1:3, 1:3] = 2
    assert list(outlines(labels)) == [2]

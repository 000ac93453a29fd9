from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from scipy import ndimage
from shapes import disc
from skimage.filters import threshold_li

from nanorender.errors import InputError
from nanorender.scoring.scores import score_labels
from nanorender.separation.separate import (
    Separation,
    distance_watershed,
    grow,
    number_by_position,
    separate,
)

MICROGRAPHS = Path(__file__).parents[4] / "shared" / "micrographs" / "tio2_sem"
SHAPE = (80, 120)


def probability(mask):
    return np.where(mask, 0.9, 0.1).astype(np.float32)


@pytest.mark.parametrize("chamfer", ["borgefors", "chessknight", "quasi_euclidean", "city_block"])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_overlapping_discs_are_separated_at_their_neck(chamfer, connectivity):
    mask = disc(SHAPE, 40, 40, 40) | disc(SHAPE, 74, 40, 40)
    settings = Separation(chamfer=chamfer, connectivity=connectivity, dams=True)
    labels = separate({"foreground": probability(mask)}, settings)
    assert labels.max() == 2
    columns = np.flatnonzero((mask & (labels == 0)).any(axis=0))
    assert abs(columns.mean() + 0.5 - 57) < 1
    assert len(columns) <= 2


def test_shallow_neck_does_not_separate():
    mask = disc(SHAPE, 40, 40, 40) | disc(SHAPE, 48, 40, 40)
    labels = separate({"foreground": probability(mask)}, Separation(dynamic=2.0))
    np.testing.assert_array_equal(labels, mask)


def test_normalized_distances_count_the_dynamic_in_pixels():
    mask = disc(SHAPE, 40, 40, 40) | disc(SHAPE, 74, 40, 40)
    normalized = distance_watershed(mask, Separation(dynamic=2.0))
    raw = distance_watershed(mask, Separation(normalized=False, dynamic=6.0))
    np.testing.assert_array_equal(normalized, raw)


def test_whole_distances_are_rounded_down_before_maxima_are_compared():
    # Two blocks 3 px deep with a neck 2 px deep: they differ by 1 px and thus not by more than 1.
    mask = np.zeros((9, 30), bool)
    mask[2:7, 2:12] = mask[2:7, 16:26] = True
    mask[3:6, 12:16] = True
    assert distance_watershed(mask, Separation(whole_distances=True, dynamic=1.0)).max() == 1
    assert distance_watershed(mask, Separation(whole_distances=True, dynamic=0.5)).max() == 2


def test_without_dams_every_foreground_pixel_belongs_to_a_particle():
    mask = disc(SHAPE, 40, 40, 40) | disc(SHAPE, 74, 40, 40)
    labels = separate({"foreground": probability(mask)}, Separation())
    np.testing.assert_array_equal(labels > 0, mask)
    areas = np.bincount(labels.ravel())[1:]
    assert abs(areas[0] - areas[1]) < 0.05 * areas.sum()


def test_area_opening_removes_smaller_regions_only():
    mask = np.zeros(SHAPE, bool)
    mask[5:10, 5:10] = mask[30:36, 30:34] = True  # 25 and 24 pixels
    labels = separate({"foreground": probability(mask)}, Separation(area_opening_px=25))
    assert labels[7, 7] == 1
    assert labels[32, 32] == 0


def test_holes_are_filled_up_to_the_given_size():
    mask = disc(SHAPE, 40, 40, 60)
    small, large = mask.copy(), mask.copy()
    small[38:41, 38:41] = False
    large[36:42, 36:42] = False
    settings = Separation(hole_filling_px=9)
    assert separate({"foreground": probability(small)}, settings)[39, 39] == 1
    assert separate({"foreground": probability(large)}, settings)[39, 39] == 0
    assert separate({"foreground": probability(small)}, Separation())[39, 39] == 0


def test_a_wire_thinner_than_the_dynamic_is_still_counted():
    mask = np.zeros(SHAPE, bool)
    mask[20:22, 10:100] = True
    np.testing.assert_array_equal(
        separate({"foreground": probability(mask)}, Separation(dynamic=3.0)), mask
    )


def test_an_empty_map_has_no_particles_and_a_full_one_has_one():
    empty = np.zeros(SHAPE, np.float32)
    assert not separate({"foreground": empty}, Separation()).any()
    assert not separate({"foreground": empty, "interior": empty}, Separation()).any()
    full = np.ones(SHAPE, np.float32)
    assert (separate({"foreground": full}, Separation()) == 1).all()
    assert (separate({"foreground": full, "interior": full}, Separation()) == 1).all()


def test_particles_are_numbered_by_their_first_pixel():
    labels = np.array([[0, 7, 0, 3], [9, 7, 0, 3], [9, 0, 1, 1]], np.int32)
    expected = [[0, 1, 0, 2], [3, 1, 0, 2], [3, 0, 4, 4]]
    np.testing.assert_array_equal(number_by_position(labels), expected)


def test_eroded_particles_grow_back_and_stay_apart():
    labels = disc(SHAPE, 40, 40, 30).astype(np.int32) + 2 * disc(SHAPE, 74, 40, 30)
    grown = grow(labels, 5.0)
    for label, x in ((1, 40), (2, 74)):
        expected = disc(SHAPE, x, 40, 40) & (np.arange(120) + 0.5 < 57 if label == 1 else True)
        overlap = (grown == label) & expected
        assert overlap.sum() / ((grown == label) | expected).sum() > 0.93
    assert set(np.unique(labels[grown == 1])) == {0, 1}


def touching_squares():
    truth = np.zeros((60, 90), np.int32)
    truth[10:50, 10:30], truth[10:50, 30:50], truth[10:30, 50:80] = 1, 2, 3
    truth[55:58, 5:8] = 4
    interior = np.zeros(truth.shape, bool)
    for label in (1, 2, 3):
        interior |= ndimage.binary_erosion(truth == label, iterations=3)
    return truth, {"foreground": probability(truth > 0), "interior": probability(interior)}


def test_touching_particles_without_neck_are_separated_by_interiors():
    truth, maps = touching_squares()
    labels = separate(maps, Separation(area_opening_px=5))
    scores = score_labels(labels, truth, min_area_px=1).objects_at(0.9)
    assert (scores.n_matched, scores.n_predicted) == (4, 4)


def test_a_particle_too_small_for_an_interior_is_kept():
    truth, maps = touching_squares()
    labels = separate(maps, Separation(area_opening_px=5))
    np.testing.assert_array_equal(labels == labels[56, 6], truth == 4)


def test_specks_of_interior_do_not_split_a_particle():
    mask = disc(SHAPE, 60, 40, 60)
    interior = ndimage.binary_erosion(mask, iterations=8)
    interior[12:14, 58:60] = True
    settings = Separation(interior_smoothing_px=0.0, marker_area_px=10)
    labels = separate(
        {"foreground": probability(mask), "interior": probability(interior)}, settings
    )
    assert labels.max() == 1


def test_predicted_boundary_separates_joined_interiors():
    mask = np.zeros(SHAPE, bool)
    mask[20:60, 20:100] = True
    boundary = np.zeros(SHAPE, np.float32)
    boundary[:, 58:62] = 1.0
    maps = {"foreground": probability(mask), "interior": probability(mask)}
    assert separate(maps, Separation()).max() == 1
    assert separate(maps | {"boundary": boundary}, Separation()).max() == 2


def test_separation_of_the_paper_ignores_predicted_interiors():
    mask = disc(SHAPE, 40, 40, 40) | disc(SHAPE, 74, 40, 40)
    maps = {"foreground": probability(mask), "interior": probability(mask)}
    by_shape = separate(maps, Separation(markers="distance"))
    expected = separate({"foreground": probability(mask)}, Separation())
    np.testing.assert_array_equal(by_shape, expected)
    assert by_shape.max() == 2


def test_dark_gaps_between_particles_stay_open():
    mask = disc(SHAPE, 40, 40, 60)
    mask[35:45, 35:45] = False
    maps = {"foreground": probability(mask), "interior": probability(mask)}
    assert not separate(maps, Separation())[35:45, 35:45].any()


def test_a_missing_foreground_and_maps_of_two_shapes_are_refused():
    ones = np.ones((4, 4), np.float32)
    with pytest.raises(InputError, match="must contain 'foreground'"):
        separate({"interior": ones}, Separation())
    with pytest.raises(InputError, match="the same shape"):
        separate({"foreground": ones, "interior": ones[:2]}, Separation())


def annotated_micrographs():
    for path in sorted(MICROGRAPHS.glob("*_m.tif")):
        image = tifffile.imread(path.with_name(path.name.replace("_m", "")))[:712]
        truth, _ = ndimage.label(tifffile.imread(path)[:712] > 0)
        yield image.astype(np.float32), truth.astype(np.int32)


@pytest.mark.skipif(not MICROGRAPHS.is_dir(), reason="the TiO2 micrographs are not here")
def test_annotated_micrographs_are_separated_as_well_as_a_plain_watershed_does():
    scores = []
    for image, truth in annotated_micrographs():
        smooth = cv2.GaussianBlur(image, (0, 0), 1)
        foreground = (smooth > threshold_li(smooth)).astype(np.float32)
        settings = Separation(area_opening_px=50, hole_filling_px=200, dynamic=2.0)
        labels = separate({"foreground": foreground}, settings)
        agreement = score_labels(labels, truth)
        scores.append((agreement.pixels.f1, agreement.objects.f1))
    pixels, objects = np.mean(scores, axis=0)
    assert pixels > 0.90  # Li's threshold with a distance watershed: 0.92 and 0.48
    assert objects > 0.45


@pytest.mark.skipif(not MICROGRAPHS.is_dir(), reason="the TiO2 micrographs are not here")
def test_a_perfect_interior_finds_nearly_every_annotated_particle():
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    scores = []
    for _, truth in annotated_micrographs():
        values = truth.astype(np.float32)
        interior = (cv2.erode(values, element) == values) & (cv2.dilate(values, element) == values)
        maps = {
            "foreground": (truth > 0).astype(np.float32),
            "interior": (interior & (truth > 0)).astype(np.float32),
        }
        scores.append(score_labels(separate(maps, Separation()), truth).objects.f1)
    assert np.mean(scores) > 0.97

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from shapes import disc, ellipse, rectangle, rod
from skimage import measure as skimage_measure
from skimage.morphology import convex_hull_image

from nanorender.errors import InputError
from nanorender.measuring.measure import MEASUREMENTS, Measurement, equivalent_diameter, measure

LENGTHS = [m.column(None) for m in MEASUREMENTS if m.power == 1]


def blobs(seed, shape=(64, 80)):
    """Return a label map of irregular particles, smooth noise above a level."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    labels, _ = ndimage.label(noise > 0.5 * noise.std())
    return labels.astype(np.int32)


def measured(mask):
    return measure(mask.astype(np.int32), None).iloc[0]


def errors(column, diameter, draw, repeats=40):
    """Return mean and spread of column - diameter over random positions between pixels."""
    rng = np.random.default_rng(int(diameter))
    size = int(4 * diameter) + 8
    values = [
        measured(draw((size, size), *(size / 2 + rng.uniform(-0.5, 0.5, 2)), rng))[column]
        for _ in range(repeats)
    ]
    return np.mean(values) - diameter, np.std(values)


@pytest.mark.parametrize("diameter", [6.0, 20.0, 60.0])
@pytest.mark.parametrize(
    ("column", "bias"),
    [
        ("equivalent_diameter_px", 0.06),
        ("min_feret_px", 1.0),  # the hull of pixel corners reaches beyond the disc
        ("max_feret_px", 1.3),
        ("inscribed_diameter_px", 0.8),
    ],
)
def test_diameters_of_discs_are_right_within_their_bias(column, bias, diameter):
    mean, spread = errors(column, diameter, lambda shape, x, y, _: disc(shape, x, y, diameter))
    assert abs(mean) < bias
    assert spread < 0.45


@pytest.mark.parametrize("edge", [6.0, 25.0])
def test_upright_squares_are_measured_within_a_pixel(edge):
    def square(shape, x, y, _):
        return rectangle(shape, x, y, edge, edge)

    for column in ("sqrt_area_px", "min_feret_px", "inscribed_diameter_px"):
        mean, spread = errors(column, edge, square)
        assert abs(mean) < 0.1
        assert spread < 0.6


@pytest.mark.parametrize("length", [40.0, 80.0])
def test_rods_in_any_direction_have_their_length_and_width(length):
    def turned(shape, x, y, rng):
        return rod(shape, x, y, length, 10, rng.uniform(0, np.pi))

    mean, spread = errors("rod_length_px", length, turned)
    assert abs(mean) < 0.04 * length
    assert spread < 0.03 * length
    size = int(2 * length)
    width = measured(rod((size, size), size / 2, size / 2, length, 10, 0.4))["rod_width_px"]
    assert abs(width - 10) < 0.6


def test_a_bent_wire_is_as_long_as_its_arc():
    y, x = np.mgrid[:140, :140] + 0.5
    radius, angle = np.hypot(x - 70, y - 70), np.arctan2(y - 70, x - 70)
    row = measured((np.abs(radius - 50) < 3) & (np.abs(angle) < 2))
    assert row["rod_length_px"] == pytest.approx(2 * 2 * 50, rel=0.03)
    assert row["rod_width_px"] == pytest.approx(6, abs=0.4)
    assert row["max_feret_px"] < 108


def test_a_disc_is_no_rod():
    row = measured(disc((60, 60), 30, 30, 40))
    assert np.isnan(row["rod_length_px"])
    assert np.isnan(row["rod_width_px"])


def test_a_grain_with_a_notch_is_no_rod():
    """Its inscribed circle is small, and its skeleton bends around the notch."""
    grain = disc((60, 60), 30, 30, 40) & ~rectangle((60, 60), 30, 36, 10, 34, 0.0)
    row = measured(grain)
    assert row["area_px2"] > 2 * row["inscribed_diameter_px"] ** 2
    assert np.isnan(row["rod_length_px"])
    assert np.isnan(row["rod_width_px"])


def test_a_wire_that_others_cut_into_parts_has_no_length():
    wire = rod((40, 200), 100, 20, 180, 8, 0.0)
    assert measured(wire)["rod_length_px"] == pytest.approx(180, abs=2)
    wire[:, 60:70] = wire[:, 120:130] = False
    assert np.isnan(measured(wire)["rod_length_px"])


@pytest.mark.parametrize("shape", [rod, rectangle])
def test_a_straight_rod_is_not_longer_than_its_largest_diameter(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        length, width = rng.uniform(20, 60), rng.uniform(4, 9)
        mask = shape((90, 90), *rng.uniform(44, 46, 2), length, width, rng.uniform(0, np.pi))
        row = measured(mask)
        assert row["rod_length_px"] <= row["max_feret_px"]
        assert row["rod_length_px"] == pytest.approx(length, abs=0.6 * width)


def test_ellipses_have_their_axes_and_direction():
    angle = np.radians(-30)  # y points down: -30 degrees on the screen is counter-clockwise
    row = measured(ellipse((120, 120), 60.3, 59.8, 80, 40, angle))
    assert row["orientation_deg"] == pytest.approx(30, abs=0.5)
    assert row["elongation"] == pytest.approx(0.5, abs=0.01)
    assert row["aspect_ratio"] == pytest.approx(0.5, abs=0.02)
    assert row["max_feret_px"] == pytest.approx(80, abs=1.5)
    assert row["center_x_px"] == pytest.approx(60.3, abs=0.1)
    assert row["center_y_px"] == pytest.approx(59.8, abs=0.1)


def test_feret_diameters_of_a_single_pixel_are_its_edge_and_diagonal():
    row = measured(np.pad([[True]], 3))
    assert row["min_feret_px"] == 1
    assert row["max_feret_px"] == pytest.approx(np.sqrt(2))
    assert row["inscribed_diameter_px"] == 1
    assert row["convexity"] == row["solidity"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_measurements_agree_with_scikit_image(seed):
    labels = blobs(seed)
    image = np.random.default_rng(seed).integers(0, 255, labels.shape).astype(np.uint8)
    table = measure(labels, None, image)
    regions = skimage_measure.regionprops(labels, intensity_image=image)
    assert len(table) == len(regions) > 5
    for row, region in zip(table.to_dict("records"), regions, strict=True):
        assert row["area_px2"] == region.area
        assert row["equivalent_diameter_px"] == pytest.approx(region.equivalent_diameter_area)
        assert row["perimeter_px"] == pytest.approx(region.perimeter_crofton)
        y, x = region.centroid
        assert (row["center_x_px"], row["center_y_px"]) == pytest.approx((x + 0.5, y + 0.5))
        # scikit-image takes pixels as points; with their extent both moments grow by 1/12.
        major, minor = (
            np.sqrt(axis**2 + 16 / 12)
            for axis in (region.axis_major_length, region.axis_minor_length)
        )
        assert row["elongation"] == pytest.approx(1 - minor / major, abs=1e-6)
        assert row["mean_intensity"] == pytest.approx(region.intensity_mean)
        assert row["sd_intensity"] == pytest.approx(region.intensity_std)
        top, left, bottom, right = region.bbox
        assert (row["bbox_left_px"], row["bbox_top_px"]) == (left, top)
        assert (row["bbox_width_px"], row["bbox_height_px"]) == (right - left, bottom - top)


def test_solidity_counts_the_pixel_centers_in_the_hull():
    labels = blobs(4)
    for row, region in zip(
        measure(labels, None).to_dict("records"), skimage_measure.regionprops(labels), strict=True
    ):
        hull = convex_centers(region.image)
        assert row["solidity"] == pytest.approx(region.area / hull.sum())


def convex_centers(mask):
    """Return the pixels whose center no half-plane of the hull's edges leaves out."""
    if min(mask.shape) == 1:
        return np.ones(mask.shape, bool)
    return convex_hull_image(mask, offset_coordinates=False, include_borders=True)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_shapes_obey_their_inequalities(seed):
    table = measure(blobs(seed), None)
    assert (table["min_feret_px"] <= table["max_feret_px"]).all()
    assert (table["inscribed_diameter_px"] <= table["min_feret_px"]).all()
    assert (table["equivalent_diameter_px"] <= table["max_feret_px"]).all()
    for name in ("aspect_ratio", "convexity", "solidity"):
        assert table[name].between(0, 1 + 1e-12).all()
    assert table["elongation"].between(0, 1).all()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_quarter_turn_and_a_shift_change_no_size(seed):
    labels = blobs(seed, (40, 50))
    turned = np.pad(np.rot90(labels), ((3, 1), (0, 2)))
    before, after = measure(labels, None), measure(turned, None)
    unmoved = [c for c in LENGTHS if not c.startswith(("center", "rod"))]
    unmoved += ["area_px2", "circularity", "aspect_ratio", "elongation", "convexity", "solidity"]
    np.testing.assert_allclose(before[unmoved], after[unmoved], rtol=1e-6)


def test_lengths_are_scaled_once_and_areas_twice_by_the_pixel_size():
    labels = blobs(1)
    pixels, nanometers = measure(labels, None), measure(labels, 2.5)
    for measurement in MEASUREMENTS:
        np.testing.assert_allclose(
            nanometers[measurement.column(2.5)].astype(float),
            pixels[measurement.column(None)].astype(float) * 2.5**measurement.power,
        )


@pytest.mark.parametrize("pixel_size_nm", [None, 1.5])
def test_an_empty_label_map_gives_an_empty_table_with_all_columns(pixel_size_nm):
    empty = measure(np.zeros((9, 9), np.int32), pixel_size_nm)
    filled = measure(np.pad(np.ones((3, 3), np.int32), 2), pixel_size_nm)
    assert len(empty) == 0
    pd.testing.assert_series_equal(empty.dtypes, filled.dtypes)


def test_only_particles_in_the_outermost_pixels_touch_the_frame():
    labels = np.zeros((20, 30), np.int32)
    labels[0, 3], labels[5, 29], labels[19, 9], labels[8, 0], labels[1, 1:3] = 1, 2, 3, 4, 5
    labels[18, 28] = 6
    table = measure(labels, None).set_index("label")
    assert table.index[table["touches_frame"]].tolist() == [1, 2, 3, 4]


def test_particles_across_a_one_pixel_line_touch_and_form_an_agglomerate():
    labels = np.zeros((12, 30), np.int32)
    labels[2:6, 2:6] = 2
    labels[2:6, 7:11] = 4  # across a line
    labels[6:9, 11:14] = 5  # corner to corner
    labels[2:6, 16:20] = 7  # two pixels away from all others
    table = measure(labels, None).set_index("label")
    assert table["neighbors"].to_dict() == {2: 1, 4: 2, 5: 1, 7: 0}
    assert table["agglomerate"].to_dict() == {2: 1, 4: 1, 5: 1, 7: 2}


def test_particles_have_the_confidence_of_their_label():
    labels = np.zeros((20, 40), np.int32)
    labels[2:8, 2:8], labels[2:8, 12:18] = 1, 3
    table = measure(labels, None, confidence=np.array([0.9, 0.8, 0.7]))
    assert table["confidence"].tolist() == [0.9, 0.7]
    assert measure(labels, None)["confidence"].isna().all()
    with pytest.raises(InputError, match="2 confidences are too few for labels up to 3"):
        measure(labels, None, confidence=np.array([0.9, 0.8]))


def test_custom_measurement_is_one_function_and_one_line():
    def double(region):
        return 2 * equivalent_diameter(region)

    own = (*MEASUREMENTS, Measurement(double, 1))
    table = measure(blobs(2), 3.0, None, own)
    np.testing.assert_allclose(table["double_nm"], 2 * table["equivalent_diameter_nm"])


def test_bad_pixel_sizes_and_images_are_refused():
    labels = np.zeros((4, 5), np.int32)
    with pytest.raises(InputError, match="must be positive"):
        measure(labels, 0.0)
    with pytest.raises(InputError, match="the same shape"):
        measure(labels, 1.0, np.zeros((5, 4)))
    with pytest.raises(InputError, match="must not be negative, got -1"):
        measure(labels - 1, 1.0)

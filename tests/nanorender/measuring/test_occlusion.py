import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from shapes import disc, ellipse, rectangle, rod

from nanorender.measuring.contacts import contacts
from nanorender.measuring.measure import measure
from nanorender.measuring.occlusion import hidden_areas

SHAPE = (120, 160)


def stacked(*masks):
    """Return the label map of particles of which each lies on those before it."""
    labels = np.zeros(SHAPE, np.int32)
    for number, mask in enumerate(masks, 1):
        labels[mask] = number
    return labels


def hidden(labels):
    return hidden_areas(labels, contacts(labels))[1:].tolist()


def lens_area(diameter, distance):
    """Return the area that two discs have in common."""
    angle = 2 * np.arccos(distance / diameter)
    return diameter**2 / 4 * (angle - np.sin(angle))


@pytest.mark.parametrize("distance", [20, 30, 40, 48])
@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_the_visible_share_of_a_disc_under_another_one_is_that_of_the_formula(distance, angle):
    x, y = distance * np.cos(angle), distance * np.sin(angle)
    labels = stacked(disc(SHAPE, 60, 50, 50), disc(SHAPE, 60 + x, 50 + y, 50))
    table = measure(labels, 2.0)
    area = np.pi * 25**2
    share = 1 - lens_area(50, distance) / area
    assert table["visible_share"].tolist() == [pytest.approx(share, abs=0.015), 1.0]
    assert table["amodal_diameter_nm"].tolist() == pytest.approx([100, 100], rel=0.01)
    assert table["size_is_lower_bound"].tolist() == [share < 0.95, False]


def test_an_ellipse_under_discs_is_completed():
    whole = ellipse(SHAPE, 80, 60, 90, 50, 0.4)
    labels = stacked(whole, disc(SHAPE, 50, 30, 40), disc(SHAPE, 118, 78, 40))
    covered = int(np.sum(whole & (labels > 1)))
    assert covered > 0.15 * whole.sum()
    assert hidden(labels) == [pytest.approx(covered, rel=0.05), 0, 0]


def test_touching_discs_hide_nothing():
    labels = stacked(disc(SHAPE, 40, 50, 40), disc(SHAPE, 80, 50, 40), disc(SHAPE, 60, 85, 40))
    assert len(contacts(labels)) == 3
    table = measure(labels, None)
    assert table["visible_share"].tolist() == [1, 1, 1]
    assert not table["size_is_lower_bound"].any()
    assert (table["amodal_diameter_px"] == table["equivalent_diameter_px"]).all()


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4, 1.1])
def test_cubes_side_by_side_hide_nothing(angle):
    x, y = 30 * np.cos(angle), 30 * np.sin(angle)
    one, other = (rectangle(SHAPE, 60 + k * x, 50 + k * y, 30, 30, angle) for k in (0, 1))
    labels = stacked(one, other)
    assert len(contacts(labels)) == 1
    assert hidden(labels) == [0, 0]


def test_a_rod_across_another_one_hides_their_crossing():
    labels = stacked(rectangle(SHAPE, 80, 60, 90, 8), rectangle(SHAPE, 80, 60, 8, 90))
    assert hidden(labels) == [64, 0]


def test_a_satellite_hides_what_it_covers():
    satellite = disc(SHAPE, 85, 52, 12)
    labels = stacked(disc(SHAPE, 80, 60, 60), satellite)
    assert hidden(labels) == [satellite.sum(), 0]


def test_a_line_of_background_between_particles_changes_little():
    labels = stacked(disc(SHAPE, 60, 50, 50), disc(SHAPE, 90, 50, 50))
    line = ndimage.binary_dilation(labels == 2) & (labels == 1)
    assert hidden(np.where(line, 0, labels)) == pytest.approx(hidden(labels), rel=0.05)


def test_what_lies_beyond_the_frame_is_not_counted():
    labels = stacked(disc(SHAPE, 0, 60, 80), disc(SHAPE, 60, 60, 36))
    table = measure(labels, None)
    assert table["visible_share"].tolist() == [1.0, 1.0]
    assert table["size_is_lower_bound"].tolist() == [True, False]


def test_slivers_of_a_few_pixels_in_a_line_are_measured():
    labels = stacked(rectangle(SHAPE, 60, 50.5, 30, 1), disc(SHAPE, 60, 50.5, 20))
    assert hidden(labels) == [20, 0]


def test_label_maps_without_particles_or_contacts_have_nothing_hidden():
    assert hidden(np.zeros(SHAPE, np.int32)) == []
    assert hidden(stacked(rod(SHAPE, 60, 50, 40, 8, 0.3))) == [0]
    assert measure(np.zeros(SHAPE, np.int32), None)["visible_share"].tolist() == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_flips_and_turns_change_nothing(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(30, 100, (2, 8))
    axes, angles = rng.uniform(10, 50, (8, 2)), rng.uniform(0, np.pi, 8)
    labels = stacked(*(ellipse(SHAPE, x[k], y[k], *axes[k], angles[k]) for k in range(8)))
    expected = hidden(labels)
    for turned in (labels[::-1], labels[:, ::-1], labels.T, np.rot90(labels)):
        assert hidden(np.ascontiguousarray(turned)) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_labels_of_any_number_and_type_are_accepted(dtype):
    labels = stacked(disc(SHAPE, 60, 50, 50), disc(SHAPE, 90, 50, 50))
    expected = hidden(labels)
    others = np.array([0, 250, 7], dtype)[labels]
    found = hidden_areas(others, contacts(others))
    assert [found[250], found[7]] == expected


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(*[st.integers(1, 15)] * 2), elements=st.integers(0, 4)))
def test_hidden_parts_of_any_label_map_are_under_its_other_particles(labels):
    particles = np.bincount(labels.ravel())
    found = hidden_areas(labels, contacts(labels))
    assert len(found) == len(particles)
    others = particles[1:].sum() - particles
    assert ((found >= 0) & (found <= others))[1:].all()


def test_a_ring_around_a_large_disc_takes_little_memory():
    """A merged network of particles may have hundreds of thousands of other pixels in its hull."""
    labels = np.zeros((700, 700), np.uint8)
    labels[disc(labels.shape, 350, 350, 690)] = 1
    labels[disc(labels.shape, 350, 350, 600)] = 0
    labels[disc(labels.shape, 351, 350, 598)] = 2
    tracemalloc.start()
    areas = hidden_areas(labels, contacts(labels))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert areas[1] == np.count_nonzero(labels == 2)
    assert peak < 200 * labels.size

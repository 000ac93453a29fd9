import numpy as np
import pytest

from unet.presets import CPU, PAPER
from unet.targets import boundary_distance, erode_labels, targets


def disc(radius_px, size_px=64):
    y, x = np.mgrid[:size_px, :size_px] + 0.5
    return (np.hypot(y - size_px / 2, x - size_px / 2) < radius_px).astype(np.int32)


def test_the_depth_of_a_disc_is_its_radius_less_the_distance_from_the_center():
    labels = disc(20)
    y, x = np.mgrid[:64, :64] + 0.5
    expected = 20 - np.hypot(y - 32, x - 32)
    inside = labels > 0
    np.testing.assert_allclose(boundary_distance(labels)[inside], expected[inside], atol=1.0)
    assert not boundary_distance(labels)[~inside].any()


def test_depth_is_counted_from_a_touching_particle_as_from_background():
    labels = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 4, axis=0).astype(np.int32)
    np.testing.assert_array_equal(
        boundary_distance(labels)[1], [3.5, 2.5, 1.5, 0.5] * 1 + [0.5, 1.5, 2.5, 3.5]
    )


def test_eroding_removes_the_border_of_a_large_particle():
    area = np.count_nonzero(erode_labels(disc(20), 2.0))
    assert area == pytest.approx(np.pi * 18**2, rel=0.02)


@pytest.mark.parametrize("radius_px", [0.8, 1.5, 2, 3])
def test_eroding_keeps_every_particle_however_small(radius_px):
    assert np.count_nonzero(erode_labels(disc(radius_px), 5.0)) > 0


def test_target_definitions():
    labels = np.zeros((30, 40), np.int32)
    labels[5:25, 5:20] = 1
    labels[5:25, 20:35] = 2
    channels = targets(labels, CPU)
    foreground, interior, boundary, distance = np.moveaxis(channels, -1, 0)
    np.testing.assert_array_equal(foreground == 255, labels > 0)
    assert np.count_nonzero(interior == 255) == 2 * 16 * 11
    np.testing.assert_array_equal(np.flatnonzero(boundary[15]), [18, 19, 20, 21])
    assert distance[15].max() == 255
    assert distance[15, 5] == pytest.approx(255 * 0.5 / 7.5, abs=1)


def test_target_of_the_paper_separates_touching_particles():
    labels = np.repeat([[0] * 3 + [1] * 10 + [2] * 10 + [0] * 3], 30, axis=0).astype(np.int32)
    row = targets(labels, PAPER)[15, :, 0]
    assert row[8] == row[18] == 255
    assert not row[11:15].any()


def test_an_image_without_particles_has_empty_targets():
    assert not targets(np.zeros((16, 16), np.int32), CPU).any()

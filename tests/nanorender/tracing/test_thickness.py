import numpy as np
import pytest

from nanorender.scenes.scene import Particles, Scene, View
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import template_table
from nanorender.tracing.instances import build_instances
from nanorender.tracing.thickness import ContrastBands, no_bands, projected_thickness

VIEW = View(0.0, 0.0, 1.0, 100, 100, 0.0)


def scene_of(names, centers_nm, sizes_nm):
    count = len(names)
    particles = Particles(
        template=np.arange(count),
        center_nm=np.array(centers_nm, float),
        size_nm=np.array(sizes_nm, float),
        rotation=np.tile(np.eye(3), (count, 1, 1)),
        agglomerate=np.zeros(count, np.int64),
        population=np.zeros(count, np.int64),
        brightness=np.ones(count),
    )
    return Scene(particles, template_table([BUILT_IN[name] for name in names]), VIEW)


def thickness(scene, weights=None, bands=None):
    count = len(scene.particles.template)
    weights = np.ones((count, 1)) if weights is None else weights
    bands = no_bands(count) if bands is None else bands
    return projected_thickness(build_instances(scene, VIEW), VIEW, weights, bands)


def test_the_thickness_of_a_sphere_is_its_chord():
    found = thickness(scene_of(["sphere"], [(50, 50, 30)], [(60, 60, 60)]))[0]
    y, x = np.mgrid[:100, :100] + 0.5
    squared = 30.0**2 - (x - 50) ** 2 - (y - 50) ** 2
    np.testing.assert_allclose(found, 2 * np.sqrt(np.maximum(squared, 0)), atol=0.05)


@pytest.mark.parametrize(
    ("name", "size_nm", "volume_nm3"),
    [
        ("cube", (40, 40, 40), 40.0**3),
        ("sphere", (60, 40, 30), np.pi / 6 * 60 * 40 * 30),
        ("octahedron", (60, 60, 60), 60.0**3 / 6),
    ],
)
def test_thickness_adds_up_to_the_volume(name, size_nm, volume_nm3):
    found = thickness(scene_of([name], [(50, 50, 40)], [size_nm]))[0]
    assert found.sum() == pytest.approx(volume_nm3, rel=0.02)


def test_overlapping_particles_add_up_in_any_order():
    lower, upper = (50, 50, 20), (60, 50, 60)
    size = [(40, 40, 40)] * 2
    both = thickness(scene_of(["sphere", "sphere"], [lower, upper], size))[0]
    each = [thickness(scene_of(["sphere"], [center], size[:1]))[0] for center in (lower, upper)]
    np.testing.assert_allclose(both, each[0] + each[1], atol=1e-3)


def test_weights_scale_each_particle_in_each_map():
    scene = scene_of(["sphere", "cube"], [(30, 50, 20), (75, 50, 20)], [(40, 40, 40)] * 2)
    plain = thickness(scene)[0]
    weighted = thickness(scene, np.array([[2.0, 0.0], [3.0, 1.0]]))
    left = np.arange(100) < 52
    np.testing.assert_allclose(weighted[0], plain * np.where(left, 2, 3), rtol=1e-5)
    np.testing.assert_allclose(weighted[1], plain * np.where(left, 0, 1), rtol=1e-5)


def test_the_parts_of_a_particle_that_overlap_count_once():
    found = thickness(scene_of(["dimer"], [(50, 50, 40)], [(60, 60, 60)]))[0]
    assert found.max() <= 60.01


def test_a_twin_boundary_changes_the_first_map_on_both_of_its_sides():
    scene = scene_of(["cube"], [(50, 50, 20)], [(40, 40, 40)])
    one = np.ones(1, np.float32)
    bands = ContrastBands(
        np.array([[1, 0]], np.float32), 0 * one, 0.25 * one, 0 * one, one, 0 * one
    )
    first, second = thickness(scene, np.ones((1, 2)), bands)
    assert first[50, 35] == pytest.approx(30, rel=1e-3)
    assert first[50, 65] == pytest.approx(50, rel=1e-3)
    assert second[50, 35] == second[50, 65] == pytest.approx(40, rel=1e-3)

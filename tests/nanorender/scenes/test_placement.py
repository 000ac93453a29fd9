import time

import numpy as np
import pytest
import tifffile

from nanorender.distributions import Constant
from nanorender.errors import InputError
from nanorender.scenes.footprints import Bodies, footprints
from nanorender.scenes.placement import (
    PLACEMENTS,
    Agglomerates,
    DistributionMap,
    Fractal,
    RandomPlacement,
    Rows,
    Scattered,
    Sheets,
)

FIELD_NM = 5000.0


def spheres(count, diameter_nm=100.0):
    return Bodies(np.full((count, 3), diameter_nm), np.tile(np.eye(3), (count, 1, 1)))


def distances(center):
    apart = np.linalg.norm(center[:, None] - center[None], axis=2)
    return apart[np.triu_indices(len(center), 1)]


def test_a_turned_ellipsoid_projects_to_the_ellipse_of_its_axes():
    turn = np.array([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])
    covered = footprints(Bodies(np.array([[200.0, 100, 60]]), turn))
    assert covered.inverse[0] == pytest.approx([1 / 50**2, 0, 1 / 100**2])
    assert covered.half_height_nm[0] == pytest.approx(30)
    assert covered.reach_nm[0] == pytest.approx(100)


def test_a_lone_particle_rests_on_the_substrate():
    center, _ = Scattered().arrange(spheres(1), FIELD_NM, np.random.default_rng(0))
    assert center[0, 2] == pytest.approx(50)


def test_scattered_spheres_touch_but_never_run_into_each_other():
    center, _ = Scattered().arrange(spheres(800), FIELD_NM, np.random.default_rng(0))
    assert distances(center).min() >= 100 * (1 - 1e-9)
    assert center[:, 2].min() == pytest.approx(50)


@pytest.mark.parametrize("overlap", [0.0, 0.1])
def test_members_of_an_agglomerate_are_in_contact_no_deeper_than_the_overlap(overlap):
    settings = Agglomerates(members=Constant(value=40), stacking=0, overlap=Constant(value=overlap))
    center, agglomerate = settings.arrange(spheres(40), FIELD_NM, np.random.default_rng(3))
    assert set(agglomerate) == {0}
    apart = np.linalg.norm(center[:, None] - center[None], axis=2) + 1e9 * np.eye(40)
    assert apart.min() >= 100 * (1 - overlap) * (1 - 1e-6)
    assert apart.min(axis=1).max() <= 100 * (1 + 1e-6)


def test_compact_agglomerates_are_smaller_than_chains():
    def radius_of_gyration(compactness):
        settings = Agglomerates(members=Constant(value=60), compactness=compactness, stacking=0)
        center, _ = settings.arrange(spheres(60), FIELD_NM, np.random.default_rng(5))
        return center[:, :2].std(axis=0).sum()

    # 60 discs of radius 50 fill at 84 % a disc of radius 422, whose spread is half of that an axis.
    assert radius_of_gyration(1.0) < 1.15 * 422
    assert radius_of_gyration(0.0) > 1.3 * 422


def test_stacked_particles_lie_above_the_others():
    settings = Agglomerates(members=Constant(value=30), stacking=0.5)
    center, _ = settings.arrange(spheres(30), FIELD_NM, np.random.default_rng(0))
    assert center[:, 2].max() > 100


def test_crossing_wires_lie_one_on_top_of_the_other():
    size = np.tile([3000.0, 50, 50], (60, 1))
    angle = np.random.default_rng(1).uniform(0, np.pi, 60)
    rotation = np.zeros((60, 3, 3))
    rotation[:, 0, 0] = rotation[:, 1, 1] = np.cos(angle)
    rotation[:, 1, 0] = np.sin(angle)
    rotation[:, 0, 1] = -np.sin(angle)
    rotation[:, 2, 2] = 1
    center, _ = Scattered().arrange(Bodies(size, rotation), FIELD_NM, np.random.default_rng(2))
    along = rotation[:, :, 0] * 1475
    crossings = 0
    for i in range(60):
        for j in range(i):
            matrix = np.column_stack([along[i, :2], -along[j, :2]])
            on_each = np.linalg.solve(matrix, center[j, :2] - center[i, :2])
            if np.all(np.abs(on_each) <= 1):
                crossings += 1
                assert abs(center[i, 2] - center[j, 2]) >= 50 * (1 - 1e-9)
    assert crossings > 100


def test_a_distribution_map_puts_a_center_on_each_pixel_at_its_height(tmp_path):
    image = np.zeros((50, 50), np.uint8)
    image[10, 20], image[40, 5] = 255, 51
    tifffile.imwrite(tmp_path / "map.tif", image)
    settings = DistributionMap(file=tmp_path / "map.tif", white_height_nm=500)
    center, _ = settings.arrange(spheres(9), FIELD_NM, np.random.default_rng(0))
    expected = [[550, 4050, 50 + 100], [2050, 1050, 50 + 500]]
    assert sorted(center.tolist()) == [pytest.approx(row) for row in expected]


def test_a_black_distribution_map_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "map.tif", np.zeros((8, 8), np.uint8))
    settings = DistributionMap(file=tmp_path / "map.tif")
    with pytest.raises(InputError, match="black"):
        settings.arrange(spheres(1), FIELD_NM, np.random.default_rng(0))


GROUPED = [kind for kind in PLACEMENTS if issubclass(kind, RandomPlacement)]


@pytest.mark.parametrize("kind", GROUPED)
def test_no_placement_lets_spheres_run_into_each_other(kind):
    settings = kind(overlap=Constant(value=0.0))
    center, group = settings.arrange(spheres(300), FIELD_NM, np.random.default_rng(1))
    assert center.shape == (300, 3)
    assert (np.diff(group) >= 0).all()
    assert distances(center).min() >= 100 * (1 - 1e-6)
    assert center[:, 2].min() == pytest.approx(50)


@pytest.mark.parametrize("kind", GROUPED)
def test_necks_are_no_deeper_than_the_overlap(kind):
    settings = kind(overlap=Constant(value=0.2))
    center, _ = settings.arrange(spheres(300), FIELD_NM, np.random.default_rng(2))
    assert distances(center).min() >= 80 * (1 - 1e-6)


@pytest.mark.parametrize("bend_deg", [0.0, 20.0])
def test_neighbors_in_a_row_touch(bend_deg):
    settings = Rows(members=Constant(value=12), bend_deg=bend_deg)
    center, row = settings.arrange(spheres(36), 1e6, np.random.default_rng(0))
    steps = np.linalg.norm(np.diff(center, axis=0), axis=1)[np.diff(row) == 0]
    assert steps == pytest.approx(100)
    ends = np.linalg.norm(center[11] - center[0])
    assert (ends == pytest.approx(1100)) == (bend_deg == 0)


def test_spheres_of_a_sheet_have_six_neighbors():
    settings = Sheets(members=Constant(value=37), gap=0.0, disorder=0.0)
    center, _ = settings.arrange(spheres(37), FIELD_NM, np.random.default_rng(0))
    apart = np.linalg.norm(center[:, None] - center[None], axis=2)
    neighbors = (np.abs(apart - 100) < 1e-6).sum(axis=1)
    # A hexagon of 37 points has 4 along an edge; the 18 points on its rim have fewer neighbors.
    assert (neighbors == 6).sum() == 37 - 18
    assert center[:, 2] == pytest.approx(50, abs=0.01)


@pytest.mark.parametrize(("dimension", "prefactor"), [(1.6, 1.4), (1.8, 1.3), (2.2, 1.1)])
def test_fractal_agglomerates_keep_the_law_of_their_dimension(dimension, prefactor):
    numbers, gyrations = [16, 64, 256], []
    for number in numbers:
        settings = Fractal(members=Constant(value=number), dimension=dimension, prefactor=prefactor)
        count = 4 * number
        center, group = settings.arrange(spheres(count), 1e7, np.random.default_rng(number))
        middle = np.stack([center[group == k].mean(axis=0) for k in range(4)])
        squared = ((center - middle[group]) ** 2).sum(axis=1)
        # Of a solid sphere itself the squared radius of gyration is 3/5 of that of its radius.
        gyrations.append(np.sqrt(squared.mean() + 0.6 * 50**2))
    slope, offset = np.polyfit(np.log(np.array(gyrations) / 50), np.log(numbers), 1)
    assert slope == pytest.approx(dimension, abs=0.05)
    assert np.exp(offset) == pytest.approx(prefactor, rel=0.1)


def test_every_primary_particle_of_a_fractal_agglomerate_touches_another():
    settings = Fractal(members=Constant(value=64))
    center, _ = settings.arrange(spheres(128), 1e7, np.random.default_rng(3))
    apart = np.linalg.norm(center[:, None] - center[None], axis=2) + 1e9 * np.eye(128)
    assert apart.min(axis=1) == pytest.approx(100, rel=1e-5)


def test_crowded_monolayer_does_not_stack():
    count = round(0.42 * 4000**2 / (np.pi * 50**2))
    apart, _ = Scattered(apart=1).arrange(spheres(count), 4000.0, np.random.default_rng(0))
    fallen, _ = Scattered().arrange(spheres(count), 4000.0, np.random.default_rng(0))
    # Random sequential adsorption goes on to 54.7 % of the area (Feder 1980).
    assert (apart[:, 2] < 51).mean() > 0.95
    assert (fallen[:, 2] < 51).mean() < 0.75


def test_groups_lie_where_the_density_map_is_bright(tmp_path):
    image = np.zeros((20, 20), np.uint8)
    image[:, :5], image[:, 10:] = 100, 200
    tifffile.imwrite(tmp_path / "density.tif", image)
    settings = Rows(members=Constant(value=2), density_map=tmp_path / "density.tif")
    center, row = settings.arrange(spheres(4000), FIELD_NM, np.random.default_rng(0))
    first = np.flatnonzero(np.diff(row, prepend=-1))
    left = center[first, 0] < FIELD_NM / 4
    right = center[first, 0] >= FIELD_NM / 2
    assert (left | right).all()
    # Half the area at twice the density against a quarter of it: 4 of 5.
    assert right.mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("kind", GROUPED)
def test_a_thousand_particles_are_placed_in_a_tenth_of_a_second(kind):
    kind().arrange(spheres(10), 1e4, np.random.default_rng(0))
    start = time.process_time()
    kind().arrange(spheres(1000), 1e4, np.random.default_rng(0))
    assert time.process_time() - start < 0.1

import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nanorender.scenes.primitives import PRIMITIVE_KINDS
from nanorender.scenes.scene import Particles, Scene, View
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import template_table
from nanorender.tracing.instances import in_view
from nanorender.tracing.raymarch import trace


def make_scene(names, count=40, view_px=120, seed=0, sizes=(60.0, 160.0), tilt_deg=0.0) -> Scene:
    """Return particles of random sizes and directions over 1 um, at 1000 / view_px nm a pixel."""
    rng = np.random.default_rng(seed)
    diameters = rng.uniform(*sizes, count)
    particles = Particles(
        template=rng.integers(0, len(names), count),
        center_nm=np.column_stack([rng.uniform(0, 1000, (count, 2)), rng.uniform(20, 200, count)]),
        size_nm=np.repeat(diameters[:, None], 3, axis=1),
        rotation=Rotation.random(count, random_state=rng).as_matrix(),
        agglomerate=np.arange(count),
        population=np.zeros(count, np.int64),
        brightness=np.ones(count),
    )
    view = View(0.0, 0.0, 1000 / view_px, view_px, view_px, tilt_deg)
    return Scene(particles, template_table([BUILT_IN[name] for name in names]), view)


def ray_origins(view: View):
    """Return x and y (h, w) of the pixel centers in nm."""
    x = view.left_nm + (np.arange(view.width_px) + 0.5) * view.pixel_size_nm
    y = view.top_nm + (np.arange(view.height_px) + 0.5) * view.pixel_size_nm
    return np.meshgrid(x, y)


def seen_spheres(scene: Scene):
    """Return height, particle and clearance in px from any outline, by the formula of a sphere."""
    x, y = ray_origins(scene.view)
    height, particle = np.zeros_like(x), np.zeros(x.shape, int)
    clearance = np.full(x.shape, np.inf)
    for row, (center, size) in enumerate(
        zip(scene.particles.center_nm, scene.particles.size_nm, strict=True)
    ):
        away = np.hypot(x - center[0], y - center[1])
        clearance = np.minimum(clearance, np.abs(away - size[0] / 2))
        top = center[2] + np.sqrt(np.maximum(size[0] ** 2 / 4 - away**2, 0))
        nearer = (away < size[0] / 2) & (top > height)
        height[nearer], particle[nearer] = top[nearer], row + 1
    return height, particle, clearance / scene.view.pixel_size_nm


def test_spheres_have_their_height_label_and_normal():
    scene = make_scene(["sphere"], view_px=300)
    surface = trace(scene, scene.view)
    height, particle, clearance = seen_spheres(scene)
    equal = surface.particle == particle
    # Where two spheres cross, rounding decides which is nearer.
    crossing = np.abs(surface.height_nm - height) < 0.01 * scene.view.pixel_size_nm
    assert np.all(equal | (clearance < 0.02) | crossing)
    away = equal & (clearance > 1)
    error_px = np.abs(surface.height_nm - height)[away] / scene.view.pixel_size_nm
    assert error_px.max() < 0.01
    shown = away & (particle > 0)
    rows = particle[shown] - 1
    x, y = ray_origins(scene.view)
    points = np.stack([x[shown], y[shown], height[shown]], axis=1)
    normals = points - scene.particles.center_nm[rows]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cosine = np.einsum("ni,in->n", normals, surface.normal[:, shown])
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 1


@pytest.mark.parametrize("name", BUILT_IN)
def test_template_surface_agrees_with_a_dense_search(name):
    scene = make_scene([name], count=1, view_px=40, sizes=(300.0, 301.0))
    scene = scene._replace(
        particles=scene.particles._replace(center_nm=np.array([[500.0, 500.0, 300.0]]))
    )
    view = View(300.0, 300.0, 10.0, 40, 40, 0.0)
    surface = trace(scene, view)
    heights = np.linspace(20, 580, 141)
    x, y = ray_origins(view)
    grid = np.stack([*np.broadcast_arrays(x, y, heights[:, None, None])], axis=-1)
    distance = particle_distance(scene, grid.reshape(-1, 3)).reshape(grid.shape[:3])
    inside = distance < 0
    found = inside.any(0)
    searched = heights[np.where(found, len(heights) - 1 - inside[::-1].argmax(0), 0)]
    shown = surface.particle == 1
    # A ray may graze the shape between two of the searched heights.
    assert not np.any(found & ~shown)
    assert np.all(distance.min(0)[shown & ~found] < 2.0)
    # Nothing is inside above the height found, and the surface is there.
    assert np.all(searched[found] <= surface.height_nm[found] + 0.1)
    points = np.stack([x, y, surface.height_nm], axis=-1)[shown]
    assert np.abs(particle_distance(scene, points)).max() < 0.05


def particle_distance(scene: Scene, points):
    """Return the distance (n) of points (n, 3) from the one particle, by formulas in float64.

    Nothing of the renderer takes part but the table of the template.
    """
    particles, table = scene.particles, scene.templates
    size = particles.size_nm[0]
    own = (points - particles.center_nm[0]) @ particles.rotation[0]
    total = None
    for k in range(table.first[-1]):
        row = type(table.primitives)(*(column[k] for column in table.primitives))
        half = row.extents * np.linalg.norm(size[:, None] * row.rotation, axis=0) / 2
        one = primitive_distance(row, half, (own - row.center * size) @ row.rotation)
        width = table.smoothness[0] * size.min()
        if total is None:
            total = one
        else:
            blend = np.maximum(width - np.abs(total - one), 0)
            total = np.minimum(total, one) - (blend**2 / (4 * width) if width else 0)
    return total


def primitive_distance(row, half, p):
    """Return what `primitives` says the distance is, at points (n, 3) in the primitive's frame."""
    kind, rounding = PRIMITIVE_KINDS[row.kind], row.rounding * half.min()
    if kind == "ellipsoid":
        return (np.linalg.norm(p / half, axis=1) - 1) * half.min()
    if kind in ("prism", "polyhedron"):
        normals = row.planes[: row.facets, :3] / (2 * half)
        lengths = np.linalg.norm(normals, axis=1)
        distances = (p @ normals.T - row.planes[: row.facets, 3]) / lengths
        total = distances[:, 0]
        for one in distances.T[1:]:
            blend = np.maximum(rounding - np.abs(total - one), 0)
            total = np.maximum(total, one) + (blend**2 / (4 * rounding) if rounding else 0)
        return total
    if kind == "box":
        beyond = np.abs(p) - (half - rounding)
    else:
        radius = half[1:].min()
        rounding = min(radius, half[0]) if kind == "capsule" else rounding
        across = np.hypot(p[:, 1], p[:, 2]) - (radius - rounding)
        beyond = np.stack([np.abs(p[:, 0]) - (half[0] - rounding), across], axis=1)
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
    return outside + np.minimum(beyond.max(1), 0) - rounding


def test_turning_the_scene_by_a_right_angle_turns_the_buffers():
    scene = make_scene(["grain_1", "rod", "satellite_3"])
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    particles = scene.particles
    turned = particles._replace(
        center_nm=(particles.center_nm - [500, 500, 0]) @ turn.T + [500, 500, 0],
        rotation=turn @ particles.rotation,
    )
    before = trace(scene, scene.view)
    after = trace(scene._replace(particles=turned), scene.view)
    same = np.rot90(before.particle) == after.particle
    assert same.mean() > 0.9995
    apart = np.abs(np.rot90(before.height_nm) - after.height_nm)[same]
    assert np.quantile(apart, 0.999) < 0.01
    np.testing.assert_allclose(np.rot90(before.normal[0])[same], -after.normal[1][same], atol=0.05)


def test_tilt_shifts_high_points_and_keeps_heights():
    scene = make_scene(["sphere"], count=1, view_px=400)
    particles = scene.particles._replace(
        center_nm=np.array([[500.0, 500.0, 100.0]]), size_nm=np.full((1, 3), 100.0)
    )
    tilted = scene.view._replace(tilt_deg=30.0)
    surface = trace(scene._replace(particles=particles), tilted)
    rows, columns = np.nonzero(surface.particle)
    pixel = scene.view.pixel_size_nm
    assert (columns.mean() + 0.5) * pixel == pytest.approx(500, abs=0.5)
    # The center is 100 nm high, and the whole sphere clears the substrate.
    assert (rows.mean() + 0.5) * pixel == pytest.approx(500 - 100 * np.sin(np.radians(30)), abs=0.5)
    assert len(rows) * pixel**2 == pytest.approx(np.pi * 50**2, rel=0.01)
    assert surface.height_nm.max() == pytest.approx(150, abs=0.5)
    substrate = surface.particle == 0
    np.testing.assert_allclose(surface.height_nm[substrate], 0, atol=1e-3)
    up = np.array([0, -np.sin(np.radians(30)), np.cos(np.radians(30))])
    np.testing.assert_allclose(
        surface.normal[:, substrate].T, np.tile(up, (substrate.sum(), 1)), atol=1e-6
    )


def test_parts_are_those_of_the_nearest_primitive():
    scene = make_scene(["rod"], count=1, view_px=100)
    particles = scene.particles._replace(
        center_nm=np.array([[500.0, 500.0, 60.0]]),
        size_nm=np.array([[500.0, 100.0, 100.0]]),
        rotation=np.eye(3)[None],
    )
    surface = trace(scene._replace(particles=particles), scene.view)
    x, _ = ray_origins(scene.view)
    shown = surface.particle == 1
    assert set(surface.part[shown & (x < 295)]) == {1}
    assert set(surface.part[shown & (x > 305) & (x < 695)]) == {0}
    assert set(surface.part[shown & (x > 705)]) == {2}


def test_the_same_scene_gives_the_same_bytes():
    scene = make_scene(["grain_0", "dimer", "wire"])
    one, two = trace(scene, scene.view), trace(scene, scene.view)
    for a, b in zip(one[:4], two[:4], strict=True):
        assert a.tobytes() == b.tobytes()


def test_particles_out_of_view_change_nothing_and_cost_little():
    near = make_scene(["grain_2", "grain_3"], count=250, sizes=(40.0, 80.0))
    far = make_scene(["grain_2", "grain_3"], count=99_750, sizes=(40.0, 80.0), seed=1)
    away = far.particles._replace(center_nm=far.particles.center_nm + np.array([1e5, 0, 0]))
    crowd = near._replace(
        particles=Particles(*map(np.concatenate, zip(near.particles, away, strict=True)))
    )
    assert in_view(crowd, crowd.view).max() < 250
    alone, together = trace(near, near.view), trace(crowd, crowd.view)
    for a, b in zip(alone[:4], together[:4], strict=True):
        assert a.tobytes() == b.tobytes()
    start = time.process_time()
    in_view(crowd, crowd.view)
    assert time.process_time() - start < 0.2

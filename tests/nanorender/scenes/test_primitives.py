import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nanorender.jit import kernel
from nanorender.scenes.primitives import (
    PRIMITIVE_KINDS,
    PlacedPrimitives,
    empty_rays,
    enter,
    signed_distance,
)
from nanorender.scenes.templates import Primitive

FACETS = tuple((x, y, z, 0.5) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1))

primitives = st.builds(
    # More rounding than this would fill the octahedron, see `Primitive`
    lambda kind, extents, rounding, angles: place(
        kind, extents, rounding * (0.57 if kind == "polyhedron" else 1), angles
    ),
    st.sampled_from(PRIMITIVE_KINDS),
    st.tuples(*[st.floats(5, 60)] * 3),
    st.floats(0, 1),
    st.tuples(*[st.floats(-180, 180)] * 3),
)
seeds = st.integers(0, 2**32 - 1)


@kernel
def compiled_distance(placed, rays, count):
    signed_distance(placed, 0, rays, count)


@kernel
def compiled_enter(placed, level, rays, count):
    enter(placed, 0, level, rays, count)


def place(kind: str, extents, rounding=0.0, angles=(0.0, 0.0, 0.0)) -> PlacedPrimitives:
    """Return one primitive about the origin; `extents` in nm."""
    planes = Primitive(kind=kind, facets=FACETS if kind == "polyhedron" else ()).planes()
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    normals = planes[:, :3] / np.array(extents)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    planes = np.concatenate([normals / length @ rotation.T, planes[:, 3:] / length], axis=1)
    facets = len(planes)
    planes = planes if facets else np.zeros((1, 4))
    half = np.array([extents]) / 2
    return PlacedPrimitives(
        np.array([PRIMITIVE_KINDS.index(kind)], np.int32),
        np.zeros((1, 3), np.float32),
        np.ascontiguousarray(rotation.T[None], np.float32),
        half.astype(np.float32),
        (rounding * half.min(1)).astype(np.float32),
        planes[None].astype(np.float32),
        np.array([facets], np.int32),
    )


def measure(placed: PlacedPrimitives, points):
    """Return distances (n) and gradients (n, 3) at points (n, 3)."""
    points = np.atleast_2d(np.asarray(points, np.float32))
    rays = empty_rays(len(points))
    rays.x[:], rays.y[:], rays.z[:] = points.T
    compiled_distance(placed, rays, len(points))
    return rays.distance, np.stack([rays.gx, rays.gy, rays.gz], axis=1)


def scattered(seed: int, reach: float, count: int = 200):
    return np.random.default_rng(seed).uniform(-reach, reach, (count, 3))


@settings(max_examples=60, deadline=None)
@given(primitives, seeds)
def test_a_distance_changes_no_faster_than_the_position(placed, seed):
    a, b = scattered(seed, 60), scattered(seed + 1, 60)
    change = np.abs(measure(placed, a)[0] - measure(placed, b)[0])
    assert np.all(change <= np.linalg.norm(a - b, axis=1) * (1 + 1e-5) + 1e-3)


@settings(max_examples=60, deadline=None)
@given(primitives, seeds)
def test_a_distance_is_convex_along_every_line(placed, seed):
    a, b = scattered(seed, 60), scattered(seed + 1, 60)
    middle = measure(placed, (a + b) / 2)[0]
    assert np.all(middle <= (measure(placed, a)[0] + measure(placed, b)[0]) / 2 + 1e-3)


@settings(max_examples=60, deadline=None)
@given(primitives, seeds)
def test_a_primitive_holds_its_center_and_stays_in_its_box(placed, seed):
    assert measure(placed, np.zeros(3))[0][0] < 0
    points = scattered(seed, 60)
    own = np.abs(points @ placed.axes[0].T)
    outside = np.any(own > placed.half[0] + 1e-3, axis=1)
    assert np.all(measure(placed, points)[0][outside] > 0)


def holds(placed: PlacedPrimitives, points):
    """Return whether a primitive without rounding holds each point, by its equation."""
    kind, half = PRIMITIVE_KINDS[placed.kind[0]], placed.half[0]
    own = points @ placed.axes[0].T
    if kind == "ellipsoid":
        return np.linalg.norm(own / half, axis=1) < 1
    if kind == "box":
        return np.all(np.abs(own) < half, axis=1)
    if kind in ("prism", "polyhedron"):
        return np.all(points @ placed.planes[0, :, :3].T < placed.planes[0, :, 3], axis=1)
    radius, across = half[1:].min(), np.hypot(own[:, 1], own[:, 2])
    if kind == "cylinder":
        return (np.abs(own[:, 0]) < half[0]) & (across < radius)
    ends = min(radius, half[0])
    along = np.maximum(np.abs(own[:, 0]) - (half[0] - ends), 0)
    return np.hypot(along, np.maximum(across - (radius - ends), 0)) < ends


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PRIMITIVE_KINDS), st.tuples(*[st.floats(5, 60)] * 3), seeds)
def test_a_distance_is_zero_where_the_exact_surface_is(kind, extents, seed):
    placed = place(kind, extents, angles=(20.0, 40.0, 60.0))
    # From the center outwards, the distance changes its sign where the equation ceases to hold.
    way = np.random.default_rng(seed).standard_normal((50, 1, 3))
    way /= np.linalg.norm(way, axis=2, keepdims=True)
    points = (way * np.linspace(0, 60, 241)[:, None]).reshape(-1, 3)
    distance = measure(placed, points)[0]
    clear = np.abs(distance) > 1e-3
    assert np.array_equal((distance < 0)[clear], holds(placed, points)[clear])


@settings(max_examples=60, deadline=None)
@given(primitives, seeds)
def test_the_gradient_is_that_of_finite_differences(placed, seed):
    points = scattered(seed, 60, 60)
    step = 0.02
    differences = np.stack(
        [
            (measure(placed, points + axis)[0] - measure(placed, points - axis)[0]) / (2 * step)
            for axis in np.eye(3) * step
        ],
        axis=1,
    )
    # Creases of the distance are where it jumps: few points lie so close to one.
    apart = np.linalg.norm(measure(placed, points)[1] - differences, axis=1)
    assert np.mean(apart < 0.02) > 0.9


@settings(max_examples=60, deadline=None)
@given(primitives, seeds, st.floats(0, 5))
def test_entry_points_bound_the_surface_from_above(placed, seed, level):
    x, y = np.random.default_rng(seed).uniform(-50, 50, (2, 100)).astype(np.float32)
    rays = empty_rays(100)
    rays.x[:], rays.y[:], rays.z[:] = x, y, 100
    compiled_enter(placed, np.float32(level), rays, 100)
    heights = np.linspace(-100, 100, 401, dtype=np.float32)
    columns = np.stack(np.broadcast_arrays(x[:, None], y[:, None], heights), axis=-1)
    inside = measure(placed, columns.reshape(-1, 3))[0].reshape(100, -1) < level - 0.02
    highest = np.where(inside.any(1), heights[400 - inside[:, ::-1].argmax(1)], -np.inf)
    assert np.all(rays.z >= highest - 0.02)


@pytest.mark.parametrize(
    ("kind", "rounding", "point", "distance"),
    [
        ("ellipsoid", 0.0, (30.0, 0.0, 0.0), 20.0),
        ("box", 0.0, (13.0, 14.0, 0.0), 5.0),
        ("box", 0.5, (10.0, 10.0, 0.0), 5 * (2**0.5 - 1)),
        ("capsule", 0.0, (10.0, 10.0, 10.0), 300**0.5 - 10),
        ("cylinder", 0.0, (13.0, 0.0, 14.0), 5.0),
        ("cylinder", 0.0, (0.0, 0.0, 4.0), -6.0),
        ("prism", 0.0, (15.0, 0.0, 0.0), 5.0),
        ("polyhedron", 0.0, (10.0, 10.0, 10.0), (30 - 10) / 3**0.5),
    ],
)
def test_distances_from_primitives_of_20_nm_are_those_of_geometry(kind, rounding, point, distance):
    placed = place(kind, (20.0, 20.0, 20.0), rounding)
    assert measure(placed, point)[0][0] == pytest.approx(distance, abs=1e-4)

import numpy as np
import pytest

from nanorender.distributions import Constant
from nanorender.imaging.lighting import (
    Lighting,
    Occlusion,
    ambient_occlusion,
    light,
    soft_shadow,
    soften,
)
from nanorender.tracing.raymarch import Surface


def surface_of(height: np.ndarray, pixel_size_nm: float = 2.0) -> Surface:
    """Return a surface of these heights in nm, its normals by central differences."""
    height = height.astype(np.float32)
    dy, dx = np.gradient(height, pixel_size_nm)
    normal = np.stack([-dx, -dy, np.ones_like(dx)])
    normal /= np.linalg.norm(normal, axis=0)
    zeros = np.zeros(height.shape, np.int32)
    return Surface(height, normal.astype(np.float32), zeros, zeros, pixel_size_nm)


REACH = Occlusion(radius_nm=Constant(value=60.0), directions=12, taps=8)


def openness(surface: Surface, turn: float = 0.2) -> np.ndarray:
    return ambient_occlusion(surface, soften(surface.height_nm), 60.0, REACH, turn)


def test_a_plane_is_open_however_it_is_tilted():
    y, x = np.mgrid[:90, :100] * 2.0
    for slope in (0.0, 0.5, 2.0):
        inner = openness(surface_of(slope * x - 0.3 * y))[31:-31, 31:-31]
        assert inner.min() > 0.99


def test_a_groove_is_darker_the_deeper_it_is_and_its_banks_stay_open():
    x = np.abs(np.arange(120) - 60)[None, :] * 2.0 + np.zeros((70, 1))
    middle = [
        openness(surface_of(np.where(x < 6, -depth, 0.0)))[35, 60] for depth in (2.0, 8.0, 40.0)
    ]
    assert 1 > middle[0] > middle[1] > middle[2] > 0
    assert openness(surface_of(np.where(x < 6, -40.0, 0.0)))[35, 20] == pytest.approx(1, abs=0.01)


def test_the_light_does_not_depend_on_what_the_height_is_counted_from():
    height = np.random.default_rng(0).uniform(0, 20, (50, 60))
    low, high = openness(surface_of(height)), openness(surface_of(height + 500))
    np.testing.assert_allclose(low, high, atol=1e-3)


def test_softened_heights_are_means_over_boxes():
    height = np.random.default_rng(1).uniform(0, 9, (40, 50)).astype(np.float32)
    levels = soften(height)
    assert np.array_equal(levels[0], height)
    padded = np.pad(height, 1, mode="edge")
    mean = sum(padded[y : y + 40, x : x + 50] for y in range(3) for x in range(3)) / 9
    np.testing.assert_allclose(levels[1], mean, atol=1e-4)


def test_a_wall_throws_its_shadow_away_from_the_light_as_far_as_geometry_says():
    height = np.zeros((30, 200))
    height[:, 100:112] = 40.0
    surface = surface_of(height)
    elevation = np.radians(45)
    direction = np.array([np.cos(elevation), 0.0, np.sin(elevation)])
    lit = soft_shadow(surface, soften(surface.height_nm), direction, 200.0, 0.2)[15]
    # A wall of 40 nm under light at 45 degrees shades 40 nm, 20 pixels, on the far side.
    assert lit[114:].min() > 0.9
    assert lit[90] < 0.1
    dark = np.count_nonzero(lit[:100] < 0.5)
    assert dark == pytest.approx(20, abs=4)
    assert lit[:60].min() > 0.9


def test_light_from_straight_above_throws_no_shadow():
    surface = surface_of(np.random.default_rng(2).uniform(0, 50, (20, 30)))
    lit = soft_shadow(surface, soften(surface.height_nm), np.array([0.0, 0.0, 1.0]), 100.0, 0.5)
    assert np.all(lit == 1)


def test_light_is_drawn_from_its_settings_and_repeats_with_its_seed():
    surface = surface_of(np.random.default_rng(3).uniform(0, 50, (40, 50)))
    settings = Lighting(
        azimuth_deg=Constant(value=90.0),
        elevation_deg=Constant(value=30.0),
        strength=Constant(value=0.25),
    )
    one, two = (light(surface, settings, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_allclose(one.direction, [0, np.cos(np.pi / 6), 0.5], atol=1e-12)
    assert one.strength == 0.25
    assert one.occlusion.tobytes() == two.occlusion.tobytes()
    assert one.shadow.tobytes() == two.shadow.tobytes()
    for share in (one.occlusion, one.shadow):
        assert share.min() >= 0
        assert share.max() <= 1 + 1e-5

from typing import NamedTuple

import numpy as np
import pytest

from nanorender.imaging.lighting import Light
from nanorender.imaging.materials import Diffuse, EdgeEffect, Glossy, Mixed, Substrate
from nanorender.imaging.shaders import shade
from nanorender.scenes.scene import Particles
from nanorender.tracing.raymarch import Surface

PLAIN = {
    "occlusion": 0,
    "shadow": 0,
    "rim": 0,
    "grain_slope": 0,
    "height_gain_per_um": 0,
    "mottle": 0,
    "albedo": 0.5,
}
GROUND = Substrate(gray=0.2, occlusion=0, shadow=0)
EDGE, PIXEL_NM, RADIUS_NM = 96, 5.0, 200.0


class Sphere(NamedTuple):
    surface: Surface
    particles: Particles
    inside: np.ndarray


def sphere(brightness: float = 1.0) -> Sphere:
    """One sphere on the substrate in the middle of the view, from its formula."""
    y, x = (np.mgrid[:EDGE, :EDGE] + 0.5 - EDGE / 2) * PIXEL_NM
    inside = x * x + y * y < (0.98 * RADIUS_NM) ** 2
    z = np.where(inside, np.sqrt(np.maximum(RADIUS_NM**2 - x * x - y * y, 0)), 0)
    normal = np.where(inside, np.stack([x, y, z]) / RADIUS_NM, np.array([0, 0, 1])[:, None, None])
    surface = Surface(
        height_nm=np.where(inside, RADIUS_NM + z, 0).astype(np.float32),
        normal=normal.astype(np.float32),
        particle=inside.astype(np.int32),
        part=np.zeros((EDGE, EDGE), np.int32),
        pixel_size_nm=PIXEL_NM,
    )
    particles = Particles(
        template=np.zeros(1, np.int64),
        center_nm=np.array([[240.0, 240.0, RADIUS_NM]]),
        size_nm=np.full((1, 3), 2 * RADIUS_NM),
        rotation=np.eye(3)[None],
        agglomerate=np.zeros(1, np.int64),
        population=np.zeros(1, np.int64),
        brightness=np.array([brightness]),
    )
    return Sphere(surface, particles, inside)


def lit(direction=(0.0, 0.0, 1.0), strength=1.0, occlusion=1.0, shadow=1.0) -> Light:
    shape = (EDGE, EDGE)
    return Light(
        np.full(shape, occlusion, np.float32),
        np.full(shape, shadow, np.float32),
        np.array(direction) / np.linalg.norm(direction),
        strength,
    )


def shaded(material, light, ball=None, ground=GROUND, texture=1.0):
    ball = ball or sphere()
    texture = np.broadcast_to(np.float32(texture), (EDGE, EDGE)).copy()
    return shade(ball.surface, light, [material], ground, texture, ball.particles)


def test_a_diffuse_sphere_is_as_bright_as_the_cosine_to_the_light():
    ball, light = sphere(), lit((0.3, -0.5, 0.8))
    cosine = np.einsum("khw,k->hw", ball.surface.normal, light.direction)
    expected = 0.5 * np.maximum(cosine, 0)
    radiance = shaded(Diffuse(**PLAIN), light, ball)
    np.testing.assert_allclose(radiance[ball.inside], expected[ball.inside], atol=1e-5)


def test_light_from_everywhere_shows_a_diffuse_sphere_flat():
    ball = sphere()
    radiance = shaded(Diffuse(**PLAIN), lit((0.3, -0.5, 0.8), strength=0.0), ball)
    np.testing.assert_allclose(radiance[ball.inside], 0.5, rtol=1e-6)


@pytest.mark.parametrize(("exponent", "cap"), [(1.0, 3.0), (0.65, 2.0), (1.3, 4.0)])
def test_the_edge_effect_rises_as_a_power_of_the_cosine_up_to_its_cap(exponent, cap):
    ball = sphere()
    material = EdgeEffect(exponent=exponent, cap=cap, **PLAIN)
    expected = 0.5 * np.minimum(ball.surface.normal[2] ** -exponent, cap)
    radiance = shaded(material, lit(), ball)
    np.testing.assert_allclose(radiance[ball.inside], expected[ball.inside], rtol=4e-3)


def test_glossy_highlights_are_those_of_walter_2007():
    ball, light, roughness = sphere(), lit((0.4, 0.2, 0.9)), 0.5
    n, to_light = ball.surface.normal.astype(float), light.direction
    half = to_light + np.array([0, 0, 1])
    half /= np.linalg.norm(half)
    nh, nl = (np.einsum("khw,k->hw", n, v) for v in (half, to_light))
    nv, a2 = n[2], roughness**4
    inside = ball.inside & (nl > 0.01) & (nh > 0)
    tangent2 = 1 / nh**2 - 1
    density = a2 / (np.pi * nh**4 * (a2 + tangent2) ** 2)  # equation 33
    masking = 1.0
    for cosine in (nl, nv):
        masking = masking * 2 / (1 + np.sqrt(1 + a2 * (1 / cosine**2 - 1)))  # equation 34
    expected = 0.5 * np.pi * nl * density * masking / (4 * nl * nv)  # equation 20, lit by pi
    radiance = shaded(Glossy(roughness=roughness, **PLAIN), light, ball)
    np.testing.assert_allclose(radiance[inside], expected[inside], rtol=1e-3)


def test_a_mixture_is_the_weighted_sum_of_its_parts():
    light = lit((0.4, 0.2, 0.9), strength=0.6)
    mixed = Mixed(
        diffuse=0.5, glossy=0.2, edge_effect=0.3, roughness=0.4, exponent=1, cap=3, **PLAIN
    )
    parts = (
        0.5 * shaded(Diffuse(**PLAIN), light),
        0.2 * shaded(Glossy(roughness=0.4, **PLAIN), light),
        0.3 * shaded(EdgeEffect(exponent=1, cap=3, **PLAIN), light),
    )
    inside = sphere().inside
    np.testing.assert_allclose(shaded(mixed, light)[inside], sum(parts)[inside], rtol=1e-4)


def test_a_particle_is_brighter_by_its_own_factor():
    plain, bright = (shaded(EdgeEffect(**PLAIN), lit(), sphere(b)) for b in (1.0, 1.5))
    inside = sphere().inside
    np.testing.assert_allclose(bright[inside], 1.5 * plain[inside], rtol=1e-5)
    np.testing.assert_array_equal(bright[~inside], plain[~inside])


def test_occlusion_and_shadow_darken_by_what_the_settings_say():
    inside = sphere().inside
    material = EdgeEffect(**PLAIN | {"occlusion": 0.5, "shadow": 0.25})
    ground = Substrate(gray=0.2, occlusion=1.0, shadow=0.0)
    clear = shaded(material, lit(), ground=ground)
    dark = shaded(material, lit(strength=0.5, occlusion=0.4, shadow=0.2), ground=ground)
    # Straight light from above leaves the edge effect what it is, so only the two factors differ.
    factor = (1 - 0.5 * 0.6) * (1 - 0.5 * 0.25 * 0.8)
    np.testing.assert_allclose(dark[inside], (clear * factor)[inside], rtol=1e-5)
    np.testing.assert_allclose(dark[~inside], 0.2 * 0.4, rtol=1e-5)


def test_the_substrate_shows_its_texture_and_particles_their_share_of_it():
    texture = np.linspace(0.5, 1.5, EDGE, dtype=np.float32)
    inside = sphere().inside
    material = Diffuse(**PLAIN | {"mottle": 0.2})
    radiance = shaded(material, lit(strength=0.0), texture=texture)
    full = np.broadcast_to(texture, (EDGE, EDGE))
    np.testing.assert_allclose(radiance[~inside], 0.2 * full[~inside], rtol=1e-5)
    np.testing.assert_allclose(radiance[inside], 0.5 * (0.8 + 0.2 * full[inside]), rtol=1e-5)


def test_slopes_of_dirt_that_face_the_light_are_brighter():
    texture = np.broadcast_to(1 + 0.01 * np.arange(EDGE, dtype=np.float32), (EDGE, EDGE))
    ground = Substrate(gray=0.2, occlusion=0, shadow=0, relief_nm=50.0)
    radiance = shaded(Diffuse(**PLAIN), lit((-1.0, 0.0, 1.0)), ground=ground, texture=texture)
    slope = 50.0 * 0.01 / PIXEL_NM
    outside = ~sphere().inside
    outside[:, (0, -1)] = False  # without a neighbor on one side
    expected = 0.2 * texture * (1 + slope / np.sqrt(2))
    np.testing.assert_allclose(radiance[outside], expected[outside], rtol=1e-4)


def test_higher_points_are_brighter():
    ball = sphere()
    material = Diffuse(**PLAIN | {"height_gain_per_um": 2.0})
    radiance = shaded(material, lit(strength=0.0), ball)
    expected = 0.5 * (1 + 0.002 * ball.surface.height_nm)
    np.testing.assert_allclose(radiance[ball.inside], expected[ball.inside], rtol=1e-5)


def test_the_rim_brightens_silhouettes_and_nothing_else():
    ball = sphere()
    radiance = shaded(Diffuse(**PLAIN | {"rim": 0.4}), lit(strength=0.0), ball)
    outermost = ball.inside & ~(
        np.roll(ball.inside, 1, 0)
        & np.roll(ball.inside, -1, 0)
        & np.roll(ball.inside, 1, 1)
        & np.roll(ball.inside, -1, 1)
    )
    np.testing.assert_allclose(radiance[outermost], 0.5 * 1.4, rtol=1e-5)
    y, x = np.mgrid[:EDGE, :EDGE] + 0.5 - EDGE / 2
    middle = np.hypot(x, y) * PIXEL_NM < 0.7 * RADIUS_NM
    np.testing.assert_allclose(radiance[middle], 0.5, rtol=1e-5)
    np.testing.assert_allclose(radiance[~ball.inside], 0.2, rtol=1e-5)


def test_the_slope_within_a_grain_keeps_its_mean_and_reaches_its_strength_at_the_end():
    ball = sphere()
    radiance = shaded(Diffuse(**PLAIN | {"grain_slope": 0.3}), lit(strength=0.0), ball)
    inside = radiance[ball.inside] / 0.5
    assert inside.mean() == pytest.approx(1, abs=1e-4)
    assert inside.max() == pytest.approx(1.3, abs=0.02)
    assert inside.min() == pytest.approx(0.7, abs=0.02)


def test_particles_out_of_view_change_nothing():
    ball = sphere()
    crowd = Particles(*(np.concatenate([column] * 50) for column in ball.particles))
    material, light = Mixed(), lit((0.2, 0.3, 0.9), strength=0.3)
    alone = shaded(material, light, ball)
    assert alone.tobytes() == shaded(material, light, ball._replace(particles=crowd)).tobytes()


def test_a_view_without_particles_is_the_substrate():
    ball = sphere()
    empty = Particles(*(column[:0] for column in ball.particles))
    surface = ball.surface._replace(particle=np.zeros((EDGE, EDGE), np.int32))
    radiance = shaded(Mixed(), lit(strength=0.5), ball._replace(surface=surface, particles=empty))
    np.testing.assert_allclose(radiance, 0.2, rtol=1e-6)

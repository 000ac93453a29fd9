"""Time of dirt, shading and the detector at the resolutions of the presets."""

import numpy as np
import pytest

from nanorender.imaging.detector import DetectorSettings, detect
from nanorender.imaging.diamond_square import diamond_square
from nanorender.imaging.dirt import DirtSettings, substrate_texture
from nanorender.imaging.lighting import Light
from nanorender.imaging.materials import MATERIALS, Substrate
from nanorender.imaging.shaders import shade
from nanorender.scenes.scene import Particles
from nanorender.tracing.raymarch import Surface

RENDER_PX, IMAGE_PX, COUNT, PIXEL_NM = 507, 2031, 250, 14.0


def crowd() -> tuple[Surface, Light, Particles]:
    """Return spheres of random sizes that lie on the substrate, from their formula."""
    rng = np.random.default_rng(0)
    shape = (RENDER_PX, RENDER_PX)
    height, particle = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    normal = np.zeros((3, *shape), np.float32)
    normal[2] = 1
    y, x = (np.mgrid[:RENDER_PX, :RENDER_PX] + 0.5) * PIXEL_NM
    radii = rng.uniform(100, 250, COUNT)
    centers = rng.uniform(0, RENDER_PX * PIXEL_NM, (COUNT, 2))
    for row, (radius, center) in enumerate(zip(radii, centers, strict=True)):
        dx, dy = x - center[0], y - center[1]
        up = np.sqrt(np.maximum(radius**2 - dx * dx - dy * dy, 0))
        hit = (up > 0) & (up + radius > height)
        height[hit], particle[hit] = (up + radius)[hit], row + 1
        normal[:, hit] = (np.stack([dx, dy, up]) / radius)[:, hit]
    particles = Particles(
        template=np.zeros(COUNT, np.int64),
        center_nm=np.column_stack((centers, radii)),
        size_nm=np.repeat(2 * radii[:, None], 3, axis=1),
        rotation=np.tile(np.eye(3), (COUNT, 1, 1)),
        agglomerate=np.arange(COUNT),
        population=np.zeros(COUNT, np.int64),
        brightness=rng.lognormal(0, 0.2, COUNT),
    )
    surface = Surface(height, normal, particle, np.zeros(shape, np.int32), PIXEL_NM)
    even = np.ones(shape, np.float32)
    return surface, Light(even, even, np.array([0.3, 0.4, 0.866]), 0.3), particles


def test_diamond_square_spans_its_range(benchmark):
    texture = benchmark(diamond_square, 512, 0.6, np.random.default_rng(0))
    assert texture.shape == (512, 512)
    assert texture.max() == pytest.approx(1, abs=1e-5)


def test_substrate_texture_is_about_one(benchmark):
    rng = np.random.default_rng(0)
    texture = benchmark(substrate_texture, DirtSettings(), (RENDER_PX, RENDER_PX), PIXEL_NM, rng)
    assert texture.mean() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("kind", MATERIALS, ids=lambda kind: kind.__name__)
def test_shade_makes_particles_brighter_than_ground(benchmark, kind):
    surface, light, particles = crowd()
    texture = np.ones(surface.particle.shape, np.float32)
    radiance = benchmark(shade, surface, light, [kind()], Substrate(), texture, particles)
    ground = surface.particle == 0
    assert radiance[~ground].mean() > radiance[ground].mean()


@pytest.mark.parametrize("bits", [8, 16])
def test_detect_keeps_the_mean(benchmark, bits):
    radiance = np.random.default_rng(0).random((RENDER_PX, RENDER_PX), dtype=np.float32)
    rng = np.random.default_rng(1)
    settings = DetectorSettings(bits=bits, gain=1, black_level=0)
    image = benchmark(detect, radiance, settings, (IMAGE_PX, IMAGE_PX), rng)
    assert image.mean() / (2**bits - 1) == pytest.approx(0.5, abs=0.05)

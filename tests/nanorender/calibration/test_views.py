import numpy as np
import pytest

from nanorender.calibration.views import (
    Scale,
    as_view,
    binned,
    expected_coverage,
    particles_in_field,
    target,
    tiles,
)
from nanorender.distributions import Constant
from nanorender.errors import InputError
from nanorender.recipe import read_recipe
from nanorender.scenes.scene import sample_scene


@pytest.mark.parametrize("shape", [(64, 64), (100, 150), (128, 65)])
def test_tiles_cover_an_image(shape):
    image = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    cut = tiles(image, 64)
    assert all(tile.shape == (64, 64) for tile in cut)
    assert set(np.concatenate([tile.ravel() for tile in cut])) == set(image.ravel())


def test_binning_averages_squares():
    view = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    expected = view[:8, :8].reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert binned(view, 2) == pytest.approx(expected, abs=1e-6)
    assert binned(view, 1) is view


def test_a_view_keeps_the_density_whatever_its_number_of_particles():
    recipe = read_recipe("sio2")
    density = recipe.particle_count.typical() / recipe.field_nm**2
    for particles in (200, 400):
        view = as_view(recipe, 5.0, Scale(256, 1, 1.0), particles)
        assert view.particle_count.typical() / view.field_nm**2 == pytest.approx(density)


def test_the_same_seed_gives_the_same_particles_at_another_density():
    recipe, scale = read_recipe("sio2"), Scale(256, 1, 1.0)
    count = particles_in_field(recipe, 5.0, scale)
    denser = recipe.model_copy(update={"field_nm": recipe.field_nm / 1.1})
    sizes = [
        sample_scene(as_view(r, 5.0, scale, count), np.random.default_rng(0)).particles.size_nm
        for r in (recipe, denser)
    ]
    assert np.array_equal(*sizes)


def test_the_expected_coverage_is_that_of_discs_that_fell_at_random():
    recipe = read_recipe("powder")
    sphere = recipe.particles[0].model_copy(
        update={"templates": ("sphere",), "diameter_nm": recipe.particles[0].diameter_nm}
    )
    placement = recipe.placement.model_copy(update={"apart": 0.0})
    alone = recipe.model_copy(update={"particles": (sphere,), "placement": placement})
    drawn = sphere.diameter_nm.sample(np.random.default_rng(0), 100_000)
    per_nm2 = alone.particle_count.typical() / alone.field_nm**2
    # Poisson: what random discs leave free is exp(-their area). An aspect keeps the area.
    expected = 1 - np.exp(-per_nm2 * np.mean(np.pi / 4 * drawn**2))
    found = expected_coverage(alone, 120.0, Scale(256, 1, 1.0), 0)
    assert found == pytest.approx(expected, rel=0.04)


def test_a_tilted_sample_is_covered_as_if_its_particles_lay_closer():
    recipe = read_recipe("powder")
    camera = recipe.camera.model_copy(update={"tilt_deg": Constant(value=40.0)})
    tilted = recipe.model_copy(update={"camera": camera})
    upright, seen = (expected_coverage(r, 120.0, Scale(256, 1, 1.0), 0) for r in (recipe, tilted))
    # Poisson: the same outlines on a field that is shorter by the cosine.
    assert seen == pytest.approx(1 - (1 - upright) ** (1 / np.cos(np.radians(40.0))), rel=0.05)


def test_views_without_particles_are_no_target():
    with pytest.raises(InputError, match="no particles stand out"):
        target([np.full((128, 128), 30, np.float32)], Scale(128, 1, 1.0), 5.0, False)

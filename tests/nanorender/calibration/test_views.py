import numpy as np
import pytest

from nanorender.calibration.views import (
    Drawing,
    Scale,
    Tone,
    as_view,
    binned,
    look,
    particles_in_field,
    pooled,
    shown,
    synthetic_views,
    target,
    tiles,
)
from nanorender.errors import InputError
from nanorender.recipe import read_recipe
from nanorender.render import render
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


def test_views_without_particles_are_no_target():
    with pytest.raises(InputError, match="no particles stand out"):
        target([np.full((128, 128), 30, np.float32)], Scale(128, 1, 1.0), 5.0, False)


SPHERES = Drawing(1, 3, (Tone(0.0, 1.0), Tone(5.0, 1.1)), 60)


def spheres_seen():
    """Return a recipe and what its own views show, as a target."""
    recipe = read_recipe("sio2")
    aim = Scale(192, 1, 1.0)
    first = as_view(recipe, 7.0, aim, 60)
    images = [render(first, 0, index).image.astype(np.float32) for index in range(2)]
    return recipe, target(images, aim, 7.0, False)


def test_a_look_at_two_scales_shows_what_the_views_of_each_do():
    recipe, aim = spheres_seen()
    wide = aim._replace(scale=Scale(192, 2, 0.5))
    seen = look(recipe, [(wide, SPHERES), (aim, SPHERES._replace(count=1))])
    for found, which, count in zip(seen, (wide, aim), (3, 1), strict=True):
        views = synthetic_views(recipe, which, SPHERES._replace(count=count))
        assert len(found.each) == len(views) == count
        assert np.array_equal(found.coordinates, shown(views, which).coordinates)


def test_sets_of_views_show_together_what_all_of_their_views_do():
    recipe, aim = spheres_seen()
    views = synthetic_views(recipe, aim, SPHERES)
    parts = [shown(views[:1], aim), shown(views[1:], aim)]
    assert pooled(parts).coordinates == pytest.approx(shown(views, aim).coordinates)

from pathlib import Path

import numpy as np
import pytest
from pictures import discs, noise

from nanorender.calibration.observation import observe_like, observe_reference, pool_observations
from nanorender.calibration.views import (
    RenderPlan,
    Target,
    Tone,
    ViewGeometry,
    bin_view,
    estimate_tones,
    gray_levels,
    observe_recipe,
    particles_in_field,
    recipe_of_view,
    synthetic_views,
    tiles,
    white_level,
    with_tones,
)
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import read_recipe
from nanorender.rendering import render
from nanorender.scenes.scene import sample_scene


def micrograph(image):
    height, width = image.shape
    return Micrograph(image, 2.0, "known", (0, height, 0, width), image.shape, Path("a.tif"))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_levels_do_not_depend_on_the_bit_depth(bits):
    # One image of the series is bright, as in most series of 16-bit files.
    coarse = [np.arange(256, dtype=np.uint8).reshape(16, 16), np.full((16, 16), 20, np.uint8)]
    deep = [(one.astype(np.float64) * ((2**bits - 1) / 255)).astype(np.uint16) for one in coarse]
    white = white_level(map(micrograph, deep))
    assert white == 2**bits - 1
    found = [gray_levels(micrograph(one), white) for one in deep]
    assert found == pytest.approx(np.array(coarse), abs=255 / white)


def test_levels_end_at_white():
    image = np.array([[0, 1000, 4000]], np.uint16)
    assert gray_levels(micrograph(image), 1000).tolist() == [[0, 255, 255]]
    small = np.array([[0, 90, 180]], np.uint8)
    assert gray_levels(micrograph(small), 4095).tolist() == small.tolist()


@pytest.mark.parametrize("shape", [(64, 64), (100, 150), (128, 65)])
def test_tiles_cover_an_image(shape):
    image = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    cut = tiles(image, 64)
    assert all(tile.shape == (64, 64) for tile in cut)
    assert set(np.concatenate([tile.ravel() for tile in cut])) == set(image.ravel())


def test_binning_averages_squares():
    view = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    expected = view[:8, :8].reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert bin_view(view, 2) == pytest.approx(expected, abs=1e-6)
    assert bin_view(view, 1) is view


def test_a_view_keeps_the_density_whatever_its_number_of_particles():
    recipe = read_recipe("sio2")
    density = recipe.particle_count.typical() / recipe.field_nm**2
    for particles in (200, 400):
        view = recipe_of_view(recipe, ViewGeometry(256, 5.0), particles)
        assert view.particle_count.typical() / view.field_nm**2 == pytest.approx(density)


def test_the_same_seed_gives_the_same_particles_at_another_density():
    recipe, geometry = read_recipe("sio2"), ViewGeometry(256, 5.0)
    count = particles_in_field(recipe, geometry)
    denser = recipe.model_copy(update={"field_nm": recipe.field_nm / 1.1})
    sizes = [
        sample_scene(recipe_of_view(r, geometry, count), np.random.default_rng(0)).particles.size_nm
        for r in (recipe, denser)
    ]
    assert np.array_equal(*sizes)


PLAN = RenderPlan(1, 3, (Tone(0.0, 1.0), Tone(5.0, 1.1)), 60)


def spheres_target():
    """Return a recipe and what its own views show, as a target."""
    recipe = read_recipe("sio2")
    geometry = ViewGeometry(192, 7.0)
    first = recipe_of_view(recipe, geometry, 60)
    images = [render(first, 0, index).image.astype(np.float32) for index in range(2)]
    return recipe, Target(observe_reference(images, False), geometry)


def test_observations_at_two_scales_are_those_of_the_views_of_each():
    recipe, close = spheres_target()
    wide = close._replace(geometry=ViewGeometry(192, 7.0, 2, 0.5))
    targets, plans = (wide, close), (PLAN, PLAN._replace(count=1))
    found = observe_recipe(recipe, targets, plans)
    for observed, target, plan in zip(found, targets, plans, strict=True):
        views = synthetic_views(recipe, target.geometry, plan)
        assert len(observed.view_estimates) == len(views) == plan.count
        expected = pool_observations([observe_like(target.observation, view) for view in views])
        assert np.array_equal(observed.features, expected.features)


def image(substrate, particle):
    return (discs(levels=(substrate, particle)) + noise((512, 512), 2.0, (0, 0))).astype(np.float32)


def test_tones_give_every_micrograph_its_levels_back():
    levels = [(40.0, 140.0), (50.0, 130.0), (36.0, 156.0)]
    tones = estimate_tones([image(*pair) for pair in levels], False)
    # All share one substrate and one contrast, up to what black and gain of each say.
    substrate = [(s - tone.black) / tone.gain for (s, _), tone in zip(levels, tones, strict=True)]
    contrast = [(p - s) / tone.gain for (s, p), tone in zip(levels, tones, strict=True)]
    assert substrate == pytest.approx([substrate[0]] * 3, abs=1)
    assert contrast == pytest.approx([100] * 3, abs=2)
    assert min(tone.black for tone in tones) == pytest.approx(0, abs=1e-9)


def test_one_micrograph_still_leaves_some_variation():
    recipe = with_tones(read_recipe("tio2"), estimate_tones([image(40, 140)], False))
    gain = recipe.detector.gain
    assert (gain.low, gain.high) == pytest.approx((0.95, 1.05))
    assert recipe.detector.black_level.typical() == 0
    assert recipe.detector.gamma.typical() == 1


def test_a_series_spreads_as_its_micrographs_do():
    tones = estimate_tones([image(40, 140), image(50, 150)], False)
    black = with_tones(read_recipe("tio2"), tones).detector.black_level
    values = np.array([tone.black for tone in tones]) / 255
    assert black.typical() == pytest.approx(values.mean(), rel=0.01)
    assert (black.low, black.high) == pytest.approx((values.min(), values.max()), abs=0.002)

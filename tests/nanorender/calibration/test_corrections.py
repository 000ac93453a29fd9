import numpy as np
import pytest

from nanorender.calibration.corrections import (
    _correct_coverage,
    _correct_detector,
    _correct_levels,
    _correct_shading,
    _correct_sizes,
    _correct_texture,
    expected_coverage,
    match_detector,
    match_estimates,
)
from nanorender.calibration.estimates import Estimates
from nanorender.calibration.observation import observe_reference
from nanorender.calibration.parameters import (
    ALBEDO,
    BLUR,
    COUNTS_AT_WHITE,
    DENSITY,
    DIAMETER,
    GRAY,
    MATCHED,
    MEMBERS,
    NOISE,
    SEARCHED,
    SIZE_SPREAD,
    layers,
)
from nanorender.calibration.views import RenderPlan, Target, Tone, ViewGeometry, synthetic_views
from nanorender.distributions import Constant
from nanorender.recipe import read_recipe

GEOMETRY = ViewGeometry(256, 7.0)
FAR = ViewGeometry(256, 120.0)
TONES = (Tone(0.0, 1.0),)
SEEN = Estimates(
    30, 110, 0.2, 0.4, 0.8, 0.1, 40, 3.5, 0.3, 6, 2.4, 6.6, 0.2, 0.1, 1.9, 0.06, 0.3, 0.1
)


def sizes_corrected(recipe, real, synthetic):
    return _correct_sizes(recipe, real, synthetic, recipe)


@pytest.mark.parametrize(
    "correct",
    [sizes_corrected, _correct_levels, _correct_shading, _correct_texture, _correct_detector],
)
def test_matching_recipe_is_unchanged(correct):
    recipe = read_recipe("tio2")
    matched = correct(recipe, SEEN, SEEN)
    for parameter in (*SEARCHED, *(p for p in MATCHED if p not in (NOISE, COUNTS_AT_WHITE))):
        if parameter.read(recipe) is None:
            continue
        assert parameter.read(matched) == pytest.approx(parameter.read(recipe), rel=0.005)


def test_a_larger_size_takes_fewer_particles_to_cover_as_much():
    recipe = read_recipe("tio2")
    matched = sizes_corrected(recipe, SEEN._replace(log_diameter=3.5 + 0.2231435), SEEN)
    assert DIAMETER.read(matched) / DIAMETER.read(recipe) == pytest.approx(1.25, rel=1e-5)
    assert DENSITY.read(matched) / DENSITY.read(recipe) == pytest.approx(1.25**-2, rel=1e-5)


def test_a_bed_that_seems_less_covered_than_it_is_gets_no_more_particles_than_close_it():
    """A threshold takes the gaps of a bed for substrate, however many particles it has."""
    recipe = MEMBERS.write(read_recipe("tio2"), 20.0)
    recipe = DENSITY.write(recipe, DENSITY.read(recipe) * 2.9 / layers(recipe))
    for _ in range(6):
        recipe = sizes_corrected(recipe, SEEN._replace(coverage=0.8, members=30), SEEN)
    assert layers(recipe) == pytest.approx(3.0)
    assert MEMBERS.read(recipe) == pytest.approx(20.0)


def test_outlines_cover_the_sample_as_often_as_their_areas_add_up():
    recipe = read_recipe("tio2")
    recipe = recipe.model_copy(update={"field_nm": 1000.0, "particle_count": Constant(value=50)})
    grains = recipe.particles[0].model_copy(update={"diameter_nm": Constant(value=200.0)})
    recipe = recipe.model_copy(update={"particles": (grains,)})
    assert layers(recipe) == pytest.approx(50 * np.pi / 4 * 0.2**2)


def test_outlines_of_wires_are_as_long_as_they_are():
    recipe = read_recipe("ag")
    wires = recipe.particles[0].model_copy(
        update={"diameter_nm": Constant(value=50.0), "length_nm": Constant(value=4000.0)}
    )
    recipe = recipe.model_copy(
        update={"field_nm": 10_000.0, "particle_count": Constant(value=100), "particles": (wires,)}
    )
    assert layers(recipe) == pytest.approx(100 * 0.05 * 4.0 / 100)


def test_sizes_spread_as_the_discs_do():
    recipe = read_recipe("tio2")
    matched = sizes_corrected(recipe, SEEN._replace(log_diameter_spread=0.36), SEEN)
    assert SIZE_SPREAD.read(matched) / SIZE_SPREAD.read(recipe) == pytest.approx(1.2**0.5, rel=0.02)
    assert DIAMETER.read(matched) == pytest.approx(DIAMETER.read(recipe), rel=0.02)


def test_spread_returns_to_that_of_the_base():
    base = read_recipe("tio2")
    recipe = SIZE_SPREAD.write(base, 1.44 * SIZE_SPREAD.read(base))
    matched = _correct_sizes(recipe, SEEN, SEEN, base)
    assert SIZE_SPREAD.read(matched) / SIZE_SPREAD.read(base) == pytest.approx(1.2, rel=0.05)
    # Half of the way to what the discs ask for is where it stays.
    halfway = _correct_sizes(recipe, SEEN._replace(log_diameter_spread=1.44 * 0.3), SEEN, base)
    assert SIZE_SPREAD.read(halfway) == pytest.approx(SIZE_SPREAD.read(recipe), rel=0.01)


def test_levels_follow_their_estimates():
    recipe = read_recipe("tio2")
    matched = _correct_levels(recipe, SEEN._replace(particle_level=121, substrate_level=40.2), SEEN)
    assert ALBEDO.read(matched) / ALBEDO.read(recipe) == pytest.approx(1.1)
    assert GRAY.read(matched) - GRAY.read(recipe) == pytest.approx(10.2 / 255)


def test_damped_correction_is_partial():
    recipe = read_recipe("tio2")
    noisier = SEEN._replace(substrate_noise=3.0, particle_noise=8.0, blur_variance=2.5)
    whole, half = (_correct_detector(recipe, noisier, SEEN, damping) for damping in (1.0, 0.5))
    assert BLUR.read(recipe) < BLUR.read(half) < BLUR.read(whole)


def test_noise_at_two_levels_gives_that_of_the_amplifier_and_that_of_counting():
    def seen(gaussian, counts):
        at = [(gaussian**2 + 255 / counts * level) ** 0.5 for level in (30, 110)]
        return SEEN._replace(substrate_noise=at[0], particle_noise=at[1])

    recipe = NOISE.write(COUNTS_AT_WHITE.write(read_recipe("tio2"), 1000.0), 1.0)
    for _ in range(20):
        now = seen(NOISE.read(recipe), COUNTS_AT_WHITE.read(recipe))
        recipe = _correct_detector(recipe, seen(2.0, 2000.0), now)
    assert NOISE.read(recipe) == pytest.approx(2, rel=0.01)
    assert COUNTS_AT_WHITE.read(recipe) == pytest.approx(2000, rel=0.01)


def test_blur_moves_towards_the_estimate_and_stays_positive():
    recipe = read_recipe("tio2")
    sharper = _correct_detector(recipe, SEEN._replace(blur_variance=0.2), SEEN)
    softer = _correct_detector(recipe, SEEN._replace(blur_variance=2.5), SEEN)
    assert 0 < BLUR.read(sharper) < BLUR.read(recipe) < BLUR.read(softer)


def test_coverage_follows_the_number_of_particles():
    recipe = read_recipe("tio2")
    # Poisson: 1 - exp(-n) covered; 0.19 is what twice the particles of 0.1 cover.
    matched = _correct_coverage(recipe, 0.19, 0.1)
    assert DENSITY.read(matched) / DENSITY.read(recipe) == pytest.approx(2)


@pytest.fixture(scope="module")
def spheres():
    """A recipe without variation from image to image."""
    recipe = read_recipe("sio2").at_scale(GEOMETRY.pixel_size_nm, 256)
    return BLUR.write(recipe, 0.8)


@pytest.fixture(scope="module")
def target(spheres):
    """What eight views of it show."""
    views = synthetic_views(spheres, GEOMETRY, RenderPlan(9, 8, TONES, 80))
    return Target(observe_reference(views, False), GEOMETRY)


def test_corrections_recover_the_observed_recipe(spheres, target):
    other = ALBEDO.write(DIAMETER.write(spheres, 1.2 * DIAMETER.read(spheres)), 0.4)
    found = match_estimates(other, [target], TONES, 5, 8, 0)
    for parameter in (DIAMETER, ALBEDO):
        assert parameter.read(found) == pytest.approx(parameter.read(spheres), rel=0.05)
    covered, wanted = (expected_coverage(r, GEOMETRY, 7) for r in (found, spheres))
    assert covered == pytest.approx(wanted, rel=0.12)


def test_detector_correction_changes_only_the_detector(spheres, target):
    other = BLUR.write(NOISE.write(spheres, 6.0), 1.3)
    found = match_detector(other, target, TONES, 5, 0)
    assert BLUR.read(found) == pytest.approx(0.8, rel=0.15)
    assert NOISE.read(found) < 0.6 * NOISE.read(other)
    assert found.particles == other.particles
    assert found.materials == other.materials


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
    found = expected_coverage(alone, FAR, 0)
    assert found == pytest.approx(expected, rel=0.04)


def test_expected_coverage_of_a_tilted_sample():
    recipe = read_recipe("powder")
    camera = recipe.camera.model_copy(update={"tilt_deg": Constant(value=40.0)})
    tilted = recipe.model_copy(update={"camera": camera})
    upright, seen = (expected_coverage(r, FAR, 0) for r in (recipe, tilted))
    # Poisson: the same outlines on a field that is shorter by the cosine.
    assert seen == pytest.approx(1 - (1 - upright) ** (1 / np.cos(np.radians(40.0))), rel=0.05)

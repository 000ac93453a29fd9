import pytest

from nanorender.calibration.estimate import Estimates
from nanorender.calibration.match import (
    match_coverage,
    match_detector,
    match_levels,
    match_shading,
    match_sizes,
    match_texture,
)
from nanorender.calibration.parameters import (
    ALBEDO,
    BLUR,
    COUNTS,
    DENSITY,
    DIAMETER,
    GRAY,
    MATCHED,
    NOISE,
    SEARCHED,
    SIZE_SPREAD,
)
from nanorender.recipe import read_recipe

SEEN = Estimates(
    30, 110, 0.2, 0.4, 0.8, 0.1, 40, 3.5, 0.3, 6, 2.4, 6.6, 0.2, 0.1, 1.9, 0.06, 0.3, 0.1
)


def sizes_matched(recipe, real, synthetic):
    return match_sizes(recipe, real, synthetic, recipe)


@pytest.mark.parametrize(
    "match", [sizes_matched, match_levels, match_shading, match_texture, match_detector]
)
def test_a_recipe_that_agrees_is_left_as_it_is(match):
    recipe = read_recipe("tio2")
    matched = match(recipe, SEEN, SEEN)
    for parameter in (*SEARCHED, *(p for p in MATCHED if p not in (NOISE, COUNTS))):
        if parameter.read(recipe) is None:
            continue
        assert parameter.read(matched) == pytest.approx(parameter.read(recipe), rel=0.005)


def test_a_larger_size_takes_fewer_particles_to_cover_as_much():
    recipe = read_recipe("tio2")
    matched = sizes_matched(recipe, SEEN._replace(log_diameter=3.5 + 0.2231435), SEEN)
    assert DIAMETER.read(matched) / DIAMETER.read(recipe) == pytest.approx(1.25, rel=1e-5)
    assert DENSITY.read(matched) / DENSITY.read(recipe) == pytest.approx(1.25**-2, rel=1e-5)


def test_sizes_spread_as_the_discs_do():
    recipe = read_recipe("tio2")
    matched = sizes_matched(recipe, SEEN._replace(log_diameter_spread=0.36), SEEN)
    assert SIZE_SPREAD.read(matched) / SIZE_SPREAD.read(recipe) == pytest.approx(1.2**0.5, rel=0.02)
    assert DIAMETER.read(matched) == pytest.approx(DIAMETER.read(recipe), rel=0.02)


def test_a_spread_that_discs_do_not_ask_for_goes_back_to_that_of_the_base():
    base = read_recipe("tio2")
    recipe = SIZE_SPREAD.write(base, 1.44 * SIZE_SPREAD.read(base))
    matched = match_sizes(recipe, SEEN, SEEN, base)
    assert SIZE_SPREAD.read(matched) / SIZE_SPREAD.read(base) == pytest.approx(1.2, rel=0.05)
    # Half of the way to what the discs ask for is where it stays.
    halfway = match_sizes(recipe, SEEN._replace(log_diameter_spread=1.44 * 0.3), SEEN, base)
    assert SIZE_SPREAD.read(halfway) == pytest.approx(SIZE_SPREAD.read(recipe), rel=0.01)


def test_levels_follow_their_estimates():
    recipe = read_recipe("tio2")
    matched = match_levels(recipe, SEEN._replace(particle_level=121, substrate_level=40.2), SEEN)
    assert ALBEDO.read(matched) / ALBEDO.read(recipe) == pytest.approx(1.1)
    assert GRAY.read(matched) - GRAY.read(recipe) == pytest.approx(10.2 / 255)


def test_a_damped_correction_goes_a_part_of_the_way():
    recipe = read_recipe("tio2")
    noisier = SEEN._replace(substrate_noise=3.0, particle_noise=8.0, blur_variance=2.5)
    whole, half = (match_detector(recipe, noisier, SEEN, damping) for damping in (1.0, 0.5))
    assert BLUR.read(recipe) < BLUR.read(half) < BLUR.read(whole)


def test_noise_at_two_levels_gives_that_of_the_amplifier_and_that_of_counting():
    def seen(gaussian, counts):
        at = [(gaussian**2 + 255 / counts * level) ** 0.5 for level in (30, 110)]
        return SEEN._replace(substrate_noise=at[0], particle_noise=at[1])

    recipe = NOISE.write(COUNTS.write(read_recipe("tio2"), 1000.0), 1.0)
    for _ in range(20):
        now = seen(NOISE.read(recipe), COUNTS.read(recipe))
        recipe = match_detector(recipe, seen(2.0, 2000.0), now)
    assert NOISE.read(recipe) == pytest.approx(2, rel=0.01)
    assert COUNTS.read(recipe) == pytest.approx(2000, rel=0.01)


def test_blur_moves_towards_what_is_seen_and_stays_positive():
    recipe = read_recipe("tio2")
    sharper = match_detector(recipe, SEEN._replace(blur_variance=0.2), SEEN)
    softer = match_detector(recipe, SEEN._replace(blur_variance=2.5), SEEN)
    assert 0 < BLUR.read(sharper) < BLUR.read(recipe) < BLUR.read(softer)


def test_coverage_follows_the_number_of_particles():
    recipe = read_recipe("tio2")
    # Poisson: 1 - exp(-n) covered; 0.19 is what twice the particles of 0.1 cover.
    matched = match_coverage(recipe, 0.19, 0.1)
    assert DENSITY.read(matched) / DENSITY.read(recipe) == pytest.approx(2)

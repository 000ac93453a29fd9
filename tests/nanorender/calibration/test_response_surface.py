from dataclasses import replace

import numpy as np
import pytest
from pictures import discs, noise

from nanorender.calibration.estimates import direct_estimates
from nanorender.calibration.image_statistics import image_statistics
from nanorender.calibration.observation import Observation
from nanorender.calibration.parameters import ALBEDO, BLUR, DIAMETER, GRAY, RIDGE_SPACING
from nanorender.calibration.response_surface import REARRANGING_SCENES, search_settings
from nanorender.recipe import read_recipe

FREE = (ALBEDO, GRAY)
MODEL = 2 * len(FREE)  # evaluations


def observe(recipe, number):
    """Show discs whose levels are the recipe's, and noise of the number's own."""
    levels = [255 * parameter.read(recipe) for parameter in (GRAY, ALBEDO)]
    image = discs(24, edge_px=256, levels=levels) + noise((256, 256), 3.0, (0, 0), number)
    image = np.clip(image, 0, 255)
    return [
        Observation(image_statistics(image, 60.0), (direct_estimates(image, False),), False, 60.0)
    ]


def recipe_of(albedo, gray):
    return GRAY.write(ALBEDO.write(read_recipe("tio2"), albedo), gray)


def references_of(recipe):
    return observe(recipe, 999)


def test_the_search_finds_the_levels_of_the_reference():
    start, hidden = recipe_of(0.40, 0.12), recipe_of(0.44, 0.10)
    found = search_settings(start, FREE, observe, references_of(hidden), 4 * MODEL + 1, 0)
    assert found.evaluations == 4 * MODEL
    for parameter in FREE:
        apart = parameter.read(start) - parameter.read(hidden)
        left = parameter.read(found.recipe) - parameter.read(hidden)
        assert abs(left) < 0.2 * abs(apart)


def test_search_continues_from_the_result_of_a_model():
    start, hidden = recipe_of(0.40, 0.12), recipe_of(0.40, 0.20)  # 8 steps: one is in reach
    once, often = (
        search_settings(start, (GRAY,), observe, references_of(hidden), 2 * models, 0)
        for models in (2, 4)
    )
    assert GRAY.read(once.recipe) == pytest.approx(0.13, abs=0.001)
    assert GRAY.read(often.recipe) == pytest.approx(0.15, abs=0.002)


def test_the_same_seed_finds_the_same():
    references = references_of(recipe_of(0.44, 0.10))
    found = [
        search_settings(recipe_of(0.4, 0.12), FREE, observe, references, 2 * MODEL, 3)
        for _ in range(2)
    ]
    assert found[0] == found[1]


def test_parameters_without_effect_are_unchanged():
    start = recipe_of(0.40, 0.12)
    free = (GRAY, BLUR)
    found = search_settings(
        start, free, observe, references_of(recipe_of(0.40, 0.13)), 2 * MODEL, 0
    )
    assert GRAY.read(found.recipe) == pytest.approx(0.13, abs=0.002)
    assert BLUR.read(found.recipe) == pytest.approx(BLUR.read(start), rel=0.02)


def test_matching_recipe_does_not_get_worse():
    start = recipe_of(0.40, 0.12)
    found = search_settings(start, FREE, observe, references_of(start), 2 * MODEL, 0)
    assert ALBEDO.read(found.recipe) == pytest.approx(0.40, abs=0.004)
    assert GRAY.read(found.recipe) == pytest.approx(0.12, abs=0.001)


def test_wrong_model_reduces_the_trust_region():
    """Beyond 0.44 discs turn dark here, which no slope at 0.40 tells."""

    def cliff(recipe, number):
        return observe(ALBEDO.write(recipe, 0.05) if ALBEDO.read(recipe) > 0.44 else recipe, number)

    start = recipe_of(0.40, 0.12)
    found = search_settings(start, (ALBEDO,), cliff, references_of(recipe_of(0.48, 0.12)), 6 * 2, 0)
    assert 0.405 < ALBEDO.read(found.recipe) < 0.44


def test_parameters_stay_within_their_bounds():
    start = recipe_of(0.99, 0.12)
    found = search_settings(start, FREE, observe, references_of(recipe_of(1.0, 0.0)), 3 * MODEL, 0)
    assert ALBEDO.read(found.recipe) <= ALBEDO.high
    assert GRAY.read(found.recipe) >= GRAY.low


def test_with_few_evaluations_the_first_parameters_are_changed():
    start, hidden = recipe_of(0.40, 0.12), recipe_of(0.44, 0.10)
    found = search_settings(start, FREE, observe, references_of(hidden), 2 * MODEL - 1, 0)
    assert ALBEDO.read(found.recipe) > ALBEDO.read(start)
    assert GRAY.read(found.recipe) == GRAY.read(start)


@pytest.mark.parametrize(("free", "evaluations"), [(FREE, 2), ((RIDGE_SPACING,), 50), ((), 50)])
def test_without_evaluations_or_parameters_the_recipe_is_kept(free, evaluations):
    start = recipe_of(0.40, 0.12)
    assert search_settings(start, free, observe, references_of(start), evaluations, 0) == (start, 0)


def test_rearranging_parameters_take_larger_changes_and_more_views():
    seen = []

    def spy(recipe, number):
        seen.append((number, DIAMETER.read(recipe), GRAY.read(recipe)))
        return observe(recipe, number)

    start = recipe_of(0.40, 0.12)
    model = 2 * REARRANGING_SCENES + 2
    search_settings(start, (DIAMETER, GRAY), spy, references_of(start), 2 * model, 0)
    first = seen[:model]
    sizes = {number: abs(np.log(d / DIAMETER.read(start))) for number, d, _ in first}
    assert [number for number, _, _ in first].count(0) == 2  # up and down on the same views
    for number in range(REARRANGING_SCENES):
        assert sizes[number] == pytest.approx(1.5 * DIAMETER.step)
    assert sizes[REARRANGING_SCENES] == pytest.approx(0, abs=1e-9)


def test_progress_counts_rendered_recipes():
    counted = []
    start = recipe_of(0.40, 0.12)
    search_settings(
        start, FREE, observe, references_of(start), 2 * MODEL, 0, lambda: counted.append(1)
    )
    assert len(counted) == 2 * MODEL


def test_search_without_particles_in_view_uses_the_other_features():
    def blind(recipe, number):
        (observation,) = observe(recipe, number)
        return [replace(observation, view_estimates=(None,))]

    start = recipe_of(0.40, 0.12)
    found = search_settings(start, FREE, blind, references_of(recipe_of(0.44, 0.10)), 2 * MODEL, 0)
    assert ALBEDO.read(found.recipe) > ALBEDO.read(start)

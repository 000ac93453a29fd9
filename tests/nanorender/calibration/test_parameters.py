import numpy as np
import pytest

from nanorender.calibration.parameters import (
    DIAMETER,
    MATCHED,
    SEARCHED,
    SIZE_SPREAD,
    log_deviation,
)
from nanorender.recipe import Recipe, read_recipe
from nanorender.recipes import preset_names

EVERY = SEARCHED + MATCHED


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("parameter", EVERY, ids=lambda parameter: parameter.name)
def test_a_value_that_is_written_is_read_again(name, parameter):
    recipe = read_recipe(name)
    value = parameter.read(recipe)
    if value is None:
        pytest.skip(f"{name} has no {parameter.name}")
    for wanted in (0.8 * value + 0.02, 1.1 * value + 0.01):
        wanted = min(max(wanted, parameter.low), parameter.high)
        changed = parameter.write(recipe, wanted)
        assert parameter.read(changed) == pytest.approx(wanted, rel=0.12, abs=0.01)
        Recipe.model_validate(changed.model_dump())


@pytest.mark.parametrize("parameter", EVERY, ids=lambda parameter: parameter.name)
def test_coordinates_of_the_search_lead_back_to_values_within_bounds(parameter):
    middle = min(max(0.3, parameter.low), parameter.high)
    assert parameter.value(parameter.coordinate(middle)) == pytest.approx(middle)
    assert parameter.low <= parameter.value(-1e6) <= parameter.value(1e6) <= parameter.high


def test_another_diameter_keeps_the_proportions_of_populations():
    recipe = read_recipe("sio2")
    larger = DIAMETER.write(recipe, 2 * DIAMETER.read(recipe))
    for before, after in zip(recipe.particles, larger.particles, strict=True):
        ratio = after.diameter_nm.typical() / before.diameter_nm.typical()
        assert ratio == pytest.approx(2)
        assert log_deviation(after.diameter_nm) == pytest.approx(log_deviation(before.diameter_nm))


def test_another_spread_keeps_the_medians_of_populations():
    recipe = read_recipe("sio2")
    wider = SIZE_SPREAD.write(recipe, 1.5 * SIZE_SPREAD.read(recipe))
    for before, after in zip(recipe.particles, wider.particles, strict=True):
        assert after.diameter_nm.typical() == pytest.approx(before.diameter_nm.typical(), rel=0.02)
        ratio = log_deviation(after.diameter_nm) / log_deviation(before.diameter_nm)
        assert ratio == pytest.approx(1.5, rel=0.1)


def test_parameter_names_are_unique():
    names = [parameter.name for parameter in EVERY]
    assert len(set(names)) == len(names)
    assert np.all([parameter.step > 0 for parameter in EVERY])

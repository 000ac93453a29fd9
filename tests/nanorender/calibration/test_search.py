import pytest

from nanorender.calibration.parameters import ALBEDO, BLUR, GRAY
from nanorender.calibration.search import search
from nanorender.recipe import read_recipe

FREE = (ALBEDO, GRAY, BLUR)


def bowl(recipe):
    """Least at albedo 0.5, gray 0.2 and blur 1.2, with the first two in trade."""
    albedo, gray, blur = (parameter.read(recipe) for parameter in FREE)
    return (albedo + gray - 0.7) ** 2 + 0.1 * (albedo - gray - 0.3) ** 2 + 0.1 * (blur - 1.2) ** 2


def test_the_search_finds_the_bottom_of_a_valley():
    found = search(read_recipe("tio2"), FREE, lambda r: 100 * bowl(r), 400, 0)
    assert found.evaluations <= 412
    for parameter, value in zip(FREE, (0.5, 0.2, 1.2), strict=True):
        assert parameter.read(found.recipe) == pytest.approx(value, abs=0.05)


def test_the_same_seed_finds_the_same():
    losses = [search(read_recipe("tio2"), FREE, bowl, 40, 3).loss for _ in range(2)]
    assert losses[0] == losses[1]


def test_what_the_loss_does_not_depend_on_stays_near_the_recipe():
    found = search(read_recipe("tio2"), FREE, lambda r: 100 * (GRAY.read(r) - 0.2) ** 2, 200, 0)
    assert GRAY.read(found.recipe) == pytest.approx(0.2, abs=0.01)
    assert BLUR.read(found.recipe) == pytest.approx(BLUR.read(read_recipe("tio2")), rel=0.15)


def test_without_evaluations_the_recipe_is_kept():
    recipe = read_recipe("tio2")
    assert search(recipe, FREE, bowl, 1, 0).recipe == recipe

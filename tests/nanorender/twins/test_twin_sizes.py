import numpy as np
import pytest

from nanorender.calibration import parameters as free
from nanorender.calibration.views import Tone
from nanorender.recipe import read_recipe
from nanorender.twins.look import TwinRecipe, render_twin
from nanorender.twins.sizes import FoundInTwins, SeriesSizes, match_sizes

AREA = 100_000


def series(medians, counts, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    sizes = (
        np.sort(rng.normal(np.log(median), spread, count))
        for median, count in zip(medians, counts, strict=True)
    )
    return SeriesSizes(tuple(sizes), (AREA,) * len(medians))


def recipes(count, density=1.0):
    recipe = read_recipe("tio2")
    value = free.DENSITY.read(recipe)
    recipe = free.DENSITY.write(recipe, density * value)
    return [TwinRecipe(recipe, Tone(0.0, 1.0), 96, 128)] * count


def changes(parameter, before, after):
    return [
        parameter.read(b.recipe) / parameter.read(a.recipe)
        for a, b in zip(before, after, strict=True)
    ]


def test_sizes_numbers_and_spread_follow_what_was_found():
    before = recipes(4)
    twins = FoundInTwins(before, [0, 1, 2, 3] * 2, series([20] * 8, [400] * 8))
    after = match_sizes([twins], series([25] * 4, [600] * 4, 0.36, seed=1))
    assert changes(free.DIAMETER, before, after) == pytest.approx([1.25] * 4, rel=0.05)
    assert changes(free.DENSITY, before, after) == pytest.approx([1.5] * 4, rel=0.02)
    assert changes(free.SIZE_SPREAD, before, after) == pytest.approx([1.2] * 4, rel=0.1)


def test_images_that_differ_by_chance_have_twins_of_one_size():
    before = recipes(4)
    twins = FoundInTwins(before, [0, 1, 2, 3] * 2, series([18, 22] * 4, [100] * 8))
    after = match_sizes([twins], series([18.5, 21.5, 19.0, 21.0], [100] * 4, seed=1))
    found = changes(free.DIAMETER, before, after)
    assert max(found) / min(found) < 1.02


def test_images_that_truly_differ_have_twins_of_their_own_size():
    before = recipes(3)
    twins = FoundInTwins(before, [0, 1, 2] * 3, series([20] * 9, [300] * 9))
    after = match_sizes([twins], series([10, 20, 40], [300] * 3, seed=1))
    assert changes(free.DIAMETER, before, after) == pytest.approx([0.5, 1.0, 2.0], rel=0.05)


def test_the_number_stays_where_what_is_found_does_not_follow_it():
    first, last = recipes(2), recipes(2, density=1.5)
    found = series([20] * 8, [300] * 8)
    rounds = [FoundInTwins(first, [0, 1] * 4, found), FoundInTwins(last, [0, 1] * 4, found)]
    after = match_sizes(rounds, series([20] * 2, [600] * 2, seed=1))
    assert changes(free.DENSITY, first, after) == pytest.approx([1.0, 1.0])


def test_images_without_particles_get_the_series():
    before = recipes(3)
    twins = FoundInTwins(before, [0, 1, 2] * 3, series([20] * 9, [300] * 9))
    after = match_sizes([twins], series([24, 24, 24], [300, 300, 0], seed=1))
    assert changes(free.DIAMETER, before, after)[2] == pytest.approx(1.2, rel=0.05)


def test_the_spread_stays_where_too_little_is_found():
    before = recipes(2)
    twins = FoundInTwins(before, [0, 1] * 4, series([20] * 8, [2] * 8))
    after = match_sizes([twins], series([20] * 2, [300] * 2, seed=1))
    assert changes(free.SIZE_SPREAD, before, after) == pytest.approx([1.0, 1.0])


def test_twins_have_the_size_asked_for_and_repeat():
    twin = recipes(1)[0]
    first, second = render_twin(twin, 0, 1), render_twin(twin, 0, 1)
    assert first.image.shape == first.labels.shape == (96, 128)
    assert np.array_equal(first.image, second.image)
    assert len(first.visible_fraction) >= first.labels.max()
    assert ((first.visible_fraction > 0) & (first.visible_fraction <= 1)).all()

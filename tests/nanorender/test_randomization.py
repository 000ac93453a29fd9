import numpy as np
import pytest

from nanorender.errors import InputError
from nanorender.files.labeled import read_sample
from nanorender.files.verify import verify
from nanorender.generation import generate
from nanorender.randomization import RandomizedRecipe, read_recipe_source
from nanorender.recipe import Recipe, read_recipe, recipe_text
from nanorender.rendering import render

SMALL = """
[[specimens]]
name = "spheres"
weight = 3
diameter_nm = { log_uniform = [10, 40] }
coverage = 0.2
[[specimens.recipe.particles]]
templates = { choice = [["sphere"], ["cube"]], weights = [1, 3] }
diameter_nm = { kind = "normal", mean = { fixed = 2.0, unit = "diameter" }, sd = 0 }
material = "matter"

[[specimens]]
name = "rods"
diameter_nm = 10
coverage = 0.1
[[specimens.recipe.particles]]
templates = ["rod"]
diameter_nm = 10
length_nm = 50
material = "matter"

[[imaging]]
name = "SEM"
[imaging.recipe.materials.matter]
kind = "diffuse"
albedo = { uniform = [0.2, 0.4] }
[imaging.recipe.dirt]
patch_strength = { choice = ["none", 0.3] }
"""


def drawn(text, count=60):
    randomized = RandomizedRecipe.from_toml(text, "test")
    return [randomized.draw(np.random.default_rng(seed)) for seed in range(count)]


def test_parts_are_drawn_by_weight_and_named_in_the_recipe():
    names = [recipe.description for recipe in drawn(SMALL, 400)]
    assert set(names) == {"spheres, SEM", "rods, SEM"}
    assert names.count("spheres, SEM") / 400 == pytest.approx(0.75, abs=0.07)


def test_values_are_drawn_within_their_ranges_for_each_image():
    spheres = [r for r in drawn(SMALL) if r.description == "spheres, SEM"]
    diameters = [r.particles[0].diameter_nm.typical() for r in spheres]
    albedos = [r.materials["matter"].albedo for r in spheres]
    assert 20 <= min(diameters) < 30 < 60 < max(diameters) <= 80  # twice the typical one
    assert 0.2 <= min(albedos) < 0.25 < 0.35 < max(albedos) <= 0.4
    cubes = sum(r.particles[0].templates == ("cube",) for r in spheres)
    assert 0.5 < cubes / len(spheres) < 0.95


def test_a_setting_for_which_none_is_drawn_keeps_its_default():
    default = Recipe.model_fields["dirt"].default.patch_strength.typical()
    found = {round(r.dirt.patch_strength.typical(), 6) for r in drawn(SMALL)}
    assert found == {round(default, 6), 0.3}


def test_particles_cover_as_much_as_is_asked_for():
    for recipe in drawn(SMALL, 20):
        kind = recipe.particles[0]
        length = kind.length_nm.typical() if kind.length_nm else kind.diameter_nm.typical()
        area = np.pi / 4 * kind.diameter_nm.typical() * length
        share = recipe.particle_count.typical() * area / recipe.field_nm**2
        assert share == pytest.approx(0.1 if kind.length_nm else 0.2, rel=0.1)


def test_the_same_generator_draws_the_same_recipe():
    text = recipe_text("any")
    once, again = drawn(text, 5), drawn(text, 5)
    assert [r.to_toml() for r in once] == [r.to_toml() for r in again]
    assert len({r.to_toml() for r in once}) == 5


def test_the_recipe_any_draws_recipes_of_every_part():
    randomized = RandomizedRecipe.from_toml(recipe_text("any"), "any")
    found = drawn(recipe_text("any"), 200)
    for part in (*randomized.specimens, *randomized.imaging):
        assert any(part.name in recipe.description for recipe in found), part.name
    modes = {r.transmission.beam.mode for r in found if r.transmission is not None}
    assert modes == {"bright_field", "dark_field"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('kind = "diffuse"', 'kind = "velvet"', "specimen"),
        ("albedo = { uniform = [0.2, 0.4] }", "albedo = { uniform = [0.2] }", "uniform"),
        ("albedo = { uniform = [0.2, 0.4] }", "albedoo = 0.3", "albedoo"),
        ("materials.matter", "materials.metal", "is not valid: no material 'matter'"),
        ("weight = 3", "weight = -3", "weight"),
        (
            "diameter_nm = { log_uniform = [10, 40] }",
            "diameter_nm = { log_uniform = [0, 4] }",
            "log",
        ),
        ('name = "SEM"', 'name = "SEM"\ncolor = 3', "color"),
    ],
)
def test_invalid_draws_are_refused_in_one_line(before, after, said):
    with pytest.raises(InputError, match=said) as refused:
        drawn(SMALL.replace(before, after), 8)
    assert "\n" not in str(refused.value)


def test_samples_match_the_recipes_stored_in_the_dataset(tmp_path):
    small = RandomizedRecipe.from_toml(SMALL, "test").model_copy(update={"image_px": 96})
    for workers in (1, 2):
        generate(small, 3, 5, tmp_path / str(workers), workers=workers)
        assert verify(tmp_path / str(workers)).problems == ()
    for index in range(3):
        files = [tmp_path / str(w) / "images" / f"{index:06d}.tif" for w in (1, 2)]
        assert files[0].read_bytes() == files[1].read_bytes()
        recipe = Recipe.read(tmp_path / "1" / "recipes" / f"{index:06d}.toml")
        image = read_sample(tmp_path / "1", index).image
        assert (render(recipe, 5, index).image == image).all()


def test_commands_for_one_recipe_refuse_randomized_recipes():
    with pytest.raises(InputError, match="randomized recipe"):
        read_recipe("any")
    with pytest.raises(InputError, match="--pixel-size-nm"):
        read_recipe_source("any").at_scale(5.0, 256)


def test_outputs_are_checked_and_given_to_every_recipe():
    randomized = RandomizedRecipe.from_toml(SMALL, "test").with_outputs("visible, amodal")
    assert randomized.for_sample(0, 0).outputs == ("visible", "amodal")
    with pytest.raises(InputError, match="unknown output"):
        randomized.with_outputs("invisible")

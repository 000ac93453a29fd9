import typing

import pytest

from nanorender.commands.rendering import recipes
from nanorender.errors import InputError
from nanorender.imaging.materials import MaterialBase
from nanorender.recipe import Recipe, read_recipe
from nanorender.recipes import PRESET_USES, known_names, preset_names, preset_text
from nanorender.settings import Settings


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_a_round_trip_through_toml(name):
    recipe = read_recipe(name)
    assert Recipe.from_toml(recipe.to_toml(), "memory") == recipe


def test_recipes_are_listed_with_their_use_and_printed_as_they_are(capsys):
    assert set(PRESET_USES) == set(known_names())
    recipes()
    told = capsys.readouterr().out
    for name, use in PRESET_USES.items():
        assert f"\n{name} " in f"\n{told}"
        assert use in told
    recipes("any")
    assert capsys.readouterr().out == preset_text("any")
    with pytest.raises(InputError, match="'zinc'; choose one of ag, facets, gold, layers, magn"):
        recipes("zinc")


def test_the_three_materials_of_the_paper_are_there():
    assert {"ag", "sio2", "tio2"} <= set(preset_names())


def test_the_presets_hold_what_the_paper_describes():
    sio2, tio2, ag = (read_recipe(name) for name in ("sio2", "tio2", "ag"))
    for recipe in (sio2, tio2, ag):
        assert (recipe.camera.render_px, recipe.camera.image_px) == (507, 2031)
        assert recipe.labels.border_px > 0
    assert sio2.particle_count.typical() == 1000
    assert [material.kind for material in sio2.population_materials(MaterialBase)] == [
        "diffuse",
        "diffuse",
        "glossy",
    ]
    assert tio2.particle_count.typical() == 540
    assert len(tio2.template_names()) >= 4
    materials = tio2.population_materials(MaterialBase)
    assert {material.kind for material in materials} == {"edge_effect"}
    wire = ag.particles[0]
    assert (wire.diameter_nm.low, wire.diameter_nm.high) == (40, 50)
    assert wire.length_nm.maximum >= 20_000


def test_a_recipe_drawn_to_scale_keeps_its_density_and_its_spread_of_zooms():
    before = read_recipe("tio2")
    after = before.at_scale(12.0, 2000)
    assert after.camera.pixel_size_nm.typical() == pytest.approx(12)
    zoom, zoom_before = after.camera.pixel_size_nm, before.camera.pixel_size_nm
    assert zoom.high / zoom.low == pytest.approx(zoom_before.high / zoom_before.low)
    assert after.field_nm >= zoom.high * 2000
    density = after.particle_count.typical() / after.field_nm**2
    assert density == pytest.approx(before.particle_count.typical() / before.field_nm**2)


def test_a_recipe_drawn_to_scale_leaves_labels_whole():
    assert read_recipe("tio2").at_scale(7.0, 512).labels.border_px == 0


def test_a_recipe_that_is_neither_preset_nor_file_is_refused():
    with pytest.raises(InputError, match="sio2, tio2"):
        read_recipe("zinc")


def settings_in(kind: object, found: set[type[Settings]]) -> set[type[Settings]]:
    """Add the settings classes that a type annotation contains to those found."""
    for part in typing.get_args(kind):
        settings_in(part, found)
    if isinstance(kind, type) and issubclass(kind, Settings) and kind not in found:
        found.add(kind)
        for field in kind.model_fields.values():
            settings_in(field.annotation, found)
    return found


def test_every_setting_of_a_recipe_is_described():
    missing = [
        f"{kind.__name__}.{name}"
        for kind in settings_in(Recipe, set())
        for name, field in kind.model_fields.items()
        if not field.description
    ]
    assert sorted(missing) == []

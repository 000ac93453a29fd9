"""Calibration to transmission images, whose particles are dark in bright field."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nanorender.calibration import bases
from nanorender.calibration.bases import rank_bases
from nanorender.calibration.calibrate import CalibrationSettings, calibrate, dark_particles
from nanorender.calibration.parameters import (
    ALBEDO,
    ATTENUATION,
    BEAM,
    DENSITY,
    DIAMETER,
    FILM,
    GRAY,
    HALO,
    NOISE,
    SPECKLE,
    with_settings,
)
from nanorender.calibration.views import estimate_tones
from nanorender.distributions import Constant
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph
from nanorender.imaging.materials.transmission import Core
from nanorender.recipe import read_recipe
from nanorender.rendering import render

EDGE_NM = 0.5
QUICK = CalibrationSettings(evaluations=0, corrections=4, views=2, checked_views=4)


def dark_field(name="gold"):
    """A preset as high-angle annular dark field shows it."""
    recipe = read_recipe(name)
    beam = recipe.transmission.beam.model_copy(update={"mode": "dark_field"})
    return with_settings(recipe, "transmission", beam=beam)


def hidden(recipe, larger=1.6, attenuation=0.6, number=0.5):
    """Change what a calibration is to find."""
    recipe = recipe.at_scale(EDGE_NM, 384)
    recipe = with_settings(recipe, "camera", pixel_size_nm=Constant(value=EDGE_NM))
    for parameter, factor in ((DIAMETER, larger), (ATTENUATION, attenuation), (DENSITY, number)):
        recipe = parameter.write(recipe, factor * parameter.read(recipe))
    return NOISE.write(recipe, 4.0)


def micrographs(recipe, count=3):
    images = [render(recipe, 5, index).image for index in range(count)]
    return [
        Micrograph(one, EDGE_NM, "known", (0, 384, 0, 384), (384, 384), Path("a.tif"))
        for one in images
    ]


def fitted_over_hidden(recipe, base, parameter):
    found = calibrate(micrographs(recipe), base, QUICK)
    assert found.after.loss() < found.before.loss()
    return {one.name: one.read(found.recipe) / one.read(recipe) for one in parameter}


def test_sizes_numbers_and_levels_of_bright_field_images_are_found():
    recipe = BEAM.write(hidden(read_recipe("gold")), 0.6)
    ratio = fitted_over_hidden(recipe, read_recipe("gold"), (DIAMETER, DENSITY, ATTENUATION, BEAM))
    assert ratio["diameter_nm"] == pytest.approx(1, abs=0.06)
    assert ratio["particles_per_um2"] == pytest.approx(1, abs=0.3)
    assert ratio["attenuation_per_um"] == pytest.approx(1, abs=0.3)
    assert ratio["beam_level"] == pytest.approx(1, abs=0.05)


def test_sizes_and_levels_of_dark_field_images_are_found():
    recipe = FILM.write(hidden(dark_field(), attenuation=0.5), 25.0)
    ratio = fitted_over_hidden(recipe, dark_field(), (DIAMETER, ATTENUATION, FILM))
    assert ratio["diameter_nm"] == pytest.approx(1, abs=0.06)
    assert ratio["attenuation_per_um"] == pytest.approx(1, abs=0.3)
    assert ratio["film_thickness_nm"] == pytest.approx(1, abs=0.3)


def test_the_fit_begins_with_particles_of_the_size_on_the_micrographs():
    recipe = hidden(read_recipe("gold"), larger=1.0, attenuation=1.0, number=1.0)
    farther = [
        Micrograph(one.image, 10 * EDGE_NM, "known", one.crop, one.file_shape, one.path)
        for one in micrographs(recipe, 1)
    ]
    found = calibrate(farther, read_recipe("gold"), QUICK)
    before, after = found.fitted["diameter_nm"]
    assert before == pytest.approx(150, rel=0.25)  # ten times that of the preset
    assert after == pytest.approx(150, rel=0.15)
    assert found.fitted["attenuation_per_um"][0] == pytest.approx(10, rel=0.35)


def test_the_beam_decides_on_the_polarity():
    bright_field, dark = read_recipe("gold"), CalibrationSettings(dark_particles=True)
    assert dark_particles(bright_field, CalibrationSettings())
    assert dark_particles(bright_field, dark)
    assert not dark_particles(dark_field(), CalibrationSettings())
    assert not dark_particles(read_recipe("ag"), CalibrationSettings())
    assert dark_particles(read_recipe("ag"), dark)
    with pytest.raises(InputError, match="leave out --dark-particles"):
        dark_particles(dark_field(), dark)
    inverted = with_settings(bright_field, "detector", polarity="dark")
    assert not dark_particles(inverted, CalibrationSettings())


def test_micrographs_of_the_other_polarity_are_refused():
    bright = micrographs(hidden(dark_field()), 1)
    with pytest.raises(InputError, match=r"look brighter than the background.*recipe of bright"):
        calibrate(bright, read_recipe("gold"), QUICK)
    dark = micrographs(hidden(read_recipe("gold")), 1)
    with pytest.raises(InputError, match=r"look darker than.*recipe of transmission images"):
        calibrate(dark, read_recipe("sio2"), QUICK)


def test_settings_of_reflecting_materials_are_none_in_transmission_and_vice_versa():
    assert [one.read(read_recipe("gold")) for one in (ALBEDO, GRAY, HALO)] == [None] * 3
    assert [one.read(read_recipe("ag")) for one in (ATTENUATION, BEAM, FILM, SPECKLE)] == [None] * 4


def test_cores_keep_their_contrast_with_the_shell():
    recipe = read_recipe("gold")
    core = Core(fraction=0.5, attenuation_length_nm=5.0)
    shell = recipe.materials["gold"].model_copy(update={"core": core})
    recipe = recipe.model_copy(update={"materials": {"gold": shell}})
    changed = ATTENUATION.write(recipe, 2 * ATTENUATION.read(recipe)).materials["gold"]
    assert changed.attenuation_length_nm == pytest.approx(shell.attenuation_length_nm / 2)
    assert changed.core.attenuation_length_nm == pytest.approx(2.5)
    hollow = shell.model_copy(update={"core": Core(fraction=0.5)})
    recipe = recipe.model_copy(update={"materials": {"gold": hollow}})
    assert ATTENUATION.write(recipe, 1.0).materials["gold"].core.attenuation_length_nm is None


def test_exposures_of_bright_field_images_are_their_tones():
    image = micrographs(hidden(read_recipe("gold")), 1)[0].image.astype(np.float32)
    short, long = estimate_tones([0.8 * image, image], dark=True, transmission=True)
    assert short.gain / long.gain == pytest.approx(0.8, abs=0.01)
    assert short.gain + long.gain == pytest.approx(2)
    assert (short.black, long.black) == (0.0, 0.0)
    assert estimate_tones([0.8 * image, image], dark=True) == ((0.0, 1.0),)


@pytest.mark.parametrize(
    ("shown", "dark", "compared"),
    [
        ("gold", False, ["gold", "magnetite", "nanocrystals"]),
        ("gold", True, ["gold", "magnetite", "nanocrystals", "sio2"]),
        ("sio2", False, ["sio2"]),
    ],
)
def test_recipes_of_the_same_polarity_are_compared(monkeypatch, shown, dark, compared):
    names = ["gold", "magnetite", "nanocrystals", "sio2"]
    monkeypatch.setattr(bases, "_of_similar_size", lambda _, names, __: names)
    after = SimpleNamespace(loss=lambda: 0.5)
    monkeypatch.setattr(bases, "calibrate", lambda *_: SimpleNamespace(after=after))
    recipe = read_recipe(shown)
    images = [render(recipe.at_scale(recipe.camera.pixel_size_nm.typical() * 2, 384), 0, 0).image]
    one = Micrograph(images[0], None, "", (0, 384, 0, 384), (384, 384), Path("a.tif"))
    ranked = rank_bases([one], CalibrationSettings(dark_particles=dark), names)
    assert [each.name for each in ranked] == compared
    known = rank_bases([one], CalibrationSettings(), names, dark=shown != "gold")
    assert [each.name for each in known] == (["sio2"] if shown == "gold" else names[:3])

import tomllib
from dataclasses import replace

import numpy as np
import pytest
from test_match import SEEN

from nanorender.calibration.calibrate import Calibration
from nanorender.calibration.fitted import (
    fitted_toml,
    in_short,
    refuse_other_than_toml,
    write_fitted,
)
from nanorender.calibration.likeness import Terms
from nanorender.calibration.parameters import ALBEDO, BLUR, DIAMETER, MEMBERS, RINGS
from nanorender.errors import InputError
from nanorender.recipe import preset_names, read_recipe


def calibration(name):
    base = read_recipe(name)
    recipe = base.at_scale(7.0, 512)
    for parameter, factor in ((DIAMETER, 1.3), (ALBEDO, 0.9), (BLUR, 1.5), (RINGS, 2.0)):
        recipe = parameter.write(recipe, factor * (parameter.read(recipe) or 0.1))
    if MEMBERS.read(recipe) is not None:
        recipe = MEMBERS.write(recipe, 3.0)
    before, after = Terms(*[0.4] * 7), Terms(*[0.1] * 7)
    fitted = {"diameter_nm": (DIAMETER.read(base), DIAMETER.read(recipe))}
    return Calibration(recipe, before, after, 0.07, fitted, (SEEN, SEEN), 7, [], [], {}, ())


@pytest.mark.parametrize("name", preset_names())
def test_the_file_reads_back_as_the_fitted_recipe(name, tmp_path):
    fitted = calibration(name)
    write_fitted(fitted, name, ["a.tif"], tmp_path / "mine.toml")
    read = read_recipe(tmp_path / "mine.toml")
    for parameter in (DIAMETER, ALBEDO, BLUR, RINGS):
        assert parameter.read(read) == pytest.approx(parameter.read(fitted.recipe), rel=1e-3)
    wanted = fitted.recipe.camera.pixel_size_nm.typical()
    assert read.camera.pixel_size_nm.typical() == pytest.approx(wanted, rel=1e-3)
    assert [kind.templates for kind in read.particles] == [
        kind.templates for kind in fitted.recipe.particles
    ]


def test_the_file_says_what_was_fitted_and_keeps_the_other_comments():
    text = fitted_toml(calibration("tio2"), "tio2", ["a.tif", "b.tif"])
    lines = text.splitlines()
    assert "2 micrographs: a.tif, b.tif" in lines[0]
    assert any("Loss before 0.333, after 0.095" in line for line in lines)
    assert any("differ by 0.070" in line for line in lines)
    assert any("diameter_nm: 218.9 -> 284.6" in line for line in lines)
    albedo = next(line for line in lines if line.startswith("albedo"))
    assert albedo.endswith("# fitted; was 0.34")
    kept = next(line for line in lines if line.startswith("compactness"))
    assert kept.endswith("# 0: chains, 1: round clumps")
    assert np.isclose(tomllib.loads(text)["materials"]["oxide"]["albedo"], 0.306, rtol=1e-3)


def test_the_loss_in_short_says_what_chance_alone_makes():
    fitted = calibration("tio2")
    assert in_short(fitted) == "loss 0.333 -> 0.095 (0.070 by chance alone)"
    assert in_short(replace(fitted, chance=None)) == "loss 0.333 -> 0.095"


def test_a_file_that_is_no_toml_is_refused_before_the_work(tmp_path):
    for path in (tmp_path / "mine.txt", tmp_path / "nowhere" / "mine.toml"):
        with pytest.raises(InputError, match=r"must end in \.toml"):
            refuse_other_than_toml(path)

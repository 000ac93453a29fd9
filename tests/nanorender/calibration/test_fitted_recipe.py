import tomllib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from pictures import noisy_discs

from nanorender.calibration.calibrate import Calibration
from nanorender.calibration.fitted_recipe import (
    fitted_toml,
    loss_summary,
    require_suffix,
    write_fitted,
    write_sheet,
)
from nanorender.calibration.observation import LossTerms, observe_reference
from nanorender.calibration.parameters import ALBEDO, ATTENUATION, BLUR, DIAMETER, MEMBERS, RINGS
from nanorender.errors import InputError
from nanorender.recipe import Recipe, read_recipe
from nanorender.recipes import preset_names

REAL, SYNTHETIC = noisy_discs(2, 3.0, 0), noisy_discs(2, 4.0, 5)


def calibration(name):
    base = read_recipe(name)
    recipe = base.at_scale(7.0, 512)
    factors = ((DIAMETER, 1.3), (ALBEDO, 0.9), (ATTENUATION, 0.9), (BLUR, 1.5), (RINGS, 2.0))
    for parameter, factor in factors:
        if parameter.read(recipe) is None:
            continue
        recipe = parameter.write(recipe, factor * (parameter.read(recipe) or 0.1))
    if MEMBERS.read(recipe) is not None:
        recipe = MEMBERS.write(recipe, 3.0)
    before, after = LossTerms(*[0.4] * 7), LossTerms(*[0.1] * 7)
    fitted = {"diameter_nm": (DIAMETER.read(base), DIAMETER.read(recipe))}
    return Calibration(
        recipe=recipe.model_copy(update={"relative_loss": 0.095 / 0.07}),
        before=before,
        after=after,
        noise_floor=0.07,
        fitted=fitted,
        kept=tuple(range(len(base.particles))),
        evaluations=7,
        real=observe_reference(REAL, False),
        synthetic=observe_reference(SYNTHETIC, False),
        real_views=REAL,
        synthetic_views=SYNTHETIC,
        notes=(),
    )


@pytest.mark.parametrize("name", preset_names())
def test_the_file_reads_back_as_the_fitted_recipe(name, tmp_path):
    fitted = calibration(name)
    write_fitted(fitted, name, ["a.tif"], tmp_path / "mine.toml")
    read = read_recipe(tmp_path / "mine.toml")
    for parameter in (DIAMETER, ALBEDO, ATTENUATION, BLUR, RINGS):
        before, after = parameter.read(fitted.recipe), parameter.read(read)
        assert (before, after) == (None, None) or after == pytest.approx(before, rel=1e-3)
    assert read.relative_loss == pytest.approx(fitted.recipe.relative_loss, rel=1e-3)
    wanted = fitted.recipe.camera.pixel_size_nm.typical()
    assert read.camera.pixel_size_nm.typical() == pytest.approx(wanted, rel=1e-3)
    assert [kind.templates for kind in read.particles] == [
        kind.templates for kind in fitted.recipe.particles
    ]


def test_a_base_that_was_fitted_does_not_lend_its_loss(tmp_path):
    write_fitted(calibration("tio2"), "tio2", ["a.tif"], tmp_path / "first.toml")
    fitted = calibration("tio2")
    unknown = replace(
        fitted, recipe=fitted.recipe.model_copy(update={"relative_loss": None}), noise_floor=None
    )
    base = tmp_path / "first.toml"
    assert Recipe.from_toml(fitted_toml(unknown, str(base), ["b.tif"]), "").relative_loss is None
    again = Recipe.from_toml(fitted_toml(fitted, str(base), ["b.tif"]), "")
    assert again.relative_loss == pytest.approx(0.095 / 0.07, rel=1e-3)


def test_file_marks_fitted_values_and_keeps_other_comments():
    text = fitted_toml(calibration("tio2"), "tio2", ["a.tif", "b.tif"])
    lines = text.splitlines()
    assert "2 micrographs: a.tif, b.tif" in lines[0]
    assert any("Loss before 0.333, after 0.095" in line for line in lines)
    assert any("Noise floor at this sample size: 0.070" in line for line in lines)
    assert any("diameter_nm: 218.9 -> 284.6" in line for line in lines)
    albedo = next(line for line in lines if line.startswith("albedo"))
    assert albedo.endswith("# fitted; was 0.34")
    kept = next(line for line in lines if line.startswith("compactness"))
    assert kept.endswith("# 0: chains, 1: round clumps")
    assert np.isclose(tomllib.loads(text)["materials"]["oxide"]["albedo"], 0.306, rtol=1e-3)


def test_the_loss_summary_states_the_noise_floor():
    fitted = calibration("tio2")
    assert loss_summary(fitted) == ("loss 0.333 -> 0.095. Noise floor at this sample size: 0.070")
    assert loss_summary(replace(fitted, noise_floor=None)) == "loss 0.333 -> 0.095"


def test_unwritable_paths_are_refused_first(tmp_path):
    with pytest.raises(InputError, match=r"mine\.txt must end in \.toml"):
        require_suffix(tmp_path / "mine.txt", ".toml")
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        require_suffix(tmp_path / "nowhere" / "mine.toml", ".toml")


def test_a_sheet_has_a_row_for_each_set_and_one_of_plots(tmp_path):
    fitted = calibration("tio2")
    write_sheet(fitted, {"real": REAL, "synthetic": SYNTHETIC}, tmp_path / "both.png")
    write_sheet(fitted, {"synthetic": SYNTHETIC}, tmp_path / "one.png")
    both, one = (cv2.imread(str(tmp_path / name)) for name in ("both.png", "one.png"))
    assert both.shape[1] == one.shape[1]
    assert both.shape[0] / one.shape[0] == pytest.approx(1.5, rel=0.01)

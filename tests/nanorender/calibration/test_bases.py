from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nanorender.calibration import bases
from nanorender.calibration.bases import FittedBase, describe_ranking, misfit, rank_bases
from nanorender.calibration.calibrate import CalibrationSettings
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import read_recipe
from nanorender.recipes import preset_names
from nanorender.rendering import render

RANKED = [FittedBase("layers", 0.12), FittedBase("tio2", 0.3)]


def test_images_of_a_recipe_are_fitted_best_by_it(monkeypatch):
    monkeypatch.setattr(bases, "_CORRECTIONS", 2)
    monkeypatch.setattr(bases, "_CHECKED_VIEWS", 6)
    recipe = read_recipe("tio2").at_scale(7.0, 256)
    shown = [
        Micrograph(
            render(recipe, 3, index).image,
            7.0,
            "known",
            (0, 256, 0, 256),
            (256, 256),
            Path("a.tif"),
        )
        for index in range(2)
    ]
    steps = []
    ranked = rank_bases(
        shown,
        CalibrationSettings(),
        ["ag", "tio2"],
        lambda done, total, following: steps.append((done, total, following)),
    )
    assert [one.name for one in ranked] == ["tio2", "ag"]
    assert ranked[0].loss < ranked[1].loss
    assert steps == [(0, 2, "ag"), (1, 2, "tio2"), (2, 2, "")]


def test_all_presets_of_bright_particles_are_compared_unless_some_are_named(monkeypatch):
    after = SimpleNamespace(loss=lambda: 0.5)
    monkeypatch.setattr(bases, "calibrate", lambda *_: SimpleNamespace(after=after))
    ranked = rank_bases([], CalibrationSettings())
    bright = [name for name in preset_names() if not read_recipe(name).has_dark_particles]
    assert sorted(one.name for one in ranked) == bright


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("pixel_size_nm", "left"), [(None, ["ag", "powder", "tio2"]), (7.0, ["powder", "tio2"])]
)
def test_recipes_of_far_smaller_particles_are_not_fitted(monkeypatch, dark, pixel_size_nm, left):
    after = SimpleNamespace(loss=lambda: 0.5)
    monkeypatch.setattr(bases, "calibrate", lambda *_: SimpleNamespace(after=after))
    rows, columns = np.mgrid[:400, :400]
    discs = np.hypot(rows % 200 - 100, columns % 200 - 100) < 50  # of 700 nm
    image = np.where(discs != dark, 180, 40).astype(np.uint8)
    shown = Micrograph(image, pixel_size_nm, "", (0, 400, 0, 400), (400, 400), Path("a.tif"))
    ranked = rank_bases([shown], CalibrationSettings(dark_particles=dark), ["ag", "powder", "tio2"])
    assert [one.name for one in ranked] == left


def test_the_recipe_of_the_largest_particles_is_fitted_in_any_case(monkeypatch):
    after = SimpleNamespace(loss=lambda: 0.5)
    monkeypatch.setattr(bases, "calibrate", lambda *_: SimpleNamespace(after=after))
    rows, columns = np.mgrid[:400, :400]
    discs = np.hypot(rows % 200 - 100, columns % 200 - 100) < 50  # of 90 um
    image = np.where(discs, 180, 40).astype(np.uint8)
    shown = Micrograph(image, 900.0, "", (0, 400, 0, 400), (400, 400), Path("a.tif"))
    ranked = rank_bases([shown], CalibrationSettings(), ["ag", "tio2"])
    assert [one.name for one in ranked] == ["tio2"]


def test_a_recipe_that_fits_better_is_named():
    text = misfit(0.3, 4.2, "sio2", RANKED)
    assert text.startswith("the recipe does not fit: its loss is 4.2 noise floors")
    assert text.endswith("layers fits better (loss 0.120): give --recipe layers")


@pytest.mark.parametrize(("base", "loss"), [("layers", 0.3), ("sio2", 0.1)])
def test_it_is_said_if_no_preset_fits_better(base, loss):
    text = misfit(loss, 4.2, base, RANKED)
    assert text.endswith("no preset fits better; write a recipe of your own")


def test_the_ranking_is_described_in_one_line():
    assert describe_ranking(RANKED) == "the recipe layers fits best: loss 0.120; tio2 0.300"

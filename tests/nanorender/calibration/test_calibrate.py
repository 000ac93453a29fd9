from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanorender.calibration.calibrate import (
    CalibrationSettings,
    assumed_pixel_size_nm,
    calibrate,
)
from nanorender.distributions import Constant
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import read_recipe
from nanorender.rendering import render


def micrograph(image):
    whole = (0, image.shape[0], 0, image.shape[1])
    return Micrograph(image, None, "unknown", whole, image.shape, Path("disc.tif"))


def discs(diameter_px):
    rows, columns = np.mgrid[:400, :400]
    image = np.full((400, 400), 40, np.uint8)
    for y in range(60, 400, 100):
        for x in range(60, 400, 100):
            image[np.hypot(rows - y, columns - x) <= diameter_px / 2] = 180
    return image


def test_a_recipe_is_drawn_to_the_scale_of_the_particles():
    recipe = read_recipe("sio2")
    large, small = (assumed_pixel_size_nm([micrograph(discs(d))], recipe) for d in (60, 30))
    assert small / large == pytest.approx(2, rel=0.1)
    inverted = assumed_pixel_size_nm([micrograph(255 - discs(30))], recipe, dark=True)
    assert inverted == pytest.approx(small)


def test_an_image_without_particles_is_refused():
    with pytest.raises(InputError, match="--pixel-size-nm"):
        assumed_pixel_size_nm([micrograph(np.full((64, 64), 9, np.uint8))], read_recipe("sio2"))


def test_a_recipe_without_particles_is_refused():
    empty = read_recipe("sio2").model_copy(update={"particle_count": Constant(value=0)})
    with pytest.raises(InputError, match="has no particles"):
        calibrate([micrograph(discs(40))], empty, CalibrationSettings())


def hidden(count):
    recipe = read_recipe("sio2").at_scale(7.0, 384)
    blurred = recipe.detector.model_copy(update={"blur_px": Constant(value=1.6)})
    recipe = recipe.model_copy(update={"detector": blurred})
    samples = [render(recipe, 1, k) for k in range(count)]
    return [
        Micrograph(s.image, 7.0, "known", (0, 384, 0, 384), (384, 384), Path("a.tif"))
        for s in samples
    ]


QUICK = CalibrationSettings(evaluations=2, corrections=1, views=1, checked_views=1)


def test_calibration_reduces_and_reports_the_loss():
    images, counted = hidden(1), []
    found = calibrate(images, read_recipe("sio2"), QUICK, lambda *done: counted.append(done))
    assert found.recipe.camera.pixel_size_nm.typical() == 7.0
    assert found.recipe.detector.blur_px.typical() > read_recipe("sio2").detector.blur_px.high
    assert counted[-1] == (4, 4)
    assert [done for done, _ in counted] == sorted(done for done, _ in counted)


@pytest.mark.slow
def test_calibration_is_deterministic():
    found = [calibrate(hidden(2), read_recipe("sio2"), QUICK).recipe for _ in range(2)]
    assert found[0] == found[1]


@pytest.mark.slow
def test_calibration_without_pixel_size_notes_the_assumed_one():
    images = [replace(image, pixel_size_nm=None) for image in hidden(1)]
    found = calibrate(images, read_recipe("sio2"), QUICK)
    assert "do not state a pixel size" in found.notes[0]

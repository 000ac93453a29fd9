from pathlib import Path

import numpy as np
import pytest

from nanorender.calibrate import assumed_pixel_size_nm, inscribed_diameters_px
from nanorender.errors import InputError
from nanorender.micrograph import Micrograph
from nanorender.recipe import read_recipe


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


@pytest.mark.parametrize("diameter_px", [16, 31, 60])
def test_discs_are_found_with_their_diameter(diameter_px):
    found = inscribed_diameters_px(discs(diameter_px))
    assert len(found) == 16
    assert np.median(found) == pytest.approx(diameter_px, abs=2)


def test_a_recipe_is_drawn_to_the_scale_of_the_particles():
    recipe = read_recipe("sio2")
    large, small = (assumed_pixel_size_nm([micrograph(discs(d))], recipe) for d in (60, 30))
    assert small / large == pytest.approx(2, rel=0.1)


def test_an_image_without_particles_is_refused():
    with pytest.raises(InputError, match="--pixel-size-nm"):
        assumed_pixel_size_nm([micrograph(np.full((64, 64), 9, np.uint8))], read_recipe("sio2"))

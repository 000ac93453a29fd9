from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pictures import discs, noise

from nanorender.calibration.screening import refuse_unsuitable
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph, read_micrograph
from nanorender.recipe import read_recipe
from nanorender.rendering import render

GENUINE = Path(__file__).parents[4] / "shared" / "micrographs"
CROWDED = ("powder_spheres_sem/*.png", "sio2_spheres_sem/*.TIF", "tio2_sem/*[0-9].tif")


def micrograph(image, name="a.tif"):
    levels = np.clip(np.round(image), 0, 255).astype(np.uint8)
    height, width = levels.shape
    whole = (0, height, 0, width)
    return Micrograph(levels, None, "unknown", whole, (height, width), Path(name))


def bright():
    return discs() + noise((512, 512), 3.0, (0, 0))


def test_micrographs_of_particles_are_accepted():
    refuse_unsuitable([micrograph(bright())] * 3, dark=False)
    refuse_unsuitable([micrograph(255 - bright())], dark=True)


def test_a_crowded_layer_of_bright_particles_is_not_taken_for_dark_ones():
    refuse_unsuitable(
        [micrograph(discs(diameter_px=31, spacing_px=32) + noise((512, 512), 3, (0, 0)))],
        dark=False,
    )


def test_one_image_without_particles_among_others_is_accepted():
    empty = 40 + noise((512, 512), 3.0, (0, 0))
    refuse_unsuitable([micrograph(bright()), micrograph(empty)], dark=False)


def test_a_flat_image_is_refused_by_its_name():
    flat = micrograph(np.full((256, 256), 9), "flat.tif")
    with pytest.raises(InputError, match=r"flat\.tif is flat: every pixel is 9"):
        refuse_unsuitable([micrograph(bright()), flat], dark=False)


def test_noise_without_particles_is_refused():
    with pytest.raises(InputError, match="no particles stand out"):
        refuse_unsuitable([micrograph(90 + noise((512, 512), 8.0, (0.2, 0.1)))], dark=False)


@pytest.mark.parametrize(
    ("dark", "hint"),
    [
        (False, "look darker than the background.*give --dark-particles"),
        (True, "look brighter than the background.*leave out --dark-particles"),
    ],
)
def test_opposite_polarity_is_refused_with_the_remedy(dark, hint):
    image = bright() if dark else 255 - bright()
    with pytest.raises(InputError, match=hint):
        refuse_unsuitable([micrograph(image)], dark=dark)


def test_too_small_and_too_many_images_are_refused():
    with pytest.raises(InputError, match="64 x 64 pixels; calibration needs at least 128 x 128"):
        refuse_unsuitable([micrograph(bright()[:64, :64])], dark=False)
    with pytest.raises(InputError, match="11 micrographs were given; give 1 to 10"):
        refuse_unsuitable([micrograph(bright())] * 11, dark=False)


@pytest.mark.parametrize(("name", "pixel_size_nm"), [("powder", 110.0), ("sio2", 3.0)])
def test_polarity_of_crowded_particles_is_recognized(name, pixel_size_nm):
    # Most of the image is particles, so that which part is larger says nothing.
    recipe = read_recipe(name).at_scale(pixel_size_nm, 512)
    image = render(recipe.model_copy(update={"field_nm": recipe.field_nm * 0.6}), 1, 0).image
    refuse_unsuitable([micrograph(image)], dark=False)
    with pytest.raises(InputError, match="give --dark-particles"):
        refuse_unsuitable([micrograph(255 - image)], dark=False)
    with pytest.raises(InputError, match="leave out --dark-particles"):
        refuse_unsuitable([micrograph(image)], dark=True)


@pytest.mark.skipif(
    not GENUINE.is_dir(), reason="the genuine micrographs in ../shared/micrographs are not here"
)
def test_polarity_of_real_micrographs_is_recognized():
    paths = sorted(path for pattern in CROWDED for path in GENUINE.glob(pattern))
    assert len(paths) == 9
    for path in paths:
        upright = read_micrograph(path)
        inverse = replace(upright, image=np.iinfo(upright.image.dtype).max - upright.image)
        refuse_unsuitable([upright], dark=False)
        refuse_unsuitable([inverse], dark=True)
        with pytest.raises(InputError, match="give --dark-particles"):
            refuse_unsuitable([inverse], dark=False)
        with pytest.raises(InputError, match="leave out --dark-particles"):
            refuse_unsuitable([upright], dark=True)

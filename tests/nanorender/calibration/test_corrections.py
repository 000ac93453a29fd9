import numpy as np
import pytest

from nanorender.calibration.corrections import matched, with_detector
from nanorender.calibration.coverage import expected_coverage
from nanorender.calibration.parameters import ALBEDO, BLUR, DIAMETER, NOISE
from nanorender.calibration.views import Drawing, Scale, Tone, as_view, synthetic_views, target
from nanorender.recipe import read_recipe
from nanorender.render import render

SCALE = Scale(256, 1, 1.0)
PIXEL_NM = 7.0
TONES = (Tone(0.0, 1.0),)


@pytest.fixture(scope="module")
def spheres():
    """A recipe without variation from image to image."""
    recipe = read_recipe("sio2").at_scale(PIXEL_NM, 256)
    return BLUR.write(recipe, 0.8)


@pytest.fixture(scope="module")
def aim(spheres):
    """What eight views of it show."""
    first = target(
        [render(as_view(spheres, PIXEL_NM, SCALE, 80), 9, 0).image.astype(np.float32)],
        SCALE,
        PIXEL_NM,
        False,
    )
    return target(synthetic_views(spheres, first, Drawing(9, 8, TONES, 80)), SCALE, PIXEL_NM, False)


def test_corrections_lead_from_another_recipe_to_the_one_that_was_seen(spheres, aim):
    other = ALBEDO.write(DIAMETER.write(spheres, 1.2 * DIAMETER.read(spheres)), 0.4)
    found = matched(other, [aim], TONES, 5, 8, 0)
    for parameter in (DIAMETER, ALBEDO):
        assert parameter.read(found) == pytest.approx(parameter.read(spheres), rel=0.05)
    covered, wanted = (expected_coverage(r, PIXEL_NM, SCALE, 7) for r in (found, spheres))
    assert covered == pytest.approx(wanted, rel=0.12)


def test_the_detector_is_found_and_nothing_else_is_moved(spheres, aim):
    other = BLUR.write(NOISE.write(spheres, 6.0), 1.3)
    found = with_detector(other, aim, TONES, 5, 0)
    assert BLUR.read(found) == pytest.approx(0.8, rel=0.15)
    assert NOISE.read(found) < 0.6 * NOISE.read(other)
    assert found.particles == other.particles
    assert found.materials == other.materials

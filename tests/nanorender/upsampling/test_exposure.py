import numpy as np
import pytest
from detectors import FAULTLESS
from skimage.measure import find_contours

from nanorender.imaging.detector import DetectorSettings, detect
from nanorender.imaging.exposure import expose
from nanorender.labeling.labels import LabelSettings
from nanorender.recipe import read_recipe
from nanorender.rendering import render
from nanorender.scenes.scene import Particles, Scene, View
from nanorender.scenes.shapes import BUILT_IN
from nanorender.scenes.templates import template_table
from nanorender.tracing.instances import build_instances
from nanorender.tracing.raymarch import trace
from nanorender.upsampling.upsample import upsample

IMAGE_PX, RADIUS_PX, MIDDLE_PX = 2031, 640.3, (1010.7, 1019.2)
PLAIN = {**FAULTLESS, "bits": 16}


@pytest.fixture(scope="module")
def sphere():
    """Return radiance, 0.8 on a sphere and 0.1 beside it, and the exposure that sharpens it."""
    particles = Particles(
        template=np.array([0]),
        center_nm=np.array([[*MIDDLE_PX, RADIUS_PX]]),
        size_nm=np.full((1, 3), 2 * RADIUS_PX),
        rotation=np.eye(3)[None],
        agglomerate=np.array([0]),
        population=np.array([0]),
        brightness=np.ones(1),
    )
    view = View(0.0, 0.0, 1.0, IMAGE_PX, IMAGE_PX, 0.0)
    scene = Scene(particles, template_table([BUILT_IN["sphere"]]), view)
    surface = trace(scene, view.resampled(507, 507))
    _, exposure = upsample(build_instances(scene, view), surface, view)
    return np.where(surface.particle > 0, 0.8, 0.1).astype(np.float32), exposure


def seen(radiance, exposure, **values):
    settings = DetectorSettings.model_validate(PLAIN | values)
    rng = np.random.default_rng(0)
    return detect(radiance, settings, (IMAGE_PX, IMAGE_PX), rng, exposure) / 65535


def off_circle_px(image):
    """Return how far the contour of half the level lies from the outline of the sphere."""
    contours = find_contours(image, 0.45)
    assert len(contours) == 1
    y, x = contours[0].T + 0.5
    return np.abs(np.hypot(x - MIDDLE_PX[0], y - MIDDLE_PX[1]) - RADIUS_PX)


# Half the diagonal of a pixel is 0.71, which the narrowest point spread hardly hides.
@pytest.mark.parametrize(("blur_px", "most_px"), [(0.5, 0.75), (0.7, 0.7), (0.9, 0.7)])
def test_the_image_of_a_sphere_is_as_round_as_its_labels(sphere, blur_px, most_px):
    radiance, sharpened = sphere
    assert off_circle_px(seen(radiance, sharpened, blur_px=blur_px)).max() < most_px
    assert off_circle_px(seen(radiance, expose, blur_px=blur_px)).max() > 1.4


def test_the_edge_of_a_silhouette_is_as_wide_as_the_point_spread(sphere):
    radiance, sharpened = sphere
    image = seen(radiance, sharpened, blur_px=0.9)
    y, x = np.mgrid[:IMAGE_PX, :IMAGE_PX] + 0.5
    outside = np.hypot(x - MIDDLE_PX[0], y - MIDDLE_PX[1]) - RADIUS_PX
    bins = np.round(outside * 2).astype(int)
    near = np.abs(bins) <= 20
    profile = [image[near & (bins == k)].mean() for k in range(-20, 21)]
    spread = -np.diff(profile) / 0.7
    middles = np.arange(-19.5, 20) / 2
    mean = (spread * middles).sum()
    # Pixels sampled at their middle, and half a pixel as the width of a bin, add a twelfth each.
    expected = 0.9**2 + 1 / 12 + 0.5**2 / 12
    assert mean == pytest.approx(0, abs=0.1)
    core = np.abs(middles) <= 3
    variance = (spread * (middles - mean) ** 2)[core].sum() / spread[core].sum()
    assert variance == pytest.approx(expected, rel=0.15)


def test_nothing_changes_away_from_silhouettes(sphere):
    radiance, sharpened = sphere
    with_them, without = (seen(radiance, s, blur_px=0.5) for s in (sharpened, expose))
    y, x = np.nonzero(with_them != without)
    assert len(y) > 1000
    # Half the diagonal of a cell between rendered pixels, and what the point spread adds.
    assert np.abs(np.hypot(x - MIDDLE_PX[0], y - MIDDLE_PX[1]) - RADIUS_PX).max() < 4 * 2**0.5 + 3


def test_a_drifting_beam_takes_the_silhouette_along(sphere):
    radiance, sharpened = sphere
    rows = np.arange(800, 1200)
    off_px = []
    for s in (sharpened, expose):
        lines = seen(radiance, s, blur_px=0.9, drift_px=10.0)[rows]
        first = (lines > 0.45).argmax(axis=1)
        before, after = lines[rows - 800, first - 1], lines[rows - 800, first]
        left = first - 0.5 + (0.45 - before) / (after - before)
        straight = left + np.sqrt(RADIUS_PX**2 - (rows + 0.5 - MIDDLE_PX[1]) ** 2)
        off_px.append(np.abs(straight - np.polyval(np.polyfit(rows, straight, 1), rows)).max())
    assert off_px[0] < 1 < off_px[1]


def test_a_point_spread_wider_than_half_a_rendered_pixel_is_not_sharpened(sphere):
    radiance, sharpened = sphere
    for blur_px, same in ((1.9, False), (2.1, True)):
        image = seen(radiance, sharpened, blur_px=blur_px)
        assert np.array_equal(image, seen(radiance, expose, blur_px=blur_px)) == same


def test_borders_in_the_label_map_leave_the_image_unchanged():
    recipe = read_recipe("tio2").at_scale(7.0, 256)
    recipe = recipe.model_copy(
        update={"camera": recipe.camera.model_copy(update={"render_px": 64})}
    )
    bordered = recipe.model_copy(update={"labels": LabelSettings(background_border_px=4)})
    plain, changed = render(recipe, 0, 4), render(bordered, 0, 4)
    assert not np.array_equal(plain.labels, changed.labels)
    np.testing.assert_array_equal(plain.image, changed.image)

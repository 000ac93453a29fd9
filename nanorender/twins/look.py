"""Look of twins: recipes fitted to the gray levels of micrographs, and images drawn from them."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from nanorender.calibration.calibrate import (
    Calibration,
    CalibrationSettings,
    calibrate,
    dark_particles,
)
from nanorender.calibration.parameters import with_settings
from nanorender.calibration.views import (
    GrayImage,
    Tone,
    ViewGeometry,
    estimate_tones,
    gray_levels,
    particles_in_field,
    recipe_of_view,
    white_level,
)
from nanorender.distributions import Constant
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import Recipe
from nanorender.rendering import render

_RAYS_PER_PX = 2.0  # as in `Recipe.at_scale`
_MOST_CALIBRATED = 10  # micrographs that the look is fitted to; more look the same
_LARGEST_EDGE_PX = 1024  # of a twin; larger micrographs have twins of a part


class TwinRecipe(NamedTuple):
    """What the twins of a micrograph are rendered from.

    Attributes
    ----------
    recipe : of the sample, at the scale of the micrograph
    tone : gray levels relative to the series
    height_px, width_px : size of the twins
    """

    recipe: Recipe
    tone: Tone
    height_px: int
    width_px: int


def calibrated_micrographs(micrographs: Sequence[Micrograph]) -> list[Micrograph]:
    """Choose at most ten micrographs that are evenly spread over a series.

    Parameters
    ----------
    micrographs : images of a series

    Returns
    -------
    Micrographs to calibrate a recipe to.
    """
    some = np.unique(np.linspace(0, len(micrographs) - 1, _MOST_CALIBRATED).round().astype(int))
    return [micrographs[k] for k in some]


def fit_look(
    micrographs: Sequence[Micrograph],
    base: Recipe,
    settings: CalibrationSettings,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Calibration, list[TwinRecipe]]:
    """Calibrate a recipe to a series, and make it the first recipe of each micrograph.

    Parameters
    ----------
    micrographs : images of a series; the look is that of ten of them, sizes are those of each
    base : recipe to start from
    settings : of the calibration
    on_progress : called with the number of steps done and their total

    Returns
    -------
    Calibration, and a recipe for each micrograph.

    Raises
    ------
    InputError
        If the micrographs cannot be calibrated, see `calibrate`.
    """
    calibrated = calibrated_micrographs(micrographs)
    calibration = calibrate(calibrated, base, settings, on_progress)
    white = white_level(calibrated)
    images = [gray_levels(micrograph, white) for micrograph in micrographs]
    dark, transmission = dark_particles(base, settings), base.transmission is not None
    tones = estimate_tones(images, dark, transmission)  # fewer where images are alike
    recipes = [
        TwinRecipe(
            calibration.recipe,
            tone,
            min(image.shape[0], _LARGEST_EDGE_PX),
            min(image.shape[1], _LARGEST_EDGE_PX),
        )
        for image, tone in zip(images, itertools.cycle(tones), strict=False)
    ]
    return calibration, recipes


class RenderedTwin(NamedTuple):
    """A twin and its truth.

    Attributes
    ----------
    image : (h, w) gray values
    labels : (h, w) label map of the visible parts of particles 1 to n
    visible_fraction : (n,) visible part of each outline
    """

    image: GrayImage
    labels: Integer[np.ndarray, "h w"]
    visible_fraction: Float[np.ndarray, "n"]


def render_twin(twin: TwinRecipe, seed: int, index: int) -> RenderedTwin:
    """Render a twin of a micrograph.

    Parameters
    ----------
    twin : recipe of the twins of the micrograph
    seed, index : of the scene

    Returns
    -------
    Twin with the exact labels of all visible particles.
    """
    # Place the particles on a field around the view, and label the smallest ones, too.
    pixel_size_nm = twin.recipe.camera.pixel_size_nm.typical()
    geometry = ViewGeometry(max(twin.height_px, twin.width_px), pixel_size_nm, 1, _RAYS_PER_PX)
    drawn = recipe_of_view(twin.recipe, geometry, particles_in_field(twin.recipe, geometry))
    black, gain = Constant(value=twin.tone.black / 255), Constant(value=twin.tone.gain)
    drawn = with_settings(drawn, "detector", black_level=black, gain=gain)
    drawn = with_settings(
        drawn, "labels", border_px=0.0, background_border_px=0.0, min_visible_px=1
    )
    sample = render(drawn, seed, index)
    part = np.s_[: twin.height_px, : twin.width_px]
    return RenderedTwin(
        np.ascontiguousarray(sample.image[part]),
        np.ascontiguousarray(sample.labels[part]),
        sample.truth["visible_fraction"],
    )

"""Views: square parts of real images, and synthetic images rendered to match them."""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from nanorender.calibration.estimates import direct_estimates, with_particles
from nanorender.calibration.image_statistics import GrayImage
from nanorender.calibration.observation import Observation, observe_like, pool_observations
from nanorender.calibration.parameters import with_settings
from nanorender.distributions import Constant, Distribution, Uniform
from nanorender.execution.tasks import Result
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import Recipe
from nanorender.rendering import Sample, render

RENDERED_WHITE = 2**16 - 1
"""White of rendered images of 16 bits, which use all of them however dark they are."""

_FIELD_EDGES = 2.0  # edge of the field in edges of the view: agglomerates reach in from outside
_LEAST_FIELD_EDGES = 1.4
_MOST_REAL_VIEWS = 12
_LEAST_GAIN_SPREAD = 0.05  # minimum, also for a single micrograph, since it is one of a series
_DARKEST_LEVEL = 2.0  # of the substrate, above the level that the detector adds

_pool = ThreadPoolExecutor(2)  # compiled kernels release the interpreter lock


class ViewGeometry(NamedTuple):
    """Size and resolution of square views.

    Attributes
    ----------
    edge_px : edge of a view, in pixels of the micrographs
    pixel_size_nm : of the micrographs
    binning : edge of the squares of pixels that are averaged before anything is measured
    rays_per_px : rendered pixels along a pixel of the micrographs
    """

    edge_px: int
    pixel_size_nm: float
    binning: int = 1
    rays_per_px: float = 1.0


class Tone(NamedTuple):
    """Gray levels of one micrograph relative to its series.

    Attributes
    ----------
    black : levels added
    gain : factor on the contrast of particles
    """

    black: float
    gain: float


class Target(NamedTuple):
    """Real views to match.

    Attributes
    ----------
    observation : what the real views show
    geometry : of real and synthetic views
    """

    observation: Observation
    geometry: ViewGeometry


class RenderPlan(NamedTuple):
    """Which synthetic views to render, the same for all recipes that are compared.

    Attributes
    ----------
    seed : of all views
    count : number of views
    tones : of the micrographs, taken in turn; empty to draw from the recipe's own distributions
    particles : number in the field of a view
    """

    seed: int
    count: int
    tones: Sequence[Tone]
    particles: int


def white_level(series: Iterable[Micrograph]) -> int:
    """Find the largest gray value that the images of a series can have.

    Cameras write 10, 12 or 14 bits into files of 16: the largest value tells how many.

    Parameters
    ----------
    series : micrographs of the same microscope

    Returns
    -------
    Largest value of their bit depth.

    Examples
    --------
    >>> from pathlib import Path
    >>> image = np.array([[0, 4000]], np.uint16)
    >>> white_level([Micrograph(image, 2.0, "header", (0, 1, 0, 2), (1, 2), Path("a.tif"))])
    4095
    """
    largest = max((int(one.image.max()) for one in series), default=0)
    return next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if largest < 2**bits)


def gray_levels(micrograph: Micrograph, white: int) -> GrayImage:
    """Convert an image of any bit depth to levels from 0 to 255.

    Parameters
    ----------
    micrograph : image of unsigned integers
    white : value that becomes 255, see `white_level`; that of images of 8 bits is 255 in any case

    Returns
    -------
    Gray levels.
    """
    largest = 255 if micrograph.image.dtype == np.uint8 else white
    return np.minimum(micrograph.image.astype(np.float32) * np.float32(255 / largest), 255)


def tiles(image: GrayImage, edge_px: int) -> list[GrayImage]:
    """Cover an image with squares that overlap as little as possible.

    Parameters
    ----------
    image : gray image of at least `edge_px` rows and columns
    edge_px : edge of the squares

    Returns
    -------
    Squares, row by row.

    Examples
    --------
    >>> import numpy as np
    >>> len(tiles(np.zeros((100, 150), np.float32), 64))
    6
    """
    corners = tile_corners(image.shape, edge_px)
    return [np.ascontiguousarray(image[y : y + edge_px, x : x + edge_px]) for y, x in corners]


def tile_corners(shape: tuple[int, ...], edge_px: int) -> list[tuple[int, int]]:
    """Find where the squares of `tiles` begin.

    Parameters
    ----------
    shape : height and width of an image, at least `edge_px`
    edge_px : edge of the squares

    Returns
    -------
    Row and column of the first pixel of each square, row by row.

    Examples
    --------
    >>> tile_corners((64, 150), 64)
    [(0, 0), (0, 43), (0, 86)]
    """
    starts = []
    for side in shape:
        count = max(1, -(-(side - edge_px) // edge_px) + 1)
        starts.append(np.linspace(0, side - edge_px, count).round().astype(int).tolist())
    return list(product(*starts))


def bin_view(view: GrayImage, binning: int) -> GrayImage:
    """Average squares of pixels.

    Parameters
    ----------
    view : square gray image
    binning : edge of the averaged squares

    Returns
    -------
    Gray image with an edge shorter by that factor; incomplete squares are dropped.
    """
    if binning == 1:
        return view
    edge = view.shape[0] // binning
    whole = view[: edge * binning, : edge * binning]
    return cv2.resize(whole, (edge, edge), interpolation=cv2.INTER_AREA)


def real_views(images: Iterable[GrayImage], geometry: ViewGeometry) -> list[GrayImage]:
    """Cut views from real images.

    Parameters
    ----------
    images : gray images
    geometry : of the views

    Returns
    -------
    All tiles, or twelve of them spread evenly over the images.
    """
    cut = [tile for image in images for tile in tiles(image, geometry.edge_px)]
    count = min(len(cut), _MOST_REAL_VIEWS)
    chosen = np.unique(np.linspace(0, len(cut) - 1, count).round().astype(int))
    return [bin_view(cut[k], geometry.binning) for k in chosen]


def particles_in_field(recipe: Recipe, geometry: ViewGeometry) -> int:
    """Compute the number of particles on the field around a view.

    Parameters
    ----------
    recipe : gives the number of particles per area
    geometry : of the view

    Returns
    -------
    Number of particles, at least 1.
    """
    field_nm = _FIELD_EDGES * geometry.pixel_size_nm * geometry.edge_px
    return max(1, round(recipe.particle_count.typical() * (field_nm / recipe.field_nm) ** 2))


def recipe_of_view(recipe: Recipe, geometry: ViewGeometry, particles: int) -> Recipe:
    """Adapt a recipe to views, keeping the number of particles per area.

    The number of particles is given and the field follows from it. The same seed then gives the
    same particles at any density, and what is measured changes smoothly with it.

    Parameters
    ----------
    recipe : of the sample
    geometry : of the views
    particles : number in the field; more where the field would be too small for a view

    Returns
    -------
    Recipe that renders 8-bit views.
    """
    per_nm2 = recipe.particle_count.typical() / recipe.field_nm**2
    least_field_nm = _LEAST_FIELD_EDGES * geometry.pixel_size_nm * geometry.edge_px
    particles = max(particles, math.ceil(per_nm2 * least_field_nm**2))
    sample = {
        "field_nm": math.sqrt(particles / per_nm2),
        "particle_count": Constant(value=particles),
        "outputs": (),
    }
    recipe = with_settings(recipe.model_copy(update=sample), "detector", bits=8)
    return with_settings(
        recipe,
        "camera",
        pixel_size_nm=Constant(value=geometry.pixel_size_nm),
        image_px=geometry.edge_px,
        render_px=max(16, round(geometry.edge_px * geometry.rays_per_px)),
    )


def synthetic_views(recipe: Recipe, geometry: ViewGeometry, plan: RenderPlan) -> list[GrayImage]:
    """Render synthetic views.

    Parameters
    ----------
    recipe : of the sample
    geometry : of the views
    plan : seed, tones and number of views

    Returns
    -------
    Gray images, binned.
    """
    drawn = recipe_of_view(recipe, geometry, plan.particles)
    return map_views(partial(_render_binned, drawn, geometry.binning, plan), plan.count)


def map_views(make: Callable[[int], Result], count: int) -> list[Result]:
    """Make several views on two cores.

    Parameters
    ----------
    make : makes the view of a number, from 0
    count : number of views

    Returns
    -------
    All views, in order.

    Examples
    --------
    >>> map_views(lambda index: index**2, 4)
    [0, 1, 4, 9]
    """
    return list(_pool.map(make, range(count)))


def render_view(recipe: Recipe, plan: RenderPlan, index: int) -> Sample:
    """Render a synthetic view, before it is binned.

    Parameters
    ----------
    recipe : from `recipe_of_view`
    plan : seed and tones
    index : number of the view

    Returns
    -------
    Image with its truth.
    """
    if plan.tones:
        black, gain = plan.tones[index % len(plan.tones)]
        black, gain = Constant(value=black / 255), Constant(value=gain)
        recipe = with_settings(recipe, "detector", black_level=black, gain=gain)
    return render(recipe, plan.seed, index)


def _render_binned(recipe: Recipe, binning: int, plan: RenderPlan, index: int) -> GrayImage:
    return bin_view(render_view(recipe, plan, index).image.astype(np.float32), binning)


def observe_recipe(
    recipe: Recipe, targets: Sequence[Target], plans: Sequence[RenderPlan]
) -> list[Observation]:
    """Render synthetic views at several scales and observe them as the targets were observed.

    Parameters
    ----------
    recipe : of the sample
    targets : one for each scale
    plans : of the views at each scale

    Returns
    -------
    Observation at each scale.
    """

    def observe_view(drawn: Recipe, target: Target, plan: RenderPlan, index: int) -> Observation:
        view = _render_binned(drawn, target.geometry.binning, plan, index)
        return observe_like(target.observation, view)

    jobs = [
        partial(observe_view, drawn, target, plan, index)
        for target, plan in zip(targets, plans, strict=True)
        for drawn in [recipe_of_view(recipe, target.geometry, plan.particles)]
        for index in range(plan.count)
    ]
    observed = _pool.map(partial.__call__, jobs)
    return [pool_observations([next(observed) for _ in range(plan.count)]) for plan in plans]


def estimate_tones(
    images: Sequence[GrayImage], dark: bool, transmission: bool = False
) -> tuple[Tone, ...]:
    """Estimate the tone of each micrograph relative to the mean of all.

    The contrast is the difference between particles and substrate.

    Parameters
    ----------
    images : gray images of a series
    dark : whether particles are darker than the substrate
    transmission : whether these are transmission images

    Returns
    -------
    Tone of each image that shows particles. In bright field, it is the exposure of the level beside
    the particles. Other series of dark particles have one neutral tone, since the level that their
    detector adds cannot be separated from its gain.
    """
    found = with_particles([direct_estimates(image, dark) for image in images])
    if not found or (dark and not transmission):
        return (Tone(0.0, 1.0),)
    substrate = np.array([estimate.substrate_level for estimate in found])
    if dark:
        exposures = np.maximum(255 - substrate, 1.0)
        return tuple(Tone(0.0, float(one)) for one in exposures / exposures.mean())
    contrast = np.array([estimate.particle_level for estimate in found]) - substrate
    gain = np.maximum(contrast, 1.0) / max(contrast.mean(), 1.0)
    # The recipe's substrate must stay bright enough that no tone has to subtract levels.
    room = max(float((substrate / gain).min()), _DARKEST_LEVEL)
    black = np.maximum(substrate - gain * room, 0.0)
    return tuple(Tone(float(b), float(g)) for b, g in zip(black, gain, strict=True))


def with_tones(recipe: Recipe, tones: Sequence[Tone]) -> Recipe:
    """Give a recipe the distribution of tones of a series of micrographs.

    Gamma and contrast are fixed at 1: albedo and gray levels are fitted in their place.

    Parameters
    ----------
    recipe : of the sample
    tones : of each micrograph

    Returns
    -------
    Recipe with other detector levels.
    """
    black, gain = np.array(tones).T
    return with_settings(
        recipe,
        "detector",
        black_level=_uniform_like(black / 255, 0.0),
        gain=_uniform_like(gain, _LEAST_GAIN_SPREAD),
        gamma=Constant(value=1.0),
        contrast=Constant(value=1.0),
    )


def _uniform_like(values: Float[np.ndarray, "n"], least_half_width: float) -> Distribution:
    """Return a uniform distribution with the mean and standard deviation of positive values."""
    mean, half = float(values.mean()), max(float(values.std()) * 3**0.5, least_half_width)
    half = min(half, mean)
    return Uniform(low=mean - half, high=mean + half) if half > 0 else Constant(value=mean)

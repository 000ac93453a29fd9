"""Views: squares of real and of synthetic images, cut and drawn alike, and what they show."""

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from nanorender.calibration.estimate import Estimates, estimates, mean_estimates
from nanorender.calibration.likeness import (
    Features,
    Reference,
    Terms,
    coordinates,
    features,
    reference,
)
from nanorender.distributions import Constant
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import Recipe
from nanorender.render import render

FIELD = 2.0  # edge of the field over that of the view, so that agglomerates reach in from outside
LEAST_FIELD = 1.4
MOST_TILES = 12
THREADS = 2

View = Float32[np.ndarray, "_ _"]


class Scale(NamedTuple):
    """How images are looked at.

    edge_px: edge of the square views, in pixels of the micrographs
    binning: edge of the squares of pixels that are averaged before anything is measured
    rays: rendered pixels along a pixel of the micrographs
    """

    edge_px: int
    binning: int
    rays: float


class Tone(NamedTuple):
    """How the gray levels of one micrograph differ from those of its series.

    black: levels that are added; gain: factor on the contrast of particles
    """

    black: float
    gain: float


class Shown(NamedTuple):
    """What a set of synthetic views shows, and the estimates of each that shows particles."""

    features: Features
    each: tuple[Estimates | None, ...]

    @property
    def estimates(self) -> Estimates | None:
        """Return the mean of the estimates, None where no view shows particles."""
        return mean_estimates(self.each)

    @property
    def coordinates(self) -> Float[np.ndarray, "coordinates"]:
        """Return all of it as numbers that settings change nearly in proportion."""
        return coordinates(self.features, self.estimates)


def gray_levels(micrograph: Micrograph) -> View:
    """Return the image in levels from 0 to 255, whatever its bits."""
    white = float(np.iinfo(micrograph.image.dtype).max)
    return micrograph.image.astype(np.float32) * np.float32(255 / white)


def tiles(image: View, edge_px: int) -> list[View]:
    """Return squares that cover an image with as little overlap as there can be."""
    starts = []
    for side in image.shape:
        count = max(1, -(-(side - edge_px) // edge_px) + 1)
        starts.append(np.linspace(0, side - edge_px, count).round().astype(int))
    return [
        np.ascontiguousarray(image[y : y + edge_px, x : x + edge_px])
        for y in starts[0]
        for x in starts[1]
    ]


def binned(view: View, binning: int) -> View:
    """Return the view with squares of pixels averaged."""
    if binning == 1:
        return view
    edge = view.shape[0] // binning
    whole = view[: edge * binning, : edge * binning]
    return cv2.resize(whole, (edge, edge), interpolation=cv2.INTER_AREA)


def real_views(images: Iterable[View], scale: Scale) -> list[View]:
    """Return the tiles of images, or as many of them as are needed, evenly over all."""
    cut = [tile for image in images for tile in tiles(image, scale.edge_px)]
    chosen = np.unique(np.linspace(0, len(cut) - 1, min(len(cut), MOST_TILES)).round().astype(int))
    return [binned(cut[k], scale.binning) for k in chosen]


def particles_in_field(recipe: Recipe, pixel_size_nm: float, scale: Scale) -> int:
    """Return how many particles the field of a view holds."""
    field_nm = FIELD * pixel_size_nm * scale.edge_px
    return max(1, round(recipe.particle_count.typical() * (field_nm / recipe.field_nm) ** 2))


def as_view(recipe: Recipe, pixel_size_nm: float, scale: Scale, particles: int) -> Recipe:
    """Return the recipe for views of a scale, with particles as dense as they are.

    The number of particles is given and the field follows from it. The same seed then gives the
    same particles whatever the density, and what is measured changes smoothly with it.
    """
    camera = recipe.camera.model_copy(
        update={
            "pixel_size_nm": Constant(value=pixel_size_nm),
            "image_px": scale.edge_px,
            "render_px": max(16, round(scale.edge_px * scale.rays)),
        }
    )
    per_nm2 = recipe.particle_count.typical() / recipe.field_nm**2
    least = LEAST_FIELD * pixel_size_nm * scale.edge_px
    particles = max(particles, math.ceil(per_nm2 * least**2))
    return recipe.model_copy(
        update={
            "camera": camera,
            "field_nm": math.sqrt(particles / per_nm2),
            "particle_count": Constant(value=particles),
            "detector": recipe.detector.model_copy(update={"bits": 8}),
            "outputs": (),
        }
    )


def toned(recipe: Recipe, tone: Tone) -> Recipe:
    """Return the recipe with the levels of one micrograph."""
    levels = {"black_level": Constant(value=tone.black / 255), "gain": Constant(value=tone.gain)}
    return recipe.model_copy(update={"detector": recipe.detector.model_copy(update=levels)})


class Seen(NamedTuple):
    """What a set of real views shows."""

    features: Features
    estimates: Estimates


class Target(NamedTuple):
    """What synthetic views are to look like.

    scale: of real and synthetic views
    pixel_size_nm: of the micrographs
    dark: whether particles are darker than the substrate
    real: what the micrographs show
    reference: the same, as what others are held against
    threshold: level halfway between substrate and particles
    """

    scale: Scale
    pixel_size_nm: float
    dark: bool
    real: Seen
    reference: Reference
    threshold: float


class Drawing(NamedTuple):
    """Which synthetic views are drawn: common to all recipes that are compared.

    seed: of all of them
    count: how many
    tones: of micrographs, taken in turns; none where the recipe's own are drawn
    particles: in the field of a view
    """

    seed: int
    count: int
    tones: tuple[Tone, ...]
    particles: int


def drawing_of(
    recipe: Recipe, aim: Target, tones: Sequence[Tone], count: int, seed: int
) -> Drawing:
    """Return which views are drawn of a recipe and of those that are compared with it."""
    particles = particles_in_field(recipe, aim.pixel_size_nm, aim.scale)
    return Drawing(seed, count, tuple(tones), particles)


def target(views: Sequence[View], scale: Scale, pixel_size_nm: float, dark: bool) -> Target:
    """Return what `views` of a scale show, as a target.

    Raises
    ------
    InputError
        If no particles are found on any.
    """
    mean = mean_estimates([estimates(view, dark) for view in views])
    if mean is None:
        raise InputError("no particles stand out from the background of these micrographs")
    threshold = (mean.substrate_level + mean.particle_level) / 2
    threshold = 255 - threshold if dark else threshold
    real = Seen(features(views, threshold), mean)
    return Target(scale, pixel_size_nm, dark, real, reference(*real), threshold)


def synthetic_views(recipe: Recipe, aim: Target, drawing: Drawing) -> list[View]:
    """Return synthetic views of a recipe."""
    drawn = as_view(recipe, aim.pixel_size_nm, aim.scale, drawing.particles)
    return list(_pool.map(partial(_draw, drawn, aim.scale.binning, drawing), range(drawing.count)))


_pool = ThreadPoolExecutor(THREADS)  # kernels let go of the interpreter


def _draw(recipe: Recipe, binning: int, drawing: Drawing, index: int) -> View:
    if drawing.tones:
        recipe = toned(recipe, drawing.tones[index % len(drawing.tones)])
    return binned(render(recipe, drawing.seed, index).image.astype(np.float32), binning)


def shown(views: Sequence[View], aim: Target) -> Shown:
    """Return what synthetic views show."""
    return pooled(list(_pool.map(partial(_shown, aim), views)))


def _shown(aim: Target, view: View) -> Shown:
    return Shown(features([view], aim.threshold), (estimates(view, aim.dark),))


def look(recipe: Recipe, sights: Sequence[tuple[Target, Drawing]]) -> tuple[Shown, ...]:
    """Return what synthetic views of a recipe show, at each of several scales."""
    drawn = [as_view(recipe, aim.pixel_size_nm, aim.scale, d.particles) for aim, d in sights]
    jobs = [
        partial(_looked, view, aim, drawing, index)
        for view, (aim, drawing) in zip(drawn, sights, strict=True)
        for index in range(drawing.count)
    ]
    each = _pool.map(partial.__call__, jobs)
    return tuple(pooled([next(each) for _ in range(d.count)]) for _, d in sights)


def _looked(recipe: Recipe, aim: Target, drawing: Drawing, index: int) -> Shown:
    return _shown(aim, _draw(recipe, aim.scale.binning, drawing, index))


def pooled(sets: Sequence[Shown]) -> Shown:
    """Return what several sets of views of one scale show together."""
    sums = (np.sum(parts, axis=0) for parts in zip(*(one.features for one in sets), strict=True))
    return Shown(Features(*sums), tuple(found for one in sets for found in one.each))


def compared(aim: Target, synthetic: Shown) -> Terms:
    """Return the terms of the loss of what synthetic views show."""
    return aim.reference.terms(synthetic.coordinates)

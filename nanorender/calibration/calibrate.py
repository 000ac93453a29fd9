"""Calibration: a recipe fitted to unlabelled micrographs. The order of the steps.

1. The recipe is drawn to the scale of the micrographs, and its tone to theirs.
2. Direct estimates on real and on synthetic images are made to agree; that takes a few renderings.
3. A search makes the loss small over all but the detector.
4. What physics gives directly (point spread, noise, coverage) is matched once more, on other seeds.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from nanorender.calibration.corrections import matched, with_coverage, with_detector
from nanorender.calibration.estimate import Estimates
from nanorender.calibration.inscribed import segment
from nanorender.calibration.likeness import Features, Reference, Terms, reference
from nanorender.calibration.parameters import MATCHED, SEARCHED
from nanorender.calibration.polarity import refuse_unfit
from nanorender.calibration.search import Look, search
from nanorender.calibration.tones import tones_of, with_tones
from nanorender.calibration.views import (
    Drawing,
    Scale,
    Shown,
    Target,
    Tone,
    View,
    compared,
    drawing_of,
    gray_levels,
    look,
    particles_in_field,
    pooled,
    real_views,
    shown,
    synthetic_views,
    target,
)
from nanorender.distributions import Constant
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import Recipe
from nanorender.settings import Settings

SEEN_EDGE_PX = 512  # of a wide view after binning, at most
SEEN_DIAMETER_PX = 30.0  # smaller particles merge with their neighbors when smoothed
LARGEST_BINNING = 4
CLOSE_EDGE_PX = 512
CLOSE_RAYS = 2.0  # as `Recipe.at_scale` has them
BEFORE, AFTER, CHECK, SEARCH = 0, 200, 300, 1000  # seeds: each use has scenes of its own


class CalibrationSettings(Settings):
    """How much work a calibration is.

    evaluations: candidates of the search at most, each rendered as several views
    candidate_views: synthetic views of a candidate, over all scales
    corrections: of the direct estimates, before the search and after it
    views: synthetic views of a correction, at least; as many of each micrograph's tone
    checked_views: synthetic views that the loss before and after is taken from
    seed: of all that is random
    dark_particles: whether particles are darker than the substrate
    """

    evaluations: int = 200
    candidate_views: int = 2
    corrections: int = 7
    views: int = 6
    checked_views: int = 40
    seed: int = 0
    dark_particles: bool = False


@dataclass(frozen=True)
class Calibration:
    """A fitted recipe and how it came about.

    recipe: the fitted one, for images of the micrographs' pixel size
    before, after: terms of the loss of the recipe as it was, drawn to scale, and as it is
    chance: loss of as many of the fitted recipe's views as there are real ones, held against the
        rest of them; less than that, the real ones could not tell. None where views do not suffice
    fitted: values of each parameter before and after
    estimates: from the micrographs and from the fitted recipe's images
    evaluations: candidates that were rendered
    real, synthetic: views at full resolution, which the terms were taken from
    features: of both, by these names
    notes: what the user should know
    """

    recipe: Recipe
    before: Terms
    after: Terms
    chance: float | None
    fitted: dict[str, tuple[float, float]]
    estimates: tuple[Estimates, Estimates]
    evaluations: int
    real: list[View]
    synthetic: list[View]
    features: dict[str, Features]
    notes: tuple[str, ...]


def inscribed_diameters_px(image: Integer[np.ndarray, "h w"]) -> Float[np.ndarray, "n"]:
    """Return diameters of discs inscribed in the bright regions of an image, px."""
    return segment(image.astype(np.float32)).diameters_px.astype(float)


def assumed_pixel_size_nm(micrographs: Iterable[Micrograph], recipe: Recipe) -> float:
    """Return the pixel size at which a recipe's particles are as large as those of micrographs.

    For micrographs of unknown pixel size: the recipe is only drawn to their scale by it; nothing is
    measured in nm.

    Raises
    ------
    InputError
        If no particles stand out from the background.
    """
    found = [inscribed_diameters_px(micrograph.image) for micrograph in micrographs]
    diameters = np.concatenate(found)
    if diameters.size < 3:
        raise InputError(
            "no particles stand out from the background, so the recipe cannot be drawn to their "
            "scale; give --pixel-size-nm"
        )
    # An inscribed disc is as wide as a particle is short: the recipe's widths are its match.
    widths = [
        kind.diameter_nm.typical() / np.sqrt(kind.aspect.typical()) for kind in recipe.particles
    ]
    shares = [kind.share for kind in recipe.particles]
    return float(np.average(widths, weights=shares) / np.median(diameters))


def calibrate(
    micrographs: Sequence[Micrograph],
    base: Recipe,
    settings: CalibrationSettings,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Return a recipe fitted to one to ten micrographs, all of about the same pixel size.

    Raises
    ------
    InputError
        If a micrograph is flat, shows no particles, or shows them in the other polarity.
    """
    refuse_unfit(micrographs, settings.dark_particles)
    images = [gray_levels(micrograph) for micrograph in micrographs]
    sizes_nm = [m.pixel_size_nm for m in micrographs if m.pixel_size_nm is not None]
    pixel_size_nm = float(np.median(sizes_nm or [assumed_pixel_size_nm(micrographs, base)]))
    real, wide, close = _targets(images, pixel_size_nm, settings.dark_particles)
    start = _to_scale(base, pixel_size_nm, settings.dark_particles)
    tones = tones_of(images, settings.dark_particles)
    total = 2 * settings.corrections + settings.evaluations
    aims = [wide] if wide.scale == close.scale else [wide, close]
    turns, count = settings.corrections, settings.views
    seed = _seed(settings, BEFORE)
    recipe = with_tones(start, tones)
    recipe = matched(recipe, aims, tones, turns, count, seed, lambda turn: on_progress(turn, total))
    found = search(
        recipe,
        SEARCHED,
        *_sights(recipe, aims, tones, settings),
        settings.evaluations,
        settings.seed,
        lambda done: on_progress(turns + done, total),
    )
    seed = _seed(settings, AFTER)
    recipe = with_detector(
        found.recipe,
        close,
        tones,
        turns,
        seed,
        lambda turn: on_progress(turns + settings.evaluations + turn, total),
    )
    recipe = with_coverage(recipe, wide, tones, count, seed)
    recipe = Recipe.model_validate(recipe.model_dump())
    before, views = (_check(candidate, close, settings) for candidate in (start, recipe))
    each = [shown([view], close) for view in views]
    after = pooled(each)
    on_progress(total, total)
    assert after.estimates is not None
    return Calibration(
        recipe=recipe,
        before=compared(close, shown(before, close)),
        after=compared(close, after),
        chance=_chance(each, len(real)),
        fitted=_changes(start, recipe),
        estimates=(close.real.estimates, after.estimates),
        evaluations=found.evaluations,
        real=real,
        synthetic=views,
        features={"real": close.real.features, "synthetic": after.features},
        notes=() if sizes_nm else (_assumed(pixel_size_nm),),
    )


def _assumed(pixel_size_nm: float) -> str:
    return (
        f"the files do not say how large a pixel is; the recipe is fitted as if it were "
        f"{pixel_size_nm:.4g} nm, at which its particles are as large as theirs"
    )


def _targets(
    images: Sequence[View], pixel_size_nm: float, dark: bool
) -> tuple[list[View], Target, Target]:
    """Return close views, and what wide ones (binned) and close ones (as they are) show."""
    shortest = min(min(image.shape) for image in images)
    diameters = np.concatenate([segment(255 - i if dark else i).diameters_px for i in images])
    typical = float(np.sqrt(np.mean(diameters**2)))
    binning = int(np.clip(round(typical / SEEN_DIAMETER_PX), 1, LARGEST_BINNING))
    edge = min(shortest, SEEN_EDGE_PX * binning) // binning * binning
    # What is binned is seen through one ray a pixel: it is looked at for where particles lie.
    wide = Scale(edge, binning, 1 / binning if binning > 1 else CLOSE_RAYS)
    close = Scale(min(shortest, CLOSE_EDGE_PX), 1, CLOSE_RAYS)
    close_views = real_views(images, close)
    return (
        close_views,
        target(real_views(images, wide), wide, pixel_size_nm, dark),
        target(close_views, close, pixel_size_nm, dark),
    )


def _to_scale(base: Recipe, pixel_size_nm: float, dark: bool) -> Recipe:
    """Return the recipe for images of one pixel size and polarity."""
    drawn = base.at_scale(pixel_size_nm, CLOSE_EDGE_PX)
    camera = drawn.camera.model_copy(update={"pixel_size_nm": Constant(value=pixel_size_nm)})
    polarity = {"polarity": "dark" if dark else "bright"}
    detector = drawn.detector.model_copy(update=polarity)
    return drawn.model_copy(update={"camera": camera, "detector": detector})


def _seed(settings: CalibrationSettings, use: int) -> int:
    """Return the seed of the views of a use, of which there are less than 100 000."""
    return 100_000 * settings.seed + use


def _sights(
    recipe: Recipe, aims: Sequence[Target], tones: Sequence[Tone], settings: CalibrationSettings
) -> tuple[Look, list[Reference]]:
    """Return how the search looks at a candidate, and what it holds that against.

    Tones are taken in turns, over the views of all candidates.
    """
    count = max(1, settings.candidate_views // len(aims))
    drawings = [drawing_of(recipe, aim, tones, count, 0) for aim in aims]

    def of_number(candidate: Recipe, number: int) -> tuple[Shown, ...]:
        first = number * count % len(tones)
        turned = (*tones[first:], *tones[:first])
        seed = _seed(settings, SEARCH + number)
        turned_drawings = [drawing._replace(seed=seed, tones=turned) for drawing in drawings]
        return look(candidate, list(zip(aims, turned_drawings, strict=True)))

    return of_number, [aim.reference for aim in aims]


def _check(recipe: Recipe, close: Target, settings: CalibrationSettings) -> list[View]:
    """Return views on seeds that nothing was fitted to, with the recipe's own tones."""
    particles = particles_in_field(recipe, close.pixel_size_nm, close.scale)
    drawing = Drawing(_seed(settings, CHECK), settings.checked_views, (), particles)
    return synthetic_views(recipe, close, drawing)


def _chance(each: Sequence[Shown], count: int) -> float | None:
    """Return the mean loss of parts of `count` views, held against the other views."""
    losses = []
    for first in range(0, len(each) - count, count):
        part = pooled(each[first : first + count])
        rest = pooled([*each[:first], *each[first + count :]])
        if rest.estimates is not None:
            held = reference(rest.features, rest.estimates)
            losses.append(held.terms(part.coordinates).loss())
    return float(np.mean(losses)) if losses else None


def _changes(start: Recipe, recipe: Recipe) -> dict[str, tuple[float, float]]:
    changed = {}
    for parameter in SEARCHED + MATCHED:
        before, after = parameter.read(start), parameter.read(recipe)
        if before is not None and after is not None:
            changed[parameter.name] = (before, after)
    return changed

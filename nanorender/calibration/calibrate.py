"""Calibration: a recipe fitted to unlabelled micrographs. The order of the steps.

1. The recipe is drawn to the scale of the micrographs, and its tone to theirs.
2. Direct estimates on real and on synthetic images are made to agree; that takes a few renderings.
3. A search without derivatives makes the loss small over everything else.
4. What physics gives directly (point spread, noise, levels, coverage) is matched once more, on
   other seeds.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from nanorender.calibration.estimate import Estimates
from nanorender.calibration.inscribed import segment
from nanorender.calibration.likeness import Features, Terms
from nanorender.calibration.match import match_coverage, match_detector, match_levels, match_sizes
from nanorender.calibration.parameters import MATCHED, SEARCHED
from nanorender.calibration.polarity import refuse_unfit
from nanorender.calibration.search import search
from nanorender.calibration.tones import tones_of, with_tones
from nanorender.calibration.views import (
    Drawing,
    Scale,
    Target,
    Tone,
    View,
    compared,
    coverage,
    expected_coverage,
    gray_levels,
    particles_in_field,
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
CLOSE_VIEWS = 4


class CalibrationSettings(Settings):
    """How much work a calibration is.

    evaluations: candidates of the search, each rendered as several views
    views: synthetic views of a candidate, at least; as many of each micrograph's tone
    corrections: of the direct estimates, before the search and after it
    checked_views: synthetic views that the loss before and after is taken from
    seed: of all that is random
    dark_particles: whether particles are darker than the substrate
    """

    evaluations: int = 120
    views: int = 6
    corrections: int = 7
    checked_views: int = 40
    seed: int = 0
    dark_particles: bool = False


@dataclass(frozen=True)
class Calibration:
    """A fitted recipe and how it came about.

    recipe: the fitted one, for images of the micrographs' pixel size
    before, after: terms of the loss of the recipe as it was, drawn to scale, and as it is
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
    recipe = _matched(with_tones(start, tones), (wide, close), tones, settings, 0)
    on_progress(settings.corrections, total)
    drawing = _drawing(recipe, wide, tones, settings, 0)
    # Candidates are compared with each other: what few rays make worse, they do so for all.
    quick = wide._replace(scale=wide.scale._replace(rays=wide.scale.rays / CLOSE_RAYS))

    def loss(candidate: Recipe) -> float:
        return compared(quick, shown(synthetic_views(candidate, quick, drawing), quick)).loss()

    found = search(
        recipe,
        SEARCHED,
        loss,
        settings.evaluations,
        settings.seed,
        lambda done: on_progress(settings.corrections + done, total),
    )
    recipe = _matched(found.recipe, (wide, close), tones, settings, 1)
    recipe = Recipe.model_validate(recipe.model_dump())
    checked = [_check(candidate, close, settings) for candidate in (start, recipe)]
    on_progress(total, total)
    after = shown(checked[1], close)
    assert after.estimates is not None
    return Calibration(
        recipe=recipe,
        before=compared(close, shown(checked[0], close)),
        after=compared(close, after),
        fitted=_changes(start, recipe),
        estimates=(close.real.estimates, after.estimates),
        evaluations=found.evaluations,
        real=real,
        synthetic=checked[1],
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
    wide = Scale(edge, binning, CLOSE_RAYS / binning)
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


def _drawing(
    recipe: Recipe, aim: Target, tones: tuple[Tone, ...], settings: CalibrationSettings, stage: int
) -> Drawing:
    """Return the views of a stage: every micrograph's tone as often as the others'."""
    count = len(tones) * -(-settings.views // len(tones))
    particles = particles_in_field(recipe, aim.pixel_size_nm, aim.scale)
    return Drawing(1000 * settings.seed + stage, count, tones, particles)


def _matched(
    recipe: Recipe,
    aims: tuple[Target, Target],
    tones: tuple[Tone, ...],
    settings: CalibrationSettings,
    stage: int,
) -> Recipe:
    """Return the recipe after corrections of its direct estimates.

    After the search each correction sees scenes of its own and is one part in as many as there
    were, so that together they average over all of them (Robbins & Monro 1951, Ann. Math. Stat. 22,
    400).
    """
    wide, close = aims
    base = recipe
    for turn in range(settings.corrections):
        damping = 1 / (1 + turn) if stage else 1.0
        drawing = _drawing(recipe, wide, tones, settings, stage * (1 + turn))
        synthetic = _estimated(recipe, wide, drawing)
        if synthetic is not None:
            recipe = match_sizes(recipe, wide.real.estimates, synthetic, base, damping)
            recipe = match_levels(recipe, wide.real.estimates, synthetic, damping)
        if close.scale != wide.scale:
            drawing = _drawing(recipe, close, tones, settings, stage * (1 + turn))
            synthetic = _estimated(recipe, close, drawing._replace(count=CLOSE_VIEWS))
        if synthetic is not None:
            recipe = match_detector(recipe, close.real.estimates, synthetic)
    drawing = _drawing(recipe, wide, tones, settings, stage)
    synthetic = _estimated(recipe, wide, drawing)
    if synthetic is None:
        return recipe
    # What the segmentation misses or adds, it does so on both.
    share = coverage(recipe, wide, drawing) * wide.real.estimates.coverage / synthetic.coverage
    expected = expected_coverage(recipe, wide.pixel_size_nm, wide.scale, drawing.seed)
    return match_coverage(recipe, share, expected)


def _estimated(recipe: Recipe, aim: Target, drawing: Drawing) -> Estimates | None:
    """Return estimates from synthetic views, None where they show no particles."""
    return shown(synthetic_views(recipe, aim, drawing), aim).estimates


def _check(recipe: Recipe, close: Target, settings: CalibrationSettings) -> list[View]:
    """Return views on seeds that nothing was fitted to, with the recipe's own tones."""
    particles = particles_in_field(recipe, close.pixel_size_nm, close.scale)
    drawing = Drawing(1000 * settings.seed + 999, settings.checked_views, (), particles)
    return synthetic_views(recipe, close, drawing)


def _changes(start: Recipe, recipe: Recipe) -> dict[str, tuple[float, float]]:
    changed = {}
    for parameter in SEARCHED + MATCHED:
        before, after = parameter.read(start), parameter.read(recipe)
        if before is not None and after is not None:
            changed[parameter.name] = (before, after)
    return changed

"""Calibration: a recipe fitted to unlabeled micrographs.

1. The recipe is adapted to the scale of the micrographs, and its tone to theirs.
2. Corrections match the direct estimates on real and synthetic views, with a few renderings.
   Populations that the micrographs do not show are left out, and the others corrected again.
3. A search reduces the loss over all parameters but those of the detector.
4. What physics gives directly (point spread, noise, coverage) is matched again, with other seeds.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nanorender.calibration.corrections import match_coverage, match_detector, match_estimates
from nanorender.calibration.image_statistics import GrayImage
from nanorender.calibration.inscribed_discs import inscribed_discs
from nanorender.calibration.observation import (
    LossTerms,
    Observation,
    noise_floor,
    observe_like,
    observe_reference,
    pool_observations,
)
from nanorender.calibration.parameters import (
    ATTENUATION,
    DENSITY,
    DIAMETER,
    MATCHED,
    SEARCHED,
    with_settings,
)
from nanorender.calibration.populations import absent_population, keep_populations
from nanorender.calibration.response_surface import Observe, search_settings
from nanorender.calibration.screening import refuse_unsuitable
from nanorender.calibration.views import (
    RenderPlan,
    Target,
    Tone,
    ViewGeometry,
    estimate_tones,
    gray_levels,
    observe_recipe,
    particles_in_field,
    real_views,
    synthetic_views,
    white_level,
    with_tones,
)
from nanorender.distributions import Constant
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph
from nanorender.recipe import Recipe
from nanorender.scenes.population import Population
from nanorender.settings import Settings

_WIDE_EDGE_PX = 512  # of a wide view after binning, at most
_CLOSE_EDGE_PX = 512
_WIDE_DIAMETER_PX = 30.0  # typical, after binning; smaller particles merge when smoothed
_LARGEST_BINNING = 4
_RAYS_PER_PX = 2.0  # as in `Recipe.at_scale`
LARGEST_NOISE_FLOOR = 0.1
"""Largest noise floor that `Recipe.relative_loss` is relative to. Views of a recipe that fits badly
may differ more from one another, which would excuse any loss."""

# Seeds: each use has different scenes
_BEFORE, _AFTER, _CHECK, _POPULATIONS, _SEARCH = 0, 200, 300, 400, 1000


class CalibrationSettings(Settings):
    """Settings of a calibration.

    Attributes
    ----------
    evaluations : maximum number of candidates in the search, each rendered as several views
    candidate_views : synthetic views of a candidate, over all scales
    corrections : number of corrections of the direct estimates, before and after the search
    views : least number of synthetic views for a correction, the same for each micrograph's tone
    checked_views : synthetic views for the loss before and after
    seed : seed of the random numbers
    dark_particles : whether particles are darker than the substrate; that is known of recipes of
        transmission images

    Examples
    --------
    >>> CalibrationSettings(evaluations=80).corrections
    7
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
    """Fitted recipe and its goodness of fit.

    Attributes
    ----------
    recipe : fitted, for images with the pixel size of the micrographs
    before, after : terms of the loss of the given recipe at the same scale, and of the fitted one
    noise_floor : loss that sampling alone causes with as many views as the micrographs give,
        None if too few synthetic views were checked
    fitted : value of each parameter before and after
    kept : indices of the populations of the given recipe that the micrographs show
    evaluations : number of candidates rendered
    real, synthetic : observations of the micrographs and of the fitted recipe's images
    real_views, synthetic_views : views at full resolution that were observed
    notes : for the user
    """

    recipe: Recipe
    before: LossTerms
    after: LossTerms
    noise_floor: float | None
    fitted: dict[str, tuple[float, float]]
    kept: tuple[int, ...]
    evaluations: int
    real: Observation
    synthetic: Observation
    real_views: list[GrayImage]
    synthetic_views: list[GrayImage]
    notes: tuple[str, ...]


def dark_particles(base: Recipe, settings: CalibrationSettings) -> bool:
    """Return whether particles are darker than what is around them.

    Parameters
    ----------
    base : recipe to start from; one of transmission images decides
    settings : of the calibration; they decide for other recipes

    Returns
    -------
    Polarity.

    Raises
    ------
    InputError
        If the particles of the recipe are bright, and those of the settings dark.
    """
    if base.transmission is None:
        return settings.dark_particles
    if settings.dark_particles and not base.has_dark_particles:
        raise InputError(
            "the particles of the recipe are bright; leave out --dark-particles, or choose a "
            "recipe of bright-field images"
        )
    return base.has_dark_particles


def assumed_pixel_size_nm(
    micrographs: Iterable[Micrograph], recipe: Recipe, dark: bool = False
) -> float:
    """Compute the pixel size that makes a recipe's particles as large as those on micrographs.

    For micrographs of unknown pixel size: it only sets the scale of synthetic images; nothing is
    measured in nm.

    Parameters
    ----------
    micrographs : images of particles
    recipe : gives the size of particles in nm
    dark : whether particles are darker than the substrate

    Returns
    -------
    Pixel size, nm.

    Raises
    ------
    InputError
        If no particles stand out from the background.
    """
    levels = (gray_levels(one, white_level([one])) for one in micrographs)  # one in memory
    found = [inscribed_discs(255 - one if dark else one).diameters_px for one in levels]
    diameters = np.concatenate(found).astype(float)
    if diameters.size < 3:
        raise InputError(
            "no particles stand out from the background, so the recipe cannot be adapted to their "
            "scale; give --pixel-size-nm"
        )
    # An inscribed disc has the minor diameter of its particle, so compare minor diameters.
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
    """Fit a recipe to micrographs without annotations.

    Parameters
    ----------
    micrographs : one to ten images of similar pixel size
    base : recipe to start from
    settings : amount of work, seed and polarity
    on_progress : called with the number of steps done and their total

    Returns
    -------
    Fitted recipe and its goodness of fit.

    Raises
    ------
    InputError
        If a micrograph is flat, shows no particles, or shows particles of the opposite polarity.
    """
    if base.particle_count.typical() == 0:
        raise InputError(
            "the recipe has no particles (particle_count = 0), whose sizes could be fitted; choose "
            "another base recipe"
        )
    # Observe the micrographs and adapt the recipe to their scale and tones.
    dark = dark_particles(base, settings)
    refuse_unsuitable(micrographs, dark)
    white = white_level(micrographs)
    images = [gray_levels(micrograph, white) for micrograph in micrographs]
    sizes_nm = [m.pixel_size_nm for m in micrographs if m.pixel_size_nm is not None]
    pixel_size_nm = float(np.median(sizes_nm or [assumed_pixel_size_nm(micrographs, base, dark)]))
    wide_geometry, close_geometry = _geometries(images, pixel_size_nm, dark)
    close_views, wide_views = (real_views(images, one) for one in (close_geometry, wide_geometry))
    real = observe_reference(close_views, dark)
    close = Target(real, close_geometry)
    wide = Target(observe_reference(wide_views, dark), wide_geometry)
    targets = [wide] if wide_geometry == close_geometry else [wide, close]
    tones = estimate_tones(images, dark, base.transmission is not None)
    if base.transmission is not None and sizes_nm:
        assumed_nm = assumed_pixel_size_nm(micrographs, base, dark)
        base = _with_larger_particles(base, pixel_size_nm / assumed_nm)
    start = _at_scale(base, pixel_size_nm, dark)
    corrections, first_seed = settings.corrections, 100_000 * settings.seed
    total, steps = 2 * corrections + settings.evaluations, itertools.count(1)

    def on_step() -> None:
        on_progress(next(steps), total)

    # Match direct estimates, and again without each population that the micrographs do not show.
    def match(recipe: Recipe, on_correction: Callable[[], None] = lambda: None) -> Recipe:
        seed = first_seed + _BEFORE
        return match_estimates(
            recipe, targets, tones, corrections, settings.views, seed, on_correction
        )

    def absent(recipe: Recipe) -> int | None:
        views = [wide_views, close_views][: len(targets)]
        return absent_population(recipe, targets, views, tones, first_seed + _POPULATIONS)

    recipe, kept = match(with_tones(start, tones), on_step), list(range(len(start.particles)))
    while (index := absent(recipe)) is not None:
        del kept[index]
        others = [number for number in range(len(recipe.particles)) if number != index]
        recipe = match(keep_populations(recipe, others))
    # Search for the lowest loss.
    found = search_settings(
        recipe,
        SEARCHED,
        _candidate_observer(recipe, targets, tones, settings, first_seed + _SEARCH),
        [target.observation for target in targets],
        settings.evaluations,
        settings.seed,
        on_step,
    )
    # Match detector and coverage again.
    recipe = match_detector(found.recipe, close, tones, corrections, first_seed + _AFTER, on_step)
    recipe = match_coverage(recipe, wide, tones, settings.views, first_seed + _AFTER)
    recipe = Recipe.model_validate(recipe.model_dump())
    # Observe views on seeds that nothing was fitted to, with each recipe's own tones.
    views_before, views = (
        synthetic_views(
            one,
            close_geometry,
            RenderPlan(
                first_seed + _CHECK,
                settings.checked_views,
                (),
                particles_in_field(one, close_geometry),
            ),
        )
        for one in (start, recipe)
    )
    before, after = ([observe_like(real, view) for view in some] for some in (views_before, views))
    synthetic = pool_observations(after)
    terms, floor = real.loss_terms(synthetic.features), noise_floor(after, len(close_views))
    relative_loss = None if floor is None else terms.loss() / min(floor, LARGEST_NOISE_FLOOR)
    on_progress(total, total)
    return Calibration(
        recipe=recipe.model_copy(update={"relative_loss": relative_loss}),
        before=real.loss_terms(pool_observations(before).features),
        after=terms,
        noise_floor=floor,
        fitted=_changes(keep_populations(start, kept), recipe),
        kept=tuple(kept),
        evaluations=found.evaluations,
        real=real,
        synthetic=synthetic,
        real_views=close_views,
        synthetic_views=views,
        notes=(
            *(() if sizes_nm else (_note_on_pixel_size(pixel_size_nm),)),
            *(
                _note_on_population(kind)
                for index, kind in enumerate(start.particles)
                if index not in kept
            ),
        ),
    )


def _note_on_pixel_size(pixel_size_nm: float) -> str:
    return (
        f"the files do not state a pixel size; the recipe is fitted for {pixel_size_nm:.4g} nm, "
        "which makes its particles as large as those on the micrographs"
    )


def _note_on_population(left_out: Population) -> str:
    return (
        f"the micrographs show nearly none of the {left_out.material} particles of about "
        f"{left_out.diameter_nm.typical():.3g} nm, which are left out of the recipe"
    )


def _geometries(
    images: Sequence[GrayImage], pixel_size_nm: float, dark: bool
) -> tuple[ViewGeometry, ViewGeometry]:
    """Return the geometry of wide, binned views and that of close views at full resolution."""
    shortest = min(min(image.shape) for image in images)
    diameters = np.concatenate(
        [inscribed_discs(255 - image if dark else image).diameters_px for image in images]
    )
    typical = float(np.sqrt(np.mean(diameters**2)))
    binning = int(np.clip(round(typical / _WIDE_DIAMETER_PX), 1, _LARGEST_BINNING))
    edge = min(shortest, _WIDE_EDGE_PX * binning) // binning * binning
    # One ray per binned pixel suffices to see where particles lie.
    rays = 1 / binning if binning > 1 else _RAYS_PER_PX
    wide = ViewGeometry(edge, pixel_size_nm, binning, rays)
    return wide, ViewGeometry(min(shortest, _CLOSE_EDGE_PX), pixel_size_nm, 1, _RAYS_PER_PX)


def _at_scale(base: Recipe, pixel_size_nm: float, dark: bool) -> Recipe:
    """Return the recipe for images with one pixel size and polarity."""
    drawn = base.at_scale(pixel_size_nm, _CLOSE_EDGE_PX)
    drawn = with_settings(drawn, "camera", pixel_size_nm=Constant(value=pixel_size_nm))
    if base.transmission is not None:  # whose beam decides
        return drawn
    return with_settings(drawn, "detector", polarity="dark" if dark else "bright")


def _with_larger_particles(base: Recipe, factor: float) -> Recipe:
    """Return a recipe of transmission images with larger particles, as dark and crowded as before.

    Particles of 2 nm and of 1 um look alike in transmission.
    """
    for parameter, power in ((DIAMETER, 1), (ATTENUATION, -1), (DENSITY, -2)):
        base = parameter.write(base, (parameter.read(base) or 1.0) * factor**power)
    return base


def _candidate_observer(
    recipe: Recipe,
    targets: Sequence[Target],
    tones: Sequence[Tone],
    settings: CalibrationSettings,
    first_seed: int,
) -> Observe:
    """Return the function that observes candidates, with the same number of particles in all."""
    count = max(1, settings.candidate_views // len(targets))
    particles = [particles_in_field(recipe, target.geometry) for target in targets]

    def observe(candidate: Recipe, number: int) -> list[Observation]:
        # Cycle through the tones over the views of all candidates.
        first = number * count % len(tones)
        turned = (*tones[first:], *tones[:first])
        plans = [RenderPlan(first_seed + number, count, turned, n) for n in particles]
        return observe_recipe(candidate, targets, plans)

    return observe


def _changes(start: Recipe, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """Return the value of each parameter before and after."""
    changed = {}
    for parameter in SEARCHED + MATCHED:
        before, after = parameter.read(start), parameter.read(recipe)
        if before is not None and after is not None:
            changed[parameter.name] = (before, after)
    return changed

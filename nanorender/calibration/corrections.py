"""Moment matching: corrections until synthetic views give the direct estimates of the real ones.

Each estimate belongs to one parameter, to which it responds nearly in proportion. A few corrections
therefore suffice where a search would need hundreds of renderings.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nanorender.calibration import parameters as free
from nanorender.calibration.estimates import Estimates
from nanorender.calibration.parameters import Parameter
from nanorender.calibration.views import (
    RenderPlan,
    Target,
    Tone,
    ViewGeometry,
    observe_recipe,
    particles_in_field,
    recipe_of_view,
)
from nanorender.recipe import Recipe
from nanorender.scenes.scene import Scene, View, sample_scene
from nanorender.tracing.raymarch import trace

_CLOSE_VIEWS = 4
_FULL_CORRECTIONS = 3  # of the detector, before corrections are averaged
_LARGEST_FACTOR = 2.0  # of a parameter in one correction
_MOST_LAYERS = 3.0  # largest area of all outlines, relative to that of the sample: a closed bed
_SAMPLE_EDGES = 8  # edge of the samples for the expected coverage, in edges of a view ...
_SAMPLES = 4  # ... and the number of samples


class _Pair(NamedTuple):
    """Estimates from real and synthetic views at one scale."""

    real: Estimates
    synthetic: Estimates


def match_estimates(
    recipe: Recipe,
    targets: Sequence[Target],
    tones: Sequence[Tone],
    corrections: int,
    views: int,
    seed: int,
    on_correction: Callable[[], None] = lambda: None,
) -> Recipe:
    """Correct all settings that direct estimates determine, on the same views each time.

    Parameters
    ----------
    recipe : to correct
    targets : wide views, and close ones where these differ
    tones : of the micrographs
    corrections : number of corrections
    views : least number of wide views; rounded up to the same number for each tone
    seed : of the views
    on_correction : called after each correction

    Returns
    -------
    Corrected recipe.
    """
    base, counts = recipe, (_per_tone(tones, views), _CLOSE_VIEWS)
    for _ in range(corrections):
        pairs = _observed_pairs(recipe, targets, tones, counts, seed)
        if pairs is not None:
            wide, close = pairs[0], pairs[-1]
            recipe = _correct_sizes(
                recipe,
                _average_sizes(wide.real, close.real),
                _average_sizes(wide.synthetic, close.synthetic),
                base,
            )
            recipe = _correct_levels(recipe, *wide)
            recipe = _correct_shading(recipe, *wide)
            recipe = _correct_texture(recipe, *close)
            recipe = _correct_detector(recipe, *close)
        on_correction()
    return match_coverage(recipe, targets[0], tones, views, seed)


def match_detector(
    recipe: Recipe,
    close: Target,
    tones: Sequence[Tone],
    corrections: int,
    seed: int,
    on_correction: Callable[[], None] = lambda: None,
) -> Recipe:
    """Correct point spread and noise, on new views each time.

    The first corrections are made in full. Each later one is weighted by the inverse of its number,
    so that together they average over their views (Robbins & Monro 1951, Ann. Math. Stat. 22, 400).

    Parameters
    ----------
    recipe : to correct
    close : views at full resolution
    tones : of the micrographs
    corrections : number of corrections
    seed : of the first views
    on_correction : called after each correction

    Returns
    -------
    Recipe with a corrected detector.
    """
    counts = (_per_tone(tones, _CLOSE_VIEWS),)
    for done in range(corrections):
        pairs = _observed_pairs(recipe, [close], tones, counts, seed + done)
        if pairs is not None:
            recipe = _correct_detector(recipe, *pairs[0], 1 / max(1, done - _FULL_CORRECTIONS + 2))
        on_correction()
    return recipe


def match_coverage(
    recipe: Recipe, wide: Target, tones: Sequence[Tone], views: int, seed: int
) -> Recipe:
    """Correct the number of particles to match the coverage of the micrographs.

    Parameters
    ----------
    recipe : to correct
    wide : views of large parts of the sample
    tones : of the micrographs
    views : least number of views
    seed : of the views

    Returns
    -------
    Recipe with another number of particles.
    """
    count = _per_tone(tones, views)
    pairs = _observed_pairs(recipe, [wide], tones, (count,), seed)
    if pairs is None:
        return recipe
    # Assume that segmentation errors are the same fraction of both.
    ratio = pairs[0].real.coverage / pairs[0].synthetic.coverage
    share = _view_coverage(recipe, wide.geometry, count, seed) * ratio
    return _correct_coverage(recipe, share, expected_coverage(recipe, wide.geometry, seed))


def _observed_pairs(
    recipe: Recipe,
    targets: Sequence[Target],
    tones: Sequence[Tone],
    counts: Sequence[int],
    seed: int,
) -> list[_Pair] | None:
    """Return estimates at each scale, or None if some synthetic views show no particles."""
    plans = [
        RenderPlan(seed, count, tones, particles_in_field(recipe, target.geometry))
        for target, count in zip(targets, counts, strict=False)
    ]
    pairs = []
    for target, observed in zip(targets, observe_recipe(recipe, targets, plans), strict=True):
        if target.observation.estimates is None or observed.estimates is None:
            return None
        pairs.append(_Pair(target.observation.estimates, observed.estimates))
    return pairs


def _per_tone(tones: Sequence[Tone], views: int) -> int:
    """Round a number of views up to the same number for each tone."""
    return len(tones) * -(-views // len(tones))


def _average_sizes(wide: Estimates, close: Estimates) -> Estimates:
    """Return wide estimates with sizes averaged over both scales: close views show small particles.

    Lengths in px are longer in close views by a constant factor, which cancels in the difference
    between real and synthetic estimates.
    """
    return wide._replace(
        log_diameter=(wide.log_diameter + close.log_diameter) / 2,
        log_diameter_spread=(wide.log_diameter_spread + close.log_diameter_spread) / 2,
        members=math.sqrt(wide.members * close.members),
    )


# Single corrections, from estimates of real and synthetic views


def _multiply(recipe: Recipe, parameter: Parameter, ratio: float, power: float = 1.0) -> Recipe:
    """Multiply a parameter by a bounded power of a ratio."""
    value = parameter.read(recipe)
    if value is None:
        return recipe
    factor = min(max(ratio**power, 1 / _LARGEST_FACTOR), _LARGEST_FACTOR)
    return parameter.write(recipe, parameter.clip(max(value, 1e-3) * factor))


def _add(recipe: Recipe, parameter: Parameter, difference: float) -> Recipe:
    value = parameter.read(recipe)
    return recipe if value is None else parameter.write(recipe, parameter.clip(value + difference))


def _correct_sizes(recipe: Recipe, real: Estimates, synthetic: Estimates, base: Recipe) -> Recipe:
    """Correct size, coverage and agglomeration once.

    The area that particles placed at random leave uncovered is exp(-number), so numbers follow its
    logarithm. Discs say little about the spread of sizes, as small particles beside large ones give
    none: it moves half of the way from that of `base` to what discs suggest.
    """
    larger = math.exp(real.log_diameter - synthetic.log_diameter)
    wider = max(real.log_diameter_spread, 0.02) / max(synthetic.log_diameter_spread, 0.02)
    nearer = (free.SIZE_SPREAD.read(base) or 1.0) / (free.SIZE_SPREAD.read(recipe) or 1.0)
    denser = _poisson_ratio(real.coverage, synthetic.coverage)
    recipe = _multiply(recipe, free.DIAMETER, larger)
    recipe = _multiply(recipe, free.SIZE_SPREAD, wider * nearer, 0.5)
    more = denser / larger**2
    is_closed = free.layers(recipe) * more >= _MOST_LAYERS
    recipe = _with_more_particles(recipe, more)
    if is_closed:  # no agglomerates can be told apart in a bed
        return recipe
    return _multiply(recipe, free.MEMBERS, real.members / synthetic.members, 0.5)


def _with_more_particles(recipe: Recipe, ratio: float) -> Recipe:
    """Multiply the number of particles, up to that of a closed bed.

    A bed seems to be covered less than it is, as a threshold takes the dark gaps between its
    particles for substrate. Without a limit, particles would be added that nobody sees.
    """
    return _multiply(recipe, free.DENSITY, min(ratio, _MOST_LAYERS / free.layers(recipe)))


def _correct_coverage(recipe: Recipe, wanted: float, expected: float) -> Recipe:
    """Correct the number of particles once, for a given coverage of large samples.

    Views contain few agglomerates, so their coverage differs from what the recipe gives on average.
    """
    return _with_more_particles(recipe, _poisson_ratio(wanted, expected))


def _poisson_ratio(wanted: float, present: float) -> float:
    """Return the ratio of the numbers of particles at two coverages."""
    return math.log1p(-min(wanted, 0.98)) / math.log1p(-min(present, 0.98))


def _correct_levels(recipe: Recipe, real: Estimates, synthetic: Estimates) -> Recipe:
    """Correct the gray levels of particles and substrate once."""
    if recipe.transmission is not None:
        mode = recipe.transmission.beam.mode
        return _correct_transmission(recipe, mode == "dark_field", real, synthetic)
    contrast = real.particle_level / max(synthetic.particle_level, 1.0)
    darker = (real.substrate_level - synthetic.substrate_level) / 255
    return _add(_multiply(recipe, free.ALBEDO, contrast), free.GRAY, darker)


def _correct_transmission(
    recipe: Recipe, dark_field: bool, real: Estimates, synthetic: Estimates
) -> Recipe:
    """Correct the attenuation of the particles, and the levels beside them, once.

    In bright field, levels count from white, and the logarithm of what particles transmit is in
    proportion to their attenuation. In dark field, their level is, as long as it is low.
    """
    speckle = max(real.substrate_noise, 0.1) / max(synthetic.substrate_noise, 0.1)
    recipe = _multiply(recipe, free.SPECKLE, speckle, 0.5)
    if dark_field:
        contrasts = [max(e.particle_level - e.substrate_level, 1.0) for e in (real, synthetic)]
        beside = max(real.substrate_level, 1.0) / max(synthetic.substrate_level, 1.0)
        recipe = _multiply(recipe, free.ATTENUATION, contrasts[0] / contrasts[1])
        return _multiply(recipe, free.FILM, beside)
    depths = [
        math.log(max(255 - e.substrate_level, 1.0) / max(255 - e.particle_level, 1.0))
        for e in (real, synthetic)
    ]
    beside = max(255 - real.substrate_level, 1.0) / max(255 - synthetic.substrate_level, 1.0)
    recipe = _multiply(recipe, free.ATTENUATION, max(depths[0], 0.01) / max(depths[1], 0.01))
    return _multiply(recipe, free.BEAM, beside)


def _correct_shading(recipe: Recipe, real: Estimates, synthetic: Estimates) -> Recipe:
    """Correct the variation of gray levels between particles, at rims and on the substrate once."""
    spread = max(real.brightness_spread, 0.01) / max(synthetic.brightness_spread, 0.01)
    # Saturation hides both of these; small steps keep them from diverging then.
    recipe = _multiply(recipe, free.BRIGHTNESS_SPREAD, spread, 0.2)
    recipe = _add(recipe, free.EDGE, 0.25 * (real.rim - synthetic.rim))
    recipe = _add(recipe, free.HALO, synthetic.halo - real.halo)
    recipe = _multiply(recipe, free.PATCHES, real.patches / synthetic.patches, 0.7)
    return _multiply(recipe, free.RINGS, real.rings / synthetic.rings, 0.7)


def _correct_texture(recipe: Recipe, real: Estimates, synthetic: Estimates) -> Recipe:
    """Correct the ridges on particles, or their mottle where there are none, once."""
    if free.RIDGES.read(recipe) is None:
        return _add(recipe, free.MOTTLE, 2.0 * (real.mottle - synthetic.mottle))
    return _multiply(recipe, free.RIDGES, real.mottle / max(synthetic.mottle, 1e-3))


def _correct_detector(
    recipe: Recipe, real: Estimates, synthetic: Estimates, damping: float = 1.0
) -> Recipe:
    """Correct point spread and noise once.

    The noise variance is that of the amplifier plus, in proportion to the level, that of counting
    (Foi et al. 2008, IEEE Trans. Image Processing 17, 1737): two levels give both.
    """
    blur = free.BLUR.read(recipe) or 0.0
    squared = blur**2 + 0.6 * damping * (real.blur_variance - synthetic.blur_variance)
    blur = math.sqrt(max(squared, 0.09 * blur**2))
    recipe = free.BLUR.write(recipe, free.BLUR.clip(blur))
    along = real.noise_correlation - synthetic.noise_correlation
    across = real.line_correlation - synthetic.line_correlation
    recipe = _add(recipe, free.ALONG, damping * along)
    recipe = _add(recipe, free.ACROSS, damping * across)
    return _correct_noise(recipe, real, synthetic, damping)


def _correct_noise(recipe: Recipe, real: Estimates, synthetic: Estimates, damping: float) -> Recipe:
    """Correct the noise of the amplifier and that of counting."""
    gaussian, counts = free.NOISE.read(recipe) or 0.0, free.COUNTS_AT_WHITE.read(recipe) or 0.0
    per_level = 255 / counts if counts > 0 else 0.0
    levels = [synthetic.substrate_level, synthetic.particle_level]
    if recipe.has_dark_particles:
        levels = [255 - level for level in levels]
    # Scale the variance at both levels by the ratio of the estimates.
    variances = [
        (gaussian**2 + per_level * level) * min(max(now / before, 0.5), 2.0) ** (damping * power)
        for level, now, before, power in zip(
            levels,
            (real.substrate_noise, real.particle_noise),
            (synthetic.substrate_noise, synthetic.particle_noise),
            (2.0, 0.7),  # particles are few, and their own structure adds to the noise
            strict=True,
        )
    ]
    # Attribute the difference to counting, and the rest at the darker level to the amplifier.
    apart = levels[1] - levels[0]
    per_level = max(0.0, (variances[1] - variances[0]) / apart) if abs(apart) > 5 else per_level
    darker = 0 if levels[0] < levels[1] else 1
    per_level = min(per_level, variances[darker] / max(levels[darker], 1.0))
    squared = max(variances[darker] - per_level * levels[darker], 0.0)
    recipe = free.NOISE.write(recipe, math.sqrt(squared))
    counts = min(255 / per_level, free.COUNTS_AT_WHITE.high) if per_level > 1e-4 else 0.0
    return free.COUNTS_AT_WHITE.write(recipe, counts)


# Coverage, from the scenes themselves


def _view_coverage(recipe: Recipe, geometry: ViewGeometry, count: int, seed: int) -> float:
    """Trace the coverage of synthetic views."""
    drawn = recipe_of_view(recipe, geometry, particles_in_field(recipe, geometry))
    edge_px = drawn.camera.render_px
    covered = []
    for index in range(count):
        scene = _scene(drawn, seed, index)
        surface = trace(scene, scene.view.resampled(edge_px, edge_px))
        covered.append(float((surface.particle > 0).mean()))
    return float(np.mean(covered))


def expected_coverage(recipe: Recipe, geometry: ViewGeometry, seed: int) -> float:
    """Trace the coverage of samples much larger than a view.

    The whole field is traced, so that the positions of its few agglomerates do not matter, with as
    few rays as a view: it only counts whether each hits a particle.

    Parameters
    ----------
    recipe : of the sample
    geometry : of the views
    seed : of the samples

    Returns
    -------
    Mean share, at most 1.

    Examples
    --------
    >>> from nanorender.recipe import read_recipe
    >>> geometry = ViewGeometry(edge_px=64, pixel_size_nm=7.0)
    >>> round(expected_coverage(read_recipe("powder"), geometry, seed=0), 2)
    0.24
    """
    far = geometry._replace(pixel_size_nm=geometry.pixel_size_nm * _SAMPLE_EDGES)
    drawn = recipe_of_view(recipe, far, particles_in_field(recipe, far))
    shares = []
    for index in range(_SAMPLES):
        scene = _scene(drawn, seed, index)
        whole = _view_of_all(scene, drawn.camera.render_px)
        covered_nm2 = (trace(scene, whole).particle > 0).sum() * whole.pixel_size_nm**2
        shares.append(covered_nm2 / (drawn.field_nm**2 * math.cos(math.radians(whole.tilt_deg))))
    return min(float(np.mean(shares)), 1.0)


def _view_of_all(scene: Scene, edge_px: int) -> View:
    """Return a view of all particles of a scene in the direction of its own view."""
    center, size = scene.particles.center_nm[:, :2], scene.particles.size_nm
    reach = np.linalg.norm(size, axis=1, keepdims=True) / 2
    left, top = ((center - reach).min(axis=0)).tolist()
    right, bottom = ((center + reach).max(axis=0)).tolist()
    pixel_size_nm = max(right - left, bottom - top) / edge_px
    return View(left, top, pixel_size_nm, edge_px, edge_px, scene.view.tilt_deg)


def _scene(recipe: Recipe, seed: int, index: int) -> Scene:
    """Return the scene of the sample that `render` would draw."""
    return sample_scene(recipe, np.random.default_rng([seed, index]).spawn(1)[0])
